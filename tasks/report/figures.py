"""The figures of a report, named and written once: rows, units, the paper's values, before against after.

The page, the terminal and the Prefect artifact all read from here, so one number cannot appear in two units.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from tasks.show.figures import Metric, number

Judge = Literal["benchmark", "supervisor"]
MODELS = ("teacher", "student")
STATES = ("base", "refined")
JUDGES: dict[Judge, str] = {"benchmark": "against ground truth", "supervisor": "against the supervisor"}

# Table 1: (name in the paper, MSE, SAD, Grad) as printed, for the row of ours that plays the same part.
PAPER = {
    "teacher_base": ("Bg-ViTMatte", 7.805, 5.760, 4.221),
    "teacher_refined": ("Bg-ViTMatte (Ours)", 4.978, 1.415, 3.978),
    "student_base": ("BGMV2 (Base)", 20.694, 3.564, 4.772),
    "student_refined": ("BGMV2 (D.)", 8.054, 2.032, 3.783),
}
PAPER_PSNR = {"base": 30.5, "refined": 33.5}  # Fig. 8, dB
DECISIONS = {"PROMOTE": "promoted", "HOLD": "held back", "REJECT": "rejected"}


class Labels(TypedDict, total=False):
    """The label set of the round."""

    set: str
    frames: int
    """How many have scribbles."""
    painted_share: float
    """0..1 of their pixels."""


class Verdict(TypedDict, total=False):
    """What became of a challenger."""

    decision: str
    """PROMOTE, HOLD or REJECT."""
    reasons: list[str]


class Report(TypedDict, total=False):
    """What `report.json` holds. A page leaves out what is missing or None.

    Rows are `teacher_base`, `teacher_refined`, `student_base` and `student_refined`. Errors are plain per-pixel
    means, averaged over images; what is printed is 1e-4, 1e-3 and 1e-5 of them, as in Table 1.
    """

    title: str
    run: str
    created: str
    benchmark: Mapping[str, Mapping[str, float]] | None
    """Row -> `mse`, `sad` and `grad` against ground truth."""
    supervisor: Mapping[str, Mapping[str, float]] | None
    """The same against the supervisor's mattes (Sec. 4.4), the paper's own yardstick."""
    per_image: Mapping[str, Mapping[str, float]] | None
    """Row -> MSE by camera or image."""
    reconstruction: Mapping[str, Any] | None
    """`backend`, `held_out` cameras, `black` (PSNR of a black image), and under `base` and `refined` the dB of
    `psnr`, `psnr_own` and `psnr_foreground`, and whether the field `collapsed`."""
    promotion: Mapping[str, Verdict | None] | None
    """By model."""
    history: Mapping[str, Sequence[Mapping[str, Any]] | None] | None
    """Model -> records with `iteration`, `loss` and any other number."""
    labels: Labels | None
    wall_s: Mapping[str, float] | None
    """Step -> seconds, in the order in which the steps ran."""
    versions: Mapping[str, Any] | None
    hardware: Mapping[str, Any] | None
    config: Mapping[str, Any] | None
    store: Mapping[str, Any] | str | None
    notes: list[str] | None
    """What a reader must know before believing a figure."""
    captions: Mapping[str, str] | None
    """Picture -> its text, for pictures with names of their own."""


def printed(report: Report, judge: Judge, row: str, metric: Metric) -> float | None:
    """One value in the unit that is printed; None if it was not measured.

    Args:
        report: the report.
        judge: `benchmark` or `supervisor`.
        row: `teacher_base`, `teacher_refined`, `student_base` or `student_refined`.
        metric: one of `METRICS`.
    """
    value = number(((report.get(judge) or {}).get(row) or {}).get(metric.key))
    return None if value is None else value * metric.scale


def judges(report: Report) -> list[Judge]:
    """What the models were measured against in this run, the strictest first."""
    return [judge for judge in JUDGES if any((report.get(judge) or {}).values())]


def psnr(report: Report, state: str, key: str = "psnr") -> float | None:
    """PSNR in dB from base or refined mattes; key `psnr`, `psnr_own` or `psnr_foreground`."""
    return number(((report.get("reconstruction") or {}).get(state) or {}).get(key))


def decisions(report: Report) -> dict[str, str]:
    """What became of the challenger, by model, in words; an unknown decision stays as it is."""
    words = {m: str((part or {}).get("decision") or "") for m, part in (report.get("promotion") or {}).items()}
    return {model: DECISIONS.get(word, word) for model, word in words.items() if word}


def wall_s(report: Report) -> dict[str, float]:
    """Seconds of every step that was timed."""
    return {str(k): s for k, v in (report.get("wall_s") or {}).items() if (s := number(v)) is not None}


def wall_total(report: Report) -> float | None:
    """Wall time of all steps together in seconds."""
    return sum(wall_s(report).values()) if wall_s(report) else None
