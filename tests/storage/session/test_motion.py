"""A camera that runs late is told by the motion in the pictures of the rendered stage, or nothing is said."""

import shutil
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.descriptor import read_session
from storage.session.motion import check_motion, describe_lags, find_lags
from storage.session.plan import plan_session

SAMPLE = Path(__file__).parents[3] / "samples/session"
CAMERAS = ("C01", "C04", "C07", "C10")
# What the stage shows one moment after the other: a place of the sample session, with or without a performer.
SHOWN = ("plates/{}/0001", "takes/amber/{}/0001", "takes/amber/{}/0002", "takes/birch/{}/0001", "takes/birch/{}/0002")


def _stage(folder: Path, late: dict[str, int], moments: list[int]) -> Path:
    """A take of the rendered stage: the camera's frame n shows moment n minus how late it is."""
    for camera in CAMERAS:
        (folder / camera).mkdir(parents=True)
        for frame in range(30):
            shown = SHOWN[moments[20 + frame - late.get(camera, 0)]].format(camera)
            (folder / camera / f"{frame:04d}.png").symlink_to(SAMPLE / f"{shown}.png")
    shutil.copy(SAMPLE / "calibration.json", folder)
    left_out = [f"C{n:02d}" for n in range(1, 13) if f"C{n:02d}" not in CAMERAS]
    (folder / "session.toml").write_text(
        'name = "day"\nstage = "ring"\nfps = 25\n[colour]\nbits = 12\ntransfer = "linear"\nblack = 64\n'
        '[calibration]\nformat = "capmat"\npath = "calibration.json"\n'
        f'[takes.walk]\npath = "{{camera}}/{{frame:04d}}.png"\nwithout = {left_out}\n'
    )
    return folder


def test_a_late_camera_of_the_rendered_stage_is_named_with_its_frames(tmp_path: Path) -> None:
    moments = np.random.default_rng(5).integers(0, len(SHOWN), 60).tolist()
    session = read_session(_stage(tmp_path / "day", {"C07": 3}, moments))
    plan = plan_session(session, decode=False)
    take = plan.takes["walk"]
    lags = check_motion(take.recordings, plan.cameras, take.frames, session.colour.colour())
    assert {id: lag.frames for id, lag in lags.items()} == dict.fromkeys(CAMERAS, 0) | {"C07": 3}
    (line,) = describe_lags(lags, {"C07": 1})
    assert line.startswith("camera C07 runs about 3 frames late by its motion (confidence ")
    assert line.endswith("set offset = {C07 = -2} if so")


@settings(max_examples=25, deadline=None)
@given(
    late=st.dictionaries(st.sampled_from("abcde"), st.integers(-9, 9), max_size=2),
    noise=st.floats(0.1, 4),
    seed=st.integers(0, 99),
)
def test_a_lag_is_right_or_not_claimed(late: dict[str, int], noise: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    motion = np.convolve(rng.gamma(1, 1, 140), [0.2, 0.6, 0.2], "same")
    curves = {id: motion[20 - late.get(id, 0) :][:100] + rng.normal(0, noise, 100) for id in "abcde"}
    lags = find_lags(curves, {id: [other for other in "abcde" if other != id] for id in "abcde"})
    for id, lag in lags.items():
        assert lag.frames == late.get(id, 0) or lag.confidence < 0.999


def test_a_still_stage_tells_nothing() -> None:
    lags = find_lags({id: np.full(50, 0.2) for id in "abc"}, {"a": "bc", "b": "ac", "c": "ab"})
    assert describe_lags(lags, {}) == ["the motion does not tell whether a, b, c run late"]
