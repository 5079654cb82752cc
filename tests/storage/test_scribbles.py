"""Scribbles become labels that nobody can lose or change afterwards."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable, NotFound, ScribbleError
from storage.root import Root
from storage.scribbles import LabelSet, freeze_labels, list_label_sets, overlay_to_label, read_overlay
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
    label = read_overlay(tmp_path / "o.png", (30, 40))
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
        (np.full((40, 30, 4), GREEN, np.uint8), "the overlay is 30x40, the frame 40x30"),
        (SOUND.astype(np.uint16) * 257, "not 8-bit"),
    ],
)
def test_overlays_that_are_no_scribbles_are_refused_by_file(tmp_path: Path, overlay: NDArray, says: str) -> None:
    write_picture(tmp_path / "o.png", overlay)
    with pytest.raises(ScribbleError, match=says) as error:
        read_overlay(tmp_path / "o.png", (30, 40))
    assert "o.png" in str(error.value)
    assert error.value.fix


def test_an_overlay_without_alpha_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "o.png", SOUND[..., :3])
    with pytest.raises(ImageUnreadable, match="o.png: the picture has no alpha"):
        read_overlay(tmp_path / "o.png", (30, 40))


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
    with pytest.raises(NotFound, match="there is none"):
        LabelSet.open(folder, "hair")
    labels = freeze_labels(folder, "hair", [("walk", "c0", 3, _label())])
    with pytest.raises(NotFound, match="no version l0007; there is l0001"):
        LabelSet.open(folder, "hair", "l0007")
    with pytest.raises(NotFound, match="take walk camera c0 frame 4"):
        labels.label("walk", "c0", 4)


def test_what_is_no_label_is_not_frozen(folder: Root) -> None:
    with pytest.raises(ScribbleError, match="nothing to freeze"):
        freeze_labels(folder, "hair", [])
    with pytest.raises(ScribbleError, match="take walk camera c0 frame 3"):
        freeze_labels(folder, "hair", [("walk", "c0", 3, np.full((3, 3), 128, np.uint8))])
    assert list_label_sets(folder) == {}
