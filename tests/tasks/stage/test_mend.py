"""The plate of a camera that moved is laid under its take; all else stays bit for bit, and it can be taken back."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import shift

from storage.pictures.png import read_png
from storage.store.root import Root
from storage.takes.crops import frame_and_plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from storage.upkeep.findings import forget_damage
from storage.upkeep.verify import verify
from tasks.config import Config, StageLimits
from tasks.ingest.session import TakeRecord, ingest, plates, take_record
from tasks.matte.take import open_run
from tasks.models.networks import Run, register_base
from tasks.night.morning import changed_plates
from tasks.stage.mend import mend_plates
from tests.project import WEIGHTS
from tests.storage.tiny_session import CAMERAS, tree, write_picture, write_session

STILL, MOVED, _ = CAMERAS
X, Y = 3, -2


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a take whose second camera moved after its plate."""
    session = write_session(tmp_path / "session")
    for file in (session / "takes/walk" / MOVED).iterdir():
        write_picture(file, shift(read_png(file), (Y, X, 0), order=0, mode="reflect"))
    taken_in(tmp_path)
    return tmp_path / "store"


def taken_in(folder: Path) -> TakeRecord:
    session, store = str(folder / "session/session.toml"), str(folder / "store")
    return ingest(store, session, "walk", plates(store, session)["digest"])


def mend(store: Path, mode: str) -> TakeRecord:
    config = Config(store=str(store), stage=StageLimits.model_validate({"mend": mode}))
    return mend_plates(config, take_record(str(store), "walk"))


def opened(store: Path) -> tuple[Take, Stage, Stage]:
    """The take, its stage's own plates, and the plates that lie under it."""
    take = Take.open(Root(str(store)), "walk")
    return take, Stage.open(take.root, take.stage), Stage.under(take)


def test_the_plate_of_a_camera_that_moved_lies_under_its_take(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tree(store / "stages")
    before = take_record(str(store), "walk")
    record = mend(store, "auto")
    take, stage, under = opened(store)
    assert tree(store / "stages") == own
    true = np.roll(stage.plate(MOVED), (Y, X), axis=(1, 2))
    inside = (slice(None), slice(4, -4), slice(4, -4))
    assert np.abs(under.plate(MOVED) - true)[inside].mean() < 0.1 * np.abs(stage.plate(MOVED) - true)[inside].mean()
    for camera in set(CAMERAS) - {MOVED}:
        np.testing.assert_array_equal(under.plate(camera), stage.plate(camera))
    assert not under.valid(MOVED)[:, :X].any()
    assert not under.valid(MOVED)[Y:].any()
    assert record["digest"] != before["digest"]
    assert f"take walk camera {MOVED}: its plate: moved +2.9" in capsys.readouterr().out


def test_parts_copies_and_records_are_those_of_the_mended_plate(store: Path) -> None:
    mend(store, "auto")
    take, _, under = opened(store)
    whole, window = under.plate(MOVED), (8, 30, 5, 41)
    np.testing.assert_array_equal(under.plate(MOVED, window), whole[:, 8:30, 5:41])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(under)).plate(MOVED), whole)
    _, bgr = frame_and_plate(take, under, MOVED, 0)
    np.testing.assert_array_equal(bgr[:, 8:30, 5:41], whole[:, 8:30, 5:41])
    model = register_base(str(store), str(WEIGHTS), {"student": "bgmv2_mobilenetv2_xs"})["student"]
    open_run(str(store), "walk", Run("student", model))
    (made_from,) = take.alpha_runs().values()
    assert list(made_from["mended"]) == [MOVED]
    assert "px at the corner" in made_from["mended"][MOVED]


def test_a_plate_that_fits_leaves_no_trace(tmp_path: Path) -> None:
    write_session(tmp_path / "session")
    before, store = taken_in(tmp_path), tmp_path / "store"
    files = tree(store / "takes") | tree(store / "stages")
    record = mend_plates(Config(store=str(store)), before)
    assert (record["digest"], record["wall_s"]) == (before["digest"], before["wall_s"])
    assert tree(store / "takes") | tree(store / "stages") == files


def test_it_is_done_once_only_told_on_warn_and_taken_back_on_off(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, files = take_record(str(store), "walk"), tree(store / "takes")
    assert mend(store, "warn")["digest"] == before["digest"]
    assert 'stage.mend = "auto" would mend it' in capsys.readouterr().out
    assert tree(store / "takes") == files
    mended = mend(store, "auto")
    stamps = {path: path.stat().st_mtime_ns for path in (store / "takes").rglob("*") if path.is_file()}
    assert mend(store, "auto")["digest"] == mended["digest"]
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert taken_in(store.parent)["digest"] == mended["digest"]
    assert mend(store, "off")["digest"] == before["digest"]
    assert tree(store / "takes") == files
    assert mend(store, "auto")["digest"] == mended["digest"]


def test_the_morning_report_names_the_cameras_whose_plates_were_mended(store: Path) -> None:
    root = Root(str(store))
    assert changed_plates(root, [{"take": "walk"}]) == []
    mend(store, "auto")
    (item,) = changed_plates(root, [{"take": "walk"}])
    assert f"take walk no longer fitted and were mended: {MOVED} moved +2.9" in item["what"]


def test_a_damaged_mended_plate_is_found_and_made_again(store: Path) -> None:
    mend(store, "auto")
    root = Root(str(store))
    assert not verify(root, deep=True).found
    under = opened(store)[2].plate(MOVED)
    file = store / "takes/walk.zarr/cameras" / MOVED / "plate/c/0/0/0/0"
    file.write_bytes(file.read_bytes()[:-9] + b"damaged!!")
    damaged = verify(root, deep=True).damaged
    assert [finding.file for finding in damaged] == [file.relative_to(store).as_posix()]
    assert "capmat ingest" in damaged[0].again
    forget_damage(root, damaged)
    taken_in(store.parent)
    mend(store, "auto")
    assert not verify(root, deep=True).found
    np.testing.assert_array_equal(opened(store)[2].plate(MOVED), under)
