"""The two phases in which BackgroundMattingV2 is trained, on composites as well as on a teacher's mattes.

First the base network alone, then base network and refiner together. The base network always sees pictures at
the size that it sees in use: shrunk by the student's `backbone_scale`. (The original crops other pictures for its
first phase, at a size of their own.)
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.nn import functional as F

from capmat_errors import TrainingError
from capmat_models.networks.inputs import enlarged
from capmat_models.training.loop import Arrays, Phase, Tensors, mixed
from capmat_models.training.losses import bgmv2_base_losses, bgmv2_refine_losses
from capmat_models.training.optimisers import constant, part_groups

if TYPE_CHECKING:
    from capmat_models.networks.bgmv2 import BGMV2

BASE_RATES = {"backbone": 1e-4, "aspp": 5e-4, "decoder": 5e-4}
"""Learning rates of the original's first phase."""
JOINT_RATES = {"backbone": 5e-5, "aspp": 5e-5, "decoder": 1e-4, "refiner": 3e-4}
"""Learning rates of the original's second phase."""


def student_phases(
    model: "BGMV2",
    draw: Callable[[Generator, int], Arrays],
    *,
    base_iterations: int,
    joint_iterations: int,
    batch: int,
    lr_scale: float,
    mixed_precision: bool,
    frozen_norms: bool = False,
    rate: Callable[[int, int], float] = constant,
) -> list[Phase]:
    """Describe both phases.

    Args:
        model: the student: model(src, bgr), model.base(src, bgr), model.backbone_scale, and its four parts.
        draw: a batch for (generator, number of crops): `src`, `bgr`, `fgr` (N,3,S,S) and `pha` (N,1,S,S), S a
            multiple of 4.
        base_iterations: of the first stage.
        joint_iterations: of the second.
        batch: of the first stage; the second has half, as in the original.
        lr_scale: factor on all rates.
        mixed_precision: run the network in bfloat16.
        frozen_norms: BatchNorm keeps its running statistics and uses them.
        rate: factor on the rates of a phase by iteration and number of iterations.

    Returns:
        Two phases for `run_phases`.

    Raises:
        TrainingError: a phase has batches of one crop, of which BatchNorm has no statistics.
    """
    joint_batch = max(1, batch // 2)
    crops = [count for count, steps in ((batch, base_iterations), (joint_batch, joint_iterations)) if steps]
    if min(crops, default=2) < 2 and not frozen_norms:
        raise TrainingError(
            f"a batch of {batch} leaves a phase one crop, of which BatchNorm has no statistics",
            fix="Use batches of at least 4 crops.",
        )
    return [
        Phase(
            name="base",
            iterations=base_iterations,
            optimiser=lambda: part_optimiser(model, BASE_RATES, lr_scale),
            batch=lambda rng: draw(rng, batch),
            losses=lambda tensors: base_losses(model, tensors, mixed_precision=mixed_precision),
            rate=lambda iteration: rate(iteration, base_iterations),
            frozen_norms=frozen_norms,
        ),
        Phase(
            name="joint",
            iterations=joint_iterations,
            optimiser=lambda: part_optimiser(model, JOINT_RATES, lr_scale),
            batch=lambda rng: {**draw(rng, joint_batch), "everywhere": everywhere(rng)},
            losses=lambda tensors: joint_losses(model, tensors, mixed_precision=mixed_precision),
            rate=lambda iteration: rate(iteration, joint_iterations),
            frozen_norms=frozen_norms,
        ),
    ]


def check_crop(crop: int) -> None:
    """Refuse a side of the crops that the refiner cannot divide into its cells.

    Raises:
        TrainingError: the crop is not a multiple of 4.
    """
    if crop % 4:
        raise TrainingError(
            f"a crop of {crop} pixels is not a multiple of 4", fix="Change it: the refiner works on cells of 4x4."
        )


def part_optimiser(model: "BGMV2", rates: Mapping[str, float], lr_scale: float) -> torch.optim.Optimizer:
    """Make the Adam of a phase, with a rate per part of the network."""
    return torch.optim.Adam(part_groups(model, {name: lr * lr_scale for name, lr in rates.items()}), fused=True)


def base_losses(model: "BGMV2", tensors: Tensors, *, mixed_precision: bool) -> Tensors:
    """Run the base network on shrunk pictures and compare."""
    small = {name: shrink(x, model) for name, x in tensors.items() if x.ndim == 4}
    with mixed(mixed_precision, tensors):
        out = model.base(small["src"], small["bgr"])
    out = {name: x.float() for name, x in out.items()}
    return bgmv2_base_losses(out["pha"], out["fgr"], out["err"], small["pha"], small["fgr"])


def joint_losses(model: "BGMV2", tensors: Tensors, *, mixed_precision: bool) -> Tensors:
    """Run the whole network and compare at both of its sizes."""
    with mixed(mixed_precision, tensors):
        out = model(tensors["src"], tensors["bgr"], bool(tensors["everywhere"]))
    out = {name: x.float() for name, x in out.items()}
    return bgmv2_refine_losses(out, tensors["pha"], tensors["fgr"])


def everywhere(rng: Generator) -> NDArray[np.bool_]:
    """Whether the joint stage refines every cell in this iteration: half of the time.

    The original always refines the worst cells alone. Its refiner never learns what to do with the others, and a
    larger budget in use then makes the matte worse.
    """
    return np.array(rng.random() < 0.5)


def shrink(x: torch.Tensor, model: "BGMV2") -> torch.Tensor:
    """(N,C,H,W) at the size of the base network's input."""
    x = enlarged(x, model.times(x.shape[-2:]))
    size = [max(1, int(side * model.backbone_scale)) for side in x.shape[-2:]]
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
