"""A smart stroke goes to the edge of what was meant, measured on a disc whose edge is known."""

from pathlib import Path

import numpy as np
import pytest

from capmat_errors import NotFound
from storage.labels.raster import FOREGROUND, rasterise
from storage.labels.strokes import Stroke
from storage.store.root import Root
from storage.takes.take import Take
from tasks.labels import snap
from tests.storage.raw_pictures import write_raw
from tests.storage.takes.matted_take import make_take

SIZE = (300, 420)


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    """Frame 4 of c00 shows a bright disc of radius 80 on a dark ground, with noise."""
    folder: Path = tmp_path_factory.mktemp("snap")
    make_take(root := Root(folder / "store"))
    take = Take.open(root, "walk")
    rng = np.random.default_rng(0)
    picture = np.where(_disc()[..., None], 2600.0, 500.0) + rng.normal(0, 60, (*SIZE, 3))
    write_raw(take, "c00", 4, picture.clip(0, 4095).astype(np.uint16))
    return Take.open(root, "walk")


def _disc() -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.asarray(np.hypot(x + 0.5 - 210, y + 0.5 - 150) < 80)


def _pixels(found: dict[str, object]) -> np.ndarray:
    side, rows = found["side"], found["rows"]
    assert isinstance(side, int)
    assert isinstance(rows, list)
    inside = np.zeros(SIZE, bool)
    for row, first, last in rows:
        inside[row * side : (row + 1) * side, first * side : (last + 1) * side] = True
    return inside


@pytest.mark.parametrize("most", [250_000, 6_000])  # the second one shrinks the picture
def test_a_stroke_over_an_edge_keeps_to_its_side(take: Take, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(snap, "MOST_PIXELS", most)
    angles = np.linspace(0, np.pi, 20)
    arc = tuple((210 + 70 * np.cos(a), 150 + 70 * np.sin(a)) for a in angles)
    stroke = Stroke("bg", 18.0, arc)
    drawn = rasterise((Stroke("fg", 18.0, arc),), SIZE) == FOREGROUND
    found = _pixels(snap.snapped(take, "c00", 4, (stroke,)))
    over = (drawn & ~_disc()).sum()
    assert over > 800
    assert (found & ~_disc()).sum() < over / 4
    assert (found & drawn & _disc()).sum() > 0.6 * (drawn & _disc()).sum()


def test_what_lies_beside_the_picture_or_does_not_exist_has_no_cells(take: Take) -> None:
    beside = Stroke("fg", 5.0, ((-200.0, -100.0),))
    assert snap.snapped(take, "c00", 4, (beside,))["rows"] == []
    assert snap.snapped(take, "c00", 4, ())["rows"] == []
    with pytest.raises(NotFound):
        snap.snapped(take, "c00", 6, (beside,))
