"""The `capmat` command. Every command imports what it needs when it runs, so that `--help` answers at once.

Exit codes: 0 done; 1 an unexpected fault (with its traceback), or damage found; 2 refused, with one line that says
what, where and what to do next; 130 interrupted.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from capmat_errors import CapmatError

_LABEL_FORMATS = ("overlay", "label", "trimap", "labelstudio", "cvat", "labelme", "coco", "davis", "strokes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="capmat", description="Mattes for capture stages, from recorded takes to promoted models."
    )
    parser.add_argument("--config", type=Path, help="configuration file (default: capmat.toml, if there)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting; may be repeated"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    demo = add("demo", "run the whole chain on the sample session and write the report")
    demo.add_argument("--port", type=int, default=4200, help="loopback port of the Prefect server")
    add("nightly", "ingest the session, matte every take, freeze the benchmark (a Prefect flow)")
    add("redistill", "scribbles to promoted models (a Prefect flow)")
    rebuild = add("reconstruct", "what two sets of mattes make of one frame as a radiance field (a Prefect flow)")
    rebuild.add_argument("base_run", nargs="?", default="", help="alpha run to start from, e.g. "
                         "student-bgmv2_mobilenetv2-v0001 (default: the newest verdict's champion)")  # fmt: skip
    rebuild.add_argument(
        "refined_run", nargs="?", default="", help="alpha run to compare it with (default: its challenger)"
    )
    rebuild.add_argument(
        "--install",
        nargs="?",
        type=Path,
        const=Path(".capmat/nerfstudio"),
        metavar="FOLDER",
        help="instead make Nerfstudio's own environment (default: .capmat/nerfstudio, where it is found), 7.6 GB",
    )

    scored = add("validate", "score the models in use, and others, on the session's benchmark (a Prefect flow)")
    scored.add_argument("model", nargs="*", metavar="NAME[@VERSION]", help="more models of `capmat models`")

    _session(add("session", "write the session.toml of a folder in a known layout, to be edited"))
    _ingest(add("ingest", "bring a recorded session into the store, without a server"))

    matte = add("matte", "matte one photograph, or an ingested take, with the default or any other network")
    matte.add_argument("--image", type=Path, help="the picture with the subject")
    matte.add_argument("--plate", type=Path, help="the same view, empty")
    matte.add_argument(
        "--trimap", type=Path, help="black stage, grey unknown, white subject, for networks that want it"
    )
    matte.add_argument(
        "--mask", type=Path, help="a coarse alpha, for networks that want it (default: from the plate)"
    )
    matte.add_argument("--out", type=Path, help="folder for the pictures")
    matte.add_argument("--take", help="an ingested take, instead of --image")
    matte.add_argument("--model", metavar="NAME[@VERSION]", help="a model of `capmat models`, or base weights")
    matte.add_argument("--role", choices=("student", "teacher"), default="student", help="without --model: whose")

    _export(add("export", "write the mattes of a take as EXR, PNG, TIFF or video files"))

    verify = add("verify", "look whether every stored frame, plate and matte is still there; exit code 1 if not")
    verify.add_argument("take", nargs="?", help="default: all of them")
    verify.add_argument("--deep", action="store_true", help="read every byte; without it, presence and size")
    verify.add_argument("--json", action="store_true", help="the findings for programs")
    verify.add_argument(
        "--forget",
        action="store_true",
        help="take damaged work back from the ledger, so that ingest and matte redo it",
    )

    _scribbles(add("scribbles", "bring in labels that people made, list and show label sets, hand them out"))

    _scribble(add("scribble", "a page on which people paint where the matte failed, and the labels made of it"))

    train = add("train-base", "train the base weights of one role from the base data")
    train.add_argument("role", choices=("teacher", "student", "supervisor"))
    train.add_argument("--minutes", type=float, default=25.0, help="as many steps as fit (default: 25)")
    train.add_argument("--iterations", type=int, help="so many steps, instead of --minutes")

    sim = add("sim", "render the sample session (Mitsuba 3)")
    sim.add_argument("--out", type=Path, required=True)
    sim.add_argument("--seed", type=int, default=0)
    sim.add_argument("--tiny", action="store_true", help="a few small pictures, in seconds")

    bench = add("bench", "how fast a network is on this machine, beside its released structure")
    bench.add_argument("role", choices=("student", "teacher"))
    bench.add_argument("--size", type=_size, default="1920x1080", metavar="WxH", help="default: 1920x1080")
    bench.add_argument("--cameras", type=_positive, default=4, help="in one batch of the student (default: 4)")
    bench.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    bench.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU, if there is one")
    bench.add_argument("--threads", type=_positive, help="torch threads (default: one per core)")
    bench.add_argument("--rounds", type=_positive, default=7, help="how often each row is timed (default: 7)")
    bench.add_argument("--network", help="default: the published size")
    _calibration(
        add("calibration", "say what a calibration holds and how good it is, and write it for another program")
    )
    _models(add("models", "list the models of the store; bring in, show, hand out, promote one"))
    ui = add("ui", "open the Prefect UI on this folder's database")
    ui.add_argument("--port", type=int, default=4200)
    doctor = add("doctor", "say what this machine has, and what to do about what is missing")
    doctor.add_argument("--json", action="store_true")
    figures = add("metrics", "figures of the last night, in the text format of Prometheus")
    figures.add_argument("--out", type=Path, metavar="FILE", help="replace this file, *.prom (default: print)")
    _plan(add("plan", "how long the night will be, at the rates that this store has measured"))
    _gc(add("gc", "say which mattes and leftovers may go; with --yes remove them"))
    _mine(add("mine", "which boxes of a take's pictures are worth a scribble: writes the queue, best first"))
    _hull(add("hull", "the visual hull of a frame as PLY or GLB: a cheap look at what its mattes agree on"))
    _scene(add("scene", "write frames as folders for Nerfstudio, with camera files for COLMAP's readers"))
    up = add("up", "start the server and the worker that run deployments by themselves, on this machine")
    up.add_argument("--port", type=int, default=4200, help="loopback port of the Prefect server (default: 4200)")
    up.add_argument("--foreground", action="store_true", help="stay, start again what ends, stop all on Ctrl-C")
    add("down", "stop what `capmat up` started")
    add("deploy", "register the deployments of prefect.yaml again, on the server of `capmat up`")
    return parser


def _hull(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat hull`."""
    parser.add_argument("take")
    parser.add_argument("--run", help="alpha run (default: that of the student in use)")
    parser.add_argument("--frame", type=_whole, help="default: the middle one")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".ply or .glb, in metres")
    parser.add_argument("--resolution", type=_positive, default=256, help="voxels along the box (default: 256)")
    parser.add_argument("--points", action="store_true", help="points without triangles")


