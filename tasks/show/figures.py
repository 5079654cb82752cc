"""Figures in words: metrics with their units, numbers with fitting digits, durations, amounts."""

import math
from collections.abc import Mapping
from typing import NamedTuple

MISSING = "–"


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


def number(value: object) -> float | None:
    """A figure as float; None for what is missing, not a number or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def ratio(before: float | None, after: float | None) -> float | None:
    """After / before; None without both, or where before is 0."""
    return None if before is None or after is None or before <= 0 else after / before


def change(before: float | None, after: float | None) -> str:
    """Write a change in per cent with its sign, `−61 %`; "" without a ratio."""
    factor = ratio(before, after)
    if factor is None:
        return ""
    percent = round((factor - 1) * 100)
    return "±0 %" if percent == 0 else f"{'+' if percent > 0 else '−'}{abs(percent)} %"


def decimals(value: float | None, places: int = 3, sign: bool = False) -> str:
    """Write a figure with fixed decimals as the paper does, with a true minus, or a dash for None."""
    plus = "+" if sign and value is not None and value >= 0 else ""
    return MISSING if value is None else f"{plus}{value:.{places}f}".replace("-", "−")


def significant(value: float | None) -> str:
    """Write a figure of unknown size (a loss, a learning rate) with four digits: 0.02261, 2.5·10⁻⁵."""
    if value is None:
        return MISSING
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:.4g}" if abs(value) < 1e3 else f"{value:.0f}"
    mantissa, exponent = f"{value:.3e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{float(mantissa):g}·10{power}".replace("-", "−")


def mse_text(value: float) -> str:
    """Write the MSE of a picture for the caption below it."""
    return f"MSE {1e4 * value:.1f}e-4"


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


def amount(count: float) -> str:
    """Write bytes with three digits: `1.23 MB`."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while float(f"{count:.3g}") >= 1000 and len(units) > 1:
        count, units = count / 1000, units[1:]
    return f"{float(f'{count:.3g}'):.12g} {units[0]}"


def dotted(value: object, name: str = "") -> list[tuple[str, str]]:
    """Name and text of every value in nested settings: `teacher.iterations`, `180`. Empty ones are left out."""
    if isinstance(value, Mapping):
        inner = [dotted(v, f"{name}.{k}" if name else str(k)) for k, v in value.items()]
        return [pair for pairs in inner for pair in pairs]
    if isinstance(value, list | tuple):
        return [(name, ", ".join(map(str, value)) or MISSING)]
    return [] if value is None or value == "" else [(name, str(value))]


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write `1 take` or `2 takes`; `plural` where an s alone does not make it."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"
