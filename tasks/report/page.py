"""The report of a round as one HTML page. It needs only the record `tasks.report.figures.Report` and the pictures."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.report.figures import JUDGES, STATES, Judge, Report, decisions, judges, printed, psnr, wall_total
from tasks.report.inline_charts import history_keys, history_points, line_chart
from tasks.report.summary import verdict
from tasks.report.tables import COLUMNS, accuracy, image_table, reconstruction, time_rows
from tasks.show.figures import METRICS, change, counted, decimals, dotted, duration, number, ratio
from tasks.show.page import render

# Known pictures in the order of the page: section, caption, and whether they show errors.
PICTURES = {
    "stage": ("pictures", "What the cameras saw: the image and the plate of the empty stage.", False),
    "teacher": ("pictures", "Teacher, before and after the scribbles.", True),
    "student": ("pictures", "Student, before and after learning from the teacher.", True),
    "scribbles": ("labels", "Scribbles over the faded image: green is foreground, red is background.", False),
    "teacher-training": ("training", "Teacher, before and after it was fine-tuned.", False),
    "student-training": ("training", "Student, before and after it was distilled.", False),
    "reconstruction": ("reconstruction", "Held-out cameras, rendered from the reconstruction.", False),
}
_FACTS = {"store": "Where things lie", "hardware": "Hardware", "versions": "Versions", "config": "Settings"}
Sheet = tuple[str, bytes, str, bool]


def render_page(report: Report, pictures: Mapping[str, bytes]) -> str:
    """A complete HTML document, UTF-8.

    Args:
        report: the figures.
        pictures: JPEG files by name. Those of `PICTURES` have their section and caption; any other stands after
            the pictures under its own name.
    """
    measured = judges(report)
    history = {model: records or [] for model, records in (report.get("history") or {}).items()}
    field = report.get("reconstruction") or {}
    return render(
        "report/page.html",
        title=str(report.get("title") or "capmat report"),
        facts=(f"run {report['run']}" if report.get("run") else "", report.get("created") or ""),
        verdict=verdict(report),
        tiles=list(_tiles(report, measured)),
        notes=report.get("notes") or (),
        metrics=METRICS,
        judges={judge: JUDGES[judge] for judge in measured},
        accuracy=accuracy(report, measured),
        pictures=_sections(pictures, report.get("captions") or {}),
        images=image_table(report),
        promotion=_promotion(report),
        labels=_labels(report),
        curves=[(model.title(), _curves(model, records)) for model, records in history.items()],
        looked_at_stage=any("stage_mse" in record for records in history.values() for record in records),
        backend=field.get("backend"),
        held_out=field.get("held_out"),
        columns=COLUMNS,
        reconstruction=reconstruction(report),
        times=time_rows(report),
        total=wall_total(report),
        facts_of_run=[(key, heading, facts) for key, heading in _FACTS.items() if (facts := _facts(report, key))],
    )


def _tiles(report: Report, measured: list[Judge]) -> Iterator[dict[str, Any]]:
    """The few figures that matter: squared error of both models, reconstruction, human effort, time."""
    mse = METRICS[0]
    for model in ("student", "teacher") if measured else ():
        before, after = (printed(report, measured[0], f"{model}_{state}", mse) for state in STATES)
        if before is not None or after is not None:
            yield {
                "label": f"{model.title()} MSE",
                "was": decimals(before, 2),
                "value": decimals(after, 2),
                "foot": f"{mse.unit} {JUDGES[measured[0]]}",
                "chip": change(before, after),
                "worse": (ratio(before, after) or 0) > 1,
            }
    base, refined = (psnr(report, state) for state in STATES)
    if base is not None or refined is not None:
        gain = None if base is None or refined is None else refined - base
        yield {
            "label": "Reconstruction",
            "was": decimals(base, 1),
            "value": decimals(refined, 1),
            "foot": "PSNR, dB; higher is better",
            "chip": "" if gain is None else f"{decimals(gain, 1, sign=True)} dB",
            "worse": (gain or 0) < 0,
        }
    labels = report.get("labels") or {}
    if (frames := labels.get("frames")) is not None:
        share = number(labels.get("painted_share"))
        foot = "by hand" if share is None else f"{decimals(100 * share, 1)} % of their pixels painted"
        yield {"label": "Frames scribbled", "value": frames, "foot": foot}
    if (total := wall_total(report)) is not None:
        yield {"label": "Wall time", "value": duration(total), "foot": "all steps together"}


def _sections(pictures: Mapping[str, bytes], captions: Mapping[str, str]) -> dict[str, list[Sheet]]:
    """The pictures of each section, known ones first."""
    sections: dict[str, list[Sheet]] = {section: [] for section, _, _ in PICTURES.values()}
    for name in [*(known for known in PICTURES if known in pictures), *(n for n in pictures if n not in PICTURES)]:
        section, caption, errors = PICTURES.get(name, ("pictures", name, False))
        own = captions.get(name)
        sections[section].append((name, pictures[name], own or caption, errors and not own))
    return sections


def _promotion(report: Report) -> list[tuple[str, str, list[str]]]:
    """Model, what became of its challenger, and why."""
    words = decisions(report)
    verdicts = (report.get("promotion") or {}).items()
    return [(model.title(), words.get(model, ""), part.get("reasons") or []) for model, part in verdicts if part]


def _labels(report: Report) -> str:
    labels = report.get("labels") or {}
    share = number(labels.get("painted_share"))
    facts = [
        f"Label set {labels['set']}" if labels.get("set") else "",
        counted(labels["frames"], "frame") if labels.get("frames") is not None else "",
        f"{decimals(100 * share, 2)} % of their pixels painted" if share is not None else "",
    ]
    return ", ".join(filter(None, facts))


def _curves(model: str, records: Any) -> list[tuple[str, float, float, str]]:
    """Name, first and last value, and the drawing of every curve of a training."""
    curves = []
    for key in history_keys(records):
        points = history_points(records, key)
        drawn = line_chart(points, f"{model} {key} by iteration")
        curves.append((key.replace("_", " "), points[0][1], points[-1][1], drawn))
    return curves


def _facts(report: Report, key: str) -> list[tuple[str, str]]:
    value = dict(report).get(key)
    return dotted(value, "" if isinstance(value, Mapping) else key)
