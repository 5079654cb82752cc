"""`capmat scribbles`, `scribble` and `mine`: labels that people make, and where they should make more."""

import json
import os
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from capmat_errors import ConfigError, NotFound
from flows.command.arguments import (
    RUN,
    add_take,
    integer,
    pixels,
    positive,
    settings,
    verbs_of,
    whole,
    words,
    write_file,
)
from storage.labels.export import export_labels
from storage.labels.formats.read import FORMATS, Reading
from storage.labels.label_set import LABELS, Key, LabelSet, list_label_sets
from storage.labels.queue import read_queue
from storage.labels.raster import BACKGROUND, FOREGROUND
from storage.store.root import Root
from tasks.show.figures import counted


def _scribbles_options(parser: ArgumentParser) -> None:
    verb = verbs_of(parser, required=False)
    verb("list", "list the label sets (the same as without VERB)")
    show = verb("show", "list what a label set holds, frame by frame")
    show.set_defaults(work=show_set)
    show.add_argument("version", nargs="?", help="l0001, ... (default: the newest)")
    show.add_argument("--picture", type=Path, metavar="FILE", help="also write a contact sheet of it, .jpg")

    bring = verb("import", "freeze painted overlays, or what another tool exported, as the next label set")
    bring.set_defaults(work=import_set)
    bring.add_argument("path", type=Path, nargs="?", help="file, folder or zip (default: the inbox of overlays)")
    bring.add_argument("--format", choices=("auto", *FORMATS), default="auto", metavar="FORMAT",
                       help=f"{', '.join(FORMATS)} (default: recognised)")  # fmt: skip
    bring.add_argument("--foreground", type=words, default=(), metavar="NAME,NAME",
                       help="names of the subject in the export; of overlays the colour, 00ff00")  # fmt: skip
    bring.add_argument("--background", type=words, default=(), metavar="NAME,NAME",
                       help="names of the background; * is every other name")  # fmt: skip
    bring.add_argument("--replace", action="store_true", help="replace earlier labels of these frames")
    bring.add_argument("--dry-run", action="store_true", help="read everything, print what it holds, store nothing")
    named = bring.add_argument_group("which frame a picture belongs to")
    named.add_argument("--names", default="", metavar="TEMPLATE",
                       help="such as {take}_{camera}_{frame} (default: {take}/{camera}/{frame}, without what --take "
                       "and --camera give)")  # fmt: skip
    named.add_argument("--take", default="", help="take of all pictures, where their names do not hold it")
    named.add_argument("--camera", default="", help="camera of all pictures, where their names do not hold it")
    named.add_argument("--offset", type=integer, metavar="N", help="add N to the frame numbers")
    drawn = bring.add_argument_group("shapes")
    drawn.add_argument("--radius", type=pixels, default=3.0, metavar="PIXELS",
                       help="radius of lines and points (default: 3)")  # fmt: skip
    drawn.add_argument("--ground", default="", metavar="COLOUR",
                       help="of overlays without alpha: the colour under the strokes, such as black")  # fmt: skip
    drawn.add_argument("--overlap", choices=("refuse", "later", "open"), default="refuse",
                       help="pixels that are both: refuse them (default), the later wins, stay open")  # fmt: skip

    out = verb("export", "write a label set as pictures or strokes, which import reads again")
    out.set_defaults(work=export_set)
    out.add_argument("version", help="l0001, ...")
    out.add_argument("--out", required=True, metavar="PLACE", help="a folder, or s3://bucket/prefix")
    out.add_argument("--format", choices=("overlay", "label", "strokes"), default="overlay", help="default: overlay")


def list_sets(args: Namespace) -> None:
    """Print every version of the label set, with its frames and takes."""
    root = Root(settings(args).store)
    versions = list_label_sets(root).get(LABELS, [])
    for version in versions:
        takes = Counter(take for take, _, _ in LabelSet.open(root, LABELS, version).keys)
        counts = ", ".join(f"{take} {count}" for take, count in sorted(takes.items()))
        print(f"{version}  {counted(sum(takes.values()), 'frame')}: {counts}")
    if not versions:
        print("no labels yet; capmat scribbles import brings some in")


