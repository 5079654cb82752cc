"""The deployments that prefect.yaml promises exist, can be imported, and say when they run."""

import importlib
import inspect
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.events.schemas.automations import Posture

from flows.service import deploy
from flows.service.automations import EVENT, automations
from flows.service.deploy import deployment_file
from tests.project import ROOT

FILE = ROOT / "prefect.yaml"
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())["deployments"]


def test_the_five_deployments_are_there() -> None:
    assert {"nightly", "ingest", "redistill", "validate", "reconstruct"} <= {d["name"] for d in DEPLOYMENTS}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["name"])
def test_its_flow_can_be_started_without_a_word(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    needed = [p.name for p in inspect.signature(flow.fn).parameters.values() if p.default is inspect.Parameter.empty]
    assert set(needed) <= set(deployment.get("parameters", {}))
    assert set(deployment.get("parameters", {})) <= set(inspect.signature(flow.fn).parameters)


@pytest.mark.parametrize("deployment", [d for d in DEPLOYMENTS if "schedules" in d], ids=lambda d: d["name"])
def test_its_schedule_names_a_time_zone(deployment: dict[str, Any]) -> None:
    for schedule in deployment["schedules"]:
        assert len(schedule["cron"].split()) == 5
        ZoneInfo(schedule["timezone"])


def test_two_runs_of_one_deployment_never_overlap() -> None:
    assert all(d["concurrency_limit"]["limit"] == 1 for d in DEPLOYMENTS)


def test_two_runs_of_one_deployment_wait_for_each_other() -> None:
    assert all(d["concurrency_limit"]["collision_strategy"] == "ENQUEUE" for d in DEPLOYMENTS)


def test_no_trigger_fires_without_an_event_and_none_restarts_a_run_for_ever() -> None:
    for automation in automations(uuid4(), quiet_s=60):
        trigger = automation.trigger
        if trigger.posture == Posture.Proactive:
            assert trigger.for_each  # Prefect 3.8 fires a proactive trigger without it for ever
            assert trigger.after
        else:
            assert trigger.expect
            assert "prefect.run-count" in trigger.match.root


def test_labels_start_a_training_after_the_quiet_time_of_the_settings() -> None:
    found = {automation.name: automation.trigger for automation in automations(uuid4(), quiet_s=17)}
    trigger = found["redistill-after-labels"]
    assert trigger.after == trigger.expect == {EVENT}
    assert trigger.within.total_seconds() == 17


def test_a_wheel_and_a_source_archive_carry_the_deployments(tmp_path: Path) -> None:
    for name in ("flows", "storage", "tasks", "capmat_models"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    (tmp_path / "capmat_models/weights").mkdir(exist_ok=True)
    for name in ("pyproject.toml", "capmat_errors.py", "capmat_packages.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "prefect.yaml").symlink_to("flows/service/prefect.yaml")
    build = "from setuptools import build_meta as b; b.build_wheel('out'); b.build_sdist('out')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("flows/service/prefect.yaml").decode() == FILE.read_text()
        (points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "capmat = capmat_packages" in archive.read(points).decode()
    (source,) = (tmp_path / "out").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        assert any(name.endswith("/flows/service/prefect.yaml") for name in archive.getnames())


def test_another_folder_has_the_deployments_of_the_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert deployment_file().read_text() == FILE.read_text()
    assert deployment_file().parent.name == "service"
    Path("prefect.yaml").write_text("mine")
    assert deployment_file().read_text() == "mine"


def test_a_newer_capmat_brings_its_forms_to_the_deployments_of_an_unchanged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "_FLOWS", tmp_path)
    (tmp_path / "nightly.py").write_text("def nightly(config): ...")
    before = deploy._fingerprint()
    assert deploy._fingerprint() == before  # so that a second `capmat up` changes nothing
    (tmp_path / "nightly.py").write_text("def nightly(overrides): ...")
    assert deploy._fingerprint() != before
