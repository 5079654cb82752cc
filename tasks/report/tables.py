"""Tables of the report as rows of values; `tables.html` draws them.

One table holds both judges and the paper, because the reader's question is a comparison: is refined better
than base, do ground truth and supervisor agree on it, and is the step as large as the paper's.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tasks.report.figures import MODELS, PAPER, PAPER_PSNR, STATES, Judge, Report, printed, psnr, wall_s
from tasks.report.inline_charts import bar, before_after
from tasks.show.figures import METRICS, number, ratio

Figures = Sequence[float | None]


class Line(NamedTuple):
    """A row of the accuracy table: ours by judge and metric, then the paper's."""

    state: str
    ours: Figures
    name: str
    paper: Figures


class Accuracy(NamedTuple):
    """The accuracy of one model: base and refined, and what refinement made of the error (below 1 is better)."""

    model: str
    lines: list[Line]
    ratios: Figures
    paper_ratios: Figures


def accuracy(report: Report, measured: Sequence[Judge]) -> list[Accuracy]:
    """Base against refined, of every model that a judge measured."""
    models = []
    for model in MODELS:
        rows = [f"{model}_{state}" for state in STATES]
        if not any((report.get(judge) or {}).get(row) for judge in measured for row in rows):
            continue
        ours = [[printed(report, judge, row, m) for judge in measured for m in METRICS] for row in rows]
        paper = [PAPER[row][1:] for row in rows]
        lines = [Line(s, o, PAPER[row][0], p) for s, o, row, p in zip(STATES, ours, rows, paper, strict=True)]
        ratios = [[ratio(b, r) for b, r in zip(*pair, strict=True)] for pair in (ours, paper)]
        models.append(Accuracy(model.title(), lines, *ratios))
    return models


class ImageTable(NamedTuple):
    """MSE of every image. A cell holds base, refined, and the two drawn on a scale from 0 to `top`."""

    models: list[str]
    rows: list[tuple[str, list[tuple[float | None, float | None, str]]]]
    top: float


def image_table(report: Report) -> ImageTable:
    """The MSE of every benchmark image before and after; no rows if it was not measured."""
    errors = report.get("per_image") or {}
    models = [m for m in MODELS if any(errors.get(f"{m}_{state}") for state in STATES)]
    images = sorted({image for row in errors.values() for image in row or {}}) if models else []

    def value(row: str, image: str) -> float | None:
        plain = number((errors.get(row) or {}).get(image))
        return None if plain is None else plain * METRICS[0].scale

    pairs = {i: [(value(f"{m}_base", i), value(f"{m}_refined", i)) for m in models] for i in images}
    top = max((v for line in pairs.values() for pair in line for v in pair if v is not None), default=0)
    rows = [(i, [(*pair, before_after(*pair, top)) for pair in line]) for i, line in pairs.items()]
    return ImageTable([m.title() for m in models], rows, top)


COLUMNS = (("psnr", "common reference"), ("psnr_own", "own matte"), ("psnr_foreground", "foreground only"))
"""What the PSNR of a reconstruction is measured against: key and heading."""


class Reconstruction(NamedTuple):
    """PSNR in dB. A row holds the state, a figure per column, whether the field collapsed, and the paper's figure."""

    rows: Sequence[tuple[str, Figures, bool, float]]
    gains: Figures
    paper_gain: float
    black: float | None


def reconstruction(report: Report) -> Reconstruction | None:
    """PSNR from base and refined mattes, and what a black image scores; None if no field was made."""
    part = report.get("reconstruction")
    if not part:
        return None
    figures = {state: [psnr(report, state, key) for key, _ in COLUMNS] for state in STATES}
    gains = [
        None if before is None or after is None else after - before
        for before, after in zip(figures["base"], figures["refined"], strict=True)
    ]
    collapsed = {state: bool((part.get(state) or {}).get("collapsed")) for state in STATES}
    rows = [(state, figures[state], collapsed[state], PAPER_PSNR[state]) for state in STATES]
    return Reconstruction(rows, gains, PAPER_PSNR["refined"] - PAPER_PSNR["base"], number(part.get("black")))


def time_rows(report: Report) -> list[tuple[str, str, float, str]]:
    """Step, its bar (the longest fills its cell), its seconds, and its share of them all."""
    steps = wall_s(report)
    longest, total = max(steps.values(), default=0.0), sum(steps.values())
    rows = []
    for step, seconds in steps.items():
        percent = 100 * seconds / total if total > 0 else 0.0
        share = "< 1 %" if 0 < percent < 0.95 else f"{percent:.0f} %"
        rows.append((step, bar(seconds / longest if longest > 0 else 0), seconds, share))
    return rows
