"""A finished take that is delivered again: dates alone do nothing, and other pictures are refused."""

import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capmat_errors import StoreError
from storage.benchmark import freeze_benchmark
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS, LabelEntry
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Config
from tasks.ingest.arrival import finish, is_finished, unfinished
from tasks.ingest.inbox import Arrived, read_inbox
from tasks.ingest.plates import ingest_plates
from tasks.ingest.session import ingest, plates, take_record
from tasks.ingest.take import ingest_take
from tasks.train.run import digests_of
from tests.storage.tiny_session import CAMERAS, HEIGHT, WIDTH, edit_toml, tree, write_session

FILE = "takes/walk/c01/0002.png"


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return write_session(tmp_path / "inbox" / "day")


@pytest.fixture
def store(session: Path, tmp_path: Path) -> Root:
    """A store that has the take and its plates."""
    root = Root(tmp_path / "store")
    ingest_plates(root.url, session)
    ingest_take(root.url, session, "walk")
    return root


def pixels(root: Root) -> dict[str, bytes]:
    """All that the store holds but the ledger."""
    return {key: data for key, data in tree(Path(root.url)).items() if not key.startswith("ledger/")}


def touched(session: Path) -> None:
    for file in session.rglob("*.png"):
        os.utime(file, (1, 1))


def changed(file: Path, x: int = 5, y: int = 7, channel: int = 0) -> None:
    """Change one number of a picture by one step, with OpenCV."""
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    picture[y, x, channel] ^= 1
    assert cv2.imwrite(str(file), picture)


