"""The tables and figures of the paper as rows: ours by each judge, the paper's beside them.

A row is plain JSON:

    key, title    what it is; keys are what `tasks.report.paper.statements` looks for
    group         of Table 1: "none" (no background), "plate", "ours"
    paper         {measure: value} as printed there, in plain units; {} where it prints none
    by            {judge: {measure: value}}; judges are "supervisor" (the paper's), "truth" (of a rendered session),
                  "teacher" (Table 3). {} where nothing was measured
    note          why nothing was measured, or what must be known
    each          the MSE of every seed by judge, where there are several

Measures are `mse`, `sad` and `grad` as per-pixel means, and `psnr` in dB.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tasks.config import Config
from tasks.paper_methods import METHODS, why_absent
from tasks.report.figures import METRICS, PAPER_PSNR
from tasks.runtime.step import Record

Row = dict[str, Any]
Tables = dict[str, list[Row]]
JUDGES = ("supervisor", "truth")

STRATEGIES = (
    ("scribbles_only", "Scribble supervision only", (89.2, 10.4)),
    ("frozen_refiner", "Frozen refinement (2-stage)", (27.8, 5.75)),
    ("distilled", "Knowledge distillation", (8.05, 2.03)),
)
"""Table 2: name here, name there, MSE and SAD there."""
ALIGNMENT = (
    ("student base to teacher", "BGMV2 (Base)", (17.892, 3.209, 6.068)),
    ("distilled 0 to teacher", "BGMV2 (Distill.)", (9.098, 2.126, 5.126)),
)
"""Table 3, likewise."""
SHARES = {0.2: (4.978, 1.415), 1.0: (78, 11)}
"""Fig. 6: MSE and SAD of the shares that the paper says in numbers (its best is the row of Table 1)."""


def make_tables(config: Config, parts: Sequence[str], scores: Mapping[str, Record], judged: Record | None) -> Tables:
    """The rows of each part.

    Args:
        config: the settings.
        parts: which.
        scores: by the names that `flows.paper` gives them.
        judged: record of `tasks.geometry.reconstruct.judge`; None when Fig. 8 is left out.
    """
    makers = {
        "table1": lambda: _methods(scores),
        "table2": lambda: _strategies(config, scores),
        "table3": lambda: [_row(key, title, scores.get(key), paper) for key, title, paper in ALIGNMENT],
        "fig5": lambda: _noise(config, scores),
        "fig6": lambda: [_share(share, scores.get(f"share {share:g}")) for share in sorted(config.paper.shares)],
        "fig8": lambda: _psnr(judged),
    }
    return {part: makers[part]() for part in parts}


def _row(key: str, title: str, score: Record | None, paper: Sequence[float] | None = None, **rest: Any) -> Row:
    found = score or {}
    by = {judge: found[judge] for judge in (*JUDGES, "teacher") if found.get(judge)}
    printed = {m.key: value / m.scale for m, value in zip(METRICS, paper or (), strict=False)}
    return {"key": key, "title": title, "paper": printed, "by": by, "note": "", **rest}


def _methods(scores: Mapping[str, Record]) -> list[Row]:
    rows, placed = [], set()
    for method in METHODS:
        score = scores.get(method.played)
        note = why_absent(method.network) if method.network and not score else ""
        rows.append(_row(method.played, method.title, score, method.figures, group=method.group, note=note))
        placed.add(method.played)
    known = {"teacher base", "student base", "refined", "plain", "no_plate", "no_noise"}
    for name, score in scores.items():  # brought from outside under another name
        if name not in placed | known and " " not in name:
            rows.append(_row(name, name, score, group="imported"))
    return rows


def _strategies(config: Config, scores: Mapping[str, Record]) -> list[Row]:
    rows = []
    for key, title, paper in STRATEGIES:
        found = [score for n in range(config.paper.seeds) if (score := scores.get(f"{key} {n}"))]
        judges = [judge for judge in JUDGES if found and all(score.get(judge) for score in found)]
        means = {
            judge: {m.key: float(np.mean([score[judge][m.key] for score in found])) for m in METRICS}
            for judge in judges
        }
        each = {judge: [score[judge]["mse"] for score in found] for judge in judges}
        rows.append(_row(key, title, means, paper, each=each))
    return rows


def _noise(config: Config, scores: Mapping[str, Record]) -> list[Row]:
    return [
        _row(f"{key} @{noise:g}", f"{title}, frames with noise {noise:g}", scores.get(f"{key} @{noise:g}"))
        for noise in config.paper.noise
        for key, title in (("no_noise", "without noise in training"), ("plain", "with noise in training"))
    ]


def _share(share: float, score: Record | None) -> Row:
    return _row(f"{share:g}", f"{share:.0%} scribbled", score, SHARES.get(share))


def _psnr(judged: Record | None) -> list[Row]:
    rows = []
    for key, title in (("base", "base mattes"), ("refined", "refined mattes")):
        row = _row(key, title, None)
        row["paper"] = {"psnr": PAPER_PSNR[key]}
        if judged:
            figures = ("psnr", "psnr_own", "psnr_foreground", "ssim")
            row["by"] = {"supervisor": {name: judged[key][name] for name in figures}}
            how = f"{judged['backend']}, {judged['iterations']} iterations, held out {', '.join(judged['held_out'])}"
            row["note"] = f"{how}; a black image: {judged['black']:.2f} dB" + (
                "; collapsed" if judged[key]["collapsed"] else ""
            )
        rows.append(row)
    return rows
