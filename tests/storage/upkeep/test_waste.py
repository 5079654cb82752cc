"""What may go goes, the rest stays to the byte, and the store is whole afterwards."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from storage.labels.drafts import read_draft, read_drafts, save_draft
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.strokes import Drawing, Stroke
from storage.registry import Registry
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.store.writers import mark
from storage.takes.take import Take
from storage.upkeep.verify import verify
from storage.upkeep.waste import Waste, find_waste, remove_waste
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tests.storage.takes.matted_take import make_take
from tests.storage.tiny_session import HEIGHT, WIDTH, tree, write_session

NAME = "bgmv2"


@pytest.fixture
def take(root: Root, tmp_path: Path) -> Take:
    """A whole take, three cameras of three frames."""
    session = write_session(tmp_path / "session") / "session.toml"
    ingest_plates(root.url, session)
    ingest_take(root.url, session, "walk")
    return Take.open(root, "walk")


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    if request.param == "s3":
        return Root(request.getfixturevalue("s3_root").url)
    return Root(str(tmp_path / "store"))


def rounds(root: Root, kinds: list[str], in_use: int, take: Take) -> list[str]:
    """Versions of a student, a run of each in the take; the versions."""
    registry = Registry(root)
    versions = [registry.add(NAME, f"{n}".encode(), {"kind": kind}) for n, kind in enumerate(kinds)]
    for version in versions[: in_use + 1]:
        registry.promote("student", NAME, version, {})
    for version in versions:
        add_run(take, f"student-{NAME}-{version}", "student", version)
    return versions


def add_run(take: Take, run: str, role: str, version: str) -> None:
    ledger = Ledger(take.root)
    said = {"role": role, "name": NAME, "version": version}
    take.start_run(run, said)
    ledger.record(f"run/{take.name}/{run}", {**said, "files": take.run_files(run)})
    for camera in take.cameras:
        files = take.write_alphas(run, camera, dict.fromkeys(take.frames, np.ones((HEIGHT, WIDTH), np.float32)))
        entry = {"run": run, "camera": camera, "numbers": take.frames, "frames": len(take.frames), "files": files}
        ledger.record(f"matte/{take.name}-{camera}-{run}/0", entry)


def kinds(waste: list[Waste]) -> list[str]:
    return [one.kind for one in waste]


def files(root: Root) -> dict[str, bytes]:
    return root.read_all(root.list(""))


def test_mattes_of_superseded_models_go_and_nothing_else(root: Root, take: Take) -> None:
    versions = rounds(root, ["base", "distilled", "distilled", "distilled", "distilled"], 2, take)
    add_run(take, f"{NAME}-{versions[1]}", NAME, versions[1])  # by hand, with --model
    assert verify(root, deep=True).found == []
    before = files(root)
    found = find_waste(root, keep=1)
    assert files(root) == before  # looking changes nothing
    # Not the base (0), not the one in use (2), not the newest (4).
    old = [f"student-{NAME}-{versions[n]}" for n in (1, 3)]
    assert [one.what for one in found] == [f"take walk run {run}" for run in old]
    for one, run in zip(found, old, strict=True):
        assert one.bytes == sum(len(data) for key, data in before.items() if f"/alpha/{run}/" in key)
    remove_waste(root, found)
    after = files(root)
    of_old = {key for key in before for run in old if run in key}
    assert before.keys() - after.keys() == of_old
    assert all(after[key] == before[key] for key in after)
    assert verify(root, deep=True).found == []
    assert Take.open(root, "walk").read_alpha(f"{NAME}-{versions[1]}", "c00", 0).min() == 1
    assert find_waste(root, keep=1) == []
    assert find_waste(root, keep=100) == []


def test_a_killed_removal_is_finished_by_the_next(root: Root, take: Take) -> None:
    rounds(root, ["base", "distilled", "distilled", "distilled"], 3, take)
    (*_, whole) = found = find_waste(root, keep=1)
    assert kinds(found) == ["mattes", "mattes"]
    ledger = Ledger(root)
    for entry in whole.entries:
        ledger.forget(entry)
    root.delete(whole.keys[0])
    assert not verify(root).damaged
    again = find_waste(root, keep=1)
    assert {one.what for one in again} == {one.what for one in found}
    remove_waste(root, again)
    assert find_waste(root, keep=1) == []
    assert not [key for key in root.list("takes") if whole.what.split()[-1] in key]


def test_leftovers_of_killed_writers_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    root = Root(str(tmp_path / "store"))
    take = make_take(root)
    code = "from storage.store.writers import mark; print(mark())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    gone, alive = done.stdout.strip(), mark()
    folder = Path(root.url, f"takes/{take.name}.zarr/cameras/c00/rgb/c/0/0/0")
    for writer in (gone, alive):
        (folder / f".0.{writer}.0123.partial").write_bytes(b"half")
        root.write(f"claims/takes/walk.zarr/{writer}.4567", b"")
    before = tree(Path(root.url))
    found = find_waste(root)
    assert kinds(found) == ["half-written files", "claims"]
    assert all(gone in one.what for one in found)
    assert found[0].bytes == 4
    remove_waste(root, found)
    assert before.keys() - tree(Path(root.url)).keys() == {one.what for one in found}


def test_checkpoints_of_finished_trainings_go_and_those_of_killed_ones_stay(root: Root) -> None:
    for name in ("distill-aa", "finetune-bb", "distill-cc"):
        root.write(f"checkpoints/{name}.pt", b"state")
    done: dict[str, Any] = {"pictures": {"sheet": "trainings/distill-aa/000400.jpg"}}
    Ledger(root).record("distill/student-teacher-v0002/0123", done)
    (found,) = find_waste(root)
    assert (found.kind, found.keys, found.bytes) == ("checkpoints", ("checkpoints/distill-aa.pt",), 5)
    remove_waste(root, [found])
    assert root.names("checkpoints") == ["distill-cc.pt", "finetune-bb.pt"]


def drawing(frame: int, *labels: Literal["fg", "bg", "erase"]) -> Drawing:
    strokes = tuple(Stroke(label, 4.0, ((9.0 + n, 9.0), (20.0, 20.0)), "ann") for n, label in enumerate(labels))
    return Drawing("walk", "c00", frame, WIDTH, HEIGHT, strokes)


def test_drafts_go_once_labels_have_every_stroke(tmp_path: Path) -> None:
    root = Root(str(tmp_path / "store"))
    for frame in (1, 2, 3):
        save_draft(root, drawing(frame, "fg"), 0)
        save_draft(root, drawing(frame, "fg", "bg"), 1)
    assert find_waste(root) == []  # nobody has pressed Done
    freeze_labels(root, LABELS, [drawing(1, "fg", "bg"), drawing(2, "fg")])
    (found,) = find_waste(root)
    assert (found.kind, found.keys) == ("drafts", tuple(f"drafts/walk/c00/1/r000{n}.json" for n in (1, 2)))
    root.delete(found.keys[0])  # a killed removal
    left = read_draft(root, "walk", "c00", 1)
    assert left
    assert left.drawing == drawing(1, "fg", "bg")
    remove_waste(root, find_waste(root))
    assert find_waste(root) == []
    assert list(read_drafts(root, "walk")) == [("walk", "c00", 2), ("walk", "c00", 3)]
    assert LabelSet.open(root, LABELS).keys == [("walk", "c00", 1), ("walk", "c00", 2)]


def test_plans_and_morning_reports_go_after_so_many_days(tmp_path: Path) -> None:
    root = Root(str(tmp_path / "store"))
    now = datetime.now()
    for age in (0, 1, 2, 3, 4, 9, 10, 11, 400):
        name = f"{now - timedelta(days=age):%Y-%m-%d}-013000"
        root.write(f"plans/{name}.json", b"{}")
        root.write(f"reports/night-{name}.html", b"<p>")
        root.write(f"reports/night-{name}.json", b"{}")
    root.write("reports/redistill-l0001.html", b"<p>")
    assert find_waste(root, days=0) == []
    found = find_waste(root, days=10)
    gone = [f"{now - timedelta(days=age):%Y-%m-%d}-013000" for age in (400, 11)]
    assert [one.what for one in found] == [f"plans/{n}" for n in gone] + [f"reports/night-{n}" for n in gone]
    assert [(one.kind, one.bytes) for one in found] == [("plans", 2)] * 2 + [("reports", 5)] * 2
    assert len(find_waste(root, days=1)) == 8  # the five newest stay, because forecasts are made from them
    remove_waste(root, found)
    assert find_waste(root, days=10) == []
    assert len(root.list("reports")) == 2 * 7 + 1
