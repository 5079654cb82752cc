"""Days whose cameras have clocks: videos with stamps, pictures with names, and the cases that were reported."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from storage.descriptor import read_session
from storage.pictures.png import encode_png
from storage.session.plan import SessionPlan, plan_session
from tests.storage.tiny_session import calibrated

CASES = Path(__file__).parents[2] / "cases"


def case_day(name: str, folder: Path, sync: str = "", **change: str) -> Path:
    """A copy of a case, with [sync] by = `sync` and parts of its session.toml replaced."""
    day = Path(shutil.copytree(CASES / name, folder / "day"))
    text = (day / "session.toml").read_text()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    (day / "session.toml").write_text(text + (f'\n[sync]\nby = "{sync}"\n' if sync else ""))
    return day


def plan_of(day: Path) -> SessionPlan:
    """All that the check finds."""
    return plan_session(read_session(day))


def film_day(
    folder: Path, stamps: dict[str, list[int]], *, tick: int = 1000, fps: float = 25, sync: str = ""
) -> Path:
    """A session of grey videos whose frames are shown at `stamps` of 1/`tick` s and as bright as their number."""
    folder.mkdir()
    for camera, times in stamps.items():
        with av.open(str(folder / f"{camera}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
            stream.time_base = stream.codec_context.time_base = Fraction(1, tick)
            for number, time in enumerate(times):
                grey = np.full((48, 64, 3), 5 * number, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="bgr0")
                frame.pts, frame.time_base = time, Fraction(1, tick)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    write_day(folder, list(stamps), "{camera}.mkv", fps, sync)
    return folder


def write_day(folder: Path, cameras: list[str], path: str, fps: float, sync: str = "", more: str = "") -> None:
    """Write the calibration and session.toml beside the recordings."""
    known = {name: {**calibrated(n), "width": 64, "height": 48} for n, name in enumerate(cameras)}
    (folder / "calibration.json").write_text(json.dumps({"units": "m", "cameras": known}))
    (folder / "session.toml").write_text(
        f'name = "day"\nstage = "ring"\nfps = {fps}\n[colour]\nbits = 8\ntransfer = "srgb"\n'
        f'[calibration]\nformat = "capmat"\npath = "calibration.json"\n'
        f'[takes.walk]\npath = "{path}"\n{more}' + (f'[sync]\nby = "{sync}"\n' if sync else "")
    )


def picture_day(folder: Path, names: dict[str, list[str]], fps: float = 25, sync: str = "", more: str = "") -> Path:
    """A session of pictures with these names; a picture is as bright as its place in the list."""
    for camera, stems in names.items():
        (folder / camera).mkdir(parents=True)
        for number, stem in enumerate(stems):
            (folder / camera / f"{stem}.png").write_bytes(encode_png(np.full((48, 64, 3), 5 * number, np.uint8)))
    write_day(folder, list(names), "{camera}/{frame:04d}.png", fps, sync, more)
    return folder


def problems_of(day: Path) -> str:
    """What the check refuses, a line each."""
    return "\n".join(str(problem) for problem in plan_of(day).problems)
