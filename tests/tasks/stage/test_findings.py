"""Faults have the names that people give them, and the page begins with who has which."""

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from storage.calibration.camera import Camera
from tasks.config import StageLimits
from tasks.stage.findings import TITLES, judge
from tasks.stage.measure import Measured, Region, measure
from tasks.stage.page import stage_page
from tasks.stage.pictures import Pictures
from tests.tasks.report.test_page import Page


def measured(*regions: Region) -> Measured:
    nothing = np.zeros((8, 8), bool)
    return Measured(
        **{"size": (8, 8), "fold": 1, "empty": 2, "coarse": False, "frames": (1, 2), "lamps": []},
        **{"plate": np.zeros((8, 8, 3), np.uint8), "regions": list(regions)},
        **dict.fromkeys(("white", "dark", "around", "matte"), nothing),
    )


@pytest.mark.parametrize(("stays", "kind"), [(True, "changed"), (None, "changed"), (False, "glossy")])
def test_a_checkerboard_that_was_put_down_is_no_reflection(stays: bool | None, kind: str) -> None:
    board = Region(4.0, 4.0, 0.02, stays)
    ((finding,),) = judge({"c00": measured(board)}, StageLimits(), 0.0).values()
    assert finding.kind == kind
    assert ("moved or put there" in finding.advice) == (kind == "changed")


def test_the_frames_between_which_a_camera_moved_are_those_that_show_the_stage() -> None:
    rng = np.random.default_rng(0)

    def wall(right: int, seed: int = 1) -> np.ndarray:
        grain = gaussian_filter(np.random.default_rng(seed).standard_normal((160, 240)), 2)
        seen = np.clip(0.3 + 1.8 * np.roll(grain, right, 1)[:, 20:-20], 0.05, 0.9)
        return np.stack([seen + 0.002 * rng.standard_normal(seen.shape) for _ in range(3)]).astype(np.float32)

    camera = Camera(
        "c00", 200, 160, np.array([[200.0, 0, 100], [0, 200, 80], [0, 0, 1]]), np.zeros(5), np.eye(3), np.zeros(3)
    )
    pictures = Pictures.of_empty(camera, [wall(0), wall(0)])
    pictures.add_shots([(1, wall(0)), (50, wall(4)), (99, wall(0, seed=2))])  # then it looks elsewhere
    one = measure(pictures, StageLimits(), np.ones((160, 200), bool))
    (found,) = judge({"c00": one}, StageLimits(), 0.0).values()
    (within,) = [finding.what for finding in found if "within the take" in finding.what]
    assert within == "the camera moved within the take: 4 px from frame 1 to 50"
    assert "another one" in one.missing["moved"]


def test_a_lamp_is_called_a_lamp() -> None:
    one = measured()
    one.white = np.ones((8, 8), bool)
    ((finding,),) = judge({"c00": one}, StageLimits(), 0.0).values()
    assert finding.what.startswith("lamps, or what mirrors them, clip 100 % of the picture")


def test_the_page_begins_with_a_table_of_cameras_and_faults_and_says_figures_in_words() -> None:
    def camera(light: str, **more: Any) -> dict[str, Any]:
        return {"light": light, "findings": [], "missing": {}, "figures": {}, **more}

    def finding(kind: str, light: str) -> dict[str, Any]:
        return {"kind": kind, "light": light, "what": "it is so", "advice": "Mend it.", "places": []}

    cameras = {
        "c00": camera("green", missing={"focus": "the stage has no edges"}),
        "c01": camera("red", findings=[finding("lamp", "yellow"), finding("moved", "red"), finding("lamp", "red")]),
        "c02": camera("yellow", findings=[finding("changed", "yellow")], figures={"gain_red": 0.999, "shift": 0.25}),
    }
    report = {"session": "day", "stage": "ring", "take": "walk", "notes": [], "cameras": cameras}
    page = Page(stage_page(report, dict.fromkeys(cameras, measured())))
    table = page.text[page.text.index(TITLES["moved"]) : page.text.index("it is so")]
    assert table.index("c01 red red") < table.index("c02 yellow") < table.index("c00 not measured")
    assert "No camera has a fault of: exposure, white balance, reflections, dark areas, noise, flicker." in page.text
    assert "gain red" not in page.text
    assert "red, of the plate's 99.9 %" in page.text
    assert "shift of the camera 0.25 px" in page.text
