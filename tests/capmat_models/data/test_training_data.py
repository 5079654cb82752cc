"""What the samplers promise: ranges, alignment, reproducibility."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import TrainingError
from capmat_models.data.augment import Augmentation, add_noise, augment_real, recolour_subject
from capmat_models.data.base import BaseData, shift_hsv
from capmat_models.data.stage import PairData, ScribbleData
from capmat_models.data.trimaps import random_radii, trimap_from_alpha
from tests.capmat_models.training_data import base_data, pairs, scribbles, stage_frame, subject

SEEDS = st.integers(0, 10_000)
BASE = base_data()


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_a_cut_out_holds_an_edge_of_its_subject(seed):
    pha, _ = BASE.cut_out(np.random.default_rng(seed), 48)
    assert ((pha > 0) & (pha < 1)).any()


def test_the_colour_under_zero_alpha_does_not_bleed_into_the_edge():
    red = np.zeros((60, 60, 4), np.uint8)
    red[..., 1] = 255  # green where nothing is seen
    red[20:40, 20:40] = (255, 0, 0, 255)
    red[19, 20:40] = (255, 0, 0, 128)
    data = BaseData([red], [np.zeros((60, 60, 3), np.uint8)])
    for seed in range(20):
        _, fgr = data.cut_out(np.random.default_rng(seed), 32)
        # the hue jitter turns red by at most 40 degrees: the three channels never make green the largest
        assert (fgr[1] <= fgr[0] + 0.02).all()


def test_base_data_that_cannot_be_used_are_refused_by_name():
    rng = np.random.default_rng(0)
    empty = subject(rng)
    empty[..., 3] = 0
    with pytest.raises(TrainingError, match="foreground 1.*the alpha is 0 everywhere"):
        BaseData([subject(rng), empty], [np.zeros((9, 9, 3), np.uint8)])
    with pytest.raises(TrainingError, match="at least one"):
        BaseData([], [])
    with pytest.raises(TrainingError, match="background 0"):
        BaseData([subject(rng)], [np.zeros((9, 9, 4), np.uint8)])


def test_held_out_data_share_nothing_with_the_rest():
    rest, held = base_data(5).split(2)
    assert (len(rest.foregrounds), len(held.foregrounds), len(held.backgrounds)) == (3, 2, 2)


@given(
    rgb=st.tuples(*[st.floats(0.02, 0.98)] * 3),
    hue=st.floats(-40, 40),
)
def test_turning_the_hue_agrees_with_the_standard_library(rgb, hue):
    h, s, v = colorsys.rgb_to_hsv(*rgb)
    ours = shift_hsv(np.array(rgb, np.float32)[:, None], hue, 0, 0)[:, 0]
    np.testing.assert_allclose(ours, colorsys.hsv_to_rgb((h + hue / 360) % 1, s, v), atol=1e-4)


def test_noise_has_a_level_of_its_own_on_each_input():
    grey = {"src": np.full((3, 64, 64), 0.5, np.float32), "bgr": np.full((3, 64, 64), 0.5, np.float32)}
    levels = np.array(
        [
            [noisy[name].std() for name in ("src", "bgr")]
            for noisy in (add_noise(np.random.default_rng(seed), grey) for seed in range(200))
        ]
    )
    assert levels.max() <= 0.105
    assert levels.mean() == pytest.approx(0.05, abs=0.005)
    assert abs(np.corrcoef(levels.T)[0, 1]) < 0.2


def test_a_scribble_crop_always_holds_a_stroke_and_stays_aligned():
    src, bgr, label = np.zeros((3, 40, 50), np.float32), np.zeros((3, 40, 50), np.float32), None
    src += np.arange(40 * 50, dtype=np.float32).reshape(40, 50) / 2000
    label = np.full((40, 50), 255, np.uint8)
    label[3, 47] = 1
    data = ScribbleData([(src, bgr, label)])
    for seed in range(20):
        crop = data.sample(np.random.default_rng(seed), 16)
        at = np.argwhere(crop["label"][0] == 1)
        assert len(at) == 1
        assert crop["src"][0, *at[0]] == src[0, 3, 47]


def test_foreground_and_background_strokes_are_drawn_equally_often():
    src = np.zeros((3, 60, 60), np.float32)
    label = np.full((60, 60), 255, np.uint8)
    label[:20], label[59, 59] = 0, 1
    data = ScribbleData([(src, src, label)])
    thin = [(data.sample(np.random.default_rng(seed), 8)["label"] == 1).any() for seed in range(200)]
    assert 0.4 < np.mean(thin) < 0.6


def test_beyond_a_small_frame_nothing_is_annotated():
    src = np.full((3, 20, 20), 0.3, np.float32)
    crop = ScribbleData([(src, src, np.zeros((20, 20), np.uint8))]).sample(np.random.default_rng(0), 32)
    assert crop["src"].shape == (3, 32, 32)
    assert (crop["label"] != 255).sum() == 400


def test_frames_without_strokes_are_refused():
    src = np.zeros((3, 8, 8), np.float32)
    with pytest.raises(TrainingError, match="scribbled image 0.*no pixel is annotated"):
        ScribbleData([(src, src, np.full((8, 8), 255, np.uint8))])
    with pytest.raises(TrainingError, match="no scribbles"):
        ScribbleData([])


def test_pairs_are_cut_together():
    src, bgr, pha = stage_frame(np.random.default_rng(1))
    data = PairData([(src, src, src[:1]), (src, src, src[:1])])
    crop = data.sample(np.random.default_rng(3), 40)
    assert (crop["src"][:1] == crop["pha"]).all()
    assert (crop["src"] == crop["bgr"]).all()
    with pytest.raises(TrainingError, match="sizes differ"):
        PairData([(src, bgr[:, 1:], pha)]).sample(np.random.default_rng(0), 8)


def test_everything_off_changes_nothing():
    rng = np.random.default_rng(0)
    sample = pairs().sample(rng, 32)
    out = augment_real(rng, sample, Augmentation(noise=0, jitter=0, shift=0))
    assert all((out[name] == sample[name]).all() for name in sample)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_augmented_inputs_stay_in_range(seed):
    rng = np.random.default_rng(seed)
    out = augment_real(rng, pairs().sample(rng, 32), Augmentation())
    for name in ("src", "bgr"):
        assert out[name].dtype == np.float32
        assert out[name].min() >= 0
        assert out[name].max() <= 1 + 1e-6


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_a_trimap_never_calls_a_soft_pixel_known(seed):
    rng = np.random.default_rng(seed)
    pha = torch.from_numpy(BASE.cut_out(rng, 48)[0])[None]
    trimap = trimap_from_alpha(pha, random_radii(rng, 1, 48))
    assert set(trimap.unique().tolist()) <= {0.0, 0.5, 1.0}
    assert (pha[trimap == 1] > 0.99).all()
    assert (pha[trimap == 0] < 0.01).all()


def test_scribble_data_count_their_frames():
    assert len(scribbles()) == 2


def test_recolouring_leaves_the_stage_as_the_camera_saw_it():
    rng = np.random.default_rng(0)
    src = rng.random((3, 24, 32)).astype(np.float32)
    pha = np.zeros((1, 24, 32), np.float32)
    pha[:, 6:18, 8:24] = 1
    out = recolour_subject(rng, {"src": src, "pha": pha})["src"]
    np.testing.assert_array_equal(out[:, pha[0] == 0], src[:, pha[0] == 0])
    assert np.abs(out - src)[:, pha[0] == 1].mean() > 0.02
    assert out.min() >= 0
    assert out.max() <= 1
