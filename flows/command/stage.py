"""`capmat stage check` and `capmat calibration`: is the stage fit to record, are its cameras where they should be?"""

import json
import math
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from capmat_errors import ConfigError, NotFound
from flows.command.arguments import above_zero, add_take, settings, verbs_of
from storage.calibration.camera import Camera
from storage.calibration.formats.files import METRES, WRITERS, open_calibration, write_calibration
from storage.descriptor import Format
from storage.session.board import GOOD, POOR, BoardCheck, check_boards
from storage.store.root import Root
from tasks.config import Config
from tasks.stage.source import Source, open_session, open_stored


def _stage_options(parser: ArgumentParser) -> None:
    text = "print a traffic light and advice for each camera, from a few frames; exit code 1 if one is red"
    check = verbs_of(parser)("check", text)
    check.set_defaults(work=check_stage)
    check.add_argument("stage", metavar="SESSION|STAGE", help="session.toml or its folder, or a stage of the store")
    add_take(check, "the occupied take to check (default: the first)", nargs="?")
    check.add_argument("--out", type=Path, metavar="FOLDER", help="receives stage.html and stage.json "
                       "(default: reports/ of the store)")  # fmt: skip
    check.add_argument("--json", action="store_true", help="print the report as JSON")


def check_stage(args: Namespace) -> int:
    """Check a session or a stage of the store, print the findings and write the report.

    Returns:
        0; 1 if a camera is red.
    """
    from tasks.runtime.progress import Progress
    from tasks.stage.check import check, report_name, write_report

    config = settings(args)
    source = _source(config, args)
    bar = Progress(f"stage check {args.stage}", len(source.cameras), "cameras")
    checked = check(
        source,
        config.stage,
        config.reconstruction,
        config.teacher.noise,
        bar,
    )
    out = Root(str(args.out)) if args.out else Root(config.store)
    report = write_report(out, "stage" if args.out else report_name(source), checked)
    if args.json:
        print(json.dumps(report, indent=2))
        return int(report["light"] == "red")
    wide = max(map(len, report["cameras"]))
    for camera, result in report["cameras"].items():
        lines = [f"{f['kind']}: {f['what']}. {f['advice']}" for f in result["findings"]] or ["no findings"]
        lines += [f"{kind}: not measured: {why}" for kind, why in result["missing"].items()]
        for first, line in enumerate(lines):
            head = f"{camera:{wide}}  {result['light']:6}" if not first else " " * (wide + 8)
            print(f"{head}  {line}")
    for note in report["notes"]:
        print(f"note: {note}")
    print(f"report {report['html']}")
    return int(report["light"] == "red")


def _source(config: Config, args: Namespace) -> Source:
    """A session by its path, or a stage of the store by its name."""
    settings, named = config.stage, Path(args.stage)
    if named.suffix == ".toml" or named.exists():
        return open_session(config.store, named, args.take, settings.empty_frames, settings.take_frames)
    try:
        return open_stored(config.store, args.stage, args.take, settings.take_frames)
    except NotFound as error:
        if "no stage" not in error.what:
            raise
        fix = error.fix.replace("Ingest it first.", "Name a session.toml, or a stage that was ingested.")
        raise NotFound(
            f"{error.what}; nor is there a file or folder of this name", where=error.where, fix=fix
        ) from error


def _calibration_options(parser: ArgumentParser) -> None:
    parser.add_argument("path", metavar="IN", help="file or folder; for opencv-xml a path with {camera}")
    parser.add_argument("--format", required=True, choices=get_args(Format), metavar="FORMAT",
                        help=f"{', '.join(get_args(Format))}; nerfstudio also reads Blender's")  # fmt: skip
    parser.add_argument("--to", choices=WRITERS, help="also write it in this format")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where --to writes")
    parser.add_argument("--unit", choices=("m", "cm", "mm"), help="unit of positions in IN, where it states none")
    parser.add_argument("--scale", type=above_zero, help="metres per unit of IN, where it has no unit")
    board = parser.add_argument_group("check with a checkerboard")
    board.add_argument("--board", metavar="PATH", help="videos or pictures of the board, with {camera}")
    board.add_argument("--corners", metavar="8x6", help="inner corners per row, and rows")
    board.add_argument("--square", metavar="SIDE", help="side of a square, 115mm or 0.115, to check the scale")


def calibration(args: Namespace) -> None:
    """Print the cameras of a calibration and, with --board, how good it is; with --to, write them."""
    if bool(args.to) != bool(args.out):
        raise ConfigError("--to and --out belong together", where="capmat calibration")
    if bool(args.board) != bool(args.corners) or (args.square and not args.board):
        raise ConfigError(
            "--board and --corners belong together, and --square needs both", where="capmat calibration"
        )
    size, square = _corners(args.corners), _metres(args.square)
    root, template = _parts(args.path)
    unit = "m" if args.format == "capmat" or args.unit or args.scale is not None else ""
    if args.to == "capmat" and not unit:
        fix = "Add --unit or --scale."
        raise ConfigError("a file of capmat is in metres, and the unit of IN is not stated", where="--to", fix=fix)
    scale = 1.0 if args.scale is None else args.scale
    rig = open_calibration(args.format, template, root, unit=args.unit or "m", scale=scale)
    check = check_boards(rig.cameras, *_parts(args.board), size) if args.board else None
    print("\n".join(table(rig.cameras, unit)))
    for note in rig.notes:
        print(f"note: {note}")
    if not unit:
        print("note: nobody stated the unit of the calibration, so positions are in its own; add --unit or --scale")
    if check:
        print("\n".join(board_table(check, square, unit)))
    if args.to:
        for path in write_calibration(args.to, rig.cameras, args.out):
            print(f"wrote {path}")


