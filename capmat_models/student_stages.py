"""The two stages in which BackgroundMattingV2 is trained, on composites as well as on a teacher's mattes.

First the base network alone, then base network and refiner together. The base network always sees pictures at
the size it will see them at: shrunk by the student's `backbone_scale`. (The original crops other pictures for
its first stage, at a size of their own.)
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from numpy.random import Generator
from torch.nn import functional as F

from capmat_models.losses import bgmv2_base_losses, bgmv2_refine_losses
from capmat_models.optimisers import part_groups
from capmat_models.schedule import constant
from capmat_models.stages import Arrays, Stage, Tensors, mixed, stack

if TYPE_CHECKING:
    from capmat_models.bgmv2 import BGMV2

BASE_RATES = {"backbone": 1e-4, "aspp": 5e-4, "decoder": 5e-4}
"""Learning rates of the original's first stage."""
JOINT_RATES = {"backbone": 5e-5, "aspp": 5e-5, "decoder": 1e-4, "refiner": 3e-4}
"""Learning rates of the original's second stage."""


def student_stages(
    model: "BGMV2",
    sample: Callable[[Generator], Arrays],
    *,
    base_iterations: int,
    joint_iterations: int,
    batch: int,
    lr_scale: float,
    mixed_precision: bool,
    rate: Callable[[int, int], float] = constant,
) -> list[Stage]:
    """Describe both stages.

    Args:
        model: the student: model(src, bgr), model.base(src, bgr), model.backbone_scale, and its four parts.
        sample: one augmented sample: `src`, `bgr`, `fgr` (3,S,S) and `pha` (1,S,S), S a multiple of 4.
        base_iterations: of the first stage.
        joint_iterations: of the second.
        batch: of the first stage; the second has half, as in the original.
        lr_scale: factor on all rates.
        mixed_precision: run the network in bfloat16.
        rate: factor on the rates of a stage by iteration and number of iterations.

    Returns:
        Two stages for `run_stages`.
    """
    joint_batch = max(1, batch // 2)

    def base_losses(tensors: Tensors) -> Tensors:
        small = {name: _shrink(x, model.backbone_scale) for name, x in tensors.items()}
        with mixed(mixed_precision, tensors):
            out = model.base(small["src"], small["bgr"])
        out = {name: x.float() for name, x in out.items()}
        return bgmv2_base_losses(out["pha"], out["fgr"], out["err"], small["pha"], small["fgr"])

    def joint_losses(tensors: Tensors) -> Tensors:
        with mixed(mixed_precision, tensors):
            out = model(tensors["src"], tensors["bgr"])
        out = {name: x.float() for name, x in out.items()}
        return bgmv2_refine_losses(out, tensors["pha"], tensors["fgr"])

    def adam(rates: dict[str, float]) -> torch.optim.Optimizer:
        return torch.optim.Adam(part_groups(model, {name: lr * lr_scale for name, lr in rates.items()}))

    return [
        Stage(
            name="base",
            iterations=base_iterations,
            optimiser=lambda: adam(BASE_RATES),
            batch=lambda rng: stack([sample(rng) for _ in range(batch)]),
            losses=base_losses,
            rate=lambda iteration: rate(iteration, base_iterations),
        ),
        Stage(
            name="joint",
            iterations=joint_iterations,
            optimiser=lambda: adam(JOINT_RATES),
            batch=lambda rng: stack([sample(rng) for _ in range(joint_batch)]),
            losses=joint_losses,
            rate=lambda iteration: rate(iteration, joint_iterations),
        ),
    ]


def _shrink(x: torch.Tensor, scale: float) -> torch.Tensor:
    size = [max(1, int(side * scale)) for side in x.shape[-2:]]
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