def show_set(args: Namespace) -> None:
    """Print what a version holds, and write a contact sheet of it if one was asked for."""
    from tasks.labels.in_use import validation_part

    config = settings(args)
    root = Root(config.store)
    labels = LabelSet.open(root, LABELS, args.version)
    print(f"{labels.name} {labels.version}: {counted(len(labels), 'frame')}")
    held = validation_part(labels, config.validation_takes)
    for key in labels.keys:
        label, drawing, authors = labels.label(*key), labels.strokes(*key), labels.authors(*key)
        made = f"{len(drawing.strokes)} strokes" if drawing else "painted"
        by = f" by {', '.join(authors)}" if authors else ""
        by += "  (validation)" if key[0] in held else ""
        print(_line(key, *(float(np.mean(label == value)) for value in (FOREGROUND, BACKGROUND))), f" {made}{by}")
    if args.picture:
        from tasks.report.sheets import scribble_sheet
        from tasks.show.sheet import to_jpeg

        write_file(args.picture, to_jpeg(scribble_sheet(root, labels.version, count=24)))
        print(f"contact sheet: {args.picture}")


def import_set(args: Namespace) -> None:
    """Freeze overlays or another tool's export, and tell the server; with --dry-run only print what they hold."""
    from tasks.labels.incoming import INBOX, check_labels, import_labels

    config = settings(args)
    fields = (
        "format",
        "names",
        "take",
        "camera",
        "offset",
        "foreground",
        "background",
        "ground",
        "radius",
        "overlap",
    )
    reading = Reading(**{field: getattr(args, field) for field in fields})
    path = args.path or Path(config.scribbles)
    if args.path is None:
        if reading not in (Reading(), INBOX):
            raise ConfigError("the inbox holds only overlays by their usual names", fix="Name the folder to import.")
        reading = INBOX
    if args.dry_run:
        format, content = check_labels(config.store, path, reading)
        for key, foreground, background in content.frames:
            print(_line(key, foreground, background))
        _print_rest(content.summary)
        print(f"{counted(len(content.frames), 'frame')} as {format}; nothing was stored")
        return
    done = import_labels(config.store, path, reading, anew=args.replace)
    known = "; it was imported before (--replace imports it again)" if done["reused"] else ""
    frames = counted(done["frames"], "frame")
    print(f"label set {done['labels']}: {frames}, {100 * done['painted_share']:.2f} % painted{known}")
    _print_rest(done)
    from flows.service.events import tell_labels

    if not tell_labels(done["labels"]):
        print("no Prefect server was told; `capmat redistill` trains with these labels, or the next `capmat up` does")


def export_set(args: Namespace) -> None:
    """Write a version as files."""
    labels = LabelSet.open(Root(settings(args).store), LABELS, args.version)
    done = export_labels(labels, Root(args.out), args.format)
    if not done.files:
        raise NotFound(
            f"no frame of {labels.version} was drawn", where="capmat scribbles export", fix="Export overlays."
        )
    print(f"{counted(len(done.files), 'file')} written to {args.out}")
    if done.painted:
        frames = counted(len(done.painted), "frame")
        print(f"{frames} with painted pixels, which strokes cannot hold; use --format label")


def _line(key: Key, foreground: float, background: float) -> str:
    take, camera, frame = key
    shares = f"foreground {100 * foreground:5.2f} %  background {100 * background:5.2f} %"
    return f"{take:16} {camera:8} {frame:6}  {shares}"


def _print_rest(done: Mapping[str, Any]) -> None:
    if left_out := done["left_out"]:
        names = ", ".join(f"{name or 'without a name'} {count}" for name, count in left_out.items())
        print(f"ignored, because neither --foreground nor --background names them: {names}")
    if unpainted := done.get("unpainted"):  # records of earlier versions lack it
        print(f"painted nothing: {', '.join(f'{kind} {count}' for kind, count in unpainted.items())}")
    if several := done["several"]:
        print(f"{several} frames occur more than once; their labels were merged")


