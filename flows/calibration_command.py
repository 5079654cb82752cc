"""What `capmat calibration` does: read any calibration, say what it holds, hand it on in another format."""

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from capmat_errors import ConfigError
from storage.calibration import WRITERS, open_calibration, write_calibration
from storage.camera import Camera


def calibration(args: Namespace) -> None:
    """Print the cameras of a calibration; with --to, write them for another program."""
    if bool(args.to) != bool(args.out):
        raise ConfigError("--to and --out belong together", where="capmat calibration")
    if args.to and args.to not in WRITERS:
        raise ConfigError(
            f"calibrations are not written as {args.to!r}", where="--to", fix=f"Use {', '.join(WRITERS)}."
        )
    root, template = _parts(args.path)
    found = open_calibration(args.format, template, root, unit=args.unit, scale=args.scale)
    print("\n".join(table(found.cameras)))
    for note in found.notes:
        print(f"note: {note}")
    if args.to:
        for path in write_calibration(args.to, found.cameras, args.out):
            print(f"wrote {path}")


def table(cameras: Mapping[str, Camera]) -> Iterator[str]:
    """One line per camera: name, picture size, focal lengths in pixels, position in metres, distortion."""
    wide = max(len("camera"), *map(len, cameras))
    yield f"{'camera':{wide}}  {'size':>11}  {'focal x':>9} {'focal y':>9}  {'position x, y, z in m':>29}  distortion"
    for name, camera in cameras.items():
        size = f"{camera.width}x{camera.height}" if camera.width else "not known"
        where = " ".join(f"{x:9.3f}" for x in camera.centre())
        lens = " ".join(f"{k:.4g}" for k in camera.dist) if camera.dist.any() else "none"
        yield f"{name:{wide}}  {size:>11}  {camera.K[0, 0]:9.2f} {camera.K[1, 1]:9.2f}  {where}  {lens}"


def _parts(path: str) -> tuple[Path, str]:
    """Folder and template; all before {camera} is folder."""
    parts = Path(path).parts
    first = next((i for i, part in enumerate(parts) if "{camera}" in part), 0)
    return Path(*parts[:first]), "/".join(parts[first:]) if first else path
