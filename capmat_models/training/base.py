"""Base training on composites, for networks that have no published weights to start from.

The teacher has the losses of ViTMatte, the student and the supervisor have the two phases of BackgroundMattingV2 and
DiffMatte. All rates warm up and then follow a cosine down, which suits short trainings better than the originals'
steps.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import nn

from capmat_models.data.base import BaseData, Sample
from capmat_models.data.composites import Composites, Difficulty
from capmat_models.data.trimaps import random_radii, trimap_from_alpha
from capmat_models.networks.inputs import SmallFrames, enlarged
from capmat_models.training.loop import NO_HOOKS, Arrays, History, Hooks, Phase, Tensors, mixed, run_phases, stack
from capmat_models.training.losses import diffmatte_losses, vitmatte_losses
from capmat_models.training.optimisers import cosine, layerwise_groups
from capmat_models.training.student import check_crop, student_phases
from capmat_models.training.validation import Kind, evaluate

NO_PLATE = 0.5
"""The grey that a network without plate gets in its place."""


@dataclass(frozen=True)
class BaseTrainConfig:
    """Settings of one base training. The defaults fit ViTMatte-S and DiffMatte on a GPU."""

    iterations: int = 134_687
    """Steps of the optimiser: 100 epochs of ViTMatte."""
    batch: int = 32
    """Crops per step. The student's second phase takes half."""
    crop: int = 512
    """Side of the square crops in pixels, a multiple of 4."""
    scales: tuple[float, ...] = (1.0,)
    """Sides of the crops as multiples of `crop`; each batch draws one, and has as many crops as make about the same
    number of pixels. Crops of one size teach one size."""
    small: float = 0.0
    """Share of the batches whose crops are of half that size, and enlarged as `SmallFrames` enlarges frames."""
    lr: float = 5e-4
    """Highest rate of teacher and supervisor."""
    lr_scale: float = 1.0
    """Factor on the student's rates, which it has one of for each part."""
    layer_decay: float = 0.65
    """Factor between the rates of neighbouring ViT blocks. 1 without a pretrained backbone."""
    weight_decay: float = 0.1
    """Of AdamW, for teacher and supervisor."""
    warmup: int = 250
    """Iterations until the rate is at its highest."""
    joint_share: float = 0.3
    """Share of the iterations that a second phase gets: the student's with its refiner, the supervisor's on its own
    guesses (a third in DiffMatte). 1 for a start from trained weights."""
    frozen_norms: bool = False
    """BatchNorm keeps the statistics of the start. Batches of other sizes and contents differ so much that their mean
    fits none of them: with it, a trained network gets worse by a third on the very composites that it trains on."""
    average: float = 0.999
    """See `run_phases`."""
    how: Difficulty = field(default_factory=Difficulty)
    """What the composites are like."""
    plate: bool = True
    """False shows grey (`NO_PLATE`) in place of the plate, to see what the plate is worth. The network is then one
    without background input, of the same size, and needs grey in use, too."""
    mixed_precision: bool = False
    """Run the network in bfloat16 while it trains. About twice as fast on a GPU, and on a CPU that has
    avx512_bf16 or AMX; slower on any other."""
    seed: int = 0
    """Decides every batch."""
    start: str = ""
    """SHA-256 of the weights that it starts from; empty for fresh ones. A checkpoint of another start is refused."""
    save_every: int = 500
    """Iterations between checkpoints."""
    validate_every: int = 0
    """Iterations between validations; 0 for one at the end."""
    validate_on: int = 16
    """Composites per validation."""


def train_base(
    kind: Kind,
    model: nn.Module,
    base: BaseData,
    cfg: BaseTrainConfig,
    *,
    held: BaseData | None = None,
    hooks: Hooks = NO_HOOKS,
) -> History:
    """Train a network in place.

    Args:
        kind: which recipe.
        model: a network of that kind.
        base: composites to learn from.
        cfg: settings.
        held: composites to measure on; None to go without.
        hooks: what it calls on the way; with `held`, it validates on those.

    Returns:
        The history, see `run_phases`; validations have `mse` and `sad`.

    Raises:
        TrainingError: the crop is not a multiple of 4, or a loss is not a number.
    """
    check_crop(cfg.crop)
    if isinstance(model, SmallFrames):
        model.enlarge = 1  # a crop of any size is a frame of its own
    recipes = {"teacher": _teacher, "student": _student, "supervisor": _supervisor}
    if held is not None:
        hooks = replace(
            hooks,
            validate=lambda _: evaluate(kind, model, Composites(held, cfg.how), count=cfg.validate_on, crop=cfg.crop),
            validate_every=cfg.validate_every,
        )
    return run_phases(
        model,
        recipes[kind](model, Composites(base, cfg.how), cfg),
        seed=cfg.seed,
        recipe=f"{kind} {cfg}",
        save_every=cfg.save_every,
        average=cfg.average,
        hooks=hooks,
    )


