"""Error-aligned fine-tuning of the teacher, Sec. 4.2 and 5.1 of the capture-stage paper.

Four fifths of each batch are base composites with the losses of ViTMatte, one fifth are scribbled stage frames
with the selective loss of Eq. 3. BatchNorm keeps and uses its running statistics. A mixed batch has the statistics of
neither domain, its three stage crops are too few to move an average, and mattes are made with the running statistics.
"""

from dataclasses import dataclass, replace

import torch
from numpy.random import Generator

from capmat_errors import TrainingError
from capmat_models.data.augment import HIGHEST, add_noise
from capmat_models.data.composites import Composites
from capmat_models.data.stage import ScribbleData
from capmat_models.data.trimaps import random_radii, trimap_from_alpha
from capmat_models.networks.inputs import SmallFrames
from capmat_models.training.loop import NO_HOOKS, Arrays, History, Hooks, Phase, Tensors, mixed, run_phases, stack
from capmat_models.training.losses import scribble_loss, vitmatte_losses
from capmat_models.training.optimisers import layerwise_groups


@dataclass(frozen=True)
class FinetuneConfig:
    """Settings of one fine-tuning. The defaults are the paper's, and ViTMatte's where the paper is silent.

    What a setting does stands in docs/settings.md, under the same name in `[teacher]`; the rest is described here.
    """

    iterations: int = 2000
    batch: int = 16
    scribble_share: float = 0.2
    scribble_weight: float = 5.0
    """Eq. 3 is a sum, so in the paper a crop weighs as much as its strokes have pixels. With a mean the weight has to
    be said; the default makes both parts of a 4:1 batch about equally loud."""
    crop: int = 512
    enlarge: int = 1
    """How many times the network enlarges the frames, see `capmat_models.networks.inputs.SmallFrames`."""
    lr: float = 5e-5
    lr_late: float = 2.5e-5
    lr_late_from: float = 0.3
    layer_decay: float = 0.65
    weight_decay: float = 0.1
    """Of AdamW."""
    noise: float = HIGHEST
    mixed_precision: bool = False
    """Run the network in bfloat16 while it trains. About twice as fast on a GPU, and on a CPU that has
    avx512_bf16 or AMX; slower on any other."""
    seed: int = 0
    """Decides every batch."""
    save_every: int = 100
    """Iterations between checkpoints."""


def finetune_teacher(
    model: SmallFrames,
    base: Composites,
    scribbles: ScribbleData | None,
    cfg: FinetuneConfig,
    *,
    hooks: Hooks = NO_HOOKS,
) -> History:
    """Fine-tune a teacher in place.

    Args:
        model: Bg-ViTMatte: model(src, bgr) -> {"pha"}.
        base: composites.
        scribbles: stage frames; None needs a share of 0.
        cfg: settings.
        hooks: what it calls on the way.

    Returns:
        The history, see `run_phases`: the base losses, `scribble`, and their weighted sum `total`.

    Raises:
        TrainingError: the share makes no whole crop, scribbles are missing, or a loss is not a number.
    """
    model.enlarge = cfg.enlarge
    painted = round(cfg.batch * cfg.scribble_share)
    composed = cfg.batch - painted
    if painted and scribbles is None:
        raise TrainingError("scribble_share is set, but no scribbles are given", fix="Set scribble_share to 0.")
    if scribbles is not None and painted == 0:
        raise TrainingError(
            f"{cfg.scribble_share:.0%} of a batch of {cfg.batch} is less than one scribbled crop",
            fix="Use larger batches or a larger share.",
        )

    def batch(rng: Generator) -> Arrays:
        samples = [base.sample(rng, cfg.crop) for _ in range(composed)]
        strokes = [scribbles.sample(rng, cfg.crop) for _ in range(painted)] if scribbles else []
        noisy = [add_noise(rng, stroke, highest=cfg.noise) for stroke in strokes]  # composites have theirs
        arrays = stack([{"src": sample["src"], "bgr": sample["bgr"]} for sample in (*samples, *noisy)])
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

    late = round(cfg.lr_late_from * cfg.iterations)
    phase = Phase(
        name="fine-tune",
        iterations=cfg.iterations,
        optimiser=lambda: torch.optim.AdamW(
            layerwise_groups(model, cfg.lr, decay=cfg.layer_decay, weight_decay=cfg.weight_decay), fused=True
        ),
        batch=batch,
        losses=losses,
        rate=lambda iteration: 1.0 if iteration < late else cfg.lr_late / cfg.lr,
        frozen_norms=True,
    )
    return run_phases(
        model,
        [phase],
        seed=cfg.seed,
        recipe=repr(replace(cfg, lr_late_from=late)),  # checkpoints name the iteration
        save_every=cfg.save_every,
        hooks=hooks,
    )
