"""Learning rates per part of a network: by depth for the ViTs, by part for BackgroundMattingV2."""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from capmat_errors import TrainingError

Groups = list[dict[str, Any]]

_BLOCK = re.compile(r"(?:^|\.)backbone\.blocks\.(\d+)\.(?!residual\.)")
_FIRST = re.compile(r"(?:^|\.)backbone\.(?:pos_embed$|patch_embed\.)")
_NORMS = (nn.LayerNorm, nn.BatchNorm2d, nn.GroupNorm)


def layerwise_groups(model: nn.Module, lr: float, *, decay: float, weight_decay: float) -> Groups:
    """Group parameters as ViTDet does: the farther a layer is from the head, the smaller its rate.

    The factor is decay^(depth + 1 - id), with id 0 for position and patch embedding, i + 1 for block i; the
    decoder and the residual convolutions, which start from fresh weights, keep the full rate. Norms and positions
    have no weight decay. (The official code omits the norms inside the residual convolutions here.)

    Args:
        model: with the official names, `backbone.blocks.N.` and so on.
        lr: the head's rate.
        decay: 1 gives every layer the same rate; 0.65 protects a pretrained backbone.
        weight_decay: of everything but norms and positions.

    Returns:
        Groups for a torch optimiser; each has `lr` and `weight_decay`.
    """
    blocks = [int(match[1]) for name, _ in model.named_parameters() if (match := _BLOCK.search(name))]
    depth = max(blocks, default=-1) + 1
    plain = {
        f"{path}.{name}"
        for path, module in model.named_modules()
        if isinstance(module, _NORMS)
        for name, _ in module.named_parameters(recurse=False)
    }
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        match = _BLOCK.search(name)
        layer = int(match[1]) + 1 if match else 0 if _FIRST.search(name) else depth + 1
        decayed = name not in plain and not name.endswith("pos_embed")
        group = groups.setdefault(
            (layer, decayed),
            {
                "params": [],
                "lr": lr * decay ** (depth + 1 - layer),
                "weight_decay": weight_decay if decayed else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def part_groups(model: nn.Module, rates: Mapping[str, float]) -> Groups:
    """Group the parameters of named children, each with a rate of its own; other children get no group.

    Args:
        model: has a child of every name in `rates`.
        rates: child name -> learning rate.

    Raises:
        TrainingError: a child is missing.
    """
    children = dict(model.named_children())
    if missing := sorted(set(rates) - set(children)):
        raise TrainingError(
            f"the network has no part called {', '.join(missing)}",
            fix=f"Its parts are {', '.join(children)}.",
        )
    return [{"params": list(children[name].parameters()), "lr": lr} for name, lr in rates.items()]


_LEAST_RATE = 0.02


def constant(iteration: int, iterations: int) -> float:
    """Stay at 1."""
    return 1.0


def cosine(iteration: int, iterations: int, warmup: int) -> float:
    """Rise linearly for `warmup` iterations (at most a tenth of all), then follow a cosine down to 2 %."""
    warmup = min(warmup, max(1, iterations // 10))
    if iteration < warmup:
        return (iteration + 1) / warmup
    done = (iteration - warmup) / max(1, iterations - warmup)
    return _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * done))