def _batch(rng: Generator, base: Composites, cfg: BaseTrainConfig, count: int) -> Arrays:
    """About as many pixels as `count` crops have, in crops of one of the sizes; and how wide trimaps of them are."""
    scale = cfg.scales[int(rng.integers(len(cfg.scales)))]
    crop, count = 4 * round(cfg.crop * scale / 4), max(min(2, count), round(count / scale**2))  # BatchNorm needs two
    times = 2 if rng.random() < cfg.small else 1
    drawn = stack([_shown(base.sample(rng, crop // times), cfg) for _ in range(count)])
    arrays = {name: enlarged(torch.from_numpy(x), times).numpy() for name, x in drawn.items()}
    return {**arrays, "radii": random_radii(rng, count, crop)}


def _teacher(model: nn.Module, base: Composites, cfg: BaseTrainConfig) -> list[Phase]:

    def losses(tensors: Tensors) -> Tensors:
        with mixed(cfg.mixed_precision, tensors):
            pha = model(tensors["src"], tensors["bgr"])["pha"]
        pha = pha.float()
        return vitmatte_losses(pha, tensors["pha"], (_trimap(tensors) == 0.5).to(pha.dtype))

    return [_one_phase("teacher", model, cfg, lambda rng: _batch(rng, base, cfg, cfg.batch), losses)]


def _student(model: Any, base: Composites, cfg: BaseTrainConfig) -> list[Phase]:
    joint = round(cfg.iterations * cfg.joint_share)
    return student_phases(
        model,
        lambda rng, count: _batch(rng, base, cfg, count),
        base_iterations=cfg.iterations - joint,
        joint_iterations=joint,
        batch=cfg.batch,
        lr_scale=cfg.lr_scale,
        mixed_precision=cfg.mixed_precision,
        frozen_norms=cfg.frozen_norms,
        rate=lambda iteration, iterations: cosine(iteration, iterations, cfg.warmup),
    )


def _supervisor(model: Any, base: Composites, cfg: BaseTrainConfig) -> list[Phase]:
    """DiffMatte's two phases, the second one "self-aligned" (section 3.3 of its paper).

    The first shows the denoiser noisy truth, which it learns to copy. While it samples, its own guess is in that
    place, and it would copy its own errors: ten steps would be worse than one. The second shows it its own guess, as
    sampling in three steps does, from pure noise on. The paper makes the guess from noisy truth, which leaves the
    small network worse after ten steps than after one.
    """

    def batch(rng: Generator) -> Arrays:
        arrays = _batch(rng, base, cfg, cfg.batch)
        return {
            **arrays,
            "time": rng.random(len(arrays["pha"]), np.float32),
            "gap": rng.random(len(arrays["pha"]), np.float32),
            "noise": rng.standard_normal(arrays["pha"].shape, np.float32),
        }

    def noisy(matte: torch.Tensor, time: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        signal, sigma = (
            torch.tensor(level, device=time.device, dtype=time.dtype).view(-1, 1, 1, 1)
            for level in zip(*(model.schedule(float(t)) for t in time), strict=True)
        )
        return signal * matte + sigma * noise

    def losses(tensors: Tensors, *, aligned: bool) -> Tensors:
        trimap, time, noise, seen = _trimap(tensors), tensors["time"], tensors["noise"], 2 * tensors["pha"] - 1
        with mixed(cfg.mixed_precision, tensors):
            encoded = model.encode(tensors["src"], trimap)
            if aligned:
                between = time + tensors["gap"] * (1 - time)
                with torch.no_grad():
                    guess = model.predict(encoded, noise, torch.ones_like(time))
                    seen = model.predict(encoded, noisy(guess, between, noise), between)
            x0 = model.predict(encoded, noisy(seen, time, noise), time)
        x0 = x0.float()
        return diffmatte_losses(x0, tensors["pha"], (trimap == 0.5).to(x0.dtype))

    def phase(name: str, *, begin: int, end: int, aligned: bool) -> Phase:
        whole = _one_phase(name, model, cfg, batch, partial(losses, aligned=aligned))
        return replace(
            whole,
            iterations=end - begin,
            rate=lambda iteration: cosine(begin + iteration, cfg.iterations, cfg.warmup),
        )

    aligned_from = cfg.iterations - round(cfg.iterations * cfg.joint_share)
    return [
        phase("supervisor", begin=0, end=aligned_from, aligned=False),
        phase("self-aligned", begin=aligned_from, end=cfg.iterations, aligned=True),
    ]


def _one_phase(
    name: str,
    model: nn.Module,
    cfg: BaseTrainConfig,
    batch: Callable[[Generator], Arrays],
    losses: Callable[[Tensors], Tensors],
) -> Phase:
    return Phase(
        name=name,
        iterations=cfg.iterations,
        optimiser=lambda: torch.optim.AdamW(
            layerwise_groups(model, cfg.lr, decay=cfg.layer_decay, weight_decay=cfg.weight_decay)
        ),
        batch=batch,
        losses=losses,
        rate=lambda iteration: cosine(iteration, cfg.iterations, cfg.warmup),
        frozen_norms=cfg.frozen_norms,
    )


def _shown(sample: Sample, cfg: BaseTrainConfig) -> Sample:
    """Replace the plate by grey, if so set; the picture was composited over the true one."""
    return sample if cfg.plate else {**sample, "bgr": np.full_like(sample["bgr"], NO_PLATE)}


def _trimap(tensors: Tensors) -> torch.Tensor:
    return trimap_from_alpha(tensors["pha"], tensors["radii"].cpu().numpy())
