"""Sessions whose calibration, session.toml or benchmark is broken in one way each, with the refusal."""

import json
from pathlib import Path

import capmat_errors as errors
from tests.storage.tiny_session import HEIGHT, WIDTH, edit_calibration, edit_toml, write_picture
from tests.tasks.ingest.broken_sessions import Case, cut, picture


def _benchmark(folder: Path, camera: str, frame: int) -> None:
    (folder / "trimaps" / camera).mkdir(parents=True)
    write_picture(folder / f"trimaps/{camera}/{frame:04d}.png", picture(128, (HEIGHT, WIDTH), "uint8"))
    text = '[benchmark]\ntake = "walk"\ntrimaps = "trimaps/{camera}/{frame:04d}.png"\n'
    with (folder / "session.toml").open("a") as file:
        file.write(text)


CASES = [
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
        lambda s: cut(s / "calibration.json"),
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
