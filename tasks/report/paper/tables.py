"""The tables and figures of the paper as rows: ours by each judge, the paper's beside them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

import numpy as np

from storage.registry import Registry
from storage.store.root import Root
from tasks.config import Config
from tasks.models.networks import Ref
from tasks.report.figures import PAPER, PAPER_PSNR
from tasks.runtime.step import Record, retryable
from tasks.show.figures import METRICS

JUDGES = ("supervisor", "truth")


class Row(TypedDict):
    """A row of a table. Measures are `mse`, `sad` and `grad` as per-pixel means, and `psnr` in dB."""

    key: str
    """What `tasks.report.paper.statements` looks for."""
    title: str
    group: NotRequired[str]
    """Of Table 1: none (no background), plate, ours or imported."""
    paper: dict[str, float]
    """Measure -> value as the paper prints it, in plain units; {} where it prints none."""
    by: dict[str, dict[str, float]]
    """Judge -> measure -> value. Judges are supervisor (the paper's), truth (of a rendered session) and teacher
    (Table 3). {} where nothing was measured."""
    note: str
    """Why nothing was measured, or what must be known."""
    each: NotRequired[dict[str, list[float]]]
    """Judge -> MSE of every seed, where there are several."""


Tables = dict[str, list[Row]]
"""Rows by part."""


class Method(NamedTuple):
    """One row of Table 1.

    Attributes:
        title: its name in the paper.
        figures: MSE, SAD and Grad in the paper's units; None for a row that the paper lacks.
        group: `none` (no background), `plate` or `ours`.
        score: name of our score.
        network: which network must be imported for it; "" for what capmat trains itself.
    """

    title: str
    figures: tuple[float, float, float] | None
    group: str
    score: str
    network: str = ""


def _printed(row: str) -> tuple[float, float, float]:
    _, mse, sad, grad = PAPER[row]
    return mse, sad, grad


METHODS = (  # Table 1
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
STRATEGIES = (
    ("scribbles_only", "Scribble supervision only", (89.2, 10.4)),
    ("frozen_refiner", "Frozen refinement (2-stage)", (27.8, 5.75)),
    ("distilled", "Knowledge distillation", (8.05, 2.03)),
)
"""Table 2: our score, the paper's name, its MSE and SAD."""
ALIGNMENT = (
    ("student base to teacher", "BGMV2 (Base)", (17.892, 3.209, 6.068)),
    ("distilled 0 to teacher", "BGMV2 (Distill.)", (9.098, 2.126, 5.126)),
)
"""Table 3: our score, the paper's name, its MSE, SAD and Grad."""
SHARES = {0.2: (4.978, 1.415), 1.0: (78, 11)}
"""Fig. 6: MSE and SAD of the shares for which the paper prints numbers (its best is the row of Table 1)."""


PLATES = tuple((plates, scribbled) for scribbled in (0.0, 0.2) for plates in (0.0, 0.5, 1.0))
"""Shares of base composites over plates of the stage, and of scribbled crops in a batch, that are compared."""


def make_tables(config: Config, parts: Sequence[str], scores: Mapping[str, Record], judged: Record | None) -> Tables:
    """The rows of each part.

    Args:
        config: the settings.
        parts: which of `tasks.report.paper.preset.PARTS`.
        scores: by the names that `flows.paper` gives them.
        judged: record of `tasks.geometry.reconstruct.judge`; None without Fig. 8.
    """
    makers = {
        "table1": lambda: _methods(scores),
        "table2": lambda: _strategies(config, scores),
        "table3": lambda: [_row(key, title, scores.get(key), paper) for key, title, paper in ALIGNMENT],
        "fig5": lambda: _noise(config, scores),
        "fig6": lambda: [_share(share, scores.get(f"share {share:g}")) for share in sorted(config.paper.shares)],
        "plates": lambda: [
            _row(
                f"{plates:g} {scribbled:g}",
                f"{plates:.0%} over plates, {scribbled:.0%} scribbled",
                scores.get(f"plates {plates:g} {scribbled:g}"),
            )
            for plates, scribbled in PLATES
        ],
        "fig8": lambda: _psnr(judged),
    }
    return {part: makers[part]() for part in parts}


def _row(key: str, title: str, score: Record | None, paper: Sequence[float] | None = None, **rest: Any) -> Row:
    by = {judge: score[judge] for judge in (*JUDGES, "teacher") if score.get(judge)} if score else {}
    printed = {m.key: value / m.scale for m, value in zip(METRICS, paper or (), strict=False)}
    return cast(Row, {"key": key, "title": title, "paper": printed, "by": by, "note": "", **rest})


def _methods(scores: Mapping[str, Record]) -> list[Row]:
    rows = []
    for method in METHODS:
        score = scores.get(method.score)
        note = why_absent(method.network) if method.network and not score else ""
        rows.append(_row(method.score, method.title, score, method.figures, group=method.group, note=note))
    known = {"no_noise", *(method.score for method in METHODS)}
    others = [name for name in scores if name not in known and " " not in name]  # imported under another name
    return rows + [_row(name, name, scores[name], group="imported") for name in others]


def _strategies(config: Config, scores: Mapping[str, Record]) -> list[Row]:
    rows = []
    for key, title, paper in STRATEGIES:
        seeds = [score for n in range(config.paper.seeds) if (score := scores.get(f"{key} {n}"))]
        judges = [judge for judge in JUDGES if seeds and all(score.get(judge) for score in seeds)]
        means = {
            judge: {m.key: float(np.mean([score[judge][m.key] for score in seeds])) for m in METRICS}
            for judge in judges
        }
        each = {judge: [score[judge]["mse"] for score in seeds] for judge in judges}
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


def why_absent(network: str) -> str:
    """Why a method of Table 1 has no figures here, and how to get them."""
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
    """The newest version of every imported model that can matte a take, by its name.

    Args:
        store: URL of the store.
        known: models that have a row already.
    """
    from capmat_models.networks.configs import ARCHITECTURES

    models: dict[str, Ref] = {}
    for entry in Registry(Root(store)).entries():
        model, card = Ref(name=entry["name"], version=entry["version"]), entry["card"]
        network = ARCHITECTURES.get(card.get("architecture", ""))
        wants_trimap = network is not None and "trimap" in network.inputs
        if card.get("kind") in ("published", "adapted", "exported") and model not in known and not wants_trimap:
            models[model["name"]] = model
    return models


imported_task = retryable("imported models")(imported)
