"""Saving a training so that it goes on as if nothing had happened.

A batch is a pure function of seed and iteration, so weights, optimiser and the number of the next iteration
are all there is to save.
"""

import io
import pickle
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from capmat_errors import CheckpointError


class Checkpointer(Protocol):
    """One place for one training's state; where that is, is the caller's business."""

    def load(self) -> bytes | None:
        """Return what was saved last, None at the start."""

    def save(self, data: bytes) -> None:
        """Replace what was saved, completely or not at all."""


def pack(model: nn.Module, optimiser: Optimizer, progress: dict[str, Any]) -> bytes:
    """Serialise a training.

    Args:
        model: weights and running statistics.
        optimiser: its moments.
        progress: `recipe`, `stage`, `iteration` (the next one) and `history`; plain numbers, strings and
            lists.
    """
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), **progress}, buffer)
    return buffer.getvalue()


def unpack(data: bytes, *, recipe: str) -> dict[str, Any]:
    """Read what `pack` wrote, on the CPU.

    Args:
        data: from a checkpointer.
        recipe: what the training that wants to go on consists of.

    Returns:
        `model`, `optimiser` and the fields of `progress`.

    Raises:
        CheckpointError: the bytes are damaged, or belong to a training with other settings.
    """
    state = read_saved(data, "training checkpoint", "training")
    if state["recipe"] != recipe:
        raise CheckpointError(
            f"the checkpoint belongs to other settings: {state['recipe']}",
            fix=f"Delete it, or train with its settings instead of {recipe}.",
        )
    return state


def read_saved(data: bytes, what: str, work: str) -> dict[str, Any]:
    """Read what `torch.save` wrote, on the CPU.

    Args:
        data: the bytes.
        what: they are, for the message.
        work: that goes on from them.

    Raises:
        CheckpointError: the bytes are damaged.
    """
    try:
        return dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"the {what} cannot be read ({type(error).__name__})", fix=f"Delete it to start the {work} again."
        ) from error
