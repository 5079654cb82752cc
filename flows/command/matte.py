"""`capmat matte` and `capmat export`: mattes of a photograph or of a take, and their way into files."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from capmat_errors import ConfigError
from flows.command.arguments import FRAMES, RUN, add_take, frames, positive, settings
from storage.export.mattes import export_mattes
from storage.export.names import FORMATS, NAME, WHAT
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.show.figures import counted

_MUCH = 0.05  # share of a camera's foreground


def _matte_options(parser: ArgumentParser) -> None:
    add_take(parser, "an ingested take; without it, --image", nargs="?")
    parser.add_argument("--image", type=Path, help="the picture with the subject")
    parser.add_argument("--plate", type=Path, help="the same view without the subject")
    parser.add_argument("--trimap", type=Path,
                        help="black stage, grey unknown, white subject, for networks that need it")  # fmt: skip
    parser.add_argument("--mask", type=Path,
                        help="a coarse alpha, for networks that need it (default: made from the plate)")  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    parser.add_argument("--model", metavar="NAME[@VERSION]", help="a model of `capmat models`, or base weights; "
                        "student and teacher are those in use")  # fmt: skip
    parser.add_argument("--role", choices=("student", "teacher"), default="student",
                        help="without --model: use the model of this role (default: student)")  # fmt: skip
    parser.add_argument("--hull", action="store_true", help="of a take: also write a run NAME-hull, without the "
                        "foreground that no other camera supports")  # fmt: skip


def matte(args: Namespace) -> None:
    """Matte a photograph, or an ingested take, with the named model or the one of a role."""
    config = settings(args)
    if args.model in ("student", "teacher") and not Registry(Root(config.store)).champion(args.model):
        args.role, args.model = args.model, None  # none is in use yet: the base weights
    if args.take:
        if unused := [f"--{key}" for key in ("image", "plate", "trimap", "mask", "out") if getattr(args, key)]:
            fix = "Name a photograph with --image." if Path(args.take).is_file() else "Remove what is not used."
            raise ConfigError(f"a take does not use {', '.join(unused)}", where=f"capmat matte {args.take}", fix=fix)
        _matte_take(config, args.take, args.role, args.model, args.hull)
        return
    if args.hull:
        raise ConfigError("one photograph has no other camera", where="capmat matte --hull", fix="Remove --hull.")
    if not (args.image and args.out) or not (args.plate or args.model):
        raise ConfigError("needs a take, or --image, --plate (or --model) and --out", where="capmat matte",
                          fix="For example: capmat matte cedar")  # fmt: skip
    from tasks.matte.picture import matte_picture, open_base, open_model

    if args.model:
        network, name = open_model(config.store, Path(config.weights), args.model)
    else:
        name = config.architectures[args.role]
        network = open_base(Path(config.weights), name)
    files, note = matte_picture(
        network,
        name,
        args.image,
        args.out,
        plate=args.plate,
        trimap=args.trimap,
        mask=args.mask,
        mend=config.stage.mend,
    )
    for kind, path in files.items():
        print(f"{kind:8} {path}")
    print(f"note: {note}")


def _matte_take(config: Config, take: str, role: str, wanted: str | None, hull: bool) -> None:
    from tasks.ingest.session import take_record
    from tasks.matte.provenance import keep_config
    from tasks.matte.take import matte as run_matte
    from tasks.matte.take import open_run
    from tasks.models.infer import check_take
    from tasks.models.networks import ROLES, Run, champion, find_model, load_network, register_base

    record = take_record(config.store, take)
    if hull:
        from tasks.geometry.agreed import check_cameras

        check_cameras(Take.open(Root(config.store), take), config.reconstruction)
    threads = os.cpu_count() or 1
    if wanted:
        model = find_model(config.store, config.weights, wanted)
        role = name if (name := wanted.partition("@")[0]) in ROLES else model["name"]  # what made it names the run
    else:
        register_base(config.store, config.weights, config.architectures)
        model = champion(config.store, role)
    note = check_take(model["name"], load_network(config.store, model, threads).inputs, take)
    run = Run(role, model, config.tile(role), threads, keep_config(config))
    open_run(config.store, take, run)
    done = run_matte(config.store, take, record["cameras"], record["frames"], run, record["digest"])
    if note:
        print(f"note: {note}")
    if done["coverage"]:
        covered = done["coverage"].values()
        print(f"the mattes cover {sum(covered) / len(covered):.1%} of the pictures")
    name = _agreed(config, take, run.name, done["digest"]) if hull else run.name
    print(f"{done['frames']} mattes in run {name}; write them as files with:")
    print(f"  capmat export {take} --run {name} --out FOLDER")


def _agreed(config: Config, take: str, run: str, made: list[str]) -> str:
    """Write the run that all cameras agree on, and say what was removed; returns its name."""
    from tasks.geometry.agreed import agree

    done = agree(config.store, take, run, made, config.reconstruction)
    mean = sum(done["removed"].values()) / len(done["removed"])
    worst = max(done["removed"], key=done["removed"].__getitem__)
    share = done["removed"][worst]
    print(f"removed {mean:.1%} of the foreground: no other camera supports it; most in camera {worst}, {share:.1%}")
    if share > _MUCH:
        print(f"note: look at camera {worst}: its own mattes, the other mattes or its calibration are wrong")
    if done["alone"]:
        alone = counted(len(done["alone"]), "frame")
        print(f"note: {alone}, first {done['alone'][0]}: the cameras agree on no subject; these mattes are unchanged")
    return done["run"]


def _export_options(parser: ArgumentParser) -> None:
    add_take(parser, "an ingested take")
    parser.add_argument("--run", help=RUN)
    parser.add_argument("--out", required=True, metavar="PLACE", help="a folder, or s3://bucket/prefix")
    parser.add_argument("--format", action="append", choices=FORMATS, metavar="FORMAT",
                        help="exr, png, tiff, mp4, prores; may be repeated (default: exr and png)")  # fmt: skip
    parser.add_argument("--what", action="append", choices=WHAT, metavar="WHAT",
                        help="alpha, rgba, fg, comp; may be repeated (default: see docs/export.md)")  # fmt: skip
    parser.add_argument("--camera", action="append", help="only this camera; may be repeated")
    parser.add_argument("--frames", type=frames, metavar=FRAMES, help="such as 10-250:2 (default: all)")
    parser.add_argument("--name", metavar="TEMPLATE", help="template of the files' names "
                        "(default: {take}/{camera}/{camera}_{what}.{frame:06d}.{ext})")  # fmt: skip
    parser.add_argument("--compression", choices=("zip", "piz", "none"), default="zip", help="of EXR (default: zip)")
    parser.add_argument("--workers", type=positive, help="processes (default: one per core)")


def export(args: Namespace) -> None:
    """Write the files that are missing or out of date, and print how many."""
    config = settings(args)
    take = Take.open(Root(config.store), args.take)  # a wrong name is refused before Prefect is imported
    from tasks.models.networks import find_run

    run = find_run(config.store, args.run or "", config.teacher.tile)
    # a range may be wider than the take
    chosen = None if args.frames is None else [frame for frame in take.frames if frame in args.frames]
    done = export_mattes(
        take,
        run,
        Root(args.out),
        args.format or ("exr", "png"),
        what=args.what,
        cameras=args.camera,
        frames=chosen,
        name=args.name or NAME,
        compression=args.compression,
        workers=args.workers or os.cpu_count() or 1,
        progress=_FilesWritten(f"export {take.name} {run}"),
    )
    kept = len(done.files) - len(done.written)
    existed = f", {kept} existed already" if kept else ""
    print(f"{counted(len(done.written), 'file')} written to {args.out}{existed}")


class _FilesWritten:
    """Progress of an export, once the number of files is known."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        from tasks.runtime.progress import Progress

        self.bar = self.bar or Progress(self.what, total, "files")
        self.bar(done)


WORDS = {
    "matte": (_matte_options, matte, """
        capmat matte cedar                                           # every frame, with the student in use
        capmat matte cedar --model rvm_mobilenetv3                   # with another model
        capmat matte cedar --hull                                    # and without what no other camera supports
        capmat matte --image photo.png --plate empty.png --out mattes   # one photograph
    """),
    "export": (_export_options, export, """
        capmat export cedar --out mattes                             # EXR and PNG, by the student in use
        capmat export cedar --run teacher --out mattes               # by the teacher in use
        capmat export cedar --out s3://show/mattes --format mp4 --camera c00 --frames 10-250:2
    """),
}  # fmt: skip
