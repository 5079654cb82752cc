"""Scribbles become labels that nobody can lose or change afterwards."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable, NotFound, ScribbleError
from storage.labels.formats.pictures import overlay_to_label
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LabelSet, list_label_sets
from storage.labels.raster import OPEN, rasterise
from storage.labels.strokes import Drawing, Stroke
from storage.pictures.files import read_rgba
from storage.store.root import Root
from tests.storage.tiny_session import write_picture

GREEN, RED, BLUE = (0, 255, 0, 255), (255, 0, 0, 255), (0, 0, 255, 255)


def _overlay(*strokes: tuple[slice, tuple[int, int, int, int]]) -> NDArray[np.uint8]:
    overlay = np.zeros((30, 40, 4), np.uint8)
    for rows, colour in strokes:
        overlay[rows, 5:35] = colour
    return overlay


SOUND = _overlay((slice(2, 6), GREEN), (slice(20, 24), RED))


def _label(value: int = 1) -> NDArray[np.uint8]:
    label = np.full((30, 40), 255, np.uint8)
    label[3] = value
    return label


def test_green_is_foreground_red_is_background_and_the_rest_is_open(tmp_path: Path) -> None:
    write_picture(tmp_path / "o.png", SOUND)
    label = overlay_to_label(read_rgba(tmp_path / "o.png"), "o.png")
    assert label.dtype == np.uint8
    assert (label[2:6, 5:35] == 1).all()
    assert (label[20:24, 5:35] == 0).all()
    assert (label == 255).sum() == 30 * 40 - 2 * 4 * 30


def test_soft_rims_of_strokes_mean_nothing() -> None:
    overlay = SOUND.copy()
    overlay[1, 5:35] = (0, 255, 0, 60)
    overlay[6, 5:35] = (128, 128, 0, 255)
    label = overlay_to_label(overlay)
    assert (label[[1, 6]] == 255).all()
    assert (label[2:6, 5:35] == 1).all()


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_colours_may_be_off_by_what_programs_make_of_them(red: int, green: int, blue: int) -> None:
    label = overlay_to_label(_overlay((slice(0, 9), (red, 255 - green, blue, 255))))
    assert (label[:9, 5:35] == 1).all()


@pytest.mark.parametrize(
    ("overlay", "says"),
    [
        (_overlay(), "nothing is painted"),
        (np.full((30, 40, 4), GREEN, np.uint8), "every pixel is painted"),
        (_overlay((slice(0, 6), GREEN), (slice(10, 13), BLUE)), "33% of what is painted is neither green nor red"),
        (SOUND.astype(np.uint16) * 257, "not 8-bit"),
    ],
)
def test_overlays_that_are_no_scribbles_are_refused_by_file(tmp_path: Path, overlay: NDArray, says: str) -> None:
    write_picture(tmp_path / "o.png", overlay)
    with pytest.raises(ScribbleError, match=says) as error:
        overlay_to_label(read_rgba(tmp_path / "o.png"), "o.png")
    assert "o.png" in str(error.value)
    assert error.value.fix


def test_an_overlay_without_alpha_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "o.png", SOUND[..., :3])
    with pytest.raises(ImageUnreadable, match="o.png: the picture has no alpha"):
        overlay_to_label(read_rgba(tmp_path / "o.png"), "o.png")


def test_a_frozen_set_comes_back_and_grows(root: Root) -> None:
    first = freeze_labels(root, "hair", [("walk", "c0", 3, _label())])
    second = freeze_labels(root, "hair", [("walk", "c1", 3, _label(0)), ("walk", "c0", 3, _label(0))])
    assert (first.version, second.version) == ("l0001", "l0002")
    assert second.keys == [("walk", "c0", 3), ("walk", "c1", 3)]
    take, camera, frame, label = LabelSet.open(root, "hair").entries[0]
    assert (take, camera, frame) == ("walk", "c0", 3)
    np.testing.assert_array_equal(label, _label(0))
    np.testing.assert_array_equal(LabelSet.open(root, "hair", "l0001").label("walk", "c0", 3), _label(1))
    assert list_label_sets(root) == {"hair": ["l0001", "l0002"]}


def test_people_who_freeze_at_once_lose_nothing(root: Root) -> None:
    names = [f"c{n}" for n in range(6)]
    with ThreadPoolExecutor(6) as people:
        made = list(people.map(lambda name: freeze_labels(root, "hair", [("walk", name, 1, _label())]), names))
    assert sorted(labels.version for labels in made) == [f"l{n:04d}" for n in range(1, 7)]
    assert [key[1] for key in LabelSet.open(root, "hair").keys] == names
    assert all((labels.label("walk", name, 1) == _label()).all() for labels, name in zip(made, names, strict=True))


def test_unknown_sets_and_frames_are_named(folder: Root) -> None:
    with pytest.raises(NotFound, match="no labels are stored yet"):
        LabelSet.open(folder, "hair")
    labels = freeze_labels(folder, "hair", [("walk", "c0", 3, _label())])
    with pytest.raises(NotFound, match="no version is called l0007; the store has: l0001"):
        LabelSet.open(folder, "hair", "l0007")
    with pytest.raises(NotFound, match="take walk camera c0 frame 4"):
        labels.label("walk", "c0", 4)


def test_what_is_no_label_is_not_frozen(folder: Root) -> None:
    with pytest.raises(ScribbleError, match="nothing to freeze"):
        freeze_labels(folder, "hair", [])
    with pytest.raises(ScribbleError, match="take walk camera c0 frame 3"):
        freeze_labels(folder, "hair", [("walk", "c0", 3, np.full((3, 3), 128, np.uint8))])
    assert list_label_sets(folder) == {}


def _drawing(*strokes: Stroke, camera: str = "c0", size: tuple[int, int] = (30, 40)) -> Drawing:
    return Drawing("walk", camera, 3, size[1], size[0], strokes)


MIA = Stroke("fg", 2.0, ((5.0, 5.0), (30.0, 5.0)), "Mia", "2026-03-01T10:00:00Z")
BEN = Stroke("bg", 2.0, ((20.0, 5.0), (20.0, 25.0)), "Ben", "2026-03-01T10:05:00Z")


def test_strokes_are_frozen_as_they_were_drawn_and_as_pixels(root: Root) -> None:
    labels = freeze_labels(root, "hair", [_drawing(MIA, BEN)])
    assert labels.strokes("walk", "c0", 3) == _drawing(MIA, BEN)
    assert labels.authors("walk", "c0", 3) == ["Ben", "Mia"]
    assert not labels.is_painted("walk", "c0", 3)
    np.testing.assert_array_equal(labels.label("walk", "c0", 3), rasterise([MIA, BEN], (30, 40)))
    np.testing.assert_array_equal(labels.label("walk", "c0", 3, 2.5), rasterise([MIA, BEN], (30, 40), 2.5))
    assert labels.content == LabelSet.open(root, "hair").content


def test_two_people_who_draw_on_one_frame_at_once_both_find_their_strokes(root: Root) -> None:
    before = Stroke("fg", 1.0, ((1.0, 1.0),), "Zoë", "2026-03-01T09:00:00Z")
    freeze_labels(root, "hair", [_drawing(before)])
    with ThreadPoolExecutor(2) as people:
        list(people.map(lambda own: freeze_labels(root, "hair", [_drawing(before, own)]), [MIA, BEN]))
    labels = LabelSet.open(root, "hair")
    drawing = labels.strokes("walk", "c0", 3)
    assert drawing is not None
    assert sorted(drawing.strokes, key=lambda s: s.author) == [BEN, MIA, before]
    assert labels.authors("walk", "c0", 3) == ["Ben", "Mia", "Zoë"]
    np.testing.assert_array_equal(labels.label("walk", "c0", 3), rasterise(drawing.strokes, (30, 40)))


def test_two_people_who_paint_one_frame_both_find_their_pixels(folder: Root) -> None:
    first, second = _label(1), np.full((30, 40), OPEN, np.uint8)
    second[3, :10] = 0
    second[20] = 0
    for label in (first, second):
        freeze_labels(folder, "hair", [("walk", "c0", 3, label)])
    label = LabelSet.open(folder, "hair").label("walk", "c0", 3)
    np.testing.assert_array_equal(label, np.where(second == OPEN, first, second))


def test_strokes_and_painted_pixels_are_kept_in_the_order_in_which_they_came(folder: Root) -> None:
    freeze_labels(folder, "hair", [("walk", "c0", 3, _label(1))])
    wipe = Stroke("erase", 3.0, ((20.0, 3.5),), "Ben", "2026-03-01T10:00:00Z")
    both = freeze_labels(folder, "hair", [_drawing(wipe, BEN)])
    np.testing.assert_array_equal(both.label("walk", "c0", 3), rasterise([wipe, BEN], (30, 40), below=_label(1)))
    half = both.label("walk", "c0", 3, 0.5)
    assert half.shape == (15, 20)
    assert (half[1, :8] == 1).all()
    assert half[10, 10] == 0

    more = np.full((30, 40), OPEN, np.uint8)
    more[3, :5] = more[5] = 0
    again = freeze_labels(folder, "hair", [("walk", "c0", 3, more)])
    expected = np.where(more == OPEN, both.label("walk", "c0", 3), more)
    np.testing.assert_array_equal(again.label("walk", "c0", 3), expected)
    assert again.strokes("walk", "c0", 3) == _drawing(wipe, BEN)
    assert again.authors("walk", "c0", 3) == ["Ben"]
    assert again.is_painted("walk", "c0", 3)

    last = freeze_labels(folder, "hair", [_drawing(wipe, BEN, MIA)])  # who drew the first two adds the third
    np.testing.assert_array_equal(last.label("walk", "c0", 3), rasterise([MIA], (30, 40), below=expected))
    assert last.strokes("walk", "c0", 3) == _drawing(wipe, BEN, MIA)


def test_a_picture_that_is_frozen_again_stays_below_what_came_later(folder: Root) -> None:
    freeze_labels(folder, "hair", [("walk", "c0", 3, _label(1))])
    wipe = Stroke("erase", 60.0, ((20.0, 3.5),), "Ben", "2026-03-01T10:00:00Z")
    freeze_labels(folder, "hair", [_drawing(wipe, BEN)])
    other = ("walk", "c1", 3, _label(0))
    labels = freeze_labels(folder, "hair", [("walk", "c0", 3, _label(1)), other])  # the old file, and a new one
    np.testing.assert_array_equal(labels.label("walk", "c0", 3), rasterise([BEN], (30, 40)))
    assert labels.keys == [("walk", "c0", 3), ("walk", "c1", 3)]
    more = freeze_labels(folder, "hair", [("walk", "c0", 3, _label(0))])
    assert (more.label("walk", "c0", 3)[3] == 0).all()
    assert freeze_labels(folder, "hair", [("walk", "c0", 3, _label(1))]).content == more.content


def test_what_is_there_already_makes_no_version(root: Root) -> None:
    for entries in ([("walk", "c0", 3, _label(1)), _drawing(MIA)], [_drawing(MIA)], [("walk", "c0", 3, _label(1))]):
        assert freeze_labels(root, "hair", entries).version == "l0001"
    assert list_label_sets(root) == {"hair": ["l0001"]}
    assert freeze_labels(root, "hair", [_drawing(MIA)], replace=True).version == "l0002"
    assert freeze_labels(root, "hair", [_drawing(MIA)], replace=True).version == "l0002"


def test_what_was_said_of_a_frame_can_be_said_anew(folder: Root) -> None:
    freeze_labels(folder, "hair", [("walk", "c0", 3, _label(1)), ("walk", "c1", 3, _label(1))])
    labels = freeze_labels(folder, "hair", [_drawing(BEN)], replace=True)
    np.testing.assert_array_equal(labels.label("walk", "c0", 3), rasterise([BEN], (30, 40)))
    np.testing.assert_array_equal(labels.label("walk", "c1", 3), _label(1))


def test_a_frame_that_was_erased_leaves_the_set(folder: Root) -> None:
    freeze_labels(folder, "hair", [_drawing(MIA), _drawing(MIA, camera="c1")])
    wipe = Stroke("erase", 60.0, ((20.0, 15.0),), "Ben", "2026-03-01T10:00:00Z")
    assert freeze_labels(folder, "hair", [_drawing(wipe)]).keys == [("walk", "c1", 3)]
    with pytest.raises(ScribbleError, match="nothing is left labelled"):
        freeze_labels(folder, "hair", [_drawing(wipe, camera="c1")])
    assert list_label_sets(folder) == {"hair": ["l0001", "l0002"]}


def test_a_drawing_that_cannot_be_frozen_leaves_nothing_behind(folder: Root) -> None:
    with pytest.raises(ScribbleError, match="take walk camera c0 frame 3: nothing is drawn"):
        freeze_labels(folder, "hair", [_drawing(MIA, camera="c1"), _drawing()])
    with pytest.raises(ScribbleError, match="take walk camera c1 frame 3: nothing is labelled"):
        freeze_labels(folder, "hair", [_drawing(MIA), ("walk", "c1", 3, np.full((30, 40), OPEN, np.uint8))])
    assert folder.list("labels") == []
    freeze_labels(folder, "hair", [_drawing(MIA)])
    with pytest.raises(ScribbleError, match="the label is 20x15, the earlier one of this frame 40x30"):
        freeze_labels(folder, "hair", [_drawing(BEN, camera="c1"), _drawing(BEN, size=(15, 20))])
    assert list_label_sets(folder) == {"hair": ["l0001"]}
    assert len(folder.list("labels")) == 3
