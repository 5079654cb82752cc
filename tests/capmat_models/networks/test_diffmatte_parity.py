"""DiffMatte gives what the original gives, from the same noise."""

import numpy as np
import pytest
import torch

from capmat_models.networks.factory import create_model
from capmat_models.networks.inputs import snap
from capmat_models.weights.state import load_published
from tests.capmat_models.weight_fill import filled, tagged_image, tagged_noise, tagged_trimap, vit_fill
from tests.project import GOLDENS

LIMIT = 2e-5


@pytest.mark.parametrize(
    ("name", "tag", "image_size", "steps"),
    [
        ("vits_64x96", "e", 512, (10, 1, 3)),
        ("vits_96x150_padding", "f", 512, (10,)),
        ("vits_256x320", "g", 512, (10,)),
        ("vits1024_64x96", "e", 1024, (10,)),
    ],
)
def test_denoised_mattes_equal_the_original(name: str, tag: str, image_size: int, steps: tuple[int, ...]) -> None:
    golden = np.load(GOLDENS / f"diffmatte_{name}.npz")
    height, width = golden["size"]
    model = create_model("diffmatte_vits", image_size=image_size, padding="official").eval()
    load_published(model, filled(model, vit_fill, lambda key: f"model.{key}"))
    src, trimap = tagged_image("image", tag, height, width), tagged_trimap(tag, height, width)
    noise, stride = tagged_noise(tag, height, width), int(golden["alpha_stride"])
    for count in steps:
        with torch.inference_mode():
            pha = model(src, trimap, count, noise, force_foreground=False)["pha"]
        np.testing.assert_allclose(
            pha[0, 0].numpy()[::stride, ::stride], golden[f"alpha_{count}"], atol=LIMIT, rtol=0
        )


def test_trimaps_are_snapped_as_the_original_does() -> None:
    levels = torch.tensor([0, 84, 85, 127, 128, 169, 170, 255]) / 255
    assert snap(levels).tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1]


def test_known_pixels_are_kept_exactly() -> None:
    model = create_model("diffmatte_xs").eval()
    trimap = torch.tensor([0, 128, 255]).repeat_interleave(16).expand(1, 1, 48, 48) / 255
    with torch.inference_mode():
        pha = model(torch.rand(1, 3, 48, 48), trimap, 2)["pha"]
    assert (pha[..., :16] == 0).all()
    assert (pha[..., 32:] == 1).all()


def test_a_matte_depends_neither_on_its_place_in_a_batch_nor_on_what_ran_before() -> None:
    model = create_model("diffmatte_xs").eval()
    src, trimap = torch.rand(2, 3, 40, 56), torch.randint(0, 3, (2, 1, 40, 56)) / 2
    with torch.inference_mode():
        together = model(src, trimap, 2)["pha"]
        alone = model(src[1:], trimap[1:], 2)["pha"]
        other = model(src[1:], trimap[1:], 2, seed=1)["pha"]
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=0)
    assert not torch.equal(alone, other)
