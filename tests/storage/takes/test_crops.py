"""A training sample is a window of a frame, its plate and its matte, read where it is cut."""

from pathlib import Path

import numpy as np
import pytest

from capmat_errors import MatteError, StoreError
from capmat_models.data.stage import PairData
from storage.pictures.colour import Colour
from storage.store.root import Root
from storage.takes.crops import MattedFrames
from storage.takes.stage import Stage
from tests.storage.takes.matted_take import BARE, FRAMES, RUN, SIZES, make_take

TILE = 256
"""Side of the stored tiles."""
COLOURS = {
    "12 bits": Colour(12, "linear", black=64),
    "8 bits": Colour(8, "srgb"),
    "half floats": Colour(16, "linear", half=True),
    "mosaic": Colour(12, "linear", black=64, cfa="GBRG", gains=(1.8, 1.0, 1.5)),
}


def addresses(frames: MattedFrames) -> list[tuple[str, int]]:
    return [(camera, frame) for _, _, camera, frame in frames.addresses]


def windows(frames: MattedFrames, side: int) -> list[tuple[int, slice, slice]]:
    """Six squares: the frame's index, rows, columns."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(6):
        index = int(rng.integers(len(frames)))
        top, left = (int(rng.integers(length - side + 1)) for length in frames[index][0].shape[1:])
        drawn.append((index, slice(top, top + side), slice(left, left + side)))
    return drawn


def test_only_frames_with_a_matte_are_drawn(root: Root) -> None:
    take = make_take(root)
    assert take.matted(RUN, BARE[0]) == [4, 7]
    assert take.matted("other", BARE[0]) == []
    frames = MattedFrames(root, ["walk"], RUN)
    every = [(camera, frame) for camera in SIZES for frame in FRAMES]
    assert addresses(frames) == [address for address in every if address != BARE]
    assert len(frames) == len(every) - 1


def test_a_run_without_mattes_is_refused(folder: Root) -> None:
    make_take(folder)
    with pytest.raises(MatteError, match="run student-v0001 has no matte in walk"):
        MattedFrames(folder, ["walk"], "student-v0001")


def test_frames_of_several_takes_follow_one_another(folder: Root) -> None:
    make_take(folder)
    make_take(folder, "jump", seed=1)
    frames = MattedFrames(folder, ["walk", "jump"], RUN)
    assert [take.name for take, _, _, _ in frames.addresses] == ["walk"] * 5 + ["jump"] * 5
    with pytest.raises(IndexError):
        frames[10]


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_a_crop_is_what_cutting_the_whole_pictures_gives(folder: Root, colour: Colour) -> None:
    take = make_take(folder, colour=colour)
    frames, stage = MattedFrames(folder, ["walk"], RUN), Stage.open(folder, "ring")
    for index, rows, columns in windows(frames, 96):
        camera, number = addresses(frames)[index]
        whole = (take.read(camera, number), stage.plate(camera), take.read_alpha(RUN, camera, number)[None])
        for picture, stored in zip(frames[index], whole, strict=True):
            crop = picture[:, rows, columns]
            assert crop.dtype == np.float32
            np.testing.assert_allclose(crop, stored[:, rows, columns], rtol=0, atol=2e-4 if colour.cfa else 0)


def test_pixels_are_read_when_they_are_cut_and_no_others(folder: Root) -> None:
    make_take(folder)
    frames = MattedFrames(folder, ["walk"], RUN)
    src, bgr, pha = frames[0]
    (stored,) = Path(folder.url).glob("takes/walk.zarr/cameras/c00/rgb/c/0/0/0/0")
    data = bytearray(stored.read_bytes())
    data[:1000] = bytes(1000)  # the first tile; the picture is two tiles wide and high
    stored.write_bytes(data)
    assert (src.shape, bgr.shape, pha.shape) == ((3, 300, 420), (3, 300, 420), (1, 300, 420))
    assert src[:, TILE:, TILE:].shape == (3, 300 - TILE, 420 - TILE)
    with pytest.raises(StoreError, match="the stored frame is damaged"):
        src[:, :64, :64]


@pytest.mark.parametrize("side", [64, 310])
def test_a_student_draws_what_it_would_draw_from_whole_frames(root: Root, side: int) -> None:
    make_take(root)
    frames = MattedFrames(root, ["walk"], RUN)
    whole = PairData([tuple(picture[:, :, :] for picture in item) for item in frames])
    for seed in range(5):
        one = PairData(frames).sample(np.random.default_rng(seed), side)
        other = whole.sample(np.random.default_rng(seed), side)
        assert one["src"].shape == (3, side, side)
        for name, part in one.items():
            np.testing.assert_array_equal(part, other[name])
