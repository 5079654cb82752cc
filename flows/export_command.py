"""`capmat export`: mattes as files for other programs, again and again into the same folder."""

import os
from argparse import Namespace

from storage.export.mattes import export_mattes
from storage.export.names import NAME
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.models.networks import champion, run_name
from tasks.runtime.progress import Progress


def export(config: Config, args: Namespace) -> None:
    """Write what is missing or out of date, and say how much that was."""
    take = Take.open(Root(config.store), args.take)
    run = args.run or run_name("student", champion(config.store, "student"))
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
