"""The whole chain on a real Prefect server, a real Dask cluster, rendered files and an S3 server on loopback."""

import json
from pathlib import Path
from typing import Any

import pytest

from storage.root import Root
from tests.flows.conftest import Folder

pytestmark = [pytest.mark.chain, pytest.mark.slow]

FIGURES = ("benchmark", "supervisor", "reconstruction", "promotion", "labels", "per_image")


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on when, where and how often interrupted a run was."""
    return {name: report[name] for name in FIGURES}


@pytest.fixture(scope="module")
def local(tiny_samples: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Folder, str]:
    folder = Folder(tmp_path_factory.mktemp("local"), tiny_samples)
    return folder, folder.run("demo")


def test_the_chain_ends_with_figures_and_a_report(local: tuple[Folder, str]) -> None:
    folder, out = local
    report = folder.report()
    rows = {"teacher_base", "teacher_refined", "student_base", "student_refined"}
    assert set(report["benchmark"]) == set(report["supervisor"]) == rows
    assert all(0 < report["benchmark"][row]["mse"] < 1 for row in rows)
    assert report["reconstruction"]["base"]["psnr"] > 0
    assert {v["decision"] for v in report["promotion"].values()} <= {"PROMOTE", "HOLD", "REJECT"}
    assert report["wall_s"]["fine-tune teacher"] > 0
    assert "report.html" in out.splitlines()[-2]
    assert "kB travel as" not in out  # addresses and records only
    page = next((folder.path / ".capmat/store/reports").glob("*/report.html")).read_text()
    assert page.count("data:image/jpeg;base64,") >= 5


def test_a_second_run_reuses_everything(local: tuple[Folder, str]) -> None:
    folder, _ = local
    before = folder.report()
    out = folder.run("demo")
    assert "iteration" not in out  # nothing was trained again
    assert figures(folder.report()) == figures(before)
    assert folder.report()["wall_s"] == before["wall_s"]  # the times of the run that did the work


def test_killed_at_any_step_and_on_s3_the_figures_are_the_same(
    local: tuple[Folder, str], tiny_samples: Path, tmp_path: Path, s3_root: Root
) -> None:
    folder = Folder(tmp_path, tiny_samples, {"CAPMAT_STORE": s3_root.url})
    for moment in ("supervisor mattes", "fine-tune teacher"):
        assert any(moment in line for line in folder.kill_at(moment, "demo"))
    folder.run("demo")
    (key,) = (k for k in s3_root.list("reports") if k.endswith("report.json"))
    assert figures(json.loads(s3_root.read(key))) == figures(local[0].report())
