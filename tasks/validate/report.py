"""Models beside each other on benchmarks: means with intervals, a plot, and contact sheets, as files and in the UI.

    reports/validation-<digest>/validation.json      all figures, see `summarise`
    reports/validation-<digest>/validation.html      the same as a page that opens anywhere
    reports/validation-<digest>/<benchmark>-<column>.svg
    reports/validation-<digest>/<benchmark>-<model>.jpg     worst, median and best picture of a model

The supervisor's column and the known truth stay apart from the first figure to the last.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from storage.benchmark import Benchmark, Key
from storage.store.root import Root
from storage.takes.take import Take
from tasks.runtime.step import Record, digest, retryable
from tasks.show.artifact import artifact_key, show, where_text
from tasks.show.figures import METRICS, MORE_METRICS
from tasks.show.intervals import Lines, intervals_svg
from tasks.show.sheet import RGB, Row, contact_sheet, error_picture, to_jpeg
from tasks.validate.measure import COLUMNS
from tasks.validate.page import markdown, render_validation
from tasks.validate.score import Scores

EVERY = (*METRICS, *MORE_METRICS)
Measured = Mapping[str, Record]
"""Row (a name for a model in its role) -> record of `tasks.validate.measure.measure`."""


def summarise(measured: Measured) -> dict[str, Any]:
    """The figures of a comparison.

    Args:
        measured: all on the same benchmarks.

    Returns:
        `models` by row; and by benchmark (`name@version`) under `scores` for `supervisor` and `truth` the rows with
        their measures: `mean`, `interval` (low, high; None where one picture says nothing), `pictures`. Under
        `per_image` the scores of each picture, under `latency` the time of a frame by row, under `hull` how much does
        not fit together. A measure or column that a benchmark does not allow is absent.
    """
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
    return {
        "models": {row: {key: record[key] for key in ("model", "role", "run")} for row, record in measured.items()},
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
        "level": LEVEL,
    }


def write_validation(store: str, measured: Measured) -> Record:
    """Write what was measured into the store's reports, and show it beside the run in the Prefect UI.

    Args:
        store: URL of the store.
        measured: see `summarise`.

    Returns:
        What `summarise` returns, `text` (the tables as markdown), and the places of `html` and `json`.
    """
    root, found = Root(store), summarise(measured)
    folder = f"reports/validation-{digest(found)}"
    found |= {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "store": store,
        "benchmarks": {name: _described(root, name) for name in found["scores"]},
    }
    charts = {
        f"{name} {column}": intervals_svg(_panels(rows))
        for name, columns in found["scores"].items()
        for column, rows in columns.items()
    }
    sheets = {
        f"{name} {row}": to_jpeg(picture_sheet(root, name, row, found))
        for name in found["scores"]
        for row in found["models"]
    }
    text = markdown(found, EVERY)
    for name, svg in charts.items():
        root.write(f"{folder}/{_file(name)}.svg", svg.encode())
    for name, jpeg in sheets.items():
        root.write(f"{folder}/{_file(name)}.jpg", jpeg)
    root.write(f"{folder}/validation.json", json.dumps(found, indent=1).encode())
    root.write(f"{folder}/validation.html", render_validation(found, EVERY, charts, sheets).encode())
    for name, jpeg in sheets.items():
        bench, _, row = name.partition(" ")
        curves = "".join(charts.get(f"{bench} {column}", "") for column in COLUMNS[:1])
        note = f"{text}\n\n{where_text(root.at(f'{folder}/validation.html'))}"
        show(artifact_key(f"validation {name}"), f"{row} on {bench}: worst, median, best", jpeg, note, curves)
    place = root.at(folder)
    return {**found, "text": text, "html": f"{place}/validation.html", "json": f"{place}/validation.json"}


def picture_sheet(root: Root, benchmark: str, row: str, found: Mapping[str, Any]) -> RGB:
    """A model's worst, median and best picture by MSE against the supervisor, with the errors.

    Args:
        root: the store.
        benchmark: `name@version`.
        row: the model's row.
        found: see `summarise`.
    """
    frozen = _open(root, benchmark)
    scores: dict[str, Scores] = found["per_image"][benchmark]["supervisor"][row]
    order = sorted(scores, key=lambda picture: -scores[picture]["mse"])
    chosen = {order[-1]: "best", order[len(order) // 2]: "median", order[0]: "worst"}
    columns = ["image", "supervisor", row, "error"] + (["truth", "error by truth"] if frozen.known else [])
    rows = []
    for picture, word in reversed(chosen.items()):
        take, camera, frame = key = _key(picture)
        recording = Take.open(root, take)
        pha, ours = recording.read_alpha(found["models"][row]["run"], camera, frame), frozen.alpha(*key)
        pictures: list[np.ndarray | None] = [recording.read(camera, frame), ours, pha, error_picture(pha, ours)]
        said = ["", "", "", f"MSE {1e4 * scores[picture]['mse']:.1f}e-4"]
        if frozen.known:
            true = frozen.truth(*key) if key in frozen.known else None
            pictures += [true, None if true is None else error_picture(pha, true)]
            mse = found["per_image"][benchmark]["truth"][row].get(picture, {}).get("mse")
            said += ["", "" if mse is None else f"MSE {1e4 * mse:.1f}e-4"]
        rows.append(Row(f"{word}: {take} {camera} {frame}", pictures, tuple(said)))
    return contact_sheet(rows, columns)


def _means(each: Mapping[str, Scores]) -> dict[str, Any]:
    from capmat_models.confidence import mean_interval

    found = {}
    for metric in EVERY:
        values = [scores[metric.key] for scores in each.values() if metric.key in scores]
        if values:
            interval = mean_interval(values)
            found[metric.key] = {"mean": float(np.mean(values)), "interval": interval, "pictures": len(values)}
    return found


def _time(record: Record) -> dict[str, Any]:
    keys = ("ms", "fastest", "slowest", "device", "hardware", "threads", "size", "together")
    return {key: record[key] for key in keys}


def _described(root: Root, benchmark: str) -> dict[str, Any]:
    frozen = _open(root, benchmark)
    by = [frozen.supervisor(*key) for key in frozen.keys]
    made = sorted({f"{said.get('name')}@{said.get('version')}" for said in by})
    return {"entries": len(frozen), "known": len(frozen.known), "takes": frozen.takes, "supervisors": made}


def _panels(rows: Mapping[str, Any]) -> dict[str, Lines]:
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


def _open(root: Root, benchmark: str) -> Benchmark:
    name, _, version = benchmark.partition("@")
    return Benchmark.open(root, name, version)


def _key(picture: str) -> Key:
    take, camera, frame = picture.rsplit("/", 2)
    return take, camera, int(frame)


def _file(name: str) -> str:
    return name.replace(" ", "-").replace("@", "-")


write_validation_task = retryable("compare models")(write_validation)
