"""The report of `capmat paper`: `paper.json`, an HTML page, charts as SVG, strips of pictures, Prefect artifacts."""

import json
import time
from collections.abc import Mapping, Sequence

from prefect.context import TaskRunContext

from storage.store.root import Root
from tasks.config import Config
from tasks.report.paper.page import paper_page
from tasks.report.paper.pictures import make_charts, make_strips
from tasks.report.paper.preset import PARTS
from tasks.report.paper.statements import judge_statements
from tasks.report.paper.tables import make_tables
from tasks.report.paper.text import PaperReport, markdown
from tasks.report.round import machine, versions
from tasks.runtime.step import Record, digest, retryable
from tasks.show.artifact import show, show_text, where_text


def write_paper(
    config: Config,
    preset: str,
    parts: Sequence[str],
    benchmark: Record,
    done: Mapping[str, Record],
    scores: Mapping[str, Record],
    judged: Record | None,
) -> Record:
    """Write the report into the store and show it beside the run.

    Args:
        config: the settings.
        preset: `small` or `full`.
        parts: what was run.
        benchmark: record of the benchmark.
        done: records of the trainings, by the names that `flows.paper` gives them.
        scores: records of the scores, by the names that `flows.paper` gives them.
        judged: record of the radiance fields; None without.

    Returns:
        `report`, and where `html`, `json` and `pictures` (a folder) lie.
    """
    root = Root(config.store)
    tables = make_tables(config, parts, scores, judged)
    report: PaperReport = {
        "title": "The paper, run again",
        "created": time.strftime("%Y-%m-%d %H:%M"),
        "preset": preset,
        "command": " ".join(["capmat paper", *_options(preset, parts)]),
        "parts": list(parts),
        "benchmark": {key: benchmark[key] for key in ("benchmark", "version", "take")},
        "tables": tables,
        "statements": judge_statements(tables),
        "seconds": _seconds(benchmark, done, scores, judged),
        "hardware": machine(),
        "versions": versions(),
        "config": config.model_dump(mode="json"),
    }
    charts = make_charts(tables)
    strips = make_strips(root, benchmark, scores, judged)
    made = digest([preset, parts, report["config"], sorted(r["digest"] for r in [*done.values(), *scores.values()])])
    folder = f"reports/paper-{made}"
    for name, svg in charts.items():
        root.write(f"{folder}/{name}.svg", svg.encode())
    for name, jpeg in strips.items():
        root.write(f"{folder}/{name}.jpg", jpeg)
        show(f"paper-{name}", name, jpeg)
    root.write(f"{folder}/paper.html", paper_page(report, charts, strips).encode())
    root.write(f"{folder}/paper.json", json.dumps(report, indent=1).encode())
    if TaskRunContext.get() is not None:
        text = [f"# {report['title']}", markdown(report), where_text(root.at(f"{folder}/paper.html"))]
        show_text("paper", report["title"], "\n\n".join(text))
    return {
        "report": report,
        "html": root.at(f"{folder}/paper.html"),
        "json": root.at(f"{folder}/paper.json"),
        "pictures": root.at(folder),
        "files": [f"{folder}/{name}" for name in root.names(folder)],
    }


def _options(preset: str, parts: Sequence[str]) -> list[str]:
    """The options of the command line that ask for these parts and this preset."""
    only = [] if len(parts) == len(PARTS) else [f"--only {','.join(parts)}"]
    return [*only, *([] if preset == "small" else [f"--preset {preset}"])]


def _seconds(
    benchmark: Record, done: Mapping[str, Record], scores: Mapping[str, Record], judged: Record | None
) -> dict[str, dict[str, float]]:
    """Seconds of each training, and of all scores together. A record with two names counts once."""
    seconds = {"benchmark (supervisor)": _took(benchmark)}
    known: set[str] = set()
    for name, record in done.items():
        if record["digest"] not in known:
            seconds[f"train {name}"] = _took(record)
            known.add(record["digest"])
    took = [_took(record) for record in scores.values()]
    seconds["scores"] = {key: round(sum(one[key] for one in took), 2) for key in ("wall_s", "cpu_s")}
    if judged:
        fields = {"wall_s": sum(judged["fit_s"]), "cpu_s": sum(judged["fit_cpu_s"])}
        seconds["radiance fields"] = {key: round(value, 2) for key, value in fields.items()}
    return seconds


def _took(record: Record) -> dict[str, float]:
    return {key: float(record.get(key, 0.0)) for key in ("wall_s", "cpu_s")}


paper_report_task = retryable("report of the paper")(write_paper)
