"""What `capmat stage check` does: look at a stage, say what is the matter with each camera, write the report."""

import json
from argparse import Namespace
from pathlib import Path

from capmat_errors import NotFound
from storage.store.root import Root
from tasks.config import Config
from tasks.runtime.progress import Progress
from tasks.stage.check import check, report_name, write_report
from tasks.stage.look import Subject, open_session, open_stored


def check_command(config: Config, args: Namespace) -> int:
    """Check a session or a stage of the store.

    Returns:
        0; 1 if a camera is red.
    """
    subject = _subject(config, args)
    bar = Progress(f"stage check {args.stage}", len(subject.cameras)) if not args.json else None
    checked = check(
        subject,
        config.stage,
        config.reconstruction,
        config.teacher.noise,
        (lambda done, total, what: bar(done, what)) if bar else None,
    )
    out = Root(str(args.out)) if args.out else Root(config.store)
    report = write_report(out, "stage" if args.out else report_name(subject), checked)
    if args.json:
        print(json.dumps(report, indent=2))
        return int(report["light"] == "red")
    wide = max(map(len, report["cameras"]))
    for camera, said in report["cameras"].items():
        lines = [f"{f['kind']}: {f['what']}. {f['advice']}" for f in said["findings"]] or ["nothing was found"]
        lines += [f"{kind}: not measured: {why}" for kind, why in said["missing"].items()]
        for first, line in enumerate(lines):
            head = f"{camera:{wide}}  {said['light']:6}" if not first else " " * (wide + 8)
            print(f"{head}  {line}")
    for note in report["notes"]:
        print(f"note: {note}")
    print(f"report {report['html']}")
    return int(report["light"] == "red")


def _subject(config: Config, args: Namespace) -> Subject:
    """A session by its path, or a stage of the store by its name."""
    settings, named = config.stage, Path(args.stage)
    if named.suffix == ".toml" or named.exists():
        return open_session(config.store, named, args.take, settings.empty_frames, settings.take_frames)
    try:
        return open_stored(config.store, args.stage, args.take, settings.take_frames)
    except NotFound as error:
        if "no stage" not in error.what:
            raise
        fix = "Give the path of a session.toml, or the name of a stage that was ingested."
        raise NotFound(
            f"{error.what}; nor is there a file or folder of this name", where=error.where, fix=fix
        ) from error
