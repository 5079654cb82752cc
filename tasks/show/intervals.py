"""Means with their intervals as a picture that stands alone: an SVG file with its own colours, letters and ground.

One panel per measure, one line per model: a dot at the mean, a bar over the interval. Panels start at 0, so that a
difference looks as large as it is.
"""

import html
from collections.abc import Mapping, Sequence

from tasks.show.charts import COLOURS, round_ticks
from tasks.show.figures import significant

Lines = Mapping[str, tuple[float, Sequence[float] | None]]
"""Model -> mean, and (low, high) or None where there is no interval."""

WIDTH, LEFT, RIGHT, TOP, BOTTOM, PITCH = 640, 230, 80, 34, 26, 24


def intervals_svg(panels: Mapping[str, Lines]) -> str:
    """Draw panels one below the other.

    Args:
        panels: heading -> lines; values of 0 or more. Panels without a line are left out.

    Returns:
        An SVG document.
    """
    drawn, top = [], 0
    for heading, lines in panels.items():
        if lines:
            drawn.append(f'<g transform="translate(0 {top})">{_panel(heading, lines)}</g>')
            top += TOP + PITCH * len(lines) + BOTTOM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {max(top, 1)}" width="{WIDTH}" '
        f'height="{max(top, 1)}" font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(drawn)}</svg>\n'
    )


def _panel(heading: str, lines: Lines) -> str:
    ticks = round_ticks(0.0, max(max(mean, *(interval or (mean,))) for mean, interval in lines.values()))
    bottom = TOP + PITCH * len(lines)

    def place(value: float) -> float:
        return LEFT + value / ticks[-1] * (WIDTH - LEFT - RIGHT)

    parts = [f'<text x="12" y="20" font-weight="bold">{html.escape(heading)}</text>']
    for tick in ticks:
        parts.append(f'<path d="M{place(tick):.1f} {TOP - 4}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{place(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{significant(tick)}</text>')
    for i, (name, (mean, interval)) in enumerate(lines.items()):
        y, colour = TOP + PITCH * i + PITCH / 2, COLOURS[i % len(COLOURS)]
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{html.escape(name)}</text>')
        if interval:
            path = f"M{place(interval[0]):.1f} {y:.1f}H{place(interval[1]):.1f}"
            parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="5" opacity="0.35"/>')
        parts.append(f'<circle cx="{place(mean):.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4:.1f}">{significant(mean)}</text>')
    return "".join(parts)
