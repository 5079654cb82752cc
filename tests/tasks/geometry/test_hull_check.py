"""The hull score of a run: from the store, once, for a gate."""

from pathlib import Path

import numpy as np
import pytest

from capmat_errors import ConfigError, NotFound
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry.hull_check import check_frame, hull_check
from tests.ellipsoid_take import add_run, store_take
from tests.ellipsoids import ring

CAMERAS = ring(12, 96, 128)
SETTINGS = Reconstruction()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = Root(tmp_path_factory.mktemp("check") / "store")
    take = store_take(root, CAMERAS)
    add_run(take, CAMERAS, "holed", lambda camera, alpha: _holed(alpha) if camera == "C03" else alpha)
    add_run(take, CAMERAS[:2], "started", lambda _, alpha: alpha)
    return root.url


def _holed(alpha: np.ndarray) -> np.ndarray:
    alpha[60:80, 40:56] = 0
    return alpha


def test_mattes_with_a_hole_score_worse_and_the_camera_is_named(store: str) -> None:
    true = hull_check(store, "solids", "true", SETTINGS, resolution=96)
    holed = hull_check(store, "solids", "holed", SETTINGS, resolution=96)
    assert true["hull_score"] == 0
    assert holed["worst"] == "C03"
    assert holed["hull_score"] == pytest.approx(holed["cameras"]["C03"] / 12)
    assert hull_check(store, "solids", "holed", SETTINGS, resolution=96)["reused"]


def test_maps_and_witnesses_are_those_of_the_camera(store: str) -> None:
    frame = check_frame(Take.open(Root(store), "solids"), "holed", 4, SETTINGS, 96)
    halo, hole, fold = frame.maps("C03")
    assert halo.max() == 0
    row, column = np.unravel_index(hole.argmax(), hole.shape)
    assert 60 <= row * fold < 80
    assert 40 <= column * fold < 56
    assert frame.witnesses("C03", int(row), int(column)) == (11, 11)


def test_a_camera_without_a_matte_is_left_out(tmp_path: Path) -> None:
    root = Root(tmp_path / "store")
    take = store_take(root, CAMERAS)
    add_run(take, CAMERAS[:9], "most", lambda _, alpha: alpha)
    assert check_frame(take, "most", 4, SETTINGS, 96).cameras == tuple(camera.id for camera in CAMERAS[:9])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"run": "other"}, NotFound, "the take has: holed, started, true"),
        ({"run": "started"}, NotFound, "2 cameras have a matte started"),
        ({"take": "other"}, NotFound, "no take is called other"),
        ({"frames": [9]}, NotFound, "no frame is called 9"),
        ({"resolution": 100}, ConfigError, "multiple of 16"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(
    store: str, change: dict, error: type[Exception], message: str
) -> None:
    how = {"take": "solids", "run": "true", "frames": None, "resolution": 64} | change
    with pytest.raises(error, match=message):
        hull_check(store, how["take"], how["run"], SETTINGS, how["frames"], resolution=how["resolution"])
