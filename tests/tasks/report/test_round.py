"""The report of a round is written whatever frames the benchmark holds."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from storage.benchmark import NewEntry, freeze_benchmark
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.ingest.session import ingest, plates
from tasks.report.round import write_report
from tasks.validate.score import validate
from tasks.validate.supervise import BenchmarkRecord
from tests.storage.tiny_session import HEIGHT, WIDTH, write_session
from tests.tasks.validate.test_benchmark import trimap

ROWS = ("teacher_base", "teacher_refined", "student_base", "student_refined")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A take with a run of mattes for each row, and a label."""
    place = tmp_path_factory.mktemp("round")
    session, store = str(write_session(place / "session", frames=4) / "session.toml"), str(place / "store")
    ingest(store, session, "walk", plates(store, session)["digest"])
    take = Take.open(Root(store), "walk")
    for number, row in enumerate(ROWS):
        take.start_run(row, {"name": row})
        for camera in take.cameras:
            pha = np.full((HEIGHT, WIDTH), (1 + number) / 8, np.float32)
            take.write_alphas(row, camera, dict.fromkeys(take.frames, pha))
    label = np.full((HEIGHT, WIDTH), 255, np.uint8)
    label[:4] = 0
    freeze_labels(Root(store), LABELS, [("walk", "c00", 1, label)])
    return store


@pytest.mark.parametrize("entries", [[("c00", 3)], [("c00", 2), ("c00", 3), ("c01", 1)]])
def test_a_benchmark_may_be_one_picture_and_need_not_hold_the_first_frame(
    store: str, tmp_path: Path, entries: list[tuple[str, int]]
) -> None:
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    frozen = freeze_benchmark(Root(store), "gold", [NewEntry("walk", *key, trimap(), alpha) for key in entries], {})
    done: Any = {"wall_s": 1.0, "digest": frozen.version.ljust(8)}
    benchmark = {**done, "benchmark": "gold", "version": frozen.version, "take": "walk", "entries": entries}
    runs = {row: row for row in ROWS}
    round_ = {
        "benchmark": benchmark,
        "runs": runs,
        "validation": validate(store, cast(BenchmarkRecord, benchmark), runs, []),
        "gate": {},
        "teacher": {**done, "history": []},
        "student": {**done, "history": []},
        "labels": {"labels": "l0001", "frames": 1, "painted_share": 0.1},
        "mattes": [],
    }
    picture: dict[str, float] = {}
    rebuilt = {"base": picture, "refined": picture, "fit_s": [1.0, 1.0], "wall_s": 1.0, "black": 20.0}
    rebuilt |= {"backend": "voxel-grid", "held_out": [], "iterations": 1, "resolution": 16, "background": "black"}
    written = write_report(Config(store=store), {"takes": {}, "mattes": []}, round_, rebuilt)
    assert written["report"]["supervisor"]["teacher_base"]["mse"] == pytest.approx(1 / 64, rel=1e-4)
    page = Path(written["html"]).read_text("utf-8")
    assert all(f"{camera}/{frame}" in page for camera, frame in entries)
