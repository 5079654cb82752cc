"""Charts of the report as inline SVG: a training curve, a before-and-after line, a bar.

The page's style sheet colours them, so they follow light, dark and print. The page prints the numbers beside each
chart; a chart shows the shape only.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.show.charts import round_ticks
from tasks.show.figures import number, significant

Point = tuple[float, float]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 264, 130, 42, 8, 8, 22
MOST_POINTS = 240
NOTHING = 1e-200  # division by a smaller value overflows
DEEPEST = 1e-9  # of the highest value; below, a logarithmic axis would show rounding errors
LOG_FROM = 30  # a curve that falls by a larger factor is flat on a linear axis


def history_points(records: Sequence[Mapping[str, Any]], key: str) -> list[Point]:
    """The (iteration, value) pairs of a training history; records without a value are skipped."""
    points = []
    for i, record in enumerate(records):
        x, y = number(record.get("iteration", i)), number(record.get(key))
        if x is not None and y is not None:
            points.append((x, y))
    return points


def history_keys(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the curves in a training history, in the order in which they first appear."""
    keys = {key for record in records for key, value in record.items() if number(value) is not None}
    ordered = dict.fromkeys(key for record in records for key in record)
    return [key for key in ordered if key in keys and key != "iteration"]


def line_chart(points: Sequence[Point], title: str) -> str:
    """One training curve.

    Long histories are averaged in equal runs down to 240 points: a picture this small cannot show more, and
    the page stays small. The axis is logarithmic when the values span more than a factor of 30.

    Args:
        points: (iteration, value), in order, at least one.
        title: what is drawn, for a reader who cannot see it.

    Returns:
        An `<svg>` element.
    """
    thin = [(x, y if abs(y) > NOTHING else 0.0) for x, y in _averaged(points)]
    top = max(y for _, y in thin)
    log = 0 < LOG_FROM * min(y for _, y in thin) < top
    if log:
        thin = [(x, max(y, DEEPEST * top)) for x, y in thin]
    ticks = _log_ticks(thin) if log else round_ticks(min(0.0, *(y for _, y in thin)), top)
    low, high = ticks[0], ticks[-1]
    x0, x1 = thin[0][0], max(thin[-1][0], thin[0][0] + 1)

    def position(x: float, y: float) -> tuple[float, float]:
        part = math.log(y / low) / math.log(high / low) if log else (y - low) / (high - low)
        return (
            LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM),
        )

    grid = []
    for tick in ticks:
        y = position(x0, tick)[1]
        grid.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        grid.append(f'<text class="tick end" x="{LEFT - 6}" y="{y + 3.5:.1f}">{significant(tick)}</text>')
    path = "M" + "L".join("{:.1f} {:.1f}".format(*position(x, y)) for x, y in thin)
    end = position(*thin[-1])
    first, last = significant(points[0][0]), significant(points[-1][0])
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f'{"".join(grid)}<path class="line" d="{path}"/>'
        f'<circle class="end-dot" cx="{end[0]:.1f}" cy="{end[1]:.1f}" r="3"/>'
        f'<text class="tick" x="{LEFT}" y="{HEIGHT - 6}">{first}</text>'
        f'<text class="tick end" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}">{last}</text>'
        f'<text class="tick middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}">'
        f"iteration{', log scale' if log else ''}</text></svg>"
    )


def before_after(before: float | None, after: float | None, top: float) -> str:
    """A ring at the value before, a dot at the value after, and a line between; 0 is left, `top` is right.

    Positions are percentages, so the drawing fills its table cell and all rows share one scale.
    """
    marks = []
    xs = [None if v is None else 2 + 96 * min(max(v / top, 0.0), 1.0) if top > 0 else 2.0 for v in (before, after)]
    if xs[0] is not None and xs[1] is not None:
        worse = " worse" if xs[1] > xs[0] else ""
        marks.append(f'<line class="way{worse}" x1="{xs[0]:.2f}%" x2="{xs[1]:.2f}%" y1="8" y2="8"/>')
    if xs[0] is not None:
        marks.append(f'<circle class="before" cx="{xs[0]:.2f}%" cy="8" r="3.5"/>')
    if xs[1] is not None:
        marks.append(f'<circle class="after" cx="{xs[1]:.2f}%" cy="8" r="4"/>')
    return (
        '<svg class="span" width="100%" height="16" aria-hidden="true">'
        f'<line class="grid" x1="2%" x2="98%" y1="8" y2="8"/>{"".join(marks)}</svg>'
    )


def bar(part: float) -> str:
    """A horizontal bar that fills `part` (0..1) of its cell."""
    return (
        '<svg class="bar" width="100%" height="10" aria-hidden="true">'
        f'<rect width="{100 * min(max(part, 0), 1):.2f}%" height="10" rx="1"/></svg>'
    )


def _averaged(points: Sequence[Point]) -> list[Point]:
    step = math.ceil(len(points) / MOST_POINTS)
    runs = [points[i : i + step] for i in range(0, len(points), step)]
    return [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]


def _log_ticks(points: Sequence[Point]) -> list[float]:
    first = math.floor(math.log10(min(y for _, y in points)))
    last = math.ceil(math.log10(max(y for _, y in points)))
    return [10.0**e for e in range(first, max(last, first + 1) + 1)]
