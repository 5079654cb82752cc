"""How large `capmat paper` runs: `small` as the settings are, `full` with those of the paper."""

from collections.abc import Sequence
from typing import Any, Literal

from capmat_errors import ConfigError
from storage.descriptor import read_session
from storage.labels.label_set import LABELS, LabelSet
from storage.store.root import Root
from tasks.config import Config

PresetName = Literal["small", "full"]

PARTS = {
    "table1": "Table 1: all methods that can be had",
    "table2": "Table 2: students with and without a teacher",
    "table3": "Table 3: the student against its teacher, on images that no training saw",
    "fig5": "Fig. 5: noise in training",
    "fig6": "Fig. 6: share of scribbled frames in a batch",
    "fig8": "Fig. 8: a radiance field from base and refined mattes",
    "plates": "Not in the paper: plates of the stage in the base data",
}
"""What can be run, with its title."""

NEEDS_TEACHER = {"table1", "table2", "table3", "fig8"}
"""Parts that need the refined teacher and the student that learned from it."""

# Sec. 5.1 and 5.4, and the sources that they name: ViTMatte's layer decay and length, BackgroundMattingV2's crop.
_FULL: dict[str, dict[str, Any]] = {
    "teacher": {
        "model": "bg_vitmatte_s",
        "iterations": 2000,
        "batch": 16,
        "scribble_share": 0.2,
        "scribble_weight": 5.0,
        "noise": 0.1,
        "crop": 512,
        "layer_decay": 0.65,
        "lr": 5e-5,
        "lr_late": 2.5e-5,
        "lr_late_from": 0.3,
        "plate_share": 0.0,
    },
    "student": {
        "model": "bgmv2_mobilenetv2",
        "base_iterations": 365,
        "joint_iterations": 1450,
        "batch": 8,
        "crop": 2048,
        "lr_scale": 1.0,
        "decay": False,
        "frozen_norms": False,
        "base_share": 0.0,
        "recolour": 0.0,
        "plate_share": 0.0,
    },
    "supervisor": {"model": "diffmatte_vits"},
    "reconstruction": {"preset": "paper"},
    "paper": {"base_iterations": 134_687, "share_iterations": 2000, "seeds": 3},
}


def at_preset(config: Config, preset: PresetName) -> Config:
    """The settings of a preset. What the user set (in the file, environment or command line) stays.

    Args:
        config: the user's settings.
        preset: `small` is `config` itself; `full` replaces defaults by the paper's settings.
    """
    if preset == "small":
        return config
    sections: dict[str, Any] = {}
    for name, paper in _FULL.items():
        section = getattr(config, name)
        chosen = {field: getattr(section, field) for field in section.model_fields_set}
        sections[name] = type(section)(**{**paper, **chosen})
    return config.model_copy(update=sections)


def chosen_parts(only: str) -> tuple[str, ...]:
    """The parts of a comma-separated list; all parts for an empty one.

    Raises:
        ConfigError: a part is unknown.
    """
    asked = [part.strip() for part in only.split(",") if part.strip()]
    if unknown := [part for part in asked if part not in PARTS]:
        raise ConfigError(
            f"the paper has no part {', '.join(unknown)}", where="--only", fix=f"Choose from {', '.join(PARTS)}."
        )
    return tuple(part for part in PARTS if not asked or part in asked)


def check_paper(config: Config, parts: Sequence[str]) -> str:
    """Refuse settings that would change what the figures mean, before any work.

    Args:
        config: the settings.
        parts: what is run.

    Returns:
        The take of the benchmark.

    Raises:
        ConfigError: no take is named to distil from, a share is less than one crop of a batch, the session has no
            benchmark, or the benchmark's take is trained on.
        SessionError: the session cannot be read.
    """
    batch = config.teacher.batch
    for share in config.paper.shares if "fig6" in parts else ():
        if share and not round(batch * share):
            raise ConfigError(
                f"{share:.0%} of a batch of {batch} is less than one scribbled crop", where="paper.shares",
                fix="Remove this share, or use larger batches.",
            )  # fmt: skip
    distils = bool(NEEDS_TEACHER & set(parts))
    if distils and not config.pseudo_takes:
        raise ConfigError("distillation needs takes for the teacher to label", where="pseudo_takes", fix="Name some.")
    session = read_session(config.session)
    session.check_takes(config.pseudo_takes if distils else (), "pseudo_takes")
    section = session.benchmark
    if section is None:
        raise ConfigError(
            "the session has no benchmark to measure on", where=config.session,
            fix="Name a take and its trimaps in [benchmark].",
        )  # fmt: skip
    trained = {*(config.pseudo_takes if distils else ()), *config.scribble_takes}
    _refuse(section.take, trained, "pseudo_takes, scribble_takes")
    return section.take


def check_labels(store: str, version: str, benchmark: str) -> None:
    """Refuse a label set that holds the benchmark's take.

    Raises:
        ConfigError: the label set holds it.
    """
    labels = LabelSet.open(Root(store), LABELS, version)
    _refuse(benchmark, {entry.take for entry in labels.entries}, f"label set {version}")


def _refuse(benchmark: str, trained: set[str], where: str) -> None:
    if benchmark in trained:
        raise ConfigError(
            f"the benchmark's take {benchmark} is also trained on", where=where,
            fix="Choose another benchmark: the paper measures on images that no training saw.",
        )  # fmt: skip
