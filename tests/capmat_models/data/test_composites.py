"""Composites after Eq. 2: every term does what the paper says of it, alone, and can be switched off."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_models.data.camera import sensor_noise
from capmat_models.data.composites import Composites, StagePlate
from tests.capmat_models.training_data import NOTHING, base_data

SIDE = 48


def draw(seed, **how):
    return Composites(base_data(), replace(NOTHING, **how)).sample(np.random.default_rng(seed), SIDE)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_without_any_term_a_sample_is_a_composite_after_equation_1(seed):
    sample = draw(seed)
    src, bgr, pha, fgr = (sample[name] for name in ("src", "bgr", "pha", "fgr"))
    np.testing.assert_allclose(src, pha * fgr + (1 - pha) * bgr, atol=1e-6)
    assert (fgr * (pha == 0) == 0).all()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_with_all_terms_a_sample_is_what_a_camera_delivers(seed):
    sample = Composites(base_data()).sample(np.random.default_rng(seed), SIDE)
    shapes = {"src": (3, SIDE, SIDE), "bgr": (3, SIDE, SIDE), "fgr": (3, SIDE, SIDE), "pha": (1, SIDE, SIDE)}
    assert {name: x.shape for name, x in sample.items()} == shapes
    assert all(x.dtype == np.float32 and x.min() >= 0 and x.max() <= 1 for x in sample.values())


def test_the_same_generator_draws_the_same_sample():
    a, b = (Composites(base_data()).sample(np.random.default_rng([3, 5]), SIDE) for _ in range(2))
    assert all((a[name] == b[name]).all() for name in a)


@pytest.mark.parametrize("term", ["cast_shadow", "contact_shadow", "reflection", "bleed", "exposure", "move"])
def test_what_the_subject_does_to_the_stage_is_seen_beside_it_and_not_in_the_plate(term):
    deep = {"shadow_depth": 0.6}
    strengths = {"cast_shadow": deep, "contact_shadow": deep, "move": {"move_px": 0.8}}
    changed = 0.0
    for seed in range(12):
        off, on = draw(seed), draw(seed, **{term: 1.0}, **strengths.get(term, {}))
        assert (off["bgr"] == on["bgr"]).all()
        assert (
            (off["pha"] == on["pha"]) | ((on["pha"] == 0) & (term == "reflection"))
        ).all()  # which cuts subjects off
        solid = np.broadcast_to(on["pha"] == 1, off["src"].shape)
        np.testing.assert_allclose(on["src"][solid], off["src"][solid], atol=1e-6)
        changed += float(np.abs(on["src"] - off["src"]).max())
        if "shadow" in term:
            assert (on["src"] <= off["src"] + 1e-6).all()
    assert changed > 0.2


@pytest.mark.parametrize(
    ("terms", "near"), [(("dark", "dark_stage"), 0.0), (("bright", "bright_stage"), 1.0)], ids=["black", "white"]
)
def test_subject_and_stage_may_both_be_nearly_black_or_white(terms, near):
    for seed in range(8):
        off, on = draw(seed), draw(seed, **dict.fromkeys(terms, 1.0))
        assert (np.abs(on["src"] - near) <= 0.6).all()
        assert np.abs(on["src"] - near).mean() < np.abs(off["src"] - near).mean()


@pytest.mark.parametrize("term", ["blur", "curve", "jpeg"])
def test_lens_and_recorder_treat_frame_and_plate_alike(term):
    for seed in range(8):
        off, on = draw(seed, empty=1.0), draw(seed, empty=1.0, **{term: 1.0})
        assert (off["src"] == off["bgr"]).all()
        assert (on["src"] == on["bgr"]).all()
        assert (on["src"] != off["src"]).any()


def test_noise_is_as_strong_as_it_may_be_and_no_stronger():
    picture, spread = np.full((3, SIDE, SIDE), 0.5, np.float32), []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        src, bgr = sensor_noise(rng, picture, picture, 0.06)
        spread.append(float(src.std()))
        assert bgr.std() <= src.std() * 1.1
    assert max(spread) <= 0.06 * np.sqrt(1.5) * 1.05
    assert np.median(spread) < 0.02
    assert max(spread) > 0.03


def test_a_sample_without_a_subject_may_have_its_shadow():
    samples = [draw(seed, empty=1.0, cast_shadow=1.0, shadow_depth=0.6) for seed in range(12)]
    assert all((sample["pha"] == 0).all() and (sample["fgr"] == 0).all() for sample in samples)
    assert sum(float(np.abs(sample["src"] - sample["bgr"]).max()) > 0.05 for sample in samples) > 3


@pytest.mark.parametrize("shape", [(70, 90), (30, 200)])
def test_a_plate_of_the_stage_is_the_background_with_its_own_noise(shape):
    noise = np.full((3, 5, 6), 0.02, np.float32)
    plates = [StagePlate(np.full((3, *shape), level, np.float32), noise) for level in (0.3, 0.6)]
    data = Composites(base_data(), replace(NOTHING, noise=1.0, empty=1.0), plates, plate_share=1.0)
    levels = set()
    for seed in range(20):
        sample = data.sample(np.random.default_rng(seed), SIDE)
        assert np.ptp(sample["bgr"]) < 1e-6
        levels.add(round(float(sample["bgr"].mean()), 3))
        assert 0.008 < (sample["src"] - sample["bgr"]).std() < 0.032
    assert levels == {0.3, 0.6}


def test_a_share_of_the_backgrounds_are_plates():
    plate = StagePlate(np.full((3, 60, 60), 0.25, np.float32), np.zeros((3, 4, 4), np.float32))
    data = Composites(base_data(), NOTHING, [plate], plate_share=0.5)
    flat = [np.ptp(data.sample(np.random.default_rng(seed), 32)["bgr"]) < 1e-6 for seed in range(200)]
    assert 70 < sum(flat) < 130
