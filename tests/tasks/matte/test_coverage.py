"""A matte that is all but empty or all but full says so, with the likely cause."""

import re
from pathlib import Path

import numpy as np
import pytest

from storage.pictures.png import encode_png
from tasks.matte.coverage import coverage_note
from tasks.matte.picture import matte_picture, open_base
from tests.project import WEIGHTS

RNG = np.random.default_rng(1)
PLATE = RNG.uniform(0.3, 0.6, (3, 40, 60)).astype(np.float32)
WHOLE = np.clip(PLATE + 0.005, 0, 1)
DARK = PLATE**2.2 * 0.5


@pytest.mark.parametrize(
    ("share", "src", "bgr", "says"),
    [
        (0.0, DARK, DARK, "all but empty; likely cause: .*linear.* or picture and plate show the same"),
        (0.0004, WHOLE, PLATE, "all but empty; likely cause: picture and plate show the same"),
        (0.99, WHOLE, np.roll(PLATE, 20, 2), "all but full; likely cause: the plate shows another view"),
        (0.99, WHOLE, WHOLE, "the subject is missing, the plate is of another camera, or the picture is linear"),
        (0.0, WHOLE, None, "all but empty; likely cause: the subject is missing or the picture is linear"),
    ],
)
def test_the_likely_cause_is_named(share: float, src: np.ndarray, bgr: np.ndarray | None, says: str) -> None:
    assert re.search(says, coverage_note(share, src, bgr))


@pytest.mark.parametrize("share", [0.002, 0.3, 0.97])
def test_a_usual_matte_is_not_doubted(share: float) -> None:
    assert coverage_note(share, DARK, WHOLE) == f"the matte covers {share:.1%} of the picture"


def test_a_linear_photograph_that_is_saved_as_png_is_told(tmp_path: Path) -> None:
    """As a raw developer writes it: linear numbers in a 16-bit file without a profile."""
    light = np.random.default_rng(0).normal(0.02, 0.001, (131, 173, 3))
    (tmp_path / "plate.png").write_bytes(encode_png(np.rint(light * 65535).astype(np.uint16)))
    light[40:100, 60:120] = (0.022, 0.0205, 0.02)
    (tmp_path / "image.png").write_bytes(encode_png(np.rint(light * 65535).astype(np.uint16)))
    name = "bgmv2_mobilenetv2_xs"
    network = open_base(WEIGHTS, name)
    _, note = matte_picture(network, name, tmp_path / "image.png", tmp_path, plate=tmp_path / "plate.png")
    cause = "all but empty; likely cause: the picture is as dark as linear numbers"
    assert note.startswith(f"the matte covers 0.0% of the picture, so it is {cause}")
