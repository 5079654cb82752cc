"""What the other cameras say of a matte, as the page shows it."""

import time
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from capmat_errors import NotFound
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry.hull_check import check_frame
from tasks.labels.hull_view import HullMaps, Maps, paint_maps
from tasks.labels.views import FrameViews
from tasks.show.sheet import TOO_LITTLE, TOO_MUCH
from tests.ellipsoid_take import add_run, store_take
from tests.ellipsoids import ring

CAMERAS = ring(8, 96, 128)
HOLE = (slice(64, 76), slice(44, 54))
_LIMIT_S = 300


def _holed(camera: str, alpha: np.ndarray) -> np.ndarray:
    if camera == "C03":
        alpha[HOLE] = 0
    return alpha


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    take = store_take(Root(tmp_path_factory.mktemp("hull") / "store"), CAMERAS)
    add_run(take, CAMERAS, "holed", _holed)
    add_run(take, CAMERAS[:2], "started", lambda _, alpha: alpha)
    return take


def wait(hulls: HullMaps, take: Take, run: str) -> None:
    until = time.monotonic() + _LIMIT_S
    while not hulls.ready(take, run, 4):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_hole_is_blue_where_it_is(take: Take) -> None:
    hulls = HullMaps(Reconstruction(), resolution=96)
    views = FrameViews(take.root, hulls)
    with pytest.raises(NotFound, match="not compared yet"):
        views.tile(take, "C03", 4, "hull", (0, 0, 0), ("holed",))
    wait(hulls, take, "holed")
    shown = np.asarray(Image.open(BytesIO(views.tile(take, "C03", 4, "hull", (0, 0, 0), ("holed",)).data)), int)
    middle = shown[66:74, 46:52].reshape(-1, 3).mean(axis=0)
    assert np.abs(middle - TOO_LITTLE).max() < 60
    outside = np.ptp(shown, axis=2)
    outside[54:86, 34:64] = 0
    assert np.mean(outside > 40) < 0.01  # everything else is grey


def test_a_comparison_tells_how_far_it_is_and_whether_anything_contradicts(take: Take) -> None:
    shares: list[float] = []
    check_frame(take, "true", 4, Reconstruction(), 96, shares.append)
    assert shares == sorted(shares)
    assert len(shares) > len(CAMERAS)
    assert 0 < shares[0] < shares[-1] < 1
    hulls = HullMaps(Reconstruction(), resolution=96)
    for run, contradicted in (("holed", True), ("true", False)):
        wait(hulls, take, run)
        assert hulls.contradict(take, run, "C03", 4) is contradicted


def test_what_cannot_be_compared_says_why(take: Take) -> None:
    hulls = HullMaps(Reconstruction(), resolution=96)
    with pytest.raises(NotFound, match="the check compares 3 or more"):
        wait(hulls, take, "started")
    with pytest.raises(NotFound, match="no run of mattes is called nonsense"):
        wait(hulls, take, "nonsense")


@pytest.mark.parametrize("level", [0, 1, 2])
def test_maps_lie_where_they_belong_at_every_level(level: int) -> None:
    halo = np.zeros((12, 16), np.uint8)
    halo[6, 10] = 255  # rows 48..55 and columns 80..87 of the frame
    maps = Maps(halo, np.zeros_like(halo), 8)
    side = 2**level
    corner = 32 // side, 64 // side
    shown = paint_maps(np.full((40 // side, 40 // side, 3), 100, np.uint8), maps, level, corner)
    painted = np.argwhere((shown == TOO_MUCH).all(axis=2)) * side + (32, 64)
    assert (painted.min(axis=0) == (48, 80)).all()
    assert (painted.max(axis=0) + side == (56, 88)).all()
    assert len(painted) == (8 // side) ** 2
