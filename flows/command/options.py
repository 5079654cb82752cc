"""The options of commands that have more than a few, one function for each; docs/ says what they are for."""

import argparse
from pathlib import Path

from flows.command.arguments import frames, pixels, positive, size, whole, words

DEFECTS = ("none", "glossy-floor", "lamp", "moved-camera", "exposure", "noise")  # as in sim.defects
LABEL_FORMATS = ("overlay", "label", "trimap", "labelstudio", "cvat", "labelme", "coco", "davis", "strokes")


def benchmark(parser: argparse.ArgumentParser) -> None:
    """The commands below `capmat benchmark`; docs/benchmark.md says what to do with them."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=text)

    for verb, text in (
        ("create", "freeze trimaps of a take, and a supervisor's mattes of them, under a new name"),
        ("add", "make the next version of a benchmark: all that it holds, unchanged, and these"),
    ):
        made = add(verb, text)
        made.add_argument("name")
        made.add_argument("--take", required=True, help="the ingested take that the trimaps are of")
        made.add_argument("--trimaps", type=Path, metavar="FOLDER", help="<camera>/<frame>.png: 0, 128, 255")
        made.add_argument("--labels", nargs="?", const="", metavar="VERSION", help="instead: the scribbles of a "
                          "label set (default: the newest); what is not painted is unknown")  # fmt: skip
        made.add_argument("--truth", type=Path, metavar="FOLDER", help="alphas that are known to be right, "
                          "<camera>/<frame>.png; kept beside the supervisor's")  # fmt: skip
        made.add_argument("--model", metavar="NAME[@VERSION]", help="the supervisor (default: the one in use)")
        made.add_argument("--steps", type=positive, help="of its sampling (default: supervisor.steps)")
    show = add("show", "list the benchmarks, or the entries of one")
    show.add_argument("benchmark", nargs="?", metavar="NAME[@VERSION]")
    show.add_argument("--out", type=Path, metavar="FOLDER", help="also write its pictures there as contact sheets")
    show.add_argument("--json", action="store_true", help="for programs")


def hull(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat hull`."""
    parser.add_argument("take")
    parser.add_argument("--run", help="alpha run (default: that of the student in use)")
    parser.add_argument("--frame", type=whole, help="default: the middle one")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=".ply or .glb, in metres")
    parser.add_argument("--resolution", type=positive, default=256, help="voxels along the box (default: 256)")
    parser.add_argument("--points", action="store_true", help="points without triangles")


def scribble(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat scribble`; see docs/annotate.md."""
    parser.add_argument("take", nargs="*", help="default: all that are in the store")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=whole, default=0, help="default: one that is free")
    parser.add_argument("--author", metavar="NAME", help="who paints (default: who is logged in)")
    parser.add_argument("--no-browser", action="store_true", help="print the link, open nothing")


def stage(parser: argparse.ArgumentParser) -> None:
    """The commands below `capmat stage`; what is looked for is in docs/stage.md."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    text = "a traffic light, a picture and advice for each camera, from a few frames; exit code 1 if one is red"
    check = verbs.add_parser("check", help=text, description=text)
    check.add_argument("stage", metavar="SESSION|STAGE", help="session.toml or its folder, or a stage of the store")
    check.add_argument("--take", help="the occupied take to look at (default: the first that there is)")
    check.add_argument("--out", type=Path, metavar="FOLDER", help="for stage.html and stage.json "
                       "(default: reports/ of the store)")  # fmt: skip
    check.add_argument("--json", action="store_true", help="the report for programs, printed")


def mine(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat mine`; see docs/mine.md."""
    parser.add_argument("take")
    parser.add_argument("--run", help="alpha run to judge (default: that of the student in use)")
    parser.add_argument("--teacher-run", help="alpha run to compare it with (default: that of the teacher in use)")
    parser.add_argument("--top", type=positive, metavar="K", help="boxes in the queue (default: mine.top)")
    parser.add_argument("--json", action="store_true", help="the queue for programs")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="gets a contact sheet of the best boxes")


def scene(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat scene`; what the folders hold is in docs/reconstruct.md."""
    parser.add_argument("take")
    parser.add_argument("--run", help="alpha run (default: that of the student in use)")
    parser.add_argument("--frames", type=frames, metavar="FIRST-LAST[:STEP]", help="such as 10-250:2 (default: all)")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="gets a folder for each frame")


