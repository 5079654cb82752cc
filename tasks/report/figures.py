"""The figures of a report, named and written once: rows, units, the paper's values, before against after.

The page, the terminal and the Prefect artifact all read from here, so one number cannot appear in two units.
"""

from collections.abc import Mapping
from typing import Any

from tasks.show.figures import Metric, number

Report = Mapping[str, Any]
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
