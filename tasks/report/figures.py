"""The figures of a report, named and written once: rows, units, the paper's values, before against after.

The page, the terminal and the Prefect artifact all read from here, so one number cannot appear in two units.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

Report = Mapping[str, Any]


class Metric(NamedTuple):
    """One measure of alpha error: `scale` times the per-pixel mean is what gets printed; lower is better."""

    key: str
    title: str
    scale: float
    unit: str
    ascii_unit: str


# Table 1 of the paper prints these units; all three are per-pixel means over the whole image.
METRICS = (
    Metric("mse", "MSE", 1e4, "10⁻⁴", "1e-4"),
    Metric("sad", "SAD", 1e3, "10⁻³", "1e-3"),
    Metric("grad", "Grad", 1e5, "10⁻⁵", "1e-5"),
)
# Measured by `capmat validate` beside the paper's three.
MORE_METRICS = (
    Metric("conn", "Conn", 1.0, "10³ px", "1e3px"),
    Metric("flicker", "dtSSD", 1e2, "10⁻²", "1e-2"),
)
MODELS = ("teacher", "student")
STATES = ("base", "refined")
JUDGES = {"benchmark": "against ground truth", "supervisor": "against the supervisor"}

# Table 1: (name in the paper, MSE, SAD, Grad) as printed, for the row of ours that plays the same part.
PAPER = {
    "teacher_base": ("Bg-ViTMatte", 7.805, 5.760, 4.221),
    "teacher_refined": ("Bg-ViTMatte (Ours)", 4.978, 1.415, 3.978),
    "student_base": ("BGMV2 (Base)", 20.694, 3.564, 4.772),
    "student_refined": ("BGMV2 (D.)", 8.054, 2.032, 3.783),
}
PAPER_PSNR = {"base": 30.5, "refined": 33.5}  # Fig. 8, dB
MISSING = "–"
DECISIONS = {"PROMOTE": "promoted", "HOLD": "held back", "REJECT": "rejected"}


def printed(report: Report, judge: str, row: str, metric: Metric) -> float | None:
    """Look up one value in the unit that is printed; None when it was not measured.

    Args:
        report: the report dict (schema in `tasks.report.page`).
        judge: `benchmark` or `supervisor`.
        row: `teacher_base`, `teacher_refined`, `student_base` or `student_refined`.
        metric: one of `METRICS`.
    """
    value = number(((report.get(judge) or {}).get(row) or {}).get(metric.key))
    return None if value is None else value * metric.scale


def judges(report: Report) -> list[str]:
    """What the models were measured against in this run, the strictest first."""
    return [judge for judge in JUDGES if any((report.get(judge) or {}).values())]


def number(value: object) -> float | None:
    """Take a figure as float; None for what is missing, not a number or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def ratio(before: float | None, after: float | None) -> float | None:
    """After / before; None where that says nothing."""
    return None if before is None or after is None or before <= 0 else after / before


def change(before: float | None, after: float | None) -> str:
    """Write a change in per cent with its sign, `−61 %`; empty when it cannot be told."""
    factor = ratio(before, after)
    if factor is None:
        return ""
    percent = round((factor - 1) * 100)
    return "±0 %" if percent == 0 else f"{'+' if percent > 0 else '−'}{abs(percent)} %"


def decimals(value: float | None, places: int = 3) -> str:
    """Write a figure with fixed decimals as the paper does, a true minus, and a dash for nothing."""
    return MISSING if value is None else f"{value:.{places}f}".replace("-", "−")


def significant(value: float | None) -> str:
    """Write a figure of unknown size (a loss, a learning rate) with four digits: 0.02261, 2.5·10⁻⁵."""
    if value is None:
        return MISSING
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.4g}" if abs(value) < 1e3 else f"{value:.0f}"
    mantissa, exponent = f"{value:.3e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{float(mantissa):g}·10{power}".replace("-", "−")


def duration(seconds: float | None) -> str:
    """Write seconds as a person would: `4.2 s`, `3 min 12 s`, `1 h 05 min`."""
    if seconds is None:
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def psnr(report: Report, state: str, key: str = "psnr") -> float | None:
    """PSNR in dB from base or refined mattes; key `psnr`, `psnr_own` or `psnr_foreground`."""
    return number(((report.get("reconstruction") or {}).get(state) or {}).get(key))


def decisions(report: Report) -> dict[str, str]:
    """Say per model what became of the challenger, in words; an unknown decision stays as it is."""
    parts = {m: str((part or {}).get("decision") or "") for m, part in (report.get("promotion") or {}).items()}
    return {model: DECISIONS.get(word, word) for model, word in parts.items() if word}


def wall_total(report: Report) -> float | None:
    """Wall time of all steps together in seconds."""
    known = [s for s in map(number, (report.get("wall_s") or {}).values()) if s is not None]
    return sum(known) if known else None
