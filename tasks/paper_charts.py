"""The charts of `capmat paper`: dots for tables, lines for figures; MSE in the paper's unit, PSNR in dB."""

from collections.abc import Sequence

from tasks.report.paper.tables import Row, Tables
from tasks.show.charts import curves_svg
from tasks.show.dots import dots_svg

WHO = {"supervisor": "supervisor", "truth": "ground truth", "teacher": "refined teacher"}
"""Judges, as people call them."""
PAPER = "the paper"
_TABLES = {
    "table1": ("Table 1: MSE, 1e-4", "mse", 1e4),
    "table2": ("Table 2: MSE, 1e-4", "mse", 1e4),
    "table3": ("Table 3: MSE against the refined teacher, 1e-4", "mse", 1e4),
    "fig8": ("Fig. 8: PSNR of held-out cameras, dB", "psnr", 1.0),
}


def make_charts(tables: Tables) -> dict[str, str]:
    """An SVG document per part that has any figure."""
    charts: dict[str, str] = {}
    for part, rows in tables.items():
        judges = list(dict.fromkeys(judge for row in rows for judge in row["by"]))
        if not judges:
            continue
        if part in _TABLES:
            title, measure, scale = _TABLES[part]
            values = [(row["title"], _values(row, measure, scale)) for row in rows]
            charts[part] = dots_svg(title, [*(WHO[judge] for judge in judges), PAPER], values)
        elif part == "fig5":
            panels = {f"Fig. 5: MSE by the {WHO[judge]}, 1e-4": _noise_lines(rows, judge) for judge in judges}
            charts[part] = curves_svg(panels, "noise on the frames (standard deviation)")
        else:
            lines = {WHO[judge]: _share_line(rows, judge) for judge in judges}
            charts[part] = curves_svg({"Fig. 6: MSE, 1e-4": lines}, "scribbled frames in a batch, %")
    return charts


def _values(row: Row, measure: str, scale: float) -> dict[str, float]:
    ours = {WHO[judge]: scale * scores[measure] for judge, scores in row["by"].items()}
    theirs = {PAPER: scale * row["paper"][measure]} if measure in row["paper"] else {}
    return ours | theirs


def _noise_lines(rows: Sequence[Row], judge: str) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if judge in row["by"]:
            noise = float(row["key"].partition("@")[2])
            lines.setdefault(row["title"].partition(" in training")[0], []).append(
                (noise, 1e4 * row["by"][judge]["mse"])
            )
    return lines


def _share_line(rows: Sequence[Row], judge: str) -> list[tuple[float, float]]:
    return [(100 * float(row["key"]), 1e4 * row["by"][judge]["mse"]) for row in rows if judge in row["by"]]