def paper(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat paper`; what it runs is in docs/paper.md."""
    parser.add_argument("--only", default="", metavar="PARTS", help="some of table1,table2,table3,fig5,fig6,fig8")
    parser.add_argument("--preset", choices=("small", "full"), default="small",
                        help="small: the settings as they are (default); full: the paper's, for a GPU")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="copy the report there (it is in the store)")


def session(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat session`; what the layouts are is in docs/ingest.md."""
    parser.add_argument("folder", type=Path, help="the recordings")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the session.toml to write (default: print it)")
    layout(parser)


def ingest(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat ingest`."""
    parser.add_argument("session", type=Path, help="session.toml of the recorded day, or a folder in a known layout")
    parser.add_argument("--take", action="append", help="only this take; may be repeated")
    parser.add_argument(
        "--plan", action="store_true", help="check everything and say what would be done; 2 if refused"
    )
    parser.add_argument("--json", action="store_true", help="with --plan: the plan for programs")
    layout(parser)


def layout(parser: argparse.ArgumentParser) -> None:
    """What to say of a folder that has no session.toml."""
    group = parser.add_argument_group("folders without a session.toml")
    group.add_argument("--layout", help="easyvolcap, actorshq, smc, n3dv, pose2sim, colmap, nerfstudio, opencv "
                       "(default: what it looks like)")  # fmt: skip
    group.add_argument("--name", help="of the session, its stage and its take (default: the folder's)")
    group.add_argument("--state", action="append", default=[], metavar="KEY=VALUE",
                       help="what the folder does not say, such as fps=50; may be repeated")  # fmt: skip


def calibration(parser: argparse.ArgumentParser) -> None:
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


def export(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat export`; what the files hold is in docs/export.md."""
    parser.add_argument("take")
    parser.add_argument("--run", help="alpha run (default: that of the student in use)")
    parser.add_argument("--out", required=True, metavar="PLACE", help="a folder, or s3://bucket/prefix")
    parser.add_argument("--format", action="append", metavar="FORMAT",
                        help="exr, png, tiff, mp4, prores; may be repeated (default: exr and png)")  # fmt: skip
    parser.add_argument("--what", action="append", metavar="WHAT",
                        help="alpha, rgba, fg, comp; may be repeated (default: see docs/export.md)")  # fmt: skip
    parser.add_argument("--camera", action="append", help="only this camera; may be repeated")
    parser.add_argument("--frames", type=frames, metavar="FIRST-LAST[:STEP]", help="such as 10-250:2 (default: all)")
    named = "{take}/{camera}/{camera}_{what}.{frame:06d}.{ext}"
    parser.add_argument("--name", metavar="TEMPLATE", help=f"how files are called (default: {named})")
    parser.add_argument("--compression", choices=("zip", "piz", "none"), default="zip", help="of EXR (default: zip)")
    parser.add_argument("--workers", type=positive, help="processes (default: one per core)")


def scribbles(parser: argparse.ArgumentParser) -> None:
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
    bring.add_argument("--format", choices=("auto", *LABEL_FORMATS), default="auto", metavar="FORMAT",
                       help=f"{', '.join(LABEL_FORMATS)} (default: what it looks like)")  # fmt: skip
    bring.add_argument("--foreground", type=words, default=(), metavar="NAME,NAME",
                       help="what the subject is called in the export; of overlays its colour, 00ff00")  # fmt: skip
    bring.add_argument("--background", type=words, default=(), metavar="NAME,NAME",
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
    drawn.add_argument("--radius", type=pixels, default=3.0, metavar="PIXELS", help="of lines (default: 3)")
    drawn.add_argument("--overlap", choices=("refuse", "later", "open"), default="refuse",
                       help="pixels that are both: refuse them (default), the later wins, open")  # fmt: skip

    out = add("export", "write a label set as pictures or strokes, which import reads again")
    out.add_argument("version", help="l0001, ...")
    out.add_argument("--out", required=True, metavar="PLACE", help="a folder, or s3://bucket/prefix")
    out.add_argument("--format", choices=("overlay", "label", "strokes"), default="overlay", help="default: overlay")


def models(parser: argparse.ArgumentParser) -> None:
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
    graph.add_argument("--multiple", type=positive, default=1, metavar="N", help="sides are multiples of N")
    graph.add_argument("--side", type=whole, default=0, metavar="N", help="shorter side at work; 0: the frame's own")
    graph.add_argument("--size", type=size, metavar="WxH", help="of its input, where it takes one size only")
    graph.add_argument("--alpha", default="", help="which output, by place or name, where several look like it")

    export = add("export", "write a model as a file for other programs: inputs src and bgr, outputs pha and fgr")
    export.add_argument("model", metavar="NAME[@VERSION]")
    export.add_argument("--format", choices=("safetensors", "torchscript", "onnx"), required=True)
    export.add_argument("--size", type=size, metavar="WxH", help="of the frames; fixed in TorchScript and ONNX files")
    export.add_argument("--out", type=Path, required=True, help="the file")

    promote = add("promote", "put a model in use by hand; the record says so")
    promote.add_argument("role", choices=("teacher", "student", "supervisor"))
    promote.add_argument("model", metavar="NAME[@VERSION]")
    promote.add_argument("--reason", required=True, help="why, for those who ask in a year")

    rollback = add("rollback", "put the model back in use that was in use before; the record says who and why")
    rollback.add_argument("role", choices=("teacher", "student", "supervisor"))
    rollback.add_argument("--reason", required=True, help="why, for those who ask in a year")


def plan(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat plan`; see docs/operate.md."""
    parser.add_argument(
        "--until", metavar="HH:MM", help="when it has to be done; the teacher leaves out what is too much"
    )
    parser.add_argument("--gpus", type=positive, metavar="N", help="workers that matte (default: cluster.workers)")
    parser.add_argument("--json", action="store_true", help="the plan for programs")
    parser.add_argument("--check", nargs="?", const="", metavar="DATE",
                        help="compare the last plan, or that of a date, with what was done since")  # fmt: skip


def gc(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat gc`; see docs/operate.md."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="remove nothing (the default)")
    how.add_argument("--yes", action="store_true", help="remove it")
    parser.add_argument("--keep-runs", type=positive, default=2, metavar="N",
                        help="newest versions of a model whose mattes stay, in use or not (default: 2)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="what was found, for programs")


def sim(parser: argparse.ArgumentParser) -> None:
    """The options of `capmat sim`; see samples/README.md."""
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="a few small pictures, in seconds")
    parser.add_argument("--defect", default="", choices=DEFECTS, metavar="NAME", help="a tidy stage with one defect "
                        f"in camera C02, to try `capmat stage check` on: {', '.join(DEFECTS)}")  # fmt: skip


def train_base(parser: argparse.ArgumentParser) -> None:
    """The rarer options of `capmat train-base`; see docs/training.md."""
    parser.add_argument("--crop", type=positive, metavar="PIXELS", help="side of the training window")
    parser.add_argument("--batch", type=positive, metavar="N", help="crops per step")
    parser.add_argument("--held", type=positive, metavar="N", help="foregrounds and backgrounds that are "
                        "measured on and not learned from (default: a tenth)")  # fmt: skip
    parser.add_argument("--mixed-precision", action="store_true", help="run the network in bfloat16, on a GPU")
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to start from, instead of fresh ones")
