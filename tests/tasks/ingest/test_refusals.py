"""Broken sessions are refused before anything is written, in one line that says where and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import capmat_errors as errors
from storage.pictures.png import encode_png
from tasks.ingest.plates import ingest_plates
from tasks.ingest.session import check
from tasks.ingest.take import ingest_take
from tests.storage.tiny_session import (
    HEIGHT,
    WIDTH,
    edit_calibration,
    edit_toml,
    tree,
    write_picture,
    write_session,
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


def _cut(path: Path, share: float = 0.5) -> None:
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


def _picture(value: int, shape: tuple[int, ...] = (HEIGHT, WIDTH, 3), dtype: str = "uint16") -> Any:
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


def _benchmark(folder: Path, camera: str, frame: int) -> None:
    (folder / "trimaps" / camera).mkdir(parents=True)
    write_picture(folder / f"trimaps/{camera}/{frame:04d}.png", _picture(128, (HEIGHT, WIDTH), "uint8"))
    text = '[benchmark]\ntake = "walk"\ntrimaps = "trimaps/{camera}/{frame:04d}.png"\n'
    with (folder / "session.toml").open("a") as file:
        file.write(text)


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
        lambda s: write_picture(s / f"{FRAME}.tif", _picture(900)),
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
        lambda s: write_picture(s / f"{FRAME}.png", _picture(900, (HEIGHT, 32, 3))),
    ),
    Case(
        "plate of another size",
        errors.SizeMismatch,
        ("plate", "c01", "0000.png", "32x48", "64x48"),
        lambda s: write_picture(s / "plates/c01/0000.png", _picture(900, (HEIGHT, 32, 3))),
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
        lambda s: _cut(s / f"{FRAME}.png"),
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
        lambda s: _cut(s / "plates/c01/0001.png"),
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
        lambda s: _cut(s / f"{FRAME}.tif"),
        ".tif",
    ),
    Case(
        "EXR cut off",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.exr"),
        lambda s: (_recode_exr(s, 0.5), _cut(s / f"{FRAME}.exr")),
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
        lambda s: write_picture(s / f"{FRAME}.png", _picture(900, (HEIGHT, WIDTH))),
    ),
    Case(
        "picture with alpha",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.png", "alpha"),
        lambda s: write_picture(s / f"{FRAME}.png", _picture(900, (HEIGHT, WIDTH, 4))),
    ),
    Case(
        "value above white",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "0001.png", "4096", "4095"),
        lambda s: write_picture(s / f"{FRAME}.png", _picture(4096)),
    ),
    Case(
        "8-bit picture in a 12-bit session",
        errors.ImageUnreadable,
        ("walk", "c01", "frame 1", "8 bits", "12"),
        lambda s: write_picture(s / f"{FRAME}.png", _picture(90, dtype="uint8")),
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
        lambda s: (_videos(s, (3, 3, 3)), _cut(s / WALK / "c01.mkv", 0.02)),
    ),
    # calibration
    Case(
        "the calibration file is missing",
        errors.CalibrationError,
        ("calibration.json",),
        lambda s: (s / "calibration.json").unlink(),
    ),
    Case(
        "file is not JSON",
        errors.CalibrationError,
        ("calibration.json", "json"),
        lambda s: _cut(s / "calibration.json"),
    ),
    Case(
        "calibration without a camera's K",
        errors.CalibrationError,
        ("c01", "K"),
        lambda s: edit_calibration(s, "c01", K=None),
    ),
    Case(
        "K holds nan",
        errors.CalibrationError,
        ("c01", "K", "finite"),
        lambda s: edit_calibration(s, "c01", K=[[float("nan"), 0, 1], [0, 1, 1], [0, 0, 1]]),
    ),
    Case("K holds text", errors.CalibrationError, ("c01", "K"), lambda s: edit_calibration(s, "c01", K="unknown")),
    Case(
        "R is not a rotation",
        errors.CalibrationError,
        ("c01", "rotation"),
        lambda s: edit_calibration(s, "c01", R=[[2, 0, 0], [0, 1, 0], [0, 0, 1]]),
    ),
    Case(
        "calibration lacks a camera",
        errors.CameraMissing,
        ("walk", "c02", "not calibrated"),
        lambda s: (s / "calibration.json").write_text(
            json.dumps(
                {
                    "units": "m",
                    "cameras": {
                        k: v
                        for k, v in json.loads((s / "calibration.json").read_text())["cameras"].items()
                        if k != "c02"
                    },
                }
            )
        ),
    ),
    Case(
        "calibration in feet",
        errors.CalibrationError,
        ("calibration.json", "units", "ft"),
        lambda s: (s / "calibration.json").write_text(
            (s / "calibration.json").read_text().replace('"units": "m"', '"units": "ft"')
        ),
    ),
    # descriptor
    Case("no session.toml", errors.SessionError, ("session.toml",), lambda s: (s / "session.toml").unlink()),
    Case(
        "session.toml is not TOML",
        errors.SessionError,
        ("session.toml", "not TOML"),
        lambda s: (s / "session.toml").write_text("name = "),
    ),
    Case(
        "misspelt key",
        errors.SessionError,
        ("session.toml", "colour.blakc"),
        lambda s: edit_toml(s, "black", "blakc"),
    ),
    Case("no fps", errors.SessionError, ("session.toml", "fps"), lambda s: edit_toml(s, "fps = 25.0", "")),
    Case("7 bits", errors.SessionError, ("colour.bits",), lambda s: edit_toml(s, "bits = 12", "bits = 7")),
    Case(
        "black above white",
        errors.SessionError,
        ("session.toml", "black 5000"),
        lambda s: edit_toml(s, "black = 64", "black = 5000"),
    ),
    Case(
        "last before first",
        errors.SessionError,
        ("takes.walk", "last=1", "first=2"),
        lambda s: edit_toml(s, "[takes.walk]", "[takes.walk]\nfirst = 2\nlast = 1"),
    ),
    Case(
        "template without {camera}",
        errors.SessionError,
        ("walk", "{camera}"),
        lambda s: edit_toml(s, "takes/walk/{camera}", "takes/walk/c00"),
    ),
    Case(
        "unknown kind of file",
        errors.SessionError,
        ("walk", ".bmp", ".png"),
        lambda s: edit_toml(s, "takes/walk/{camera}/{frame:04d}.png", "takes/walk/{camera}/{frame:04d}.bmp"),
    ),
    Case(
        "root does not exist",
        errors.SessionError,
        ("nowhere",),
        lambda s: edit_toml(s, 'name = "day"', 'name = "day"\nroot = "nowhere"'),
    ),
    Case("stage name with a slash", errors.SessionError, ("stage",), lambda s: edit_toml(s, '"ring"', '"ring/2"')),
    # benchmark
    Case(
        "trimap of a frame that is not there",
        errors.SessionError,
        ("walk", "c01", "frame 7", "0007.png"),
        lambda s: _benchmark(s, "c01", 7),
    ),
    Case(
        "benchmark of an unknown take",
        errors.SessionError,
        ("benchmark", "run"),
        lambda s: (_benchmark(s, "c01", 1), edit_toml(s, 'take = "walk"', 'take = "run"')),
    ),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sound session per picture format, to copy from."""
    top = tmp_path_factory.mktemp("sound")
    return {suffix: write_session(top / suffix[1:], suffix=suffix) for suffix in (".png", ".tif", ".exr")}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_broken_session_is_refused_before_anything_is_written(
    case: Case, sound: dict[str, Path], tmp_path: Path
) -> None:
    session = tmp_path / "session"
    shutil.copytree(sound[case.suffix], session)
    case.breaks(session)
    store = tmp_path / "store"

    for ingest in (lambda: ingest_take(str(store), session, "walk"), lambda: check(str(session))):
        with pytest.raises(case.kind) as refusal:
            ingest()
        message = str(refusal.value)
        assert all(word in message for word in case.says), message
        assert "\n" not in message
        assert refusal.value.fix
        assert not store.exists()


def test_refused_session_leaves_a_filled_store_as_it_was(sound: dict[str, Path], tmp_path: Path) -> None:
    store, session = tmp_path / "store", tmp_path / "session"
    ingest_plates(str(store), sound[".png"])
    ingest_take(str(store), sound[".png"], "walk")
    before = tree(store)
    shutil.copytree(sound[".png"], session)
    (session / f"{FRAME}.png").write_bytes(encode_png(_picture(5000)))
    with pytest.raises(errors.ImageUnreadable):
        ingest_take(str(store), session, "walk")
    assert tree(store) == before


def test_unknown_take_is_refused_with_those_there_are(sound: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(errors.SessionError, match="no take run; it has walk"):
        ingest_take(str(tmp_path / "store"), sound[".png"], "run")
