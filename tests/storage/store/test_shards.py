"""What we write, zarr reads, and the other way round; what is not sound is never a picture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from capmat_errors import NotFound, StoreError
from storage.store.frame_array import FrameArray
from storage.store.root import Root
from storage.store.shards import Layout

layouts = st.builds(
    lambda frames, channels, height, width, dtype, codec, tile, block: Layout(
        (frames, *channels, height, width), dtype, codec, tile, block
    ),
    frames=st.integers(1, 5),
    channels=st.sampled_from([(), (3,), (4,)]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    dtype=st.sampled_from(["uint8", "uint16", "float16", "float32"]),
    codec=st.sampled_from(["fast", "small"]),
    tile=st.sampled_from([0, 16, 32, 256]),
    block=st.sampled_from([1, 3]),
)


def _frames(layout: Layout, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 200, layout.shape).astype(layout.dtype)


def _written(folder: Path, layout: Layout) -> tuple[FrameArray, NDArray[Any]]:
    array, frames = FrameArray(Root(folder), "a", layout), _frames(layout)
    array.root.delete("a")
    array.create()
    for block in range(-(-len(frames) // layout.block)):
        start = block * layout.block
        array.write(block, dict(enumerate(frames[start : start + layout.block])))
    return array, frames


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layouts, st.data())
def test_zarr_and_we_read_each_other(tmp_path: Path, layout: Layout, data: st.DataObject) -> None:
    array, frames = _written(tmp_path, layout)
    theirs = zarr.open_array(tmp_path / "a", mode="r+")
    np.testing.assert_array_equal(theirs[:], frames)
    other = _frames(layout, seed=1)
    theirs.with_config({"write_empty_chunks": True})[:] = other
    y0, x0 = data.draw(st.integers(0, layout.shape[-2] - 1)), data.draw(st.integers(0, layout.shape[-1] - 1))
    window = (
        y0,
        data.draw(st.integers(y0 + 1, layout.shape[-2])),
        x0,
        data.draw(st.integers(x0 + 1, layout.shape[-1])),
    )
    for index, frame in enumerate(other):
        np.testing.assert_array_equal(array.read(index, ""), frame)
        part = frame[..., window[0] : window[1], window[2] : window[3]]
        np.testing.assert_array_equal(array.read(index, "", window), part)


BLOCK = Layout((6, 40, 50), "uint16", "small", tile=16, block=4)


def test_a_frame_that_a_block_does_not_hold_is_missing_and_not_black(root: Root) -> None:
    array = FrameArray(root, "a", BLOCK)
    frame = np.full((40, 50), 7, np.uint16)
    array.write(0, {1: frame, 3: frame})
    assert [array.has(index) for index in range(6)] == [False, True, False, True, False, False]
    for index in (0, 5):
        for window in (None, (0, 5, 0, 5)):
            with pytest.raises(NotFound, match="it: .* never written|it, .* never written"):
                array.read(index, "it", window)
    assert array.written() == [1, 3]
    assert array.read_block(0, "it").keys() == {1, 3}


@pytest.mark.parametrize("window", [(-1, 5, 0, 5), (0, 41, 0, 5), (5, 5, 0, 5), (0, 5, 6, 4), (0, 5, 0, 51)])
def test_a_window_that_is_not_in_the_frame_is_refused(folder: Root, window: tuple[int, int, int, int]) -> None:
    array = FrameArray(folder, "a", BLOCK)
    array.write(0, {0: np.zeros((40, 50), np.uint16)})
    with pytest.raises(ValueError, match="window .* reaches beyond 50x40 pixels"):
        array.read(0, "it", window)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_of_a_single_byte_goes_unnoticed(tmp_path: Path, data: st.DataObject) -> None:
    layout = Layout((1, 3, 20, 30), "uint16", data.draw(st.sampled_from(["fast", "small"])), tile=16)
    array, frames = _written(tmp_path, layout)
    file = tmp_path / array.file(0)
    whole = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(whole)
    with pytest.raises(StoreError, match="damaged"):
        array.read(0, "it")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 5000))
def test_no_cut_goes_unnoticed(tmp_path: Path, length: int) -> None:
    array, _ = _written(tmp_path, Layout((1, 3, 20, 30), "uint16", "fast", tile=16))
    file = tmp_path / array.file(0)
    whole = file.read_bytes()
    file.write_bytes(whole[: min(length, len(whole) - 1)])
    for window in (None, (0, 4, 0, 4)):
        with pytest.raises(StoreError, match="damaged"):
            array.read(0, "it", window)
