"""Takes come back bit for bit; what is missing or damaged is never a black picture."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from capmat_errors import NotFound, SizeMismatch, StoreError
from storage.calibration.camera import Camera
from storage.pictures.colour import Colour
from storage.store.root import Root
from storage.takes.schema import BLOCK
from storage.takes.take import Take, list_takes
from tests.storage.raw_pictures import has_raw, read_raw, write_raw

COLOUR = Colour(bits=12, transfer="linear", black=64)


def _camera(id: str, width: int, height: int) -> Camera:
    K = np.array([[50.0, 0, width / 2], [0, 50, height / 2], [0, 0, 1]])
    return Camera(id, width, height, K, np.zeros(5), np.eye(3), np.array([0, 0, 3.0]))


def _take(root: Root, name: str = "walk", *, colour: Colour = COLOUR, frames: tuple[int, ...] = (3, 5, 8)) -> Take:
    cameras = {"c0": _camera("c0", 40, 30), "c1": _camera("c1", 300, 270)}
    return Take.create(
        root,
        name,
        stage="ring",
        cameras=cameras,
        colour=colour,
        frames=frames,
        fps=25.0,
        source={"session": "day"},
    )


def _picture(height: int, width: int, seed: int = 0, white: int = 4095) -> NDArray[Any]:
    dtype = np.uint8 if white == 255 else np.uint16
    return np.random.default_rng(seed).integers(0, white, (height, width, 3)).astype(dtype)


def _shard(root: Root, take: Take, frame: int, what: str = "rgb") -> Path:
    place = take.frames.index(frame)
    inside = f"{place}/0/0/0" if what == "rgb" else f"{place // BLOCK}/0/0"
    return Path(root.url, f"takes/{take.name}.zarr/cameras/c0/{what}/c/{inside}")


def test_pictures_come_back_bit_for_bit(root: Root) -> None:
    take = _take(root)
    small, large = _picture(30, 40), _picture(270, 300)
    write_raw(take, "c0", 5, small)
    write_raw(take, "c1", 8, large)
    take.seal()
    again = Take.open(root, "walk")
    np.testing.assert_array_equal(read_raw(again, "c0", 5), small)
    np.testing.assert_array_equal(read_raw(again, "c1", 8), large)
    part = again.read_planes("c1", 8, (10, 30, 250, 290))
    np.testing.assert_array_equal(part, large[10:30, 250:290].transpose(2, 0, 1))
    np.testing.assert_array_equal(again.read("c0", 5), COLOUR.display(small.transpose(2, 0, 1)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_picture_of_any_size_and_depth_comes_back(data: st.DataObject, tmp_path: Path) -> None:
    height, width = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 300))
    bits = data.draw(st.sampled_from([8, 10, 12, 16]))
    colour = Colour(bits, "linear", 0)
    # A few drawn values over a flat picture: hypothesis cannot fill 270 000 of them.
    picture = np.full((height, width, 3), data.draw(st.integers(0, colour.white)), colour.dtype)
    spot = (min(height, 3), min(width, 3), 3)
    picture[: spot[0], : spot[1]] = data.draw(arrays(colour.dtype, spot, elements=st.integers(0, colour.white)))
    pha = np.full((height, width), data.draw(st.floats(0, 1, width=32)), np.float32)
    root = Root(tmp_path)
    root.delete("takes")
    take = Take.create(
        root,
        "t",
        stage="s",
        cameras={"c": _camera("c", width, height)},
        colour=colour,
        frames=[7],
        fps=1.0,
        source={},
    )
    write_raw(take, "c", 7, picture)
    take.start_run("r", {})
    take.write_alphas("r", "c", {7: pha})
    np.testing.assert_array_equal(read_raw(take, "c", 7), picture)
    assert np.abs(take.read_alpha("r", "c", 7) - pha).max() <= 0.5001 / 65535


def test_all_that_describes_a_take_comes_back(root: Root) -> None:
    made = _take(root)
    made.seal()
    take = Take.open(root, "walk")
    assert (take.name, take.stage, take.fps, take.frames) == ("walk", "ring", 25.0, [3, 5, 8])
    assert (take.colour, take.cameras, take.source) == (COLOUR, made.cameras, {"session": "day"})


def test_black_pictures_and_empty_mattes_are_there_like_others(root: Root) -> None:
    take = _take(root)
    take.start_run("r", {})
    write_raw(take, "c0", 3, np.zeros((30, 40, 3), np.uint16))
    take.write_alphas("r", "c0", {3: np.zeros((30, 40))})
    again = pickle.loads(pickle.dumps(take))
    assert has_raw(again, "c0", 3)
    assert again.has_alpha("r", "c0", 3)
    assert read_raw(again, "c0", 3).max() == 0
    assert again.read_alpha("r", "c0", 3).max() == 0


def test_frames_that_were_never_written_are_not_black_but_missing(root: Root) -> None:
    take = _take(root)
    take.start_run("r", {})
    assert not has_raw(take, "c0", 5)
    assert not take.has_alpha("r", "c0", 5)
    assert not take.has_alpha("other", "c0", 5)
    for read in (lambda: take.read("c0", 5), lambda: take.read_alpha("r", "c0", 5)):
        with pytest.raises(NotFound, match="take walk camera c0 frame 5.*never written"):
            read()


@pytest.mark.parametrize("harm", ["empty", "short", "one byte short", "bit"])
def test_a_damaged_file_is_reported_and_can_be_written_again(folder: Root, harm: str) -> None:
    take = _take(folder)
    take.start_run("r", {})
    picture, pha = _picture(30, 40), np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)
    write_raw(take, "c0", 5, picture)
    take.write_alphas("r", "c0", {5: pha})
    for what in ("rgb", "alpha/r"):
        file = _shard(folder, take, 5, what)
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 1 if harm == "bit" else 0
        file.write_bytes({"empty": b"", "short": data[:99], "one byte short": data[:-1], "bit": data}[harm])
    with pytest.raises(StoreError, match="take walk camera c0 frame 5, .*damaged"):
        read_raw(take, "c0", 5)
    with pytest.raises(StoreError, match="damaged"):
        take.read("c0", 5, (0, 8, 0, 8))
    with pytest.raises(StoreError, match="take walk camera c0 frame 5 run r, .*damaged"):
        take.read_alpha("r", "c0", 5)
    write_raw(take, "c0", 5, picture)
    take.write_alphas("r", "c0", {5: pha})
    np.testing.assert_array_equal(read_raw(take, "c0", 5), picture)
    assert np.abs(take.read_alpha("r", "c0", 5) - pha).max() < 1e-5


def test_writing_again_removes_what_a_killed_writer_left(folder: Root) -> None:
    take = _take(folder)
    write_raw(take, "c0", 5, _picture(30, 40))
    stray = _shard(folder, take, 5).with_name(".0.1234.partial")
    stray.write_bytes(b"half")
    write_raw(take, "c0", 5, _picture(30, 40, seed=1))
    assert not stray.exists()


def test_an_unfinished_take_is_not_opened_by_mistake(root: Root) -> None:
    take = _take(root)
    assert list_takes(root) == []
    assert list_takes(root, sealed=False) == ["walk"]
    with pytest.raises(StoreError, match="walk.zarr: the take is not complete"):
        Take.open(root, "walk")
    assert not Take.open(root, "walk", sealed=False).complete
    take.seal()
    assert list_takes(root) == ["walk"]
    assert Take.open(root, "walk").complete


def test_a_finished_take_is_not_overwritten_but_an_unfinished_one_is(root: Root) -> None:
    take = _take(root)
    write_raw(take, "c0", 5, _picture(30, 40))
    fresh = _take(root)
    assert not has_raw(fresh, "c0", 5)
    fresh.seal()
    with pytest.raises(StoreError, match="a take of this name"):
        _take(root)


def test_an_unknown_take_is_answered_with_those_there_are(root: Root) -> None:
    with pytest.raises(NotFound, match="no take is called run; the store has: none"):
        Take.open(root, "run")
    _take(root).seal()
    with pytest.raises(NotFound, match="no take is called run; the store has: walk"):
        Take.open(root, "run")


def test_a_take_whose_description_is_damaged_is_named_and_kept(folder: Root) -> None:
    _take(folder).seal()
    folder.write("takes/walk.zarr/zarr.json", b"{")
    for use in (lambda: Take.open(folder, "walk"), lambda: _take(folder)):
        with pytest.raises(StoreError, match="walk.zarr/zarr.json: the description of the take is damaged"):
            use()
    assert list_takes(folder) == []
    assert folder.read("takes/walk.zarr/zarr.json") == b"{"


def test_unknown_cameras_frames_and_runs_are_named(folder: Root) -> None:
    take = _take(folder)
    with pytest.raises(NotFound, match="no camera is called c7; the take has: c0, c1"):
        take.read("c7", 3)
    with pytest.raises(NotFound, match=r"no frame is called 4; the take has: 3\.\.8"):
        take.read("c0", 4)
    with pytest.raises(NotFound, match="alpha/r"):
        take.read_alpha("r", "c0", 3)


def test_pictures_and_mattes_of_the_wrong_kind_are_refused(folder: Root) -> None:
    take = _take(folder)
    take.start_run("r", {})
    with pytest.raises(SizeMismatch, match="camera c0 frame 3"):
        write_raw(take, "c0", 3, _picture(31, 40))
    with pytest.raises(SizeMismatch, match="uint8"):
        write_raw(take, "c0", 3, _picture(30, 40, white=255))
    with pytest.raises(SizeMismatch, match="camera c0 frame 3"):
        take.write_alphas("r", "c0", {3: np.zeros((40, 30))})
    for wrong in (np.nan, -0.1, 1.1):
        with pytest.raises(ValueError, match="camera c0 frame 3"):
            take.write_alphas("r", "c0", {3: np.full((30, 40), wrong)})
    assert not take.has_alpha("r", "c0", 3)


def test_runs_are_listed_with_what_made_them(root: Root) -> None:
    take = _take(root)
    assert take.alpha_runs() == {}
    take.start_run("teacher-1", {"model": "bg_vitmatte_s"})
    take.write_alphas("teacher-1", "c0", {3: np.ones((30, 40))})
    take.start_run("teacher-1", {"model": "bg_vitmatte_s"})
    take.start_run("student", {"model": "bgmv2"})
    assert take.alpha_runs() == {"teacher-1": {"model": "bg_vitmatte_s"}, "student": {"model": "bgmv2"}}
    assert take.has_alpha("teacher-1", "c0", 3)


def _write_elsewhere(take: Take, frame: int) -> int:
    write_raw(take, "c0", frame, np.full((30, 40, 3), frame, np.uint16))
    return int(read_raw(take, "c0", frame).max())


def test_workers_in_other_processes_write_frames_of_one_take(root: Root) -> None:
    take = _take(root)
    write_raw(take, "c0", 3, _picture(30, 40))  # so that handles are open here when the take is sent
    assert b"AWS" not in pickle.dumps(take)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as workers:
        assert list(workers.map(_write_elsewhere, [take] * 3, take.frames)) == take.frames
    assert [read_raw(take, "c0", frame).min() for frame in take.frames] == take.frames


def test_take_names_that_are_paths_are_refused(folder: Root) -> None:
    with pytest.raises(ValueError, match="cannot be the name of a take"):
        _take(folder, "../elsewhere")


def test_a_cameras_group_says_to_viewers_what_its_arrays_are(folder: Root) -> None:
    take = _take(folder)
    take.describe("c1")
    group = zarr.open_group(folder.url, path="takes/walk.zarr/cameras/c1", mode="r")
    image: Any = group.attrs["ome"]["multiscales"][0]
    for level in image["datasets"]:
        array = group[level["path"]]
        assert list(array.metadata.dimension_names) == [axis["name"] for axis in image["axes"]]
        scale, shift = (change[change["type"]] for change in level["coordinateTransformations"])
        covered = [side * step for side, step in zip(array.shape[-2:], scale[-2:], strict=True)]
        assert covered == pytest.approx([270, 300])
        assert shift[-2:] == pytest.approx([(step - 1) / 2 for step in scale[-2:]])
