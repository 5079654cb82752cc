"""What the default weights promise on rendered pictures: a plate alone is no subject, and neither is a shadow."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from capmat_models.data.filters import blurred
from capmat_models.networks.factory import create_model
from capmat_models.weights.state import load_published
from storage.pictures.files import read_image, read_rgba
from tests.project import ROOT, WEIGHTS

NETWORKS = ("bg_vitmatte_xs", "bgmv2_mobilenetv2_xs")
LIGHT = {"bright": 1.0, "dark": 0.15}


@cache
def network(name: str) -> torch.nn.Module:
    model = create_model(name)
    load_published(model, WEIGHTS / name / "model.safetensors")
    return model.eval()


@cache
def room(longer: int) -> Tensor:
    """A rendered room, (1, 3, H, W) in 0..1."""
    picture = read_image(sorted((ROOT / "samples/base/backgrounds").iterdir())[0])
    return at(torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32) / 255)[None], longer)


def at(picture: Tensor, longer: int) -> Tensor:
    """Enlarged or shrunk, so that the longer side has this many pixels."""
    scale = longer / max(picture.shape[-2:])
    size = [round(side * scale) for side in picture.shape[-2:]]
    return interpolate(picture, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)


def body(like: Tensor) -> Tensor:
    """Alpha of an upright ellipse with soft edges, (1, 1, H, W)."""
    height, width = like.shape[-2:]
    y, x = np.mgrid[:height, :width]
    inside = 1 - np.hypot((y - height * 0.55) / (height * 0.3), (x - width * 0.5) / (width * 0.15))
    return torch.from_numpy(np.clip(inside * max(height, width) / 20, 0, 1).astype(np.float32))[None, None]


def matte(name: str, src: Tensor, bgr: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(name)(src, bgr)["pha"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("light", LIGHT)
@pytest.mark.parametrize("longer", [224, 640, 1280])
def test_a_picture_that_is_its_plate_has_no_subject(name: str, light: str, longer: int) -> None:
    plate = room(longer) * LIGHT[light]
    assert matte(name, plate, plate).mean() <= 0.002


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("light", LIGHT)
@pytest.mark.parametrize("longer", [224, 640])
def test_a_shadow_alone_is_no_subject(name: str, light: str, longer: int) -> None:
    """A soft shadow of the size of a person that takes a fifth of the light."""
    plate = room(longer) * LIGHT[light]
    shadow = torch.from_numpy(blurred(body(plate)[0].numpy(), longer / 60))
    assert matte(name, plate * (1 - 0.2 * shadow), plate).mean() <= 0.01


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("longer", [224, 640])
def test_a_subject_in_the_colours_of_its_plate_is_found(name: str, longer: int) -> None:
    plate = room(longer)
    pha = body(plate)
    height, width = plate.shape[-2:]
    other = torch.roll(plate, (height // 3, width // 4), (2, 3))  # another part of the same room
    found = matte(name, pha * other + (1 - pha) * plate, plate)
    assert found[pha > 0.95].mean() >= 0.8
    assert found[pha < 0.05].mean() <= 0.02


@pytest.mark.parametrize("name", NETWORKS)
def test_alpha_does_not_depend_on_the_size_of_the_picture(name: str) -> None:
    """The same picture at three times the size has the same matte, but for a thirtieth of the frame."""
    cut_out = read_rgba(sorted((ROOT / "samples/base/foregrounds").iterdir())[1])
    subject = at(torch.from_numpy(cut_out.transpose(2, 0, 1).astype(np.float32) / 255)[None], 600)
    plate = interpolate(room(720), subject.shape[-2:], mode="bicubic", align_corners=False).clamp(0, 1)
    src = subject[:, 3:] * subject[:, :3] + (1 - subject[:, 3:]) * plate
    large = matte(name, src, plate)
    small = matte(name, at(src, 200), at(plate, 200))
    assert (at(large, 200) - small).abs().mean() <= 1 / 30
