"""Overlays become labels, or are refused by file name with nothing stored."""

from pathlib import Path

import numpy as np
import pytest

from capmat_errors import CapmatError
from storage.labels.label_set import LABELS, LabelSet, list_label_sets
from storage.pictures.png import encode_png
from storage.store.root import Root
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tasks.labels.incoming import INBOX, import_labels
from tests.storage.tiny_session import HEIGHT, WIDTH, write_session

SIZE = (HEIGHT, WIDTH)


@pytest.fixture
def store(tmp_path: Path) -> str:
    session = write_session(tmp_path / "day")
    ingest_plates(str(tmp_path / "store"), session)
    ingest_take(str(tmp_path / "store"), session, "walk")
    return str(tmp_path / "store")


def overlay(size: tuple[int, int] = SIZE) -> np.ndarray:
    picture = np.zeros((*size, 4), np.uint8)
    picture[2:4, 2:8] = (0, 255, 0, 255)
    picture[6:8, 2:8] = (255, 0, 0, 255)
    return picture


def put(inbox: Path, name: str, picture: np.ndarray) -> Path:
    file = inbox / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode_png(picture))
    return file


def test_what_was_painted_is_what_is_stored(store: str, tmp_path: Path) -> None:
    put(tmp_path / "inbox", "walk/c00/0001.png", overlay())
    record = import_labels(store, tmp_path / "inbox", INBOX)
    label = LabelSet.open(Root(store), LABELS, record["labels"]).label("walk", "c00", 1)
    assert (label[2:4, 2:8] == 1).all()
    assert (label[6:8, 2:8] == 0).all()
    assert (label == 255).sum() == label.size - 24
    assert record["painted_share"] == pytest.approx(24 / label.size)


def test_the_same_inbox_makes_one_label_set(store: str, tmp_path: Path) -> None:
    put(tmp_path / "inbox", "walk/c00/0001.png", overlay())
    first, second = (import_labels(store, tmp_path / "inbox", INBOX) for _ in range(2))
    assert first["labels"] == second["labels"]
    assert second["reused"]


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        ("walk/c00/0001.png", overlay((SIZE[0] + 1, SIZE[1]))),
        ("walk/c00/0001.png", np.zeros((*SIZE, 4), np.uint8)),
        ("walk/c00/0099.png", overlay()),
        ("walk/nobody/0001.png", overlay()),
        ("dance/c00/0001.png", overlay()),
        ("walk/0001.png", overlay()),
        ("walk/c00/first.png", overlay()),
    ],
    ids=["size", "unpainted", "frame", "camera", "take", "place", "name"],
)
def test_a_wrong_overlay_is_refused_and_nothing_is_stored(
    name: str, picture: np.ndarray, store: str, tmp_path: Path
) -> None:
    put(tmp_path / "inbox", "walk/c01/0001.png", overlay())
    put(tmp_path / "inbox", name, picture)
    with pytest.raises(CapmatError) as refusal:
        import_labels(store, tmp_path / "inbox", INBOX)
    assert Path(name).parts[-1] in str(refusal.value) or Path(name).parts[0] in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert list_label_sets(Root(store)) == {}


def test_an_empty_inbox_is_refused(store: str, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    with pytest.raises(CapmatError, match="inbox"):
        import_labels(store, tmp_path / "inbox", INBOX)
