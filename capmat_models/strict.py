"""A state dict into a network, all or nothing.

A checkpoint of another network is refused with the names that differ, before anything is changed.
"""

from collections.abc import Mapping

import torch
from torch import nn

from capmat_errors import CheckpointError

_SHOWN = 3  # names per kind of difference; the count says how many there are


def apply_state(model: nn.Module, state: Mapping[str, torch.Tensor], *, where: str = "") -> None:
    """Copy tensors into a network if, and only if, all names and shapes fit and all values are finite.

    Args:
        model: the network; keeps its dtype and device.
        state: tensors by name, any floating dtype.
        where: file to name in errors.

    Raises:
        CheckpointError: something does not fit; the network is unchanged.
    """
    own = model.state_dict()
    strangers = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    shaped = [
        f"{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
        for name, value in state.items()
        if name in own and name not in strangers and value.shape != own[name].shape
    ]
    differences = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": shaped,
        "no tensor": strangers,
    }
    if any(differences.values()):
        raise CheckpointError(
            "the weights belong to another network: "
            + "; ".join(_list(kind, names) for kind, names in differences.items() if names),
            where=where,
            fix=_advice(shaped, differences),
        )
    refuse_broken(state, where)
    model.load_state_dict({name: value.to(own[name].dtype) for name, value in state.items()}, strict=True)


def _list(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{more})"


def _advice(shaped: list[str], differences: Mapping[str, list[str]]) -> str:
    others = sum(len(names) for names in differences.values()) - len(shaped)
    if shaped and not others and all(".attn.rel_pos_" in line for line in shaped):
        # Nothing but the tables of the global blocks: the same network, trained on crops of another size.
        return "Create the network with the image_size that it was trained with (127 rows mean 1024)."
    return "Create the network by the name and configuration in the checkpoint's card."


def refuse_broken(state: Mapping[str, torch.Tensor], where: str = "") -> None:
    """Raise CheckpointError when a value is infinite or not a number."""
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise CheckpointError(
            f"weights are not numbers: {_list('broken', broken)}",
            where=where,
            fix="Training diverged; go back to an earlier checkpoint.",
        )
