"""`capmat matte`: one photograph, or every frame of a take that is in the store."""

import os
from argparse import Namespace
from pathlib import Path

from capmat_errors import ConfigError
from storage.export.mattes import export_mattes
from storage.export.names import NAME
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.models.networks import Run, champion
from tasks.runtime.progress import Progress


def matte(config: Config, args: Namespace) -> None:
    """Matte a photograph, or an ingested take, with the model that was named or the one of a role."""
    if args.take:
        if unused := [f"--{key}" for key in ("image", "plate", "trimap", "mask", "out") if getattr(args, key)]:
            raise ConfigError(f"--take has no use for {', '.join(unused)}", where="capmat matte")
        _matte_take(config, args.take, args.role, args.model)
        return
    if not (args.image and args.out) or not (args.plate or args.model):
        raise ConfigError("needs --image, --plate (or --model) and --out, or --take", where="capmat matte")
    from tasks.matte.picture import matte_picture, open_base, open_model

    if args.model:
        network, name = open_model(config.store, Path(config.weights), args.model)
    else:
        name = config.architectures[args.role]
        network = open_base(Path(config.weights), name)
    files, note = matte_picture(
        network, name, args.image, args.out, plate=args.plate, trimap=args.trimap, mask=args.mask
    )
    for kind, path in files.items():
        print(f"{kind:8} {path}")
    if note:
        print(f"note: {note}")


def _matte_take(config: Config, take: str, role: str, wanted: str | None) -> None:
    from tasks.ingest.session import take_record
    from tasks.matte.provenance import keep_config
    from tasks.matte.take import matte as run_matte
    from tasks.matte.take import open_run
    from tasks.models.infer import check_take
    from tasks.models.networks import champion, find_model, load_network, register_base

    record = take_record(config.store, take)
    threads = os.cpu_count() or 1
    if wanted:
        model = find_model(config.store, config.weights, wanted)
        role = model["name"]  # runs are named by what made them
    else:
        register_base(config.store, config.weights, config.architectures)
        model = champion(config.store, role)
    note = check_take(model["name"], load_network(config.store, model, threads).inputs, take)
    tile = config.tile(role)
    run = open_run(config.store, take, role, model, tile, keep_config(config))
    done = run_matte(
        config.store, take, record["cameras"], record["frames"], role, model, record["digest"], threads, tile
    )
    if note:
        print(f"note: {note}")
    print(f"{done['frames']} mattes in run {run}; write them as files with:")
    print(f"  capmat export {take} --run {run} --out FOLDER")


def export(config: Config, args: Namespace) -> None:
    """Write what is missing or out of date, and say how much that was."""
    take = Take.open(Root(config.store), args.take)
    run = args.run or Run("student", champion(config.store, "student")).name
    # A range may be wider than the take; what lies inside is meant.
    frames = None if args.frames is None else [frame for frame in take.frames if frame in args.frames]
    done = export_mattes(
        take,
        run,
        Root(args.out),
        args.format or ("exr", "png"),
        what=args.what,
        cameras=args.camera,
        frames=frames,
        name=args.name or NAME,
        compression=args.compression,
        workers=args.workers or os.cpu_count() or 1,
        progress=_Told(f"export {take.name} {run}"),
    )
    kept = len(done.files) - len(done.written)
    print(f"{len(done.written)} files written to {args.out}" + (f", {kept} were there already" if kept else ""))


class _Told:
    """A line every few seconds, once the number of files is known."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.bar: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        self.bar = self.bar or Progress(self.what, total)
        self.bar(done, "files")
