"""What `capmat scribbles VERB` does, one function per verb."""

import json
import os
import sys
from argparse import Namespace
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import numpy as np

from capmat_errors import ConfigError, NotFound
from storage.labels.export import export_labels
from storage.labels.formats.read import Reading
from storage.labels.label_set import LABELS, Key, LabelSet, list_label_sets
from storage.labels.queue import read_queue
from storage.labels.raster import BACKGROUND, FOREGROUND
from storage.store.root import Root
from tasks.config import Config
from tasks.labels.in_use import validation_part
from tasks.labels.incoming import INBOX, check_labels, import_labels
from tasks.runtime.step import Record


def listed(config: Config, args: Namespace) -> None:
    """Every version of the label set, with its frames and takes."""
    root = Root(config.store)
    versions = list_label_sets(root).get(LABELS, [])
    for version in versions:
        takes = Counter(take for take, _, _ in LabelSet.open(root, LABELS, version).keys)
        said = ", ".join(f"{take} {count}" for take, count in sorted(takes.items()))
        print(f"{version}  {sum(takes.values())} frames: {said}")
    if not versions:
        print("no labels yet; capmat scribbles import brings some in")


def show(config: Config, args: Namespace) -> None:
    """What a version holds, and a contact sheet of it where one was asked for."""
    root = Root(config.store)
    labels = LabelSet.open(root, LABELS, args.version)
    print(f"{labels.name} {labels.version}: {len(labels)} frames")
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

        args.picture.write_bytes(to_jpeg(scribble_sheet(root, labels.version, count=24)))
        print(f"contact sheet: {args.picture}")


def bring(config: Config, args: Namespace) -> None:
    """Freeze overlays or another tool's export, and tell the server; or only say what is in it."""
    fields = ("format", "names", "take", "camera", "offset", "foreground", "background", "radius", "overlap")
    reading = Reading(**{field: getattr(args, field) for field in fields})
    path = args.path or Path(config.scribbles)
    if args.path is None:
        if reading not in (Reading(), INBOX):
            raise ConfigError("the inbox holds overlays by their usual names", fix="Name the folder that you mean.")
        reading = INBOX
    if args.dry_run:
        format, found = check_labels(config.store, path, reading)
        for key, foreground, background in found.frames:
            print(_line(key, foreground, background))
        _say_more(found.summary)
        print(f"{len(found.frames)} frames as {format}; nothing was stored")
        return
    done = import_labels(config.store, path, reading, anew=args.replace)
    known = "; it was imported before (--replace imports it again)" if done["reused"] else ""
    print(f"label set {done['labels']}: {done['frames']} frames, {100 * done['painted_share']:.2f} % painted{known}")
    _say_more(done)
    from flows.service.events import tell_labels

    if not tell_labels(done["labels"]):
        print("no Prefect server was told; `capmat redistill` trains with it, or the next `capmat up`")


def export(config: Config, args: Namespace) -> None:
    """Write a version as files."""
    labels = LabelSet.open(Root(config.store), LABELS, args.version)
    done = export_labels(labels, Root(args.out), args.format)
    if not done.files:
        raise NotFound(
            f"no frame of {labels.version} was drawn", where="capmat scribbles export", fix="Export overlays."
        )
    print(f"{len(done.files)} files written to {args.out}")
    if done.painted:
        print(f"{len(done.painted)} frames have painted pixels, which strokes do not hold; see --format label")


def _line(key: Key, foreground: float, background: float) -> str:
    take, camera, frame = key
    shares = f"foreground {100 * foreground:5.2f} %  background {100 * background:5.2f} %"
    return f"{take:16} {camera:8} {frame:6}  {shares}"


def _say_more(done: Record) -> None:
    if left_out := done["left_out"]:
        names = ", ".join(f"{name or 'without a name'} {count}" for name, count in left_out.items())
        print(f"left open, since nobody said what they are: {names}")
    if several := done["several"]:
        print(f"{several} frames are in it more than once; their labels were put together")


def mine(config: Config, args: Namespace) -> None:
    """Write the queue of a take, and say what is in it."""
    from tasks.labels.mine.queue import mine as run
    from tasks.labels.mine.queue import mined_sheet

    # Progress is for people; a program that asked for JSON gets nothing else.
    with redirect_stdout(sys.stderr if args.json else sys.stdout):
        done = run(
            config.store,
            args.take,
            config,
            args.run or "",
            args.teacher_run or "",
            args.top or 0,
            threads=os.cpu_count() or 1,
        )
    root = Root(config.store)
    queue = read_queue(root, args.take, done["queue"])
    sheet = None
    if args.out and queue.items:
        args.out.mkdir(parents=True, exist_ok=True)
        sheet = args.out / f"{args.take}-{queue.version}.jpg"
        sheet.write_bytes(mined_sheet(root, args.take, queue.version))
    if args.json:
        print(json.dumps(asdict(queue), indent=2))
        return
    print(f"queue {queue.version} of {args.take}: {len(queue.items)} boxes of {len(done['frames'])} frames, "
          f"run {done['run']}" + (f", compared with {done['teacher']}" if done["teacher"] else ""))  # fmt: skip
    for place, item in enumerate(queue.items, 1):
        box = "{},{}-{},{}".format(*item.box)
        print(f"{place:3}  {item.score:.2f}  {item.camera:8} {item.frame:6}  {box:21}  {'; '.join(item.reasons)}")
    if sheet:
        print(f"pictures: {sheet}")
