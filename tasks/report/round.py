"""The report of a round: every number and picture, as `report.json` and one HTML page.

Only this module may read ground truth, which a rendered session has. The numbers under `benchmark` compare with it;
those under `supervisor` compare with the benchmark that the pipeline itself uses.
"""

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

from prefect.context import TaskRunContext

from storage.benchmark import Benchmark
from storage.labels.trimaps import truth_of
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.report.figures import Report, Verdict
from tasks.report.page import render_page
from tasks.report.sheets import before_after_sheet, scribble_sheet, stage_sheet
from tasks.report.summary import markdown_table, summary_lines
from tasks.runtime.step import Record, retryable
from tasks.show.artifact import show, show_text, where_text
from tasks.show.sheet import spread, to_jpeg
from tasks.validate.score import score_runs

_VERDICT = ("decision", "reasons", "champion", "challenger")
_REBUILT = ("base", "refined", "black", "backend", "held_out", "iterations", "resolution", "background")


def _only(record: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: record[key] for key in keys}


def machine() -> dict[str, Any]:
    """Processor, cores and memory, which every time depends on."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_GiB": round(gib),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that figures depend on."""
    names = ("capmat", "torch", "timm", "prefect", "dask", "zarr", "numpy")
    return {"python": platform.python_version()} | {n: importlib.metadata.version(n) for n in names}


def collect(config: Config, night: Mapping[str, Any], round_: Mapping[str, Any], rebuilt: Record) -> Report:
    """All numbers of a round."""
    root = Root(config.store)
    take = Take.open(root, round_["benchmark"]["take"])
    entries = [(c, f) for c, f in round_["benchmark"]["entries"]]
    # the row of a former champion is for the gate; its reasons are in the report
    runs = {row: run for row, run in round_["runs"].items() if not row.endswith("_champion")}
    per_image = {row: round_["validation"]["per_image"][row] for row in runs}
    report: Report = {
        "title": "capmat: one round",
        "run": digest_of(round_),
        "created": time.strftime("%Y-%m-%d %H:%M"),
        "supervisor": round_["validation"]["supervisor"],
        "promotion": {role: cast(Verdict, _only(verdict, _VERDICT)) for role, verdict in round_["gate"].items()},
        "history": {role: round_[role]["history"] for role in ("teacher", "student")},
        "labels": {
            "set": round_["labels"]["labels"],
            "frames": round_["labels"]["frames"],
            "painted_share": round_["labels"]["painted_share"],
        },
        "reconstruction": _only(rebuilt, _REBUILT),
        "versions": versions(),
        "hardware": machine(),
        "config": config.model_dump(mode="json"),
        "store": config.store,
        "captions": {"stage": "Image, plate, and the supervisor's matte, made from a hand-drawn trimap."},
        "notes": [
            "Small networks, trained on rendered performers, judged on a rendered stage: compare the ratios "
            "with the paper, never the absolute values.",
        ],
    }
    if config.truth:
        report["benchmark"], per_image = score_runs(take, runs, entries, truth_of(config.truth, take.name))
    report["per_image"] = {
        row: {picture: scores["mse"] for picture, scores in each.items()} for row, each in per_image.items()
    }
    mattes = {  # a matte of both is one step
        m["run"] + m["take"] + str(m["digest"]): m["wall_s"] for m in [*night["mattes"], *round_["mattes"]]
    }
    report["wall_s"] = {  # as they were when the step really ran
        "ingest": sum(t["wall_s"] for t in night["takes"].values()),
        "mattes": round(sum(mattes.values()), 2),
        "benchmark (supervisor)": float(round_["benchmark"]["wall_s"]),
        "fine-tune teacher": float(round_["teacher"]["wall_s"]),
        "distil student": float(round_["student"]["wall_s"]),
        "validate": float(round_["validation"]["wall_s"]),
        "reconstruct": round(sum(rebuilt["fit_s"]) + rebuilt["wall_s"], 2),
    }
    return report


def digest_of(round_: Mapping[str, Any]) -> str:
    """Name of the round: what was distilled from which labels."""
    return f"{round_['labels']['labels']}-{round_['student']['digest'][:8]}"


def _pictures(config: Config, round_: Mapping[str, Any], rebuilt: Record) -> dict[str, bytes]:
    root = Root(config.store)
    take = Take.open(root, round_["benchmark"]["take"])
    runs = round_["runs"]
    frozen = Benchmark.open(root, round_["benchmark"]["benchmark"], round_["benchmark"]["version"])
    supervisor = partial(frozen.alpha, take.name)
    reference = truth_of(config.truth, take.name) if config.truth else supervisor
    entries = [(c, f) for c, f in round_["benchmark"]["entries"]]
    each = round_["validation"]["per_image"]["student_base"]
    worst = sorted(entries, key=lambda e: -each[f"{e[0]}/{e[1]}"]["mse"])
    shown = sorted({*worst[:2], worst[len(worst) // 2], worst[-1]}, key=worst.index)
    sheets = {
        "stage": stage_sheet(take, spread(entries, 3), {"supervisor": supervisor}),
        "teacher": before_after_sheet(take, shown, runs["teacher_base"], runs["teacher_refined"], reference),
        "student": before_after_sheet(take, shown, runs["student_base"], runs["student_refined"], reference),
        "scribbles": scribble_sheet(root, round_["labels"]["labels"]),
    }
    pictures = {name: to_jpeg(sheet) for name, sheet in sheets.items()}
    for role in ("teacher", "student"):
        if kept := round_[role].get("pictures"):
            pictures[f"{role}-training"] = root.read(kept["sheet"])
    if rebuilt.get("sheet"):
        pictures["reconstruction"] = root.read(rebuilt["sheet"])
    return pictures


def write_report(config: Config, night: Mapping[str, Any], round_: Mapping[str, Any], rebuilt: Record) -> Record:
    """Write `report.json` and `report.html` into the store and show the same in the Prefect UI.

    Args:
        config: the settings.
        night: what the nightly flow returned.
        round_: what the redistill flow returned.
        rebuilt: what the reconstruct flow returned.

    Returns:
        `report` (the numbers), and where `html` and `json` lie.
    """
    root = Root(config.store)
    report = collect(config, night, round_, rebuilt)
    pictures = _pictures(config, round_, rebuilt)
    folder = f"reports/{report['run']}"
    root.write(f"{folder}/report.json", json.dumps(report, indent=1).encode())
    root.write(f"{folder}/report.html", render_page(report, pictures).encode())
    for name, jpeg in pictures.items():
        show(f"report-{name}", name, jpeg)
    if TaskRunContext.get() is not None:
        where = where_text(root.at(f"{folder}/report.html"))
        text = ["# The round in figures", markdown_table(report), *summary_lines(report), where]
        show_text("report", "The round in figures", "\n\n".join(text))
    url = root.url.rstrip("/") + f"/{folder}"
    return {"report": report, "html": f"{url}/report.html", "json": f"{url}/report.json"}


report_task = retryable("report")(write_report)
