"""Curves as a picture that stands alone: an SVG file with its own colours, letters and ground.

The charts of the report (`tasks.report.inline_charts`) show one curve each and take their colours from the page. Here
several lines share an axis, because they are looked at against each other: starts of a training, or what a
network gains on the stage against what it loses on base data.
"""

import html
import math
from collections.abc import Mapping, Sequence

Point = tuple[float, float]
Lines = Mapping[str, Sequence[Point]]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 260, 64, 190, 34, 34
FEW = 12  # points of a line, up to which each has a dot, and its place a number
# Orange, blue, green, purple, brown, grey: apart for every common kind of colour blindness.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#9b4fa0", "#8a6d3b", "#666666")


def curves_svg(panels: Mapping[str, Lines], across: str = "iteration") -> str:
    """Draw panels one below the other, each with its lines on a logarithmic axis.

    Args:
        panels: heading -> name of a line -> its points (iteration, value), in order. Values that are not above 0
            have no place on the axis and are passed over; so is a panel without any other.
        across: what the horizontal axis shows. Few points are measurements, and each gets a dot.

    Returns:
        An SVG document.
    """
    drawn: list[str] = []
    for heading, lines in panels.items():
        kept = {name: [(x, y) for x, y in points if y > 0] for name, points in lines.items()}
        kept = {name: points for name, points in kept.items() if points}
        if kept:
            drawn.append(f'<g transform="translate(0 {HEIGHT * len(drawn)})">{_panel(heading, kept, across)}</g>')
    height = HEIGHT * max(1, len(drawn))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(drawn)}</svg>\n'
    )


def _panel(heading: str, lines: Lines, across: str) -> str:
    every = [point for points in lines.values() for point in points]
    x0, x1 = min(x for x, _ in every), max(x for x, _ in every)
    ticks = log_ticks(min(y for _, y in every), max(y for _, y in every))
    low, high = math.log(ticks[0]), math.log(ticks[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x0) / ((x1 - x0) or 1) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (math.log(y) - low) / (high - low) * (HEIGHT - TOP - BOTTOM),
        )

    parts = [f'<text x="{LEFT}" y="20" font-weight="bold">{html.escape(heading)}</text>']
    for tick in ticks:
        y = place(x0, tick)[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    marks = sorted({x for x, _ in every})
    parts += [
        f'<text x="{place(x, ticks[0])[0]:.1f}" y="{HEIGHT - 19}" text-anchor="middle">{x:g}</text>'
        for x in (marks if len(marks) <= FEW else (x0, x1))
    ]
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{html.escape(across)}</text>'
    )
    for i, (name, points) in enumerate(lines.items()):
        colour, at = COLOURS[i % len(COLOURS)], [place(*point) for point in points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for cx, cy in at if len(at) <= FEW else at[-1:]:
            parts.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="3" fill="{colour}"/>')
        label = f"{html.escape(name)} {points[-1][1]:.3g}"
        y = TOP + 8 + 18 * i
        parts.append(f'<path d="M{WIDTH - RIGHT + 12} {y - 4}h14" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 32}" y="{y}">{label}</text>')
    return "".join(parts)


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, halved to 1, 2 and 5 where they would be few, that enclose low..high, both above 0."""
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
