"""`capmat mine`: which boxes of a take are worth a scribble."""

import json
import os
import sys
from argparse import Namespace
from contextlib import redirect_stdout
from dataclasses import asdict

from storage.labels.queue import read_queue
from storage.store.root import Root
from tasks.config import Config


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