def _scribble(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat scribble`; see docs/annotate.md."""
    parser.add_argument("take", nargs="*", help="default: all that are in the store")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=_whole, default=0, help="default: one that is free")
    parser.add_argument("--author", metavar="NAME", help="who paints (default: who is logged in)")
    parser.add_argument("--no-browser", action="store_true", help="print the link, open nothing")


def _mine(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat mine`; see docs/mine.md."""
    parser.add_argument("take")
    parser.add_argument("--run", help="alpha run to judge (default: that of the student in use)")
    parser.add_argument("--teacher-run", help="alpha run to compare it with (default: that of the teacher in use)")
    parser.add_argument("--top", type=_positive, metavar="K", help="boxes in the queue (default: mine.top)")
    parser.add_argument("--json", action="store_true", help="the queue for programs")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="gets a contact sheet of the best boxes")


def _scene(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat scene`; what the folders hold is in docs/reconstruct.md."""
    parser.add_argument("take")
    parser.add_argument("--run", help="alpha run (default: that of the student in use)")
    parser.add_argument("--frames", type=_frames, metavar="FIRST-LAST[:STEP]", help="such as 10-250:2 (default: all)")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="gets a folder for each frame")


def _session(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat session`; what the layouts are is in docs/ingest.md."""
    parser.add_argument("folder", type=Path, help="the recordings")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the session.toml to write (default: print it)")
    _layout(parser)


def _ingest(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat ingest`."""
    parser.add_argument("session", type=Path, help="session.toml of the recorded day, or a folder in a known layout")
    parser.add_argument("--take", action="append", help="only this take; may be repeated")
    parser.add_argument(
        "--plan", action="store_true", help="check everything and say what would be done; 2 if refused"
    )
    parser.add_argument("--json", action="store_true", help="with --plan: the plan for programs")
    _layout(parser)


def _layout(parser: argparse.ArgumentParser) -> None:
    """What to say of a folder that has no session.toml."""
    group = parser.add_argument_group("folders without a session.toml")
    group.add_argument("--layout", help="easyvolcap, actorshq, smc, n3dv, pose2sim, colmap, nerfstudio, opencv "
                       "(default: what it looks like)")  # fmt: skip
    group.add_argument("--name", help="of the session, its stage and its take (default: the folder's)")
    group.add_argument("--state", action="append", default=[], metavar="KEY=VALUE",
                       help="what the folder does not say, such as fps=50; may be repeated")  # fmt: skip


def _calibration(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat calibration`; what the formats are is in docs/ingest.md."""
    parser.add_argument("path", metavar="IN", help="file or folder; for opencv-xml a path with {camera}")
    parser.add_argument("--format", required=True, help="capmat, opencv-xml, easyvolcap, actorshq, colmap, "
                        "nerfstudio (also Blender), metashape, caliscope, pose2sim, llff, smc")  # fmt: skip
    parser.add_argument("--to", help="write it too: easyvolcap, colmap, nerfstudio, capmat")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where --to writes")
    parser.add_argument("--unit", choices=("m", "cm", "mm"), default="m", help="of positions in IN (default: m)")
    parser.add_argument("--scale", type=float, default=1.0, help="metres per unit of IN, where it has no unit")
    board = parser.add_argument_group("how good it is, by a checkerboard")
    board.add_argument("--board", metavar="PATH", help="videos or pictures of the board, with {camera}")
    board.add_argument("--corners", metavar="8x6", help="inner corners per row, and rows")
    board.add_argument("--square", metavar="SIDE", help="side of a square, 115mm or 0.115, to check the scale")


def _export(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat export`; what the files hold is in docs/export.md."""
    parser.add_argument("take")
    parser.add_argument("--run", help="alpha run (default: that of the student in use)")
    parser.add_argument("--out", required=True, metavar="PLACE", help="a folder, or s3://bucket/prefix")
    parser.add_argument("--format", action="append", metavar="FORMAT",
                        help="exr, png, tiff, mp4, prores; may be repeated (default: exr and png)")  # fmt: skip
    parser.add_argument("--what", action="append", metavar="WHAT",
                        help="alpha, rgba, fg, comp; may be repeated (default: see docs/export.md)")  # fmt: skip
    parser.add_argument("--camera", action="append", help="only this camera; may be repeated")
    parser.add_argument("--frames", type=_frames, metavar="FIRST-LAST[:STEP]", help="such as 10-250:2 (default: all)")
    named = "{take}/{camera}/{camera}_{what}.{frame:06d}.{ext}"
    parser.add_argument("--name", metavar="TEMPLATE", help=f"how files are called (default: {named})")
    parser.add_argument("--compression", choices=("zip", "piz", "none"), default="zip", help="of EXR (default: zip)")
    parser.add_argument("--workers", type=_positive, help="processes (default: one per core)")


def _scribbles(parser: argparse.ArgumentParser) -> None:
    """The commands below `capmat scribbles`; what the formats are is in docs/labels.md."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=text)

    add("list", "the label sets there are (also without VERB)")
    show = add("show", "what a label set holds, frame by frame")
    show.add_argument("version", nargs="?", help="l0001, ... (default: the newest)")
    show.add_argument("--picture", type=Path, metavar="FILE", help="also a contact sheet of it, .jpg")

    bring = add("import", "freeze painted overlays, or what another tool exported, as the next label set")
    bring.add_argument("path", type=Path, nargs="?", help="file, folder or zip (default: the inbox of overlays)")
    bring.add_argument("--format", choices=("auto", *_LABEL_FORMATS), default="auto", metavar="FORMAT",
                       help=f"{', '.join(_LABEL_FORMATS)} (default: what it looks like)")  # fmt: skip
    bring.add_argument("--foreground", type=_words, default=(), metavar="NAME,NAME",
                       help="what the subject is called in the export; of overlays its colour, 00ff00")  # fmt: skip
    bring.add_argument("--background", type=_words, default=(), metavar="NAME,NAME",
                       help="what the background is called; * is every other name")  # fmt: skip
    bring.add_argument("--replace", action="store_true", help="forget earlier labels of these frames")
    bring.add_argument("--dry-run", action="store_true", help="read all of it, say what it holds, store nothing")
    named = bring.add_argument_group("which frame a picture is")
    template = "{take}/{camera}/{frame}"
    named.add_argument("--names", default=template, metavar="TEMPLATE",
                       help=f"such as {{take}}_{{camera}}_{{frame}} (default: {template})")  # fmt: skip
    named.add_argument("--take", default="", help="of all pictures, where their names do not say it")
    named.add_argument("--camera", default="", help="of all pictures, where their names do not say it")
    named.add_argument("--offset", type=int, default=0, metavar="N", help="add N to the frames' numbers")
    drawn = bring.add_argument_group("shapes")
    drawn.add_argument("--radius", type=_pixels, default=3.0, metavar="PIXELS", help="of lines (default: 3)")
    drawn.add_argument("--overlap", choices=("refuse", "later", "open"), default="refuse",
                       help="pixels that are both: refuse them (default), the later wins, open")  # fmt: skip

    out = add("export", "write a label set as pictures or strokes, which import reads again")
    out.add_argument("version", help="l0001, ...")
    out.add_argument("--out", required=True, metavar="PLACE", help="a folder, or s3://bucket/prefix")
    out.add_argument("--format", choices=("overlay", "label", "strokes"), default="overlay", help="default: overlay")


def _models(parser: argparse.ArgumentParser) -> None:
    """The commands below `capmat models`."""
    parser.add_argument("--json", action="store_true", help="the list for programs")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=text)

    listed = add("list", "what there is (also without VERB)")
    listed.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    show = add("show", "all that is known about one model")
    show.add_argument("model", metavar="NAME[@VERSION]")

    bring = add("import", "register published weights, or (with --contract) an exported network")
    bring.add_argument("file", type=Path, help=".pth, .pt, .ckpt, .safetensors; exported: .onnx or TorchScript")
    bring.add_argument("--as", dest="network", required=True, metavar="NETWORK", help="see docs/models.md")
    bring.add_argument("--name", default="", help="what to call it (default: as the network)")
    weights = bring.add_argument_group("published weights")
    weights.add_argument("--adapt", choices=("background",), help="trimap weights for a network that takes a plate")
    weights.add_argument("--set", action="append", default=[], dest="changes", metavar="FIELD=VALUE",
                         help="a field of the network's configuration; may be repeated")  # fmt: skip
    graph = bring.add_argument_group("exported networks")
    graph.add_argument("--contract", choices=("rgb", "rgb+plate", "recurrent"), help="what it takes and keeps")
    graph.add_argument("--range", choices=("0..1", "-1..1", "imagenet"), default="0..1", help="of its input")
    graph.add_argument("--multiple", type=_positive, default=1, metavar="N", help="sides are multiples of N")
    graph.add_argument("--side", type=_whole, default=0, metavar="N", help="shorter side at work; 0: the frame's own")
    graph.add_argument("--size", type=_size, metavar="WxH", help="of its input, where it takes one size only")
    graph.add_argument("--alpha", default="", help="which output, by place or name, where several look like it")

    export = add("export", "write a model as a file for other programs: inputs src and bgr, outputs pha and fgr")
    export.add_argument("model", metavar="NAME[@VERSION]")
    export.add_argument("--format", choices=("safetensors", "torchscript", "onnx"), required=True)
    export.add_argument(
        "--size", type=_size, metavar="WxH", help="of the frames; fixed in TorchScript and ONNX files"
    )
    export.add_argument("--out", type=Path, required=True, help="the file")

    promote = add("promote", "put a model in use by hand; the record says so")
    promote.add_argument("role", choices=("teacher", "student", "supervisor"))
    promote.add_argument("model", metavar="NAME[@VERSION]")
    promote.add_argument("--reason", required=True, help="why, for those who ask in a year")


def _plan(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat plan`; see docs/operate.md."""
    parser.add_argument(
        "--until", metavar="HH:MM", help="when it has to be done; the teacher leaves out what is too much"
    )
    parser.add_argument("--gpus", type=_positive, metavar="N", help="workers that matte (default: cluster.workers)")
    parser.add_argument("--json", action="store_true", help="the plan for programs")
    parser.add_argument("--check", nargs="?", const="", metavar="DATE",
                        help="compare the last plan, or that of a date, with what was done since")  # fmt: skip


def _gc(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat gc`; see docs/operate.md."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="remove nothing (the default)")
    how.add_argument("--yes", action="store_true", help="remove it")
    parser.add_argument("--keep-runs", type=_positive, default=2, metavar="N",
                        help="newest versions of a model whose mattes stay, in use or not (default: 2)")  # fmt: skip
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="a cache of decoded frames, to be emptied too")
    parser.add_argument("--json", action="store_true", help="what was found, for programs")


def _whole(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _positive(text: str) -> int:
    if not _whole(text):
        raise argparse.ArgumentTypeError("0 is too small")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    """`person,hair`."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _pixels(text: str) -> float:
    if not re.fullmatch(r"\d{1,4}(\.\d+)?", text) or not 0.75 <= float(text) <= 2048:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pixels from 0.75 to 2048")
    return float(text)


def _frames(text: str) -> range:
    """`10-250:2`, both ends included."""
    found = re.fullmatch(r"(\d+)(?:-(\d+)(?::([1-9]\d*))?)?", text)
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no FIRST-LAST[:STEP]")
    return range(int(found[1]), int(found[2] or found[1]) + 1, int(found[3] or 1))


def _size(text: str) -> tuple[int, int]:
    """Width x height, as people say it, to (height, width), as arrays have it."""
    width, _, height = text.partition("x")
    return _positive(height), _positive(width)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; see the module's exit codes.

    Args:
        argv: words after `capmat`; None takes them from the command line.
    """
    args = _parser().parse_args(argv)
    try:
        from flows import commands

        return int(getattr(commands, args.command.replace("-", "_"))(args) or 0)
    except CapmatError as e:
        sys.stderr.write(f"capmat: {e}\n")
        return e.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("capmat: interrupted; the same command goes on from here\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
