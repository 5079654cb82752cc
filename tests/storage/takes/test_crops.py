"""A training sample is a window of a frame, its plate and its matte; the same everywhere, from store or cache."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import MatteError, SizeMismatch, StoreError
from storage.pictures.colour import Colour
from storage.store.root import Root
from storage.takes.crop_cache import cached
from storage.takes.crops import TILE, MattedFrames, draw_crop, read_crop
from storage.takes.stage import Stage
from tests.storage.matted_take import BARE, FRAMES, RUN, SIZES, make_take, write_other_mattes

COLOURS = {
    "12 bits": Colour(12, "linear", black=64),
    "8 bits": Colour(8, "srgb"),
    "half floats": Colour(16, "linear", half=True),
    "mosaic": Colour(12, "linear", black=64, cfa="GBRG", gains=(1.8, 1.0, 1.5)),
}
PLENTY = 2**30


def addresses(frames: MattedFrames) -> list[tuple[str, int]]:
    found = (frames.address(index) for index in range(len(frames)))
    return [(strip.camera, strip.frames[place]) for strip, place in found]


def test_only_frames_with_a_matte_are_drawn(root: Root) -> None:
    take = make_take(root)
    assert take.matted(RUN, BARE[0]) == [4, 7]
    assert take.matted("other", BARE[0]) == []
    frames = MattedFrames(root, ["walk"], RUN)
    every = [(camera, frame) for camera in SIZES for frame in FRAMES]
    assert addresses(frames) == [address for address in every if address != BARE]
    drawn = {draw_crop(frames, 64, 0, index)[0] for index in range(200)}
    assert drawn == set(range(len(frames)))


def test_a_run_without_mattes_is_refused(folder: Root) -> None:
    make_take(folder)
    with pytest.raises(MatteError, match="run student-v0001 has no matte in walk"):
        MattedFrames(folder, ["walk"], "student-v0001")


def test_frames_of_several_takes_follow_one_another(folder: Root) -> None:
    make_take(folder)
    make_take(folder, "jump", seed=1)
    frames = MattedFrames(folder, ["walk", "jump"], RUN)
    assert [frames.address(index)[0].take.name for index in range(len(frames))] == ["walk"] * 5 + ["jump"] * 5
    with pytest.raises(IndexError):
        frames.address(10)


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_a_crop_is_what_cutting_the_whole_pictures_gives(folder: Root, colour: Colour) -> None:
    take = make_take(folder, colour=colour)
    frames, stage = MattedFrames(folder, ["walk"], RUN), Stage.open(folder, "ring")
    for index in range(6):
        frame, (y0, y1, x0, x1) = draw_crop(frames, 96, 0, index)
        crop = read_crop(frames, frame, (y0, y1, x0, x1))
        camera, number = addresses(frames)[frame]
        whole = {
            "src": take.read(camera, number),
            "bgr": stage.plate(camera),
            "pha": take.read_alpha(RUN, camera, number)[None],
        }
        for name, picture in whole.items():
            assert crop[name].dtype == np.float32
            np.testing.assert_allclose(crop[name], picture[:, y0:y1, x0:x1], rtol=0, atol=2e-4 if colour.cfa else 0)


@pytest.mark.parametrize("aligned", [False, True])
def test_a_draw_depends_on_seed_and_index_alone_and_stays_inside(folder: Root, aligned: bool) -> None:
    make_take(folder)
    frames = MattedFrames(folder, ["walk"], RUN)

    def draws(seed: int, order: range) -> dict[int, tuple[int, tuple[int, int, int, int]]]:
        return {index: draw_crop(frames, 128, seed, index, aligned=aligned) for index in order}

    there = draws(3, range(100))
    assert there == draws(3, range(99, -1, -1))
    assert there != draws(4, range(100))
    for frame, (y0, y1, x0, x1) in there.values():
        height, width = frames.address(frame)[0].size
        assert y1 - y0 == x1 - x0 == 128
        assert 0 <= y0 <= height - 128
        assert 0 <= x0 <= width - 128
        if aligned:
            assert y0 in (0, TILE, height - 128)
            assert x0 in (0, TILE, width - 128)


def test_aligned_crops_reach_all_borders(folder: Root) -> None:
    make_take(folder)
    frames = MattedFrames(folder, ["walk"], RUN)
    windows = [draw_crop(frames, 128, 0, index, aligned=True) for index in range(100)]
    ends = {(frames.address(frame)[0].camera, y1, x1) for frame, (_, y1, _, x1) in windows}
    assert {(camera, *size) for camera, size in SIZES.items()} <= ends


def test_a_crop_larger_than_a_picture_is_refused(folder: Root) -> None:
    make_take(folder)
    with pytest.raises(SizeMismatch, match="281 pixels does not fit into 330x280"):
        MattedFrames(folder, ["walk"], RUN).check_side(281)


def test_frames_pickle_as_addresses(root: Root) -> None:
    make_take(root)
    frames = MattedFrames(root, ["walk"], RUN)
    before = read_crop(frames, 3, (5, 50, 10, 60))
    packed = pickle.dumps(frames)
    assert len(packed) < 2000
    for name, part in read_crop(pickle.loads(packed), 3, (5, 50, 10, 60)).items():
        np.testing.assert_array_equal(part, before[name])


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


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_the_cache_gives_the_same_to_the_bit(folder: Root, tmp_path: Path, colour: Colour) -> None:
    make_take(folder, colour=colour)
    frames = MattedFrames(folder, ["walk"], RUN)
    fast = pickle.loads(pickle.dumps(cached(frames, tmp_path / "cache", PLENTY)))
    same(frames, fast)


def same(one: MattedFrames, other: MattedFrames) -> None:
    for index in range(30):
        draw = draw_crop(one, 101, 0, index)
        assert draw == draw_crop(other, 101, 0, index)
        ours, theirs = read_crop(one, *draw), read_crop(other, *draw)
        for name, part in ours.items():
            np.testing.assert_array_equal(part, theirs[name])


def test_the_cache_is_built_once_and_again_when_the_take_changed(root: Root, tmp_path: Path) -> None:
    take = make_take(root)
    frames = MattedFrames(root, ["walk"], RUN)
    cached(frames, tmp_path, PLENTY)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.rglob("*.frames")}
    cached(frames, tmp_path, PLENTY)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.rglob("*.frames")} == before
    assert len(before) == len(SIZES)
    write_other_mattes(take)
    again = cached(frames, tmp_path, PLENTY)
    assert len(list(tmp_path.rglob("*.frames"))) == len(SIZES) + 1
    same(frames, again)


_KILLED = """
import os, signal, sys
from storage.takes.crop_cache import cached
from storage.takes.crops import MattedFrames
from storage.store.root import Root
done, sync = [], os.fsync
def fsync(handle):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(handle)
    sync(handle)
