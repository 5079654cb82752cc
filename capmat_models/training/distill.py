"""Distillation: the student learns the refined teacher's mattes, Sec. 4.3 and 5.1 of the capture-stage paper.

The paper fine-tunes the base network for 5 epochs and everything for 10 more on 580 frames, with the losses
and rates of BackgroundMattingV2. BatchNorm trains as in the original: all pictures are of the stage.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from numpy.random import Generator

from capmat_errors import TrainingError
from capmat_models.data.augment import Augmentation, augment_composite, augment_real, recolour_subject
from capmat_models.data.base import BaseData
from capmat_models.data.stage import PairData
from capmat_models.training.loop import Arrays, History, Progress, Validate, run_stages
from capmat_models.training.losses import foreground_target
from capmat_models.training.optimisers import constant, cosine
from capmat_models.training.resume import Checkpointer
from capmat_models.training.student import student_stages

if TYPE_CHECKING:
    from capmat_models.networks.bgmv2 import BGMV2


@dataclass(frozen=True)
class DistillConfig:
    """Settings of one distillation. The defaults are the paper's on its 580 frames."""

    base_iterations: int = 365
    """Steps of the base network alone: 5 epochs of 73 batches."""
    joint_iterations: int = 1450
    """Steps of base network and refiner together: 10 epochs of 145 batches."""
    batch: int = 8
    """Crops per step of the first stage; the second takes half."""
    crop: int = 2048
    """Side of the square crops in pixels, a multiple of 4; at most the shorter side of a frame."""
    lr_scale: float = 1.0
    """Factor on the original's rates (1e-4 backbone, 5e-4 heads; then 5e-5, 5e-5, 1e-4, 3e-4). Raise it for
    short trainings of small networks."""
    base_share: float = 0.0
    """Part of the crops that are base composites instead of stage frames. The paper: none, with 20 scenes; one
    or two performers are learned by heart without."""
    recolour: float = 0.0
    """Part of the stage crops whose subject gets other colours; for the same reason."""
    decay: bool = False
    """Let the rates follow a cosine down in each stage, for short trainings at high rates. The paper: constant."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """What happens to a pair; its shadow is for composites alone, real frames have their own."""
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
    base: BaseData | None = None,
    checkpointer: Checkpointer | None = None,
    progress: Progress | None = None,
    validate: Validate | None = None,
    validate_every: int = 0,
) -> History:
    """Fine-tune a student in place.

    Args:
        model: BackgroundMattingV2 (see `student_stages`).
        pairs: frames, plates and the teacher's mattes.
        cfg: settings.
        base: composites; None needs a share of 0.
        checkpointer: where to go on from and to save to.
        progress: progress(iterations done, note).
        validate: validate(iterations done) measures the student; see `run_stages`.
        validate_every: iterations between two validations.

    Returns:
        Records of about 200 iterations with `stage` (base, joint) and the losses, and what `validate` found,
        under the stage "validation".

    Raises:
        TrainingError: the crop is no multiple of 4, a share of base data is asked for but there are none, or a
            loss is not a number.
    """
    if cfg.crop % 4:
        raise TrainingError(f"a crop of {cfg.crop} is no multiple of 4", fix="The refiner works on 4x4 cells.")

    if cfg.base_share and base is None:
        raise TrainingError("a share of base data is asked for but there are none", fix="Set the share to 0.")

    def sample(rng: Generator) -> Arrays:
        if base is not None and rng.random() < cfg.base_share:
            return augment_composite(rng, base.sample(rng, cfg.crop), cfg.augmentation)
        clean = pairs.sample(rng, cfg.crop)
        if rng.random() < cfg.recolour:
            clean = recolour_subject(rng, clean)
        src, bgr, pha = (torch.from_numpy(clean[name]) for name in ("src", "bgr", "pha"))
        # solved before noise and jitter touch the inputs: Eq. 1 holds for what the camera saw
        return augment_real(rng, {**clean, "fgr": foreground_target(src, bgr, pha).numpy()}, cfg.augmentation)

    stages = student_stages(
        model,
        sample,
        base_iterations=cfg.base_iterations,
        joint_iterations=cfg.joint_iterations,
        batch=cfg.batch,
        lr_scale=cfg.lr_scale,
        rate=(lambda iteration, iterations: cosine(iteration, iterations, 10)) if cfg.decay else constant,
        mixed_precision=cfg.mixed_precision,
    )
    return run_stages(
        model,
        stages,
        seed=cfg.seed,
        recipe=repr(cfg),
        save_every=cfg.save_every,
        checkpointer=checkpointer,
        progress=progress,
        validate=validate,
        validate_every=validate_every,
    )
