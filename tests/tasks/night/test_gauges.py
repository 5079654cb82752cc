"""The figures for Prometheus say what the newest night says, in a format that Prometheus reads."""

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows.command.main import main
from storage.store.root import Root
from tasks.night.gauges import gauges
from tests.tasks.night.test_morning import NIGHT


def figures(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[" ".join([sample.name.removeprefix("capmat_"), *sample.labels.values()])] = sample.value
    return found


def put(store: Path, day: int, **changes: Any) -> None:
    ended = f"2026-01-{day:02d}T03:00:00+00:00"
    record = {**NIGHT, "ended": ended, **changes}
    Root(str(store)).write(f"reports/night-2026-01-{day:02d}-013000.json", json.dumps(record).encode())


def test_an_empty_store_has_no_night_and_says_nothing_about_one(tmp_path: Path) -> None:
    found = figures(gauges(str(tmp_path)))
    assert not [name for name in found if "night" in name or "forecast" in name]
    assert found["labels_waiting"] == 0
    assert found["store_free_bytes"] > 0


def test_the_newest_night_counts_and_the_last_good_one_is_remembered(tmp_path: Path) -> None:
    put(tmp_path, 2, state="Completed", refused=[])
    put(tmp_path, 3)
    found = figures(gauges(str(tmp_path)))
    assert found["night_state NeedsHuman"] == 1
    assert found["night_state Completed"] == found["night_state Failed"] == 0
    takes = {result: found[f"night_takes {result}"] for result in ("done", "refused", "left", "kept")}
    assert takes == {"done": 1, "refused": 1, "left": 1, "kept": 1}
    assert found["night_frames"] == 3 * 4
    assert found["night_frames_per_second"] == pytest.approx(12 / 3899)
    assert found["night_end_timestamp_seconds"] - found["good_night_end_timestamp_seconds"] == 86400


def test_a_collector_never_finds_half_a_file(tmp_path: Path) -> None:
    put(tmp_path / "store", 2)
    out = tmp_path / "capmat.prom"
    out.write_text("old")
    assert main(["--set", f"store={tmp_path / 'store'}", "metrics", "--out", str(out)]) == 0
    assert figures(out.read_text())["night_frames"] == 12
    assert [file.name for file in tmp_path.glob("*.prom*")] == ["capmat.prom"]


@pytest.mark.parametrize("written", [b"", b'{"ended": ', b"[]", b"{}"])
def test_a_damaged_night_or_plan_hides_its_own_figures_alone(tmp_path: Path, written: bytes) -> None:
    put(tmp_path, 2, state="Completed", refused=[])
    root = Root(str(tmp_path))
    root.write("reports/night-2026-01-03-013000.json", written)
    root.write("plans/2026-01-03-010000.json", written)
    found = figures(gauges(str(tmp_path)))
    assert not [
        name for name in found if name.startswith(("night_", "forecast"))
    ]  # and not those of the night before
    assert found["good_night_end_timestamp_seconds"] > 0
    assert found["store_free_bytes"] > 0
