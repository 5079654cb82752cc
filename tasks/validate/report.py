"""Models beside each other on benchmarks: means with intervals, a plot, and contact sheets, as files and in the UI.

    reports/validation-<digest>/validation.json      all figures, a `Comparison`
    reports/validation-<digest>/validation.html      the same as a page that opens anywhere
    reports/validation-<digest>/<benchmark>-<column>.svg
    reports/validation-<digest>/<benchmark>-<model>.jpg     worst, median and best picture of a model

Figures against the supervisor and against the known truth are never mixed.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np

from storage.store.root import Root
from tasks.runtime.step import Record, digest, retryable
from tasks.show.artifact import artifact_key, show, where_text
from tasks.show.charts import Intervals, intervals_svg
from tasks.show.figures import METRICS, MORE_METRICS
from tasks.show.sheet import to_jpeg
from tasks.validate.answer import answers
from tasks.validate.doubt import Doubts
from tasks.validate.measure import COLUMNS
from tasks.validate.page import Comparison, FrameTime, Mean, Rows, markdown, render_validation, worst_first
from tasks.validate.pictures import open_benchmark, picture_sheet, side_by_side
from tasks.validate.score import Scores

EVERY = (*METRICS, *MORE_METRICS)
Measured = Mapping[str, Record]
"""Row (a name for a model in its role) -> record of `tasks.validate.measure.measure`."""


def summarise(measured: Measured, doubts: Mapping[str, Doubts]) -> Comparison:
    """The figures of a comparison of models that were measured on the same benchmarks, and their `doubts` by name."""
    from capmat_models.confidence import LEVEL

    names = list(next(iter(measured.values()))["benchmarks"])
    each = {
        name: {
            column: {row: record["benchmarks"][name][column] for row, record in measured.items()}
            for column in COLUMNS
            if any(record["benchmarks"][name][column] for record in measured.values())
        }
        for name in names
    }
    models = {row: {key: record[key] for key in ("model", "role", "run")} for row, record in measured.items()}
    return {
        "answers": answers(models, each, doubts),
        "models": models,
        "scores": {
            name: {column: {row: _means(rows[row]) for row in rows} for column, rows in columns.items()}
            for name, columns in each.items()
        },
        "per_image": each,
        "latency": {
            name: {row: _time(record["benchmarks"][name]["latency"]) for row, record in measured.items()}
            for name in names
        },
        "hull": {
            name: {
                row: record["benchmarks"][name]["hull"]
                for row, record in measured.items()
                if "hull" in record["benchmarks"][name]
            }
            for name in names
        },
        "doubts": doubts,
        "level": LEVEL,
    }


def write_validation(store: str, measured: Measured, doubts: Mapping[str, Doubts]) -> Record:
    """Write what was measured into the store's reports, and show it beside the run in the Prefect UI.

    Args:
        store: URL of the store.
        measured: the models.
        doubts: by benchmark, the pictures on which its supervisor may be wrong.

    Returns:
        The comparison, `text` (its tables as markdown), and where `html` and `json` lie.
    """
    root, comparison = Root(store), summarise(measured, doubts)
    folder = f"reports/validation-{digest(comparison)}"
    comparison["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    comparison["store"] = store
    comparison["benchmarks"] = {name: _described(root, name) for name in comparison["scores"]}
    charts = {
        f"{name} {column}": intervals_svg(_panels(rows))
        for name, columns in comparison["scores"].items()
        for column, rows in columns.items()
    }
    sheets = {
        f"{name} {row}": to_jpeg(picture_sheet(root, name, row, comparison))
        for name in comparison["scores"]
        for row in comparison["models"]
    }
    pairs = {
        name: side_by_side(root, name, comparison, worst_first(comparison, name, "supervisor"))
        for name in comparison["scores"]
    }
    text = markdown(comparison, EVERY)
    for name, svg in charts.items():
        root.write(f"{folder}/{_file(name)}.svg", svg.encode())
    for name, jpeg in sheets.items():
        root.write(f"{folder}/{_file(name)}.jpg", jpeg)
    root.write(f"{folder}/validation.json", json.dumps(comparison, indent=1).encode())
    root.write(f"{folder}/validation.html", render_validation(comparison, EVERY, charts, sheets, pairs).encode())
    for name, jpeg in sheets.items():
        bench, _, row = name.partition(" ")
        curves = "".join(charts.get(f"{bench} {column}", "") for column in COLUMNS[:1])
        note = f"{text}\n\n{where_text(root.at(f'{folder}/validation.html'))}"
        show(artifact_key(f"validation {name}"), f"{row} on {bench}: worst, median, best", jpeg, note, curves)
    url = root.at(folder)
    return {**comparison, "text": text, "html": f"{url}/validation.html", "json": f"{url}/validation.json"}


def _means(each: Mapping[str, Scores]) -> dict[str, Mean]:
    from capmat_models.confidence import mean_interval

    means: dict[str, Mean] = {}
    for metric in EVERY:
        values = [scores[metric.key] for scores in each.values() if metric.key in scores]
        if values:
            interval = mean_interval(values)
            means[metric.key] = {"mean": float(np.mean(values)), "interval": interval, "pictures": len(values)}
    return means


def _time(record: Record) -> FrameTime:
    return cast(FrameTime, {key: record[key] for key in FrameTime.__annotations__})


def _described(root: Root, benchmark: str) -> dict[str, Any]:
    frozen = open_benchmark(root, benchmark)
    by = [frozen.supervisor(*key) for key in frozen.keys]
    made = sorted({f"{model.get('name')}@{model.get('version')}" for model in by})
    return {"entries": len(frozen), "known": len(frozen.known), "takes": frozen.takes, "supervisors": made}


def _panels(rows: Rows) -> dict[str, Intervals]:
    return {
        f"{metric.title}, {metric.unit}": {
            row: (
                means[metric.key]["mean"] * metric.scale,
                [edge * metric.scale for edge in means[metric.key]["interval"] or ()] or None,
            )
            for row, means in rows.items()
            if metric.key in means
        }
        for metric in EVERY
    }


def _file(name: str) -> str:
    return name.replace(" ", "-").replace("@", "-")


write_validation_task = retryable("compare models")(write_validation)
