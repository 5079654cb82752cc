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
from typing import Any, NamedTuple

import numpy as np

from storage.registry import Registry
from storage.store.root import Root
from tasks.config import Config
from tasks.models.networks import Ref
from tasks.report.figures import PAPER, PAPER_PSNR
from tasks.runtime.step import Record, retryable
from tasks.show.figures import METRICS


class Method(NamedTuple):
    """One row of Table 1.

    Attributes:
        title: its name in the paper.
        figures: MSE, SAD and Grad in the paper's units; None for a row of ours alone.
        group: `none` (no background), `plate` or `ours`.
        played: name of the score here.
        network: what to import where it is not there; "" for what is always there.
    """

    title: str
    figures: tuple[float, float, float] | None
    group: str
    played: str
    network: str = ""


def _printed(row: str) -> tuple[float, float, float]:
    _, mse, sad, grad = PAPER[row]
    return mse, sad, grad


METHODS = (
    Method("MODNet", (258.070, 28.185, 11.236), "none", "modnet", "modnet"),
    Method("VideoMatte", (124.566, 19.31, 9.955), "none", "videomatte", "videomatte"),
    Method("BiMatting", (688.757, 79.614, 15.941), "none", "bimatting", "bimatting"),
    Method("RVM (not in the paper)", None, "none", "rvm_mobilenetv3", "rvm_mobilenetv3"),
    Method("short training, no plate", None, "none", "no_plate"),
    Method("short training, plate", None, "plate", "plain"),
    Method("BGMV2 (Base)", _printed("student_base"), "plate", "student base"),
    Method("BGM", (83.970, 11.806, 12.548), "plate", "bgm", "bgm"),
    Method("Bg-DAMNet", (63.419, 18.122, 23.057), "plate", "bg_damnet", "bg_damnet"),
    Method("Bg-DAMNet (da)", (52.025, 16.560, 21.079), "plate", "bg_damnet_da", "bg_damnet_da"),
    Method("Bg-ViTMatte", _printed("teacher_base"), "plate", "teacher base"),
    Method("Bg-ViTMatte (Ours)", _printed("teacher_refined"), "ours", "refined"),
    Method("BGMV2 (D.)", _printed("student_refined"), "ours", "distilled 0"),
)


def why_absent(network: str) -> str:
    """Why a method of Table 1 has no figures here, and how it gets some."""
    from capmat_models.networks.configs import ARCHITECTURES, UNAVAILABLE

    if network in UNAVAILABLE:
        reason, fix = UNAVAILABLE[network]
        return f"{reason}. {fix}"
    if network in ARCHITECTURES:
        return f"No published weights were imported: capmat models import FILE --as {network}."
    return (
        "capmat cannot build this network. Import an exported one: "
        f"capmat models import FILE --as {network} --contract rgb (or rgb+plate, recurrent)."
    )


def imported(store: str, known: list[Ref]) -> dict[str, Ref]:
    """The newest version of every model that was brought from outside and can matte a take, by its name.

    Args:
        store: URL of the store.
        known: models that have a row anyway.
    """
    from capmat_models.networks.configs import ARCHITECTURES

    found: dict[str, Ref] = {}
    for entry in Registry(Root(store)).entries():
        model, card = Ref(name=entry["name"], version=entry["version"]), entry["card"]
        network = ARCHITECTURES.get(card.get("architecture", ""))
        wants_trimap = network is not None and "trimap" in network.inputs
        if card.get("kind") in ("published", "adapted", "exported") and model not in known and not wants_trimap:
            found[model["name"]] = model
    return found


imported_task = retryable("imported models")(imported)

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
