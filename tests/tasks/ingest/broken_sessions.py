"""Sessions that are broken in one way each, with the refusal that each must meet."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import capmat_errors as errors
from tests.storage.tiny_session import (
    HEIGHT,
    WIDTH,
    edit_calibration,
    edit_toml,
    write_picture,
    write_video,
)


class Case(NamedTuple):
    name: str
    kind: type[errors.CapmatError]
    says: tuple[str, ...]
    breaks: Callable[[Path], Any]
    suffix: str = ".png"


WALK = "takes/walk"
FRAME = f"{WALK}/c01/0001"


def cut(path: Path, share: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(bytes(data))


def _swap(one: Path, other: Path) -> None:
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def picture(value: int, shape: tuple[int, ...] = (HEIGHT, WIDTH, 3), dtype: str = "uint16") -> Any:
    return np.full(shape, value, dtype)


def _recode_exr(folder: Path, bad: float) -> None:
    """The whole session as EXR, with one value that no camera makes."""
    for path in folder.rglob("*.exr"):
        write_picture(path, np.full((HEIGHT, WIDTH, 3), 0.5, np.float32))
    picture = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    picture[3, 4, 1] = bad
    write_picture(folder / f"{FRAME}.exr", picture)
    edit_toml(folder, "bits = 12", "bits = 16\nhalf = true")
    edit_toml(folder, "black = 64", "black = 0")


def _videos(folder: Path, lengths: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    for camera, length in zip(("c00", "c01", "c02"), lengths, strict=True):
        pictures = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(length)]
        write_video(folder / WALK / f"{camera}.mkv", pictures)
        shutil.rmtree(folder / WALK / camera)
    edit_toml(folder, "takes/walk/{camera}/{frame:04d}.png", "takes/walk/{camera}.mkv")
    edit_toml(folder, "bits = 12", "bits = 8")
    edit_toml(folder, "black = 64", "black = 0")


CASES = [
    # cameras
    Case(
        "calibrated, not recorded",
        errors.CameraMissing,
        ("walk", "c02", "not recorded"),
        lambda s: shutil.rmtree(s / WALK / "c02"),
    ),
    Case(
        "recorded, not calibrated",
        errors.CameraMissing,
        ("walk", "c09", "not calibrated"),
        lambda s: shutil.copytree(s / WALK / "c01", s / WALK / "c09"),
    ),
    Case(
        "camera folder is empty",
        errors.CameraMissing,
        ("walk", "c01", "not recorded"),
        lambda s: [p.unlink() for p in (s / WALK / "c01").iterdir()],
    ),
    Case(
        "camera name with a blank",
        errors.ConfigError,
        ("c 1",),
        lambda s: (s / WALK / "c01").rename(s / WALK / "c 1"),
    ),
    Case(
        "take folder is missing", errors.SessionError, ("walk", "no recording"), lambda s: shutil.rmtree(s / "takes")
    ),
    # frames
    Case(
        "a frame is missing",
        errors.FrameGap,
        ("walk", "c01", "frame 1", "0001.png"),
        lambda s: (s / f"{FRAME}.png").unlink(),
    ),
    Case(
        "one camera stopped early",
        errors.FrameGap,
        ("walk", "c02", "frame 2", "2 of 3", "last="),
        lambda s: (s / WALK / "c02/0002.png").unlink(),
    ),
    Case(
        "a frame twice, other zeros",
        errors.FrameGap,
        ("walk", "c01", "frame 1", "01.png", "0001.png"),
        lambda s: shutil.copy(s / f"{FRAME}.png", s / WALK / "c01/01.png"),
    ),
    Case(
        "a frame twice, other format",
        errors.FrameGap,
        ("walk", "c01", "frame 1", "0001.tif"),
        lambda s: write_picture(s / f"{FRAME}.tif", picture(900)),
    ),
    Case(
        "a plate twice",
        errors.FrameGap,
        ("plate", "c01", "0.png"),
        lambda s: shutil.copy(s / "plates/c01/0000.png", s / "plates/c01/0.png"),
    ),
    Case(
        "last lies beyond the recording",
        errors.FrameGap,
        ("walk", "c00", "frame 3", "0003.png"),
        lambda s: edit_toml(s, "[takes.walk]", "[takes.walk]\nlast = 5"),
    ),
    Case(
        "videos of different length",
        errors.FrameGap,
        ("walk", "c01", "frame 3", "c01.mkv"),
        lambda s: _videos(s, (4, 3, 4)),
    ),
    # sizes
    Case(
        "one picture of another size",
        errors.SizeMismatch,
        ("walk", "c01", "0001.png", "32x48"),
        lambda s: write_picture(s / f"{FRAME}.png", picture(900, (HEIGHT, 32, 3))),
    ),
    Case(
        "plate of another size",
        errors.SizeMismatch,
        ("plate", "c01", "0000.png", "32x48", "64x48"),
        lambda s: write_picture(s / "plates/c01/0000.png", picture(900, (HEIGHT, 32, 3))),
    ),
    Case(
        "calibrated at another size",
        errors.CalibrationError,
        ("c01", "128x48", "64x48"),
        lambda s: edit_calibration(s, "c01", width=128),
    ),
    # plates
    Case("no plate", errors.PlateMissing, ("plate", "c01"), lambda s: shutil.rmtree(s / "plates/c01")),
    Case("no plates at all", errors.PlateMissing, ("plate", "c00"), lambda s: shutil.rmtree(s / "plates")),
    Case(
        "plates of two cameras swapped",
        errors.PlateMismatch,
        ("walk", "c00", "c02", "plates/c00/0000.png"),
        lambda s: _swap(s / "plates/c00", s / "plates/c02"),
    ),
    # pictures
    Case(
        "PNG cut off",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.png", "cut off"),
        lambda s: cut(s / f"{FRAME}.png"),
    ),
    Case(
        "PNG with a flipped bit",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.png"),
        lambda s: _flip(s / f"{FRAME}.png"),
    ),
    Case(
        "plate cut off",
        errors.ImageUnreadable,
        ("plate", "c01", "frame 1", "0001.png"),
        lambda s: cut(s / "plates/c01/0001.png"),
    ),
    Case(
        "empty file",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.png", "empty"),
        lambda s: (s / f"{FRAME}.png").write_bytes(b""),
    ),
    Case(
        "text named as a picture",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.png", "not a PNG"),
        lambda s: (s / f"{FRAME}.png").write_text("not a picture"),
    ),
    Case(
        "TIFF cut off",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.tif"),
        lambda s: cut(s / f"{FRAME}.tif"),
        ".tif",
    ),
    Case(
        "EXR cut off",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.exr"),
        lambda s: (_recode_exr(s, 0.5), cut(s / f"{FRAME}.exr")),
        ".exr",
    ),
    Case(
        "EXR with nan",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.exr", "nan"),
        lambda s: _recode_exr(s, np.nan),
        ".exr",
    ),
    Case(
        "EXR with infinity",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.exr", "infinity"),
        lambda s: _recode_exr(s, np.inf),
        ".exr",
    ),
    Case(
        "EXR in a 12-bit session",
        errors.ImageUnreadable,
        ("EXR", "12 bits", "half=true"),
        lambda s: (_recode_exr(s, 0.5), edit_toml(s, "bits = 16\nhalf = true", "bits = 12")),
        ".exr",
    ),
    Case(
        "grey picture",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.png", "no colour"),
        lambda s: write_picture(s / f"{FRAME}.png", picture(900, (HEIGHT, WIDTH))),
    ),
    Case(
        "picture with alpha",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.png", "alpha"),
        lambda s: write_picture(s / f"{FRAME}.png", picture(900, (HEIGHT, WIDTH, 4))),
    ),
    Case(
        "value above white",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.png", "4096", "4095"),
        lambda s: write_picture(s / f"{FRAME}.png", picture(4096)),
    ),
    Case(
        "8-bit picture in a 12-bit session",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "8 bits", "12"),
        lambda s: write_picture(s / f"{FRAME}.png", picture(90, dtype="uint8")),
    ),
    Case(
        "12-bit pictures in an 8-bit session",
        errors.ImageUnreadable,
        ("c00", "16 bits", "says 8"),
        lambda s: edit_toml(s, "bits = 12", "bits = 8"),
    ),
    Case(
        "video cut off",
        errors.ImageUnreadable,
        ("walk", "c01", "c01.mkv"),
        lambda s: (_videos(s, (3, 3, 3)), cut(s / WALK / "c01.mkv", 0.02)),
    ),
]
