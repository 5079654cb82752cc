"""The two ways of training a student without a teacher that Table 2 of the capture-stage paper compares (Sec. 5.3).

Both begin alike: the base network learns from base composites and scribbled stage frames, mixed as in a fine-tuning
of the teacher. `scribbles_only` then trains base network and refiner on the same mix. Strokes avoid edges, so the
refiner unlearns edges. `frozen_refiner` therefore freezes it in the first phase, and then trains the refiner alone,
on base composites. The paper gives no settings; these follow its distillation.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from capmat_errors import TrainingError
from capmat_models.data.augment import Augmentation, augment_real
from capmat_models.data.composites import Composites
from capmat_models.data.stage import ScribbleData
from capmat_models.training.loop import NO_HOOKS, Arrays, History, Hooks, Phase, Tensors, mixed, run_phases, stack
from capmat_models.training.losses import bgmv2_base_losses, bgmv2_refine_losses, scribble_loss
from capmat_models.training.optimisers import cosine
from capmat_models.training.student import (
    BASE_RATES,
    JOINT_RATES,
    check_crop,
    everywhere,
    joint_losses,
    part_optimiser,
    shrink,
)

if TYPE_CHECKING:
    from capmat_models.networks.bgmv2 import BGMV2

Strategy = Literal["scribbles_only", "frozen_refiner"]


@dataclass(frozen=True)
class ScribbleStudentConfig:
    """Settings of one training. Lengths, batches and rates are those of the paper's distillation.

    What a setting does stands in docs/settings.md, under the same name in `[student]` and, for the scribbles, in
    `[teacher]`; the rest is described here.
    """

    base_iterations: int = 365
    second_iterations: int = 1450
    """Steps of the second phase: of everything on the mix, or of the refiner on base composites."""
    batch: int = 8
    crop: int = 2048
    enlarge: int = 1
    """How many times the network enlarges the frames, see `capmat_models.networks.inputs.SmallFrames`."""
    lr_scale: float = 1.0
    scribble_share: float = 0.2
    """Of each mixed batch, at least one crop."""
    scribble_weight: float = 5.0
    decay: bool = False
    frozen_norms: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)
    """What frames go through."""
    mixed_precision: bool = False
    """Run the network in bfloat16 while it trains. About twice as fast on a GPU, and on a CPU that has
    avx512_bf16 or AMX; slower on any other."""
    seed: int = 0
    """Decides every batch."""
    save_every: int = 100
    """Iterations between checkpoints."""


def train_scribble_student(
    strategy: Strategy,
    model: "BGMV2",
    base: Composites,
    scribbles: ScribbleData,
    cfg: ScribbleStudentConfig,
    *,
    hooks: Hooks = NO_HOOKS,
) -> History:
    """Train a student in place, without a teacher.

    Args:
        strategy: `scribbles_only` or `frozen_refiner`.
        model: BackgroundMattingV2.
        base: composites.
        scribbles: stage frames.
        cfg: settings.
        hooks: what it calls on the way.

    Returns:
        The history, see `run_phases`; its stages are base, then joint or refiner. Mixed batches have the loss
        `scribble`, too.

    Raises:
        TrainingError: the crop is not a multiple of 4, a batch has no room for a composite, or a loss is not a
            number.
    """
    check_crop(cfg.crop)
    model.enlarge = cfg.enlarge
    half = max(1, cfg.batch // 2)
    painted = [max(1, round(batch * cfg.scribble_share)) for batch in (cfg.batch, half)]
    if painted[0] >= cfg.batch or (strategy == "scribbles_only" and painted[1] >= half):
        raise TrainingError("a batch has no room for a composite", fix="Use larger batches or a smaller share.")

    def mix(rng: Generator, composed: int, scribbled: int) -> Arrays:
        samples = [base.sample(rng, cfg.crop) for _ in range(composed)]
        strokes = [augment_real(rng, scribbles.sample(rng, cfg.crop), cfg.augmentation) for _ in range(scribbled)]
        inputs = stack([{"src": one["src"], "bgr": one["bgr"]} for one in (*samples, *strokes)])
        truth = stack([{"pha": one["pha"], "fgr": one["fgr"]} for one in samples])
        return {**inputs, **truth, "label": stack([{"label": one["label"]} for one in strokes])["label"]}

    def phase(name: str, iterations: int, rates: dict[str, float], **rest: Any) -> Phase:
        return Phase(
            name=name,
            iterations=iterations,
            optimiser=lambda: part_optimiser(model, rates, cfg.lr_scale),
            rate=lambda iteration: cosine(iteration, iterations, 10) if cfg.decay else 1.0,
            frozen_norms=cfg.frozen_norms,
            **rest,
        )

    phases = [
        phase(
            "base",
            cfg.base_iterations,
            BASE_RATES,
            batch=lambda rng: mix(rng, cfg.batch - painted[0], painted[0]),
            losses=lambda tensors: _mixed_base_losses(model, tensors, cfg),
            frozen=("refiner",),
        )
    ]
    if strategy == "scribbles_only":
        phases.append(
            phase(
                "joint",
                cfg.second_iterations,
                JOINT_RATES,
                batch=lambda rng: {**mix(rng, half - painted[1], painted[1]), "everywhere": everywhere(rng)},
                losses=lambda tensors: _mixed_joint_losses(model, tensors, cfg),
            )
        )
    else:
        phases.append(
            phase(
                "refiner",
                cfg.second_iterations,
                {"refiner": JOINT_RATES["refiner"]},
                batch=lambda rng: {
                    **stack([base.sample(rng, cfg.crop) for _ in range(half)]),
                    "everywhere": everywhere(rng),
                },
                losses=lambda tensors: joint_losses(model, tensors, mixed_precision=cfg.mixed_precision),
                frozen=tuple(BASE_RATES),
            )
        )
    return run_phases(
        model,
        phases,
        seed=cfg.seed,
        recipe=f"{strategy} {cfg!r}",
        save_every=cfg.save_every,
        hooks=hooks,
    )


def _mixed_base_losses(model: "BGMV2", tensors: Tensors, cfg: ScribbleStudentConfig) -> Tensors:
    small = {name: shrink(tensors[name], model) for name in ("src", "bgr", "pha", "fgr")}
    with mixed(cfg.mixed_precision, tensors):
        out = model.base(small["src"], small["bgr"])
    out = {name: x.float() for name, x in out.items()}
    composed = len(tensors["pha"])
    pha, fgr, err = (out[name][:composed] for name in ("pha", "fgr", "err"))
    terms = bgmv2_base_losses(pha, fgr, err, small["pha"], small["fgr"])
    # enlarged, because a thin stroke would not survive being shrunk
    painted = F.interpolate(out["pha"][composed:], (cfg.crop, cfg.crop), mode="bilinear", align_corners=False)
    return _with_strokes(terms, painted, tensors["label"], composed, cfg.scribble_weight)


def _mixed_joint_losses(model: "BGMV2", tensors: Tensors, cfg: ScribbleStudentConfig) -> Tensors:
    with mixed(cfg.mixed_precision, tensors):
        out = model(tensors["src"], tensors["bgr"], bool(tensors["everywhere"]))
    out = {name: x.float() for name, x in out.items()}
    composed = len(tensors["pha"])
    terms = bgmv2_refine_losses({name: x[:composed] for name, x in out.items()}, tensors["pha"], tensors["fgr"])
    return _with_strokes(terms, out["pha"][composed:], tensors["label"], composed, cfg.scribble_weight)


def _with_strokes(terms: Tensors, pha: Tensor, label: Tensor, composed: int, weight: float) -> Tensors:
    """Add Eq. 3 to the losses of the composites; every crop of the batch counts once, a scribbled one `weight`."""
    scribble = scribble_loss(pha, label)["scribble"]
    total = (composed * terms["total"] + len(pha) * weight * scribble) / (composed + len(pha))
    return {**terms, "scribble": scribble, "total": total}
