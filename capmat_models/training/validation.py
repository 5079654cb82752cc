"""Measures a network while it trains, on held-out composites that are always the same."""

from typing import Literal

import numpy as np
import torch
from torch import nn

from capmat_models.data.composites import Composites
from capmat_models.data.trimaps import random_radii, trimap_from_alpha
from capmat_models.metrics import mse, sad_paper

Kind = Literal["teacher", "student", "supervisor"]

_SEED = 20_240_417  # every validation of every training draws the same samples
_STEPS = 3  # of the supervisor: enough to rank its checkpoints


@torch.no_grad()
def evaluate(kind: Kind, model: nn.Module, held: Composites, *, count: int, crop: int) -> dict[str, float]:
    """Matte composites and compare with the truth.

    Args:
        kind: what the network is called with: plate for teacher and student, trimap for the supervisor.
        model: in eval mode, on any device.
        held: composites of base data that were held out.
        count: number of composites.
        crop: their side in pixels.

    Returns:
        `mse` and `sad`, per-pixel means over whole composites, then over composites.
    """
    device = next(model.parameters()).device
    scores = []
    for index in range(count):
        rng = np.random.default_rng([_SEED, index])
        sample = {name: torch.from_numpy(x)[None].to(device) for name, x in held.sample(rng, crop).items()}
        src, true_pha = sample["src"], sample["pha"]
        if kind == "supervisor":
            pha = model(src, trimap_from_alpha(true_pha, random_radii(rng, 1, crop)), steps=_STEPS)["pha"]
        else:
            pha = model(src, sample["bgr"])["pha"]
        scores.append((float(mse(pha, true_pha).mean()), float(sad_paper(pha, true_pha).mean())))
    means = np.mean(scores, 0)
    return {"mse": float(means[0]), "sad": float(means[1])}