def test_other_dates_alone_do_nothing_and_are_looked_at_once(
    session: Path, store: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, record = pixels(store), take_record(store.url, "walk")
    touched(session)
    again = ingest_take(store.url, session, "walk")
    assert (again["written"], again["kept"]) == ([], list(CAMERAS))
    assert ingest_plates(store.url, session)["written"] == []
    assert pixels(store) == before
    assert take_record(store.url, "walk") == record  # so mattes and trainings are still those of this take

    def compare(*_: Any) -> Any:
        raise AssertionError("the files were compared a second time")

    monkeypatch.setattr(Take, "read_planes", compare)
    monkeypatch.setattr(Stage, "holds", compare)
    assert ingest_take(store.url, session, "walk")["written"] == []
    assert ingest_plates(store.url, session)["written"] == []


def test_the_same_pictures_in_other_files_are_the_same_take(session: Path, store: Root) -> None:
    before = pixels(store)
    for file in (session / "takes").rglob("*.png"):
        old = file.read_bytes()
        picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert cv2.imwrite(str(file), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        assert file.read_bytes() != old
    assert ingest_take(store.url, session, "walk")["written"] == []
    assert pixels(store) == before


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(CAMERAS),
    st.integers(0, 2),
    st.integers(0, WIDTH - 1),
    st.integers(0, HEIGHT - 1),
    st.integers(0, 2),
)
def test_a_picture_that_differs_in_one_number_is_refused_and_nothing_changes(
    session: Path, store: Root, camera: str, frame: int, x: int, y: int, channel: int
) -> None:
    file, before = session / f"takes/walk/{camera}/{frame:04d}.png", pixels(store)
    sound = file.read_bytes()
    changed(file, x, y, channel)
    with pytest.raises(StoreError, match=rf"take walk camera {camera} frame {frame}, .*another take name"):
        ingest_take(store.url, session, "walk")
    assert pixels(store) == before
    assert Take.open(store, "walk").complete
    file.write_bytes(sound)
    assert ingest_take(store.url, session, "walk")["written"] == []


@pytest.mark.parametrize(
    ("file", "old", "new"), [("calibration.json", "60.0", "66.0"), ("session.toml", "black = 64", "black = 65")]
)
def test_pictures_that_mean_something_else_now_are_refused_though_no_picture_changed(
    session: Path, tmp_path: Path, file: str, old: str, new: str
) -> None:
    store, toml = str(tmp_path / "nights"), str(session / "session.toml")
    made = plates(store, toml)
    taken, sound = ingest(store, toml, "walk", made["digest"]), (session / file).read_text()
    assert old in sound
    (session / file).write_text(sound.replace(old, new))
    with pytest.raises(StoreError, match="a stage ring of other cameras or colour"):
        plates(store, toml)
    with pytest.raises(StoreError, match="a take walk of other frames, cameras or colour"):
        ingest(store, toml, "walk", made["digest"])
    (session / file).write_text(sound)
    assert plates(store, toml)["digest"] == made["digest"]
    assert ingest(store, toml, "walk", made["digest"])["digest"] == taken["digest"]


def test_the_refusal_names_labels_and_benchmarks_of_the_take(session: Path, store: Root) -> None:
    label = np.full((HEIGHT, WIDTH), 255, np.uint8)
    label[:4] = 0
    freeze_labels(store, LABELS, [LabelEntry("walk", "c00", 1, label)])
    trimap = np.full((HEIGHT, WIDTH), 128, np.uint8)
    freeze_benchmark(store, "gold", [("walk", "c00", 1, trimap, np.zeros(trimap.shape, np.float32))], {})
    changed(session / FILE)
    with pytest.raises(StoreError, match="to which labels of 1 picture and benchmark gold belong"):
        ingest_take(store.url, session, "walk")
    Take.open(store, "walk").unseal()  # as `verify --forget` does
    with pytest.raises(StoreError, match="labels of 1 picture"):
        ingest_take(store.url, session, "walk")
    before = pixels(store)
    edit_toml(session, "[takes.walk]", "[takes.walk]\nlast = 1")
    with pytest.raises(StoreError, match="other frames, cameras or colour, to which labels of 1 picture"):
        ingest_take(store.url, session, "walk")
    assert pixels(store) == before


def test_an_ingest_that_was_not_finished_takes_what_is_there_now(session: Path, tmp_path: Path) -> None:
    store = Root(tmp_path / "store")
    ingest_take(store.url, session, "walk")
    Take.open(store, "walk").unseal()
    changed(session / FILE)
    assert ingest_take(store.url, session, "walk")["written"] == ["c01"]


def test_what_the_store_has_lost_is_taken_in_again_from_files_of_other_dates(session: Path, store: Root) -> None:
    before = pixels(store)
    for lost in ("rgb/c/1", "preview"):
        store.delete(f"takes/walk.zarr/cameras/c02/{lost}")
        touched(session)
        assert ingest_take(store.url, session, "walk")["written"] == ["c02"]
        assert pixels(store) == before


def test_trainings_depend_on_the_pictures_and_the_plates_of_their_takes(session: Path, store: Root) -> None:
    before = digests_of(store.url, ["walk"])
    touched(session)
    ingest_plates(store.url, session)
    ingest_take(store.url, session, "walk")
    assert digests_of(store.url, ["walk", "walk"]) == before
    changed(session / "plates/c00/0001.png")
    assert ingest_plates(store.url, session)["written"] == ["c00"]
    assert digests_of(store.url, ["walk"]) != before


def arrived(session: Path) -> Arrived:
    (found,) = read_inbox(str(session.parent), 0, second_look_s=0).sessions
    return found


@pytest.fixture
def night(session: Path, store: Root) -> Config:
    """Settings of a night that has finished the take."""
    config = Config(store=store.url, inbox=str(session.parent))
    file = str(session / "session.toml")
    ingest(store.url, file, "walk", plates(store.url, file)["digest"])
    todo, _ = unfinished(config, arrived(session))
    finish(store.url, "walk", arrived(session).takes["walk"], todo["walk"], "day")
    assert unfinished(config, arrived(session)) == ({}, ["walk"])
    return config


@pytest.mark.parametrize("gone", ["takes", "takes/walk/c01", FILE, "plates", "calibration.json"])
def test_a_finished_take_whose_files_leave_the_inbox_stays_finished(session: Path, night: Config, gone: str) -> None:
    path = session / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert unfinished(night, arrived(session)) == ({}, ["walk"])


def test_a_take_whose_files_left_before_it_was_finished_is_a_fault(session: Path, tmp_path: Path) -> None:
    shutil.rmtree(session / "takes")
    todo, finished = unfinished(Config(store=str(tmp_path / "empty")), arrived(session))
    assert (list(todo), finished) == (["walk"], [])


@pytest.mark.parametrize("file", [FILE, "plates/c00/0000.png", "takes/walk/c00/0003.png"])
def test_a_finished_take_with_a_new_file_is_looked_at_again(session: Path, night: Config, file: str) -> None:
    (session / FILE).unlink()
    (session / file).write_bytes((session / "takes/walk/c00/0000.png").read_bytes())
    assert list(unfinished(night, arrived(session))[0]) == ["walk"]


def test_what_an_early_version_finished_stays_so_when_all_its_files_are_gone(session: Path, night: Config) -> None:
    ledger, delivery = Ledger(Root(night.store)), arrived(session).takes["walk"]
    entry = ledger.done("night/walk") or {}
    ledger.record("night/walk", {key: entry[key] for key in ("files", "how", "session")})
    todo = {"teacher": 0, "exports": []}
    assert is_finished(night.store, "walk", delivery, todo)  # type: ignore[arg-type]
    shutil.rmtree(session / "takes")
    assert unfinished(night, arrived(session)) == ({}, ["walk"])
