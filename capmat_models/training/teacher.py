"""Error-aligned fine-tuning of the teacher, Sec. 4.2 and 5.1 of the capture-stage paper.

Four fifths of each batch are base composites with the losses of ViTMatte, one fifth are scribbled stage
frames with the selective loss of Eq. 3. BatchNorm keeps its running statistics: a mixed batch has the
statistics of neither domain, the three stage crops in it are too few to move an average, and the matte on the
stage is made with the running statistics, so the gradients should be too.
"""

from dataclasses import dataclass

import torch
from numpy.random import Generator
from torch import nn

from capmat_errors import TrainingError
from capmat_models.data.augment import HIGHEST, add_noise
from capmat_models.data.base import BaseData
from capmat_models.data.stage import ScribbleData
from capmat_models.data.trimaps import random_radii, trimap_from_alpha
from capmat_models.training.loop import Arrays, History, Progress, Stage, Tensors, Validate, mixed, run_stages, stack
from capmat_models.training.losses import scribble_loss, vitmatte_losses
from capmat_models.training.optimisers import layerwise_groups
from capmat_models.training.resume import Checkpointer


@dataclass(frozen=True)
class FinetuneConfig:
    """Settings of one fine-tuning. The defaults are the paper's, and ViTMatte's where the paper is silent."""

    iterations: int = 2000
    """Steps of the optimiser."""
    batch: int = 16
    """Crops per step, base and scribbled together."""
    scribble_share: float = 0.2
    """Part of each batch that is scribbled. Fig. 6: more forgets the base data, less leaves the errors."""
    scribble_weight: float = 5.0
    """How loud the loss of a scribbled crop is against that of a base crop. Eq. 3 is a sum, so in the paper a
    crop weighs as much as its strokes have pixels; with a mean the weight has to be said. The default makes
    both parts of a 4:1 batch about equally loud. Raise it when painted errors survive."""
    crop: int = 512
    """Side of the square crops in pixels; at most the shorter side of a frame."""
    lr: float = 5e-5
    """Learning rate at the start."""
    lr_late: float = 2.5e-5
    """Learning rate later on."""
    lr_late_from: int = 600
    """First iteration with the late rate."""
    layer_decay: float = 0.65
    """Factor between the rates of neighbouring ViT blocks. 1 for a small network without pretraining."""
    weight_decay: float = 0.1
    """Of AdamW."""
    noise: float = HIGHEST
    """Highest standard deviation of the noise on both inputs."""
    mixed_precision: bool = False
    """Run the network in bfloat16 while it trains. About twice as fast on a GPU, and on a CPU that has
    avx512_bf16 or AMX; slower on any other."""
    seed: int = 0
    """Decides every batch."""
    save_every: int = 100
    """Iterations between checkpoints."""


def finetune_teacher(
    model: nn.Module,
    base: BaseData,
    scribbles: ScribbleData | None,
    cfg: FinetuneConfig,
    *,
    checkpointer: Checkpointer | None = None,
    progress: Progress | None = None,
    validate: Validate | None = None,
    validate_every: int = 0,
) -> History:
    """Fine-tune a teacher in place.

    Args:
        model: Bg-ViTMatte: model(src, bgr) -> {"pha"}.
        base: composites.
        scribbles: stage frames; None needs a share of 0.
        cfg: settings.
        checkpointer: where to go on from and to save to.
        progress: progress(iterations done, note).
        validate: validate(iterations done) measures the teacher; see `run_stages`.
        validate_every: iterations between two validations.

    Returns:
        Records of about 200 iterations: the base losses, `scribble`, and their weighted sum `total`; and what
        `validate` found, under the stage "validation".

    Raises:
        TrainingError: the share leaves nothing of what it should mix, or a loss is not a number.
    """
    painted = round(cfg.batch * cfg.scribble_share)
    composed = cfg.batch - painted
    if painted and scribbles is None:
        raise TrainingError("a share of scribbles is asked for but there are none", fix="Set the share to 0.")
    if scribbles is not None and painted == 0:
        raise TrainingError(
            f"{cfg.scribble_share:.0%} of a batch of {cfg.batch} is not one scribbled crop",
            fix="Use larger batches or a larger share.",
        )

    def batch(rng: Generator) -> Arrays:
        samples = [base.sample(rng, cfg.crop) for _ in range(composed)]
        strokes = [scribbles.sample(rng, cfg.crop) for _ in range(painted)] if scribbles else []
        noisy = [add_noise(rng, sample, highest=cfg.noise) for sample in (*samples, *strokes)]
        arrays = stack([{"src": sample["src"], "bgr": sample["bgr"]} for sample in noisy])
        if composed:
            arrays["pha"] = stack([{"pha": sample["pha"]} for sample in samples])["pha"]
            arrays["radii"] = random_radii(rng, composed, cfg.crop)
        if painted:
            arrays["label"] = stack([{"label": sample["label"]} for sample in strokes])["label"]
        return arrays

    def losses(tensors: Tensors) -> Tensors:
        with mixed(cfg.mixed_precision, tensors):
            pha = model(tensors["src"], tensors["bgr"])["pha"]
        pha = pha.float()
        terms: Tensors = {}
        total = pha.new_zeros(())
        if composed:
            unknown = (trimap_from_alpha(tensors["pha"], tensors["radii"].cpu().numpy()) == 0.5).to(pha.dtype)
            terms = vitmatte_losses(pha[:composed], tensors["pha"], unknown)
            total = total + composed / cfg.batch * terms["total"]
        if painted:
            terms["scribble"] = scribble_loss(pha[composed:], tensors["label"])["scribble"]
            total = total + painted / cfg.batch * cfg.scribble_weight * terms["scribble"]
        return {**terms, "total": total}

    stage = Stage(
        name="fine-tune",
        iterations=cfg.iterations,
        optimiser=lambda: torch.optim.AdamW(
            layerwise_groups(model, cfg.lr, decay=cfg.layer_decay, weight_decay=cfg.weight_decay)
        ),
        batch=batch,
        losses=losses,
        rate=lambda iteration: 1.0 if iteration < cfg.lr_late_from else cfg.lr_late / cfg.lr,
        frozen_norms=True,
    )
    return run_stages(
        model,
        [stage],
        seed=cfg.seed,
        recipe=repr(cfg),
        save_every=cfg.save_every,
        checkpointer=checkpointer,
        progress=progress,
        validate=validate,
        validate_every=validate_every,
    )
