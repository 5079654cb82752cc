"""The deployments that prefect.yaml promises exist, can be imported, and say when they run."""

import importlib
import inspect
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

FILE = Path(__file__).parents[2] / "prefect.yaml"
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text())["deployments"]


def test_the_three_deployments_are_there() -> None:
    assert {"nightly", "redistill", "reconstruct"} <= {d["name"] for d in DEPLOYMENTS}


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda d: d["name"])
def test_its_flow_can_be_started_without_a_word(deployment: dict[str, Any]) -> None:
    file, name = deployment["entrypoint"].split(":")
    flow = getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), name)
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
