"""A plate is the stage without whoever crossed it, with the noise that the camera really has."""

import pickle
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from capmat_errors import NotFound, PlateMismatch, SizeMismatch, StoreError
from storage.calibration.camera import Camera
from storage.pictures.colour import Colour
from storage.store.root import Root
from storage.takes.plate import build_plate
from storage.takes.stage import Stage

SIGMA = 20.0


def _empty(height: int = 48, width: int = 64) -> NDArray[np.float64]:
    return np.linspace(200, 3000, height * width * 3).reshape(height, width, 3)


def _frames(count: int, sigma: float = SIGMA, seed: int = 0) -> list[NDArray[np.uint16]]:
    rng = np.random.default_rng(seed)
    return [np.rint(_empty() + rng.normal(0, sigma, _empty().shape)).astype(np.uint16) for _ in range(count)]


@pytest.mark.parametrize("count", [2, 5, 30])
def test_the_mean_is_the_stage_to_within_the_noise_of_a_mean(count: int) -> None:
    plate = build_plate(_frames(count))
    error = plate.mean - _empty()
    assert plate.n == count
    assert error.std() == pytest.approx(SIGMA / np.sqrt(count), rel=0.15)
    assert abs(error.mean()) < 1
    assert plate.valid.mean() > 0.999


@pytest.mark.parametrize("count", [2, 5, 30])
@pytest.mark.parametrize("sigma", [6.0, 40.0])
def test_the_noise_is_the_cameras(count: int, sigma: float) -> None:
    plate = build_plate(_frames(count, sigma))
    assert np.median(plate.noise) == pytest.approx(sigma, rel=0.12)
    assert np.percentile(plate.noise, 1) > 0.5 * sigma


def test_noise_grows_with_light_where_the_camera_does_so() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.poisson(_empty()).astype(np.uint16) for _ in range(2)]
    noise = build_plate(frames).noise
    assert noise[-8:].mean() == pytest.approx(np.sqrt(2850), rel=0.2)
    assert noise[:8].mean() == pytest.approx(np.sqrt(430), rel=0.2)


def test_two_frames_are_plainly_averaged() -> None:
    one, two = _frames(2)
    np.testing.assert_allclose(build_plate([one, two]).mean, (one.astype(float) + two) / 2, atol=1e-3)


def test_who_walks_through_leaves_no_trace() -> None:
    frames = _frames(20)
    for index, frame in enumerate(frames):
        left = 3 * index
        frame[10:40, left : left + 12] = 3500  # on any pixel in at most 4 of 20 frames
    plate = build_plate(frames)
    assert np.abs(plate.mean - _empty()).max() < 6 * SIGMA / np.sqrt(12)
    assert plate.valid.all()


def test_where_the_frames_disagree_the_plate_is_not_valid() -> None:
    frames = _frames(10)
    for frame in frames[:5]:
        frame[:10, :10] += 900
    assert not build_plate(frames).valid[:10, :10].any()
    assert build_plate(frames).valid[12:, 12:].mean() > 0.99
    two = _frames(2)
    two[1][:10, :10] += 900
    assert not build_plate(two).valid[:10, :10].any()
    assert build_plate(two).valid[12:, 12:].mean() > 0.99


def test_a_constant_picture_has_the_noise_of_rounding() -> None:
    plate = build_plate([np.full((8, 8, 3), 100, np.uint8)] * 5)
    np.testing.assert_allclose(plate.noise, np.sqrt(1 / 12), rtol=1e-3)


def test_one_frame_is_a_plate_too() -> None:
    frame = _frames(1)[0]
    plate = build_plate(iter([frame]))
    np.testing.assert_array_equal(plate.mean, frame)
    assert np.median(plate.noise) == pytest.approx(SIGMA, rel=0.3)


def test_none_and_unlike_frames_are_refused() -> None:
    with pytest.raises(PlateMismatch, match="no frame"):
        build_plate([])
    with pytest.raises(SizeMismatch):
        build_plate([*_frames(12), np.zeros((4, 4, 3), np.uint16)])


class _Long:
    """A recording of 130 frames that are made when they are asked for."""

    def __len__(self) -> int:
        return 130

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        rng = np.random.default_rng(0)
        return (rng.integers(90, 110, (400, 300, 3), dtype=np.uint8) for _ in range(130))


def test_memory_does_not_grow_with_the_recording() -> None:
    tracemalloc.start()
    build_plate(_Long())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 45 * 400 * 300 * 3  # bytes; all frames would be 130 of uint8, 520 as float


def _stage(root: Root) -> Stage:
    K = np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]])
    camera = Camera("c0", 64, 48, K, np.zeros(5), np.eye(3), np.zeros(3))
    return Stage.create(root, "ring", cameras={"c0": camera}, colour=Colour(12, "linear", 64), source={})


def test_a_stage_gives_its_plates_as_the_networks_want_them(root: Root) -> None:
    stage, plate = _stage(root), build_plate(_frames(12))
    stage.write_plate("c0", plate)
    with pytest.raises(StoreError, match="not complete"):
        Stage.open(root, "ring")
    stage.seal()
    again = pickle.loads(pickle.dumps(Stage.open(root, "ring")))
    np.testing.assert_allclose(again.plate("c0"), again.colour.display(plate.mean.transpose(2, 0, 1)), atol=1e-6)
    assert again.plate("c0").dtype == np.float32
    np.testing.assert_array_equal(again.valid("c0"), plate.valid)
    shown = np.stack([again.colour.display(f.transpose(2, 0, 1)) for f in _frames(200, seed=1)]).std(axis=0)
    assert np.median(again.noise("c0") / shown) == pytest.approx(1, abs=0.1)


def test_missing_stages_cameras_and_plates_are_named(folder: Root) -> None:
    with pytest.raises(NotFound, match="no stage is called ring; the store has: none"):
        Stage.open(folder, "ring")
    stage = _stage(folder)
    with pytest.raises(NotFound, match="no camera is called c9; the stage has: c0"):
        stage.plate("c9")
    with pytest.raises(NotFound, match="c0/mean"):
        stage.plate("c0")
    with pytest.raises(SizeMismatch, match="plate of camera c0"):
        stage.write_plate("c0", build_plate([np.zeros((5, 5, 3), np.uint16)]))
