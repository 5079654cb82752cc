"""Figures side by side as a picture that stands alone: a row per thing, a dot per figure, one logarithmic axis.

Dots and not bars, because errors of one table differ by factors of a hundred and a bar has no foot on a logarithmic
axis. The figure stands beside the last dot of its row, in its colour; see `tasks.show.charts` for lines.
"""

import html
import math
from collections.abc import Mapping, Sequence

from tasks.show.charts import COLOURS, log_ticks

WIDTH, LEFT, RIGHT, TOP, LINE, FOOT = 760, 230, 190, 58, 24, 30


def dots_svg(title: str, kinds: Sequence[str], rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Draw rows from top to bottom.

    Args:
        title: what is shown, with its unit.
        kinds: what values are, in the order of their colours.
        rows: name, and values by what they are (`ground truth`). Values not above 0 have no place and are passed
            over; a row without any says so.

    Returns:
        An SVG document.
    """
    kept = [(name, {what: v for what, v in values.items() if v > 0}) for name, values in rows]
    every = [value for _, values in kept for value in values.values()]
    colours = {what: COLOURS[i % len(COLOURS)] for i, what in enumerate(kinds)}
    height = TOP + LINE * len(kept) + FOOT
    ticks = log_ticks(min(every), max(every)) if every else [1.0, 10.0]
    low, high = math.log(ticks[0]), math.log(ticks[-1])

    def across(value: float) -> float:
        return LEFT + (math.log(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = [f'<text x="12" y="22" font-weight="bold">{html.escape(title)}</text>']
    for i, (what, colour) in enumerate(colours.items()):
        parts.append(f'<circle cx="{18 + 170 * i}" cy="40" r="4.5" fill="{colour}"/>')
        parts.append(f'<text x="{28 + 170 * i}" y="44">{html.escape(what)}</text>')
    for tick in ticks:
        parts.append(f'<path d="M{across(tick):.1f} {TOP}V{height - FOOT}" stroke="#ddd"/>')
        parts.append(f'<text x="{across(tick):.1f}" y="{height - 10}" text-anchor="middle">{tick:g}</text>')
    for i, (name, values) in enumerate(kept):
        y = TOP + LINE * (i + 0.5)
        parts.append(f'<text x="{LEFT - 14}" y="{y + 4:.1f}" text-anchor="end">{html.escape(name)}</text>')
        for what, value in values.items():
            parts.append(f'<circle cx="{across(value):.1f}" cy="{y:.1f}" r="4.5" fill="{colours[what]}"/>')
        said = "   ".join(f'<tspan fill="{colours[what]}">{value:.4g}</tspan>' for what, value in values.items())
        said = said or '<tspan fill="#888">not run</tspan>'
        parts.append(f'<text x="{WIDTH - RIGHT + 14}" y="{y + 4:.1f}" xml:space="preserve">{said}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )
