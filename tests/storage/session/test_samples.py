"""A plate filed under another camera is found; a sound one is never called wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage.session.samples import plate_owner, thumbnail


def _stage(seed: int, contrast: float = 0.5) -> NDArray[np.float32]:
    """An empty stage with large soft shapes, (72, 96, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.5 - contrast / 2, 0.5 + contrast / 2, (6, 8, 3))
    return coarse.repeat(12, axis=0).repeat(12, axis=1).astype(np.float32)


def _with_performer(stage: NDArray[np.float32], left: int, width: int = 30) -> NDArray[np.float32]:
    frame = stage.copy()
    frame[10:, left : left + width] = (0.9, 0.2, 0.6)
    return frame


def test_a_swapped_plate_is_found() -> None:
    plates = {"a": _stage(1), "b": _stage(0), "c": _stage(2)}
    frames = [_with_performer(_stage(0), left) for left in (10, 30, 50)]
    assert plate_owner("a", frames, plates) == "b"
    assert plate_owner("b", frames, plates) == "b"


@given(
    seed=st.integers(0, 10**6),
    contrast=st.floats(0, 0.8),
    light=st.floats(-0.1, 0.1),
    noise=st.floats(0, 0.03),
    width=st.integers(0, 90),
    others=st.integers(1, 6),
)
def test_a_camera_is_never_parted_from_its_own_plate(
    seed: int, contrast: float, light: float, noise: float, width: int, others: int
) -> None:
    rng = np.random.default_rng(seed)
    own = _stage(seed, contrast)
    plates = {"own": own} | {f"c{n}": _stage(seed + 1 + n, contrast) for n in range(others)}
    frames = [
        np.clip(_with_performer(own, left, width) + light + rng.normal(0, noise, own.shape), 0, 1).astype(np.float32)
        for left in (0, 3, 6)
    ]
    assert plate_owner("own", frames, plates) == "own"


def test_plates_of_other_sizes_are_passed_over() -> None:
    assert plate_owner("a", [_stage(0)], {"a": _stage(1), "b": _stage(0)[:60]}) == "a"


@pytest.mark.parametrize("size", [(486, 644), (48, 64), (2304, 2664), (97, 193)])
def test_thumbnails_are_small_and_keep_the_average(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).uniform(0.3, 0.5, (*size, 3)).astype(np.float32)
    small = thumbnail(picture)
    assert small.shape[1] < 200
    assert small.mean() == pytest.approx(0.4, abs=0.01)