def table(cameras: Mapping[str, Camera], unit: str) -> Iterator[str]:
    """One line per camera: name, picture size, focal lengths in pixels, position, distortion.

    Args:
        cameras: by name.
        unit: of the positions, "m"; "" if nobody stated it.
    """
    wide, position = max(len("camera"), *map(len, cameras)), "position x, y, z" + (unit and f" in {unit}")
    yield f"{'camera':{wide}}  {'size':>11}  {'focal x':>9} {'focal y':>9}  {position:>29}  distortion"
    for name, camera in cameras.items():
        size = f"{camera.width}x{camera.height}" if camera.width else "not known"
        where = " ".join(f"{x:9.3f}" for x in camera.centre())
        lens = " ".join(f"{k:.4g}" for k in camera.dist) if camera.dist.any() else "none"
        yield f"{name:{wide}}  {size:>11}  {camera.K[0, 0]:9.2f} {camera.K[1, 1]:9.2f}  {where}  {lens}"


def board_table(check: BoardCheck, square: float = 0, unit: str = "m") -> Iterator[str]:
    """One line per camera that recorded the board, then notes on all of them together.

    Args:
        check: the errors that the board shows.
        square: measured side of a square, in metres; 0 if unknown.
        unit: of the calibration; "" if nobody stated it.
    """
    wide = max(len("camera"), *map(len, check.cameras))
    yield f"{'camera':{wide}}  {'board':>8}  {'lens px':>12}  {'stage px':>12}"
    for name, camera in check.cameras.items():
        seen = f"{camera.found} of {camera.frames}"
        yield f"{name:{wide}}  {seen:>8}  {_figure(camera.lens):>12}  {_figure(camera.stage):>12}"
    held = [name for name, camera in check.cameras.items() if not math.isnan(camera.stage)]
    if not held:
        yield "note: no two cameras see the board together, so their poses are not checked"
    if len(held) == 2:
        yield f"note: only {held[0]} and {held[1]} see the board together, so it is unknown which of them is wrong"
    for name in held:
        if not check.cameras[name].trusted:
            yield f"note: {name} disagrees with the other cameras; they were checked without it"
    if square and held and not unit:
        scale = square / check.side
        yield f"scale: squares of {square:g} m are {check.side:.4g} in the calibration; add --scale {scale:.4g}"
    elif square and held:
        ratio = check.side / square
        off = 100 * abs(ratio - 1)
        yield (
            f"scale: squares of {square:g} m are {check.side:.4g} m in the calibration, {ratio:.4g} times that: "
            f"{_word(off)}"
        )


def _figure(pixels: float) -> str:
    return "-" if math.isnan(pixels) else f"{pixels:.2f} {_word(pixels)}"


def _word(figure: float) -> str:
    """Grade an error in pixels, or in per cent of the scale."""
    return "good" if figure < GOOD else "poor" if figure > POOR else "fair"


def _corners(text: str | None) -> tuple[int, int]:
    """`8x6` as inner corners per row and rows; zeros for None."""
    if text is None:
        return 0, 0
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or min(int(match[1]), int(match[2])) < 3:
        fix = "Give the inner corners per row and the rows, at least three each."
        raise ConfigError(f"expected a size such as 8x6, got {text!r}", where="--corners", fix=fix)
    return int(match[1]), int(match[2])


def _metres(text: str | None) -> float:
    """Metres of `115mm` or `0.115`; 0 for None."""
    if text is None:
        return 0.0
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)(mm|cm|m)?", text)
    if not match or float(match[1]) == 0:
        fix = "Units are mm, cm and m; without one it is metres."
        raise ConfigError(f"expected a length such as 115mm, got {text!r}", where="--square", fix=fix)
    return float(match[1]) * METRES[match[2] or "m"]


def _parts(path: str) -> tuple[Path, str]:
    """Folder and template; the folder is everything before the part with {camera}."""
    parts = Path(path).parts
    first = next((i for i, part in enumerate(parts) if "{camera}" in part), 0)
    return Path(*parts[:first]), "/".join(parts[first:]) if first else path


WORDS = {
    "stage": (_stage_options, check_stage, """
        capmat stage check session.toml            # the empty stage, and the first take if it has one
        capmat stage check session.toml walk       # another take
        capmat stage check cylinder --out report   # a stage of the store
    """),
    "calibration": (_calibration_options, calibration, """
        capmat calibration rig/sparse/0 --format colmap --scale 0.42
        capmat calibration rig/cameras.xml --format metashape --to easyvolcap --out rig/easyvolcap
        capmat calibration calibration.json --format capmat --board 'board/{camera}.mp4' --corners 8x6
    """),
}  # fmt: skip
