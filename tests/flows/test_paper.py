"""`capmat paper` as a user has it: the whole command at a tiny size, killed in the middle, and finished."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from storage.store.ledger import Ledger
from storage.store.root import Root
from tasks.report.paper.preset import PARTS
from tasks.report.paper.statements import NOT_RUN, STATEMENTS
from tests.flows.conftest import Folder

pytestmark = pytest.mark.chain

TINY = {
    "CAPMAT_CLUSTER__WORKERS": "1",
    "CAPMAT_PAPER__BASE_ITERATIONS": "1",
    "CAPMAT_PAPER__SHARE_ITERATIONS": "1",
    "CAPMAT_PAPER__SHARES": "0,0.2,1",
    "CAPMAT_PAPER__NOISE": "0.1",
    "CAPMAT_PAPER__SEEDS": "1",
}
LIMIT_S = 900
TRAININGS = ("paper-train/", "finetune/", "distill/", "scribble-student/")


def trainings(store: Root) -> dict[str, Any]:
    return {key: entry for verb in TRAININGS for key, entry in Ledger(store).entries(verb).items()}


def test_a_killed_run_goes_on_and_says_of_every_statement_whether_it_holds(
    tiny_samples: Path, tmp_path: Path
) -> None:
    folder = Folder(tmp_path, tiny_samples, TINY)
    store = Root(tmp_path / ".capmat/store")
    first = folder.start("paper")
    limit = time.monotonic() + LIMIT_S
    while not trainings(store):
        assert first.poll() is None, first.communicate()[0][-3000:]
        assert time.monotonic() < limit
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate(timeout=LIMIT_S)
    kept = trainings(store)

    out = folder.run("paper", "--out", "out")
    # the command's own server went with it; only its port is kept
    assert json.loads((tmp_path / ".capmat/prefect/server.json").read_text())["pid"] is None
    after = trainings(store)
    assert {key: after[key] for key in kept} == kept  # not trained again
    assert len(after) == 3 + 4 + 4 + 1 + 2  # from nothing; refined, three shares; plates; distilled; no teacher

    report = json.loads((tmp_path / "out/paper.json").read_text())
    assert list(report["tables"]) == list(PARTS)
    assert len(report["statements"]) == len(STATEMENTS)
    assert all(NOT_RUN not in one["verdicts"].values() for one in report["statements"])
    rows = {row["key"]: row for row in report["tables"]["table1"]}
    assert {"supervisor", "truth"} == set(rows["refined"]["by"])
    assert rows["no_plate"]["by"] != rows["plain"]["by"]
    assert not rows["modnet"]["by"]
    assert "capmat models import" in rows["modnet"]["note"]
    assert all(took["wall_s"] > 0 for took in report["seconds"].values())
    assert {f"{part}.svg" for part in PARTS} <= {file.name for file in (tmp_path / "out").iterdir()}
    page = (tmp_path / "out/paper.html").read_text()
    assert all(one["text"].replace("'", "&#39;") in page for one in report["statements"])
    assert "statements hold here" in out
