"""One photograph and its plate: the pictures come out, and what cannot be is refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import CheckpointError, ImageUnreadable, SizeMismatch
from storage.frames import encode_png, read_grey, read_rgba
from tasks.picture import matte_pair

WEIGHTS = Path(__file__).parents[2] / "weights"
STUDENT = "bgmv2_mobilenetv2_xs"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A bright square before a dull plate, 8 bit, of a size that no network likes."""
    rng = np.random.default_rng(0)
    plate = np.clip(rng.normal(90, 3, (131, 173, 3)), 0, 255).astype(np.uint8)
    image = plate.copy()
    image[40:100, 60:120] = (230, 60, 40)
    paths = tmp_path / "image.png", tmp_path / "plate.png"
    for path, picture in zip(paths, (image, plate), strict=True):
        path.write_bytes(encode_png(picture))
    return paths


@pytest.mark.parametrize("architecture", [STUDENT, "bg_vitmatte_xs"])
def test_the_subject_is_told_from_the_plate(architecture: str, pair: tuple[Path, Path], tmp_path: Path) -> None:
    made = matte_pair(*pair, tmp_path / "out", architecture, WEIGHTS)
    alpha = read_grey(made["alpha"]).astype(np.float32) / 65535
    assert alpha.shape == (131, 173)
    assert alpha[50:90, 70:110].mean() > 0.6
    assert alpha[:30].mean() < 0.2
    assert (read_rgba(made["cutout"])[..., 3] == np.rint(alpha * 255)).mean() > 0.99


def test_a_plate_of_another_size_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    small.write_bytes(encode_png(np.zeros((131, 100, 3), np.uint8)))
    with pytest.raises(SizeMismatch, match=r"173 x 131.*100 x 131"):
        matte_pair(pair[0], small, tmp_path / "out", STUDENT, WEIGHTS)
    assert not (tmp_path / "out").exists()


def test_a_truncated_photograph_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    pair[0].write_bytes(pair[0].read_bytes()[:-50])
    with pytest.raises(ImageUnreadable, match=r"image\.png"):
        matte_pair(*pair, tmp_path / "out", STUDENT, WEIGHTS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_weights_that_cannot_be_used_are_refused(damage: str, pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "weights" / STUDENT
    folder.mkdir(parents=True)
    if damage != "missing":
        other = "bg_vitmatte_xs" if damage == "other" else STUDENT
        data = (WEIGHTS / other / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[:-1000] if damage == "truncated" else data)
        (folder / "card.json").write_text(json.dumps({}))
    with pytest.raises(CheckpointError) as refusal:
        matte_pair(*pair, tmp_path / "out", STUDENT, tmp_path / "weights")
    assert STUDENT in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()