def _scribble_options(parser: ArgumentParser) -> None:
    add_take(parser, "default: all takes of the store", nargs="*")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=whole, default=0, help="default: always the same for a store, if it is free")
    parser.add_argument("--author", metavar="NAME", help="who paints (default: the login name)")
    parser.add_argument("--no-browser", action="store_true", help="only print the link, open no browser")


def scribble(args: Namespace) -> None:
    """Serve the page until interrupted."""
    from flows.scribble.serve import serve

    serve(settings(args), args.take, args.host, args.port, args.author, not args.no_browser)


def _mine_options(parser: ArgumentParser) -> None:
    add_take(parser, "an ingested take")
    parser.add_argument("--run", help=RUN)
    parser.add_argument("--teacher-run", metavar="RUN", help="another to compare it with (default: teacher)")
    parser.add_argument("--top", type=positive, metavar="K", help="boxes in the queue (default: mine.top)")
    parser.add_argument("--json", action="store_true", help="print the queue as JSON")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="receives a contact sheet of the best boxes")


def mine(args: Namespace) -> None:
    """Write the queue of a take, and print it."""
    from tasks.labels.mine.queue import mine as mine_take
    from tasks.labels.mine.queue import mined_sheet
    from tasks.models.networks import find_run

    config = settings(args)
    run, teacher = (find_run(config.store, name, config.teacher.tile) if name else ""
                    for name in (args.run, args.teacher_run))  # fmt: skip
    done = mine_take(
        config.store,
        args.take,
        config,
        run,
        teacher,
        args.top or 0,
        threads=os.cpu_count() or 1,
    )
    root = Root(config.store)
    queue = read_queue(root, args.take, done["queue"])
    sheet = None
    if args.out and queue.items:
        sheet = args.out / f"{args.take}-{queue.version}.jpg"
        write_file(sheet, mined_sheet(root, args.take, queue.version))
    if args.json:
        print(json.dumps(asdict(queue), indent=2))
        return
    boxes = counted(len(queue.items), "box", "boxes")
    compared = f", compared with {done['teacher']}" if done["teacher"] else ""
    frames = counted(len(done["frames"]), "frame")
    print(f"queue {queue.version} of {args.take}: {boxes} of {frames}, run {done['run']}{compared}")
    for rank, item in enumerate(queue.items, 1):
        box = "{},{}-{},{}".format(*item.box)
        print(f"{rank:3}  {item.score:.2f}  {item.camera:8} {item.frame:6}  {box:21}  {'; '.join(item.reasons)}")
    if sheet:
        print(f"pictures: {sheet}")


WORDS = {
    "scribbles": (_scribbles_options, list_sets, """
        capmat scribbles                                       # the label sets l0001, l0002, ...
        capmat scribbles list                                  # the same
        capmat scribbles show --picture sheet.jpg              # the newest, with a contact sheet
        capmat scribbles import painted --dry-run              # says what the folder holds, stores nothing
        capmat scribbles import task.zip --foreground person,hair --background floor,shadow
        capmat scribbles export l0001 --out strokes --format strokes
    """),
    "scribble": (_scribble_options, scribble, """
        capmat scribble                                        # all takes; opens the page and prints its link
        capmat scribble cedar --author Mia                     # one take, and who paints
        capmat scribble --no-browser --port 8700               # for a tunnel: ssh -L 8700:localhost:8700 MACHINE
    """),
    "mine": (_mine_options, mine, """
        capmat mine cedar                                      # judges the mattes of the student in use
        capmat mine cedar --top 40 --out mined                 # more boxes, and a contact sheet
        capmat mine cedar --run student@v0001 --teacher-run teacher --json
    """),
}  # fmt: skip
