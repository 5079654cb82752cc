"""Charts that stand alone: SVG files with their own colours, letters and ground.

Lines (`curves_svg`), dots (`dots_svg`) and means with intervals (`intervals_svg`). The charts inside the round report
(`tasks.report.inline_charts`) take their colours from the page instead.
"""

import html
import math
from collections.abc import Callable, Mapping, Sequence

from tasks.show.figures import significant

Point = tuple[float, float]
Lines = Mapping[str, Sequence[Point]]
"""Name of a line -> its points, in order."""
Intervals = Mapping[str, tuple[float, Sequence[float] | None]]
"""Model -> mean, and (low, high) or None without an interval."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 260, 64, 190, 34, 34  # of a panel of curves
DOTS_WIDTH = 760
NAMES = 230  # width of the names at the left of dots and intervals; of intervals more, where a name is longer
LETTER = 7.5  # width of a letter, rather too much
PITCH = 24  # height of a row of dots or intervals
FEW = 12  # points of a line, up to which each has a dot and its x a number
# Orange, blue, green, purple, brown, grey: apart for every common kind of colour blindness.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#9b4fa0", "#8a6d3b", "#666666")


def curves_svg(panels: Mapping[str, Lines], across: str = "iteration") -> str:
    """Panels one below the other, each with several lines on one logarithmic axis.

    Args:
        panels: heading -> lines. Values of 0 or less cannot be drawn and are skipped; so is a panel without others.
        across: what the horizontal axis shows. Few points are measurements, and each gets a dot.
    """
    drawn: list[str] = []
    for heading, lines in panels.items():
        kept = {name: [(x, y) for x, y in points if y > 0] for name, points in lines.items()}
        kept = {name: points for name, points in kept.items() if points}
        if kept:
            drawn.append(f'<g transform="translate(0 {HEIGHT * len(drawn)})">{_curves(heading, kept, across)}</g>')
    return _document(WIDTH, HEIGHT * max(1, len(drawn)), drawn)


def _curves(heading: str, lines: Lines, across: str) -> str:
    every = [point for points in lines.values() for point in points]
    x0, x1 = min(x for x, _ in every), max(x for x, _ in every)
    ticks = log_ticks(min(y for _, y in every), max(y for _, y in every))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    up = _log_scale(ticks, bottom, TOP)

    def along(x: float) -> float:
        return LEFT + (x - x0) / ((x1 - x0) or 1) * (right - LEFT)

    parts = [_text(LEFT, 20, heading, weight="bold")]
    for tick in ticks:
        parts.append(f'<path d="M{LEFT} {up(tick):.1f}H{right}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, f"{up(tick) + 4:.1f}", f"{tick:g}", "end"))
    marks = sorted({x for x, _ in every})
    shown = marks if len(marks) <= FEW else (x0, x1)
    parts += [_text(f"{along(x):.1f}", HEIGHT - 19, f"{x:g}", "middle") for x in shown]
    parts.append(_text((LEFT + right) / 2, HEIGHT - 4, across, "middle"))
    for i, (name, points) in enumerate(lines.items()):
        colour, at = COLOURS[i % len(COLOURS)], [(along(x), up(y)) for x, y in points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [_dot(x, y, 3, colour) for x, y in (at if len(at) <= FEW else at[-1:])]
        y = TOP + 8 + 18 * i
        parts.append(f'<path d="M{right + 12} {y - 4}h14" stroke="{colour}" stroke-width="3"/>')
        parts.append(_text(right + 32, y, f"{name} {points[-1][1]:.3g}"))
    return "".join(parts)


def dots_svg(title: str, kinds: Sequence[str], rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """A row per name and a dot per value on one logarithmic axis; the values stand beside it in the dots' colours.

    Dots and not bars, because errors differ by factors of a hundred and a logarithmic axis has no foot for a bar.

    Args:
        title: what is shown, with its unit.
        kinds: what values are, in the order of their colours.
        rows: name, and values by kind. Values of 0 or less cannot be drawn and are skipped; a row without others is
            marked as not run.
    """
    kept = [(name, {kind: v for kind, v in values.items() if v > 0}) for name, values in rows]
    every = [value for _, values in kept for value in values.values()]
    colours = {kind: COLOURS[i % len(COLOURS)] for i, kind in enumerate(kinds)}
    top, foot, right = 58, 30, DOTS_WIDTH - 190
    height = top + PITCH * len(kept) + foot
    ticks = log_ticks(min(every), max(every)) if every else [1.0, 10.0]
    across = _log_scale(ticks, NAMES, right)
    parts = [_text(12, 22, title, weight="bold")]
    for i, (kind, colour) in enumerate(colours.items()):
        parts += [_dot(18 + 170 * i, 40, 4.5, colour), _text(28 + 170 * i, 44, kind)]
    for tick in ticks:
        parts.append(f'<path d="M{across(tick):.1f} {top}V{height - foot}" stroke="#ddd"/>')
        parts.append(_text(f"{across(tick):.1f}", height - 10, f"{tick:g}", "middle"))
    for i, (name, values) in enumerate(kept):
        y = top + PITCH * (i + 0.5)
        parts.append(_text(NAMES - 14, f"{y + 4:.1f}", name, "end"))
        parts += [_dot(across(value), y, 4.5, colours[kind]) for kind, value in values.items()]
        figures = "   ".join(f'<tspan fill="{colours[kind]}">{value:.4g}</tspan>' for kind, value in values.items())
        figures = figures or '<tspan fill="#888">not run</tspan>'
        parts.append(f'<text x="{right + 14}" y="{y + 4:.1f}" xml:space="preserve">{figures}</text>')
    return _document(DOTS_WIDTH, height, parts)


def intervals_svg(panels: Mapping[str, Intervals]) -> str:
    """A panel per measure and a row per model: a dot at the mean, a bar over the interval.

    Panels start at 0, so that a difference looks as large as it is.

    Args:
        panels: heading -> values of 0 or more. An empty panel is skipped.
    """
    drawn, top = [], 0
    letters = max((len(name) for lines in panels.values() for name in lines), default=0)
    left = max(NAMES, math.ceil(LETTER * letters) + 16)
    for heading, lines in panels.items():
        if lines:
            drawn.append(f'<g transform="translate(0 {top})">{_intervals(heading, lines, left)}</g>')
            top += TOP + PITCH * len(lines) + 26
    return _document(WIDTH - NAMES + left, max(top, 1), drawn)


def _intervals(heading: str, lines: Intervals, left: int) -> str:
    ticks = round_ticks(0.0, max(max(mean, *(interval or (mean,))) for mean, interval in lines.values()))
    bottom, right = TOP + PITCH * len(lines), WIDTH - NAMES + left - 80

    def across(value: float) -> float:
        return left + value / ticks[-1] * (right - left)

    parts = [_text(12, 20, heading, weight="bold")]
    for tick in ticks:
        parts.append(f'<path d="M{across(tick):.1f} {TOP - 4}V{bottom}" stroke="#ddd"/>')
        parts.append(_text(f"{across(tick):.1f}", bottom + 14, significant(tick), "middle"))
    for i, (name, (mean, interval)) in enumerate(lines.items()):
        y, colour = TOP + PITCH * (i + 0.5), COLOURS[i % len(COLOURS)]
        parts.append(_text(left - 12, f"{y + 4:.1f}", name, "end"))
        if interval:
            path = f"M{across(interval[0]):.1f} {y:.1f}H{across(interval[1]):.1f}"
            parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="5" opacity="0.35"/>')
        parts += [_dot(across(mean), y, 4, colour), _text(right + 12, f"{y + 4:.1f}", significant(mean))]
    return "".join(parts)


def _document(width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _text(x: float | str, y: float | str, text: str, anchor: str = "", weight: str = "") -> str:
    looks = (f' text-anchor="{anchor}"' if anchor else "") + (f' font-weight="{weight}"' if weight else "")
    return f'<text x="{x}" y="{y}"{looks}>{html.escape(text)}</text>'


def _dot(x: float, y: float, radius: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/>'


def _log_scale(ticks: Sequence[float], first: float, last: float) -> Callable[[float], float]:
    """Position of a value on a logarithmic axis that puts the first tick at `first` and the last at `last`."""
    low, high = math.log(ticks[0]), math.log(ticks[-1])
    return lambda value: first + (math.log(value) - low) / (high - low) * (last - first)


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten that enclose low..high, both above 0; over three decades at most also 2 and 5 times each."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1,) if last - first > 3 else (1, 2, 5)
    every = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    begin = max(i for i, tick in enumerate(every) if tick <= low * (1 + 1e-9))
    end = min((i for i, tick in enumerate(every) if tick >= high), default=len(every) - 1)
    return every[begin : max(end, begin + 1) + 1]


def round_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers that enclose low..high."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / 3
    size = 10 ** math.floor(math.log10(raw))
    step = next(f * size for f in (1, 2, 5, 10) if f * size >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [i * step for i in range(first, last + 1)]
