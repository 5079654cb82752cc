"""What the page shows of a frame is what the store holds."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from capmat_errors import NotFound
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.labels.hull_view import HullMaps
from tasks.labels.views import FrameViews, Tile
from tests.storage.takes.matted_take import BARE, RUN, make_take

HERE = ("c00", 4)


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    made = make_take(Root(tmp_path_factory.mktemp("store")))
    made.start_run("student-v0001", {})
    made.write_alphas("student-v0001", HERE[0], {HERE[1]: np.zeros((300, 420), np.float32)})
    return made


@pytest.fixture
def views(take: Take) -> FrameViews:
    return FrameViews(take.root, HullMaps(Reconstruction()))


def pixels(tile: Tile) -> np.ndarray:
    image = Image.open(BytesIO(tile.data))
    assert image.format == tile.kind.upper()
    return np.asarray(image)


def test_a_matte_is_shown_exactly(take: Take, views: FrameViews) -> None:
    tile = pixels(views.tile(take, *HERE, "alpha", (0, 0, 0), (RUN,)))
    assert np.array_equal(tile, np.rint(take.read_alpha(RUN, *HERE) * 255))


@pytest.mark.parametrize("view", ["picture", "plate"])
def test_a_picture_is_shown_as_it_is_seen(take: Take, views: FrameViews, view: str) -> None:
    from storage.takes.stage import Stage

    true = take.read(*HERE) if view == "picture" else Stage.open(take.root, take.stage).plate("c00")
    shown = pixels(views.tile(take, *HERE, view, (1, 0, 0)))
    halved = true.reshape(3, 150, 2, 210, 2).mean(axis=(2, 4)).transpose(1, 2, 0) * 255
    assert shown.shape == (150, 210, 3)
    assert np.abs(shown - halved).mean() < 12  # JPEG of noise, whose deviation is about 35
    assert np.corrcoef(shown.ravel(), halved.ravel())[0, 1] > 0.9


def test_disagreement_says_which_run_holds_more(take: Take, views: FrameViews) -> None:
    more = pixels(views.tile(take, *HERE, "difference", (0, 0, 0), (RUN, "student-v0001")))
    less = pixels(views.tile(take, *HERE, "difference", (0, 0, 0), ("student-v0001", RUN)))
    solid = take.read_alpha(RUN, *HERE) == 1
    assert (more[solid][:, 0] > more[solid][:, 2]).all()
    assert (less[solid][:, 2] > less[solid][:, 0]).all()


def test_what_there_is_is_said(take: Take, views: FrameViews) -> None:
    assert sorted(views.runs(take, *HERE)) == ["student-v0001", RUN]
    assert views.runs(take, *BARE) == []
    assert views.has_plate(take, "c00")


@pytest.mark.parametrize(
    ("camera", "frame", "view", "place", "runs"),
    [
        ("c09", 4, "picture", (0, 0, 0), ()),
        ("c00", 6, "picture", (0, 0, 0), ()),
        ("c00", 4, "nonsense", (0, 0, 0), ()),
        ("c00", 4, "picture", (9, 0, 0), ()),
        ("c00", 4, "picture", (0, 1, 0), ()),
        ("c00", 4, "alpha", (0, 0, 0), ()),
        ("c00", 4, "alpha", (0, 0, 0), ("nobody-v0001",)),
        ("c01", 5, "alpha", (0, 0, 0), (RUN,)),
    ],
)
def test_what_is_not_there_is_not_found(
    take: Take,
    views: FrameViews,
    camera: str,
    frame: int,
    view: str,
    place: tuple[int, int, int],
    runs: tuple[str, ...],
) -> None:
    with pytest.raises(NotFound):
        views.tile(take, camera, frame, view, place, runs)


def test_a_take_without_plates_has_everything_else(tmp_path: Path) -> None:
    take = make_take(Root(tmp_path))
    take.root.delete("stages")
    views = FrameViews(take.root, HullMaps(Reconstruction()))
    assert not views.has_plate(take, "c00")
    with pytest.raises(NotFound, match="no plate"):
        views.tile(take, *HERE, "plate", (0, 0, 0))
    assert views.tile(take, *HERE, "picture", (0, 0, 0)).data
