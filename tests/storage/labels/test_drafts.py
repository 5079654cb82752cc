"""Drafts: what people are drawing is never overwritten by somebody who did not see it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from capmat_errors import ScribbleError, StoreError
from storage.labels.drafts import KEPT, Draft, DraftConflict, read_draft, read_drafts, save_draft
from storage.labels.strokes import Drawing, Stroke
from storage.store.root import Root


def drawing(*marks: float, frame: int = 3, author: str = "Mia") -> Drawing:
    strokes = tuple(Stroke("fg", 2.0, ((x, x),), author, "2026-03-01T10:00:00Z") for x in marks)
    return Drawing("walk", "c00", frame, 64, 48, strokes)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_a_drawing_comes_back_as_it_was_saved_last(root: Root) -> None:
    assert read_draft(root, "walk", "c00", 3) is None
    assert save_draft(root, drawing(1), after=0) == 1
    assert save_draft(root, drawing(1, 2), after=1) == 2
    assert read_draft(root, "walk", "c00", 3) == Draft(drawing(1, 2), 2)


def test_who_did_not_see_the_last_drawing_does_not_overwrite_it(root: Root) -> None:
    save_draft(root, drawing(1), after=0)
    for after in (0, 7):
        with pytest.raises(DraftConflict, match="somebody saved"):
            save_draft(root, drawing(9), after=after)
    assert read_draft(root, "walk", "c00", 3) == Draft(drawing(1), 1)


def test_of_many_at_once_one_saves_and_the_others_are_told(root: Root) -> None:
    def attempt(mark: int) -> int:
        try:
            return save_draft(root, drawing(mark), after=0)
        except DraftConflict:
            return 0

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(attempt, range(1, 9))) == [0] * 7 + [1]


def test_old_revisions_go_and_nobody_slips_into_the_place_of_one(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(KEPT + 5):
        save_draft(root, drawing(number + 1), after=number)
    assert len(root.names("drafts/walk/c00/3")) == KEPT
    # Somebody who looked long ago, when revision 2 was the newest, writes only now.
    monkeypatch.setattr("storage.labels.drafts._newest", lambda *_: 2)
    with pytest.raises(DraftConflict):
        save_draft(root, drawing(60), after=2)
    monkeypatch.undo()
    assert len(root.names("drafts/walk/c00/3")) == KEPT
    assert read_draft(root, "walk", "c00", 3) == Draft(drawing(KEPT + 5), KEPT + 5)


def test_all_drafts_of_a_take_are_found(root: Root) -> None:
    save_draft(root, drawing(1), after=0)
    save_draft(root, drawing(2), after=1)
    save_draft(root, drawing(5, frame=12), after=0)
    found = read_drafts(root, "walk")
    assert found == {("walk", "c00", 3): Draft(drawing(2), 2), ("walk", "c00", 12): Draft(drawing(5, frame=12), 1)}
    assert read_drafts(root, "run") == {}


def test_what_could_not_be_read_again_is_not_saved(root: Root) -> None:
    with pytest.raises(ScribbleError):
        save_draft(root, drawing(float("nan")), after=0)
    assert read_draft(root, "walk", "c00", 3) is None


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "drafts").write_text("in the way")
    with pytest.raises(StoreError, match="file stands where a folder"):
        save_draft(Root(tmp_path), drawing(1), after=0)


def test_on_s3_it_is_the_same(s3_root: Root) -> None:
    assert save_draft(s3_root, drawing(1), after=0) == 1
    with pytest.raises(DraftConflict):
        save_draft(s3_root, drawing(2), after=0)
    assert read_drafts(s3_root, "walk") == {("walk", "c00", 3): Draft(drawing(1), 1)}