os.fsync = fsync
os.sched_getaffinity = lambda _: {0}
cached(MattedFrames(Root(sys.argv[1]), ["walk"], sys.argv[2]), sys.argv[3], 2**30)
"""


def test_a_build_that_was_killed_goes_on(folder: Root, tmp_path: Path) -> None:
    make_take(folder)
    cache = tmp_path / "cache"
    killed = subprocess.run([sys.executable, "-c", _KILLED, folder.url, RUN, str(cache)], check=False)
    assert killed.returncode == -9
    (first,) = cache.rglob("*.frames")
    assert len(list(cache.rglob("*.partial"))) == 1
    written = first.stat().st_mtime_ns
    frames = MattedFrames(folder, ["walk"], RUN)
    same(frames, cached(frames, cache, PLENTY))
    assert first.stat().st_mtime_ns == written
    assert not list(cache.rglob("*.partial"))


def test_a_file_that_was_cut_off_is_made_again(folder: Root, tmp_path: Path) -> None:
    make_take(folder)
    frames = MattedFrames(folder, ["walk"], RUN)
    cached(frames, tmp_path / "cache", PLENTY)
    broken = min((tmp_path / "cache").rglob("*.frames"))
    broken.write_bytes(broken.read_bytes()[:-1])
    same(frames, cached(frames, tmp_path / "cache", PLENTY))


def test_a_cache_beyond_its_limit_is_refused_before_anything_is_written(folder: Root, tmp_path: Path) -> None:
    make_take(folder)
    frames = MattedFrames(folder, ["walk"], RUN)
    size = sum(h * w * (3 * 4 + (2 if camera == BARE[0] else 3) * 4 * 2) for camera, (h, w) in SIZES.items())
    with pytest.raises(StoreError, match="decoded frames take .* the limit is"):
        cached(frames, tmp_path / "cache", size - 1)
    assert not (tmp_path / "cache").exists()
    cached(frames, tmp_path / "cache", size)


def test_what_the_ledger_does_not_answer_for_is_not_cached(folder: Root, tmp_path: Path) -> None:
    take = make_take(folder)
    take.write_alpha(RUN, *BARE, np.zeros(SIZES[BARE[0]], np.float32))
    with pytest.raises(StoreError, match="ledger does not answer"):
        cached(MattedFrames(folder, ["walk"], RUN), tmp_path / "cache", PLENTY)
