"""Faults have the names that people give them, and the page begins with who has which."""

from typing import Any

import numpy as np
import pytest

from tasks.config import StageLimits
from tasks.stage.findings import TITLES, judge
from tasks.stage.measure import Measured, Region
from tasks.stage.page import stage_page
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
