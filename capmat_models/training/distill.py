"""Distillation: the student learns the refined teacher's mattes, Sec. 4.3 and 5.1 of the capture-stage paper.

The paper fine-tunes the base network for 5 epochs and everything for 10 more on 580 frames, with the losses
and rates of BackgroundMattingV2.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from numpy.random import Generator

from capmat_errors import TrainingError
from capmat_models.data.augment import Augmentation, augment_real, recolour_subject
from capmat_models.data.composites import Composites
from capmat_models.data.stage import PairData
from capmat_models.training.loop import NO_HOOKS, Arrays, History, Hooks, run_phases, stack
from capmat_models.training.losses import foreground_target
from capmat_models.training.optimisers import constant, cosine
from capmat_models.training.student import check_crop, student_phases

if TYPE_CHECKING:
    from capmat_models.networks.bgmv2 import BGMV2


@dataclass(frozen=True)
class DistillConfig:
    """Settings of one distillation. The defaults are the paper's on its 580 frames.

    What a setting does stands in docs/settings.md, under the same name in `[student]`; the rest is described here.
    """

    base_iterations: int = 365
    joint_iterations: int = 1450
    batch: int = 8
    crop: int = 2048
    enlarge: int = 1
    """How many times the network enlarges the frames, see `capmat_models.networks.inputs.SmallFrames`."""
    lr_scale: float = 1.0
    base_share: float = 0.0
    recolour: float = 0.0
    decay: bool = False
    frozen_norms: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)
    """What happens to a pair."""
    mixed_precision: bool = False
    """Run the network in bfloat16 while it trains. About twice as fast on a GPU, and on a CPU that has
    avx512_bf16 or AMX; slower on any other."""
    seed: int = 0
    """Decides every batch."""
    save_every: int = 100
    """Iterations between checkpoints."""


def distill_student(
    model: "BGMV2",
    pairs: PairData,
    cfg: DistillConfig,
    *,
    base: Composites | None = None,
    hooks: Hooks = NO_HOOKS,
) -> History:
    """Fine-tune a student in place.

    Args:
        model: BackgroundMattingV2 (see `student_phases`).
        pairs: frames, plates and the teacher's mattes.
        cfg: settings.
        base: composites; None needs a share of 0.
        hooks: what it calls on the way.

    Returns:
        The history, see `run_phases`; its stages are base and joint.

    Raises:
        TrainingError: the crop is not a multiple of 4, a share of base data is set without base data, or a loss
            is not a number.
    """
    check_crop(cfg.crop)
    model.enlarge = cfg.enlarge
    if cfg.base_share and base is None:
        raise TrainingError("base_share is set, but no base data is given", fix="Set base_share to 0.")

    def sample(rng: Generator) -> Arrays:
        if base is not None and rng.random() < cfg.base_share:
            return base.sample(rng, cfg.crop)
        clean = pairs.sample(rng, cfg.crop)
        if rng.random() < cfg.recolour:
            clean = recolour_subject(rng, clean)
        src, bgr, pha = (torch.from_numpy(clean[name]) for name in ("src", "bgr", "pha"))
        # solved before noise and jitter touch the inputs: Eq. 1 holds for what the camera saw
        return augment_real(rng, {**clean, "fgr": foreground_target(src, bgr, pha).numpy()}, cfg.augmentation)

    phases = student_phases(
        model,
        lambda rng, count: stack([sample(rng) for _ in range(count)]),
        base_iterations=cfg.base_iterations,
        joint_iterations=cfg.joint_iterations,
        batch=cfg.batch,
        lr_scale=cfg.lr_scale,
        rate=(lambda iteration, iterations: cosine(iteration, iterations, 10)) if cfg.decay else constant,
        mixed_precision=cfg.mixed_precision,
        frozen_norms=cfg.frozen_norms,
    )
    return run_phases(
        model,
        phases,
        seed=cfg.seed,
        recipe=repr(cfg),
        save_every=cfg.save_every,
        hooks=hooks,
    )
