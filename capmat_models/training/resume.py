"""Keeping a training's state, so that a killed one goes on as if nothing had happened."""

import io
import pickle
import zlib
from typing import Any, Protocol
from zipfile import BadZipFile, ZipFile

import torch

from capmat_errors import CheckpointError


class Checkpointer(Protocol):
    """Keeps the state of one training; the caller decides where.

    Attributes:
        where: address of the state, for messages.
    """

    where: str

    def load(self) -> bytes | None:
        """Return what was saved last, None at the start."""

    def save(self, data: bytes) -> None:
        """Replace what was saved, completely or not at all."""


def pack(recipe: str, **state: Any) -> bytes:
    """Serialise a training.

    Args:
        recipe: all its settings as text.
        **state: tensors, state dicts, numbers, strings and lists; all that the next step depends on.
    """
    buffer = io.BytesIO()
    torch.save({"recipe": recipe, **state}, buffer)
    return buffer.getvalue()


def read_saved(data: bytes, where: str) -> dict[str, Any]:
    """Read what `pack` wrote, on the CPU: `recipe` and the state; `where` is its address, for messages.

    Raises:
        CheckpointError: the bytes are damaged.
    """
    try:
        with ZipFile(io.BytesIO(data)) as parts:
            if damaged := parts.testzip():  # torch writes checksums, and never looks at them
                raise BadZipFile(damaged)
        return dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    except (
        BadZipFile, zlib.error, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError,
    ) as error:  # fmt: skip
        raise CheckpointError(
            f"the training checkpoint cannot be read ({type(error).__name__})",
            where=where,
            fix="Delete it to start the training again.",
        ) from error


def unpack(data: bytes, where: str, *, recipe: str) -> dict[str, Any]:
    """Read what `pack` wrote, on the CPU, for a training that goes on by this recipe; see `read_saved`.

    Raises:
        CheckpointError: the bytes are damaged, or belong to a training with other settings.
    """
    state = read_saved(data, where)
    if state["recipe"] != recipe:
        raise CheckpointError(
            f"the checkpoint belongs to other settings: {state['recipe']}",
            where=where,
            fix=f"Delete it, or train with its settings instead of {recipe}.",
        )
    return state
