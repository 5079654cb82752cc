"""Weights as bytes and back, and checkpoints as their authors released them; a network takes them strictly.

Our own weights travel as safetensors: nothing in them can run, and a damaged file is noticed. Released files are
often pickles; they are read as plain tensors only. Weights fit a network by all names and shapes, or are refused.
"""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import nn

from capmat_errors import CheckpointError
from capmat_models.weights.official_names import from_transformers, official_name, without_copies

_SHOWN = 3  # names that a message lists per kind of difference, beside their count
# What torch and safetensors raise on files that were cut off, overwritten or never held tensors.
_DAMAGE = (
    *(safetensors.SafetensorError, pickle.UnpicklingError, struct.error, OSError, EOFError, RuntimeError),
    *(ValueError, TypeError, LookupError, AttributeError, AssertionError),
)


def dump_weights(model: nn.Module, half: bool = True) -> bytes:
    """Weights of a network.

    Args:
        model: any network.
        half: store floats in 16 bits. A tensor with values beyond fp16 keeps 32 bits.

    Returns:
        A safetensors file.

    Raises:
        CheckpointError: a weight is not finite.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    refuse_broken(state)
    return safetensors.torch.save({name: _halved(v) if half else v for name, v in state.items()})


def load_weights(model: nn.Module, weights: bytes) -> None:
    """Put weights from `dump_weights` into a network of the same architecture and configuration.

    Raises:
        CheckpointError: the bytes are damaged, hold values that are not finite, or belong to another network.
    """
    try:
        state = safetensors.torch.load(weights)
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"the weights are damaged, or are not safetensors ({error})", fix="Fetch or train them again."
        ) from error
    apply_state(model, state)


def load_published(model: nn.Module, source: Path | str | Mapping[str, torch.Tensor]) -> None:
    """Load released weights, strictly.

    Args:
        model: from `create_model`.
        source: a file or a state dict, as `read_published` takes them.

    Raises:
        CheckpointError: the file cannot be read as plain tensors, or belongs to another network.
    """
    state = read_published(source)
    official = {official_name(name): name for name in model.state_dict()}
    where = "" if isinstance(source, Mapping) else str(source)
    apply_state(model, {official.get(name, name): value for name, value in state.items()}, where=where)


def load_start(model: nn.Module, source: Path | str) -> tuple[str, ...]:
    """Load weights to train on from: of the whole network, or of whole parts of it, such as its encoder alone.

    Args:
        model: from `create_model`.
        source: a file, as `read_published` takes it.

    Returns:
        The parts that were loaded: names of children of the network.

    Raises:
        CheckpointError: the file cannot be read as plain tensors, belongs to another network, or has less than all
            of a part; the network may then have some parts of it.
    """
    official = {official_name(name): name for name in model.state_dict()}
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in read_published(source).items():
        part, _, rest = official.get(name, name).partition(".")
        parts.setdefault(part, {})[rest] = value
    children = dict(model.named_children())
    if strangers := sorted(set(parts) - set(children)):
        raise CheckpointError(
            f"the weights belong to another network: no part is called {', '.join(strangers[:_SHOWN])}",
            where=str(source),
            fix=f"Its parts are {', '.join(children)}.",
        )
    for part, state in parts.items():
        apply_state(children[part], state, where=f"{source}, {part}")
    return tuple(parts)


def read_published(source: Path | str | Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Released weights under their authors' names.

    Args:
        source: a `.pth`/`.pt`/`.ckpt` or `.safetensors` file, or a state dict. The tensors may lie under
            "model" or "state_dict", and every name may start with "model." (DiffMatte, TorchScript exports)
            or "module."; ViTMatte's may be those of the `transformers` library. Files are read without running
            anything that is pickled in them.

    Raises:
        CheckpointError: the file cannot be read as plain tensors.
    """
    content: Mapping[str, Any] = source if isinstance(source, Mapping) else _read(Path(source))
    for key in ("model", "state_dict"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
    state = {str(name): value for name, value in content.items()}
    for prefix in ("module.", "model."):
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return without_copies(from_transformers(state), where="" if isinstance(source, Mapping) else str(source))


def apply_state(model: nn.Module, state: Mapping[str, torch.Tensor], *, where: str = "") -> None:
    """Copy tensors into a network if all names and shapes fit and all values are finite.

    Args:
        model: the network; keeps its dtype and device.
        state: tensors by name, any floating dtype.
        where: file to name in errors.

    Raises:
        CheckpointError: something does not fit; the network is unchanged.
    """
    own = model.state_dict()
    strangers = [name for name, value in state.items() if not _plain(value)]
    shaped = [
        f"{name} {tuple(value.shape)} instead of {tuple(own[name].shape)}"
        for name, value in state.items()
        if name in own and name not in strangers and value.shape != own[name].shape
    ]
    differences = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": shaped,
        "not a plain tensor": strangers,
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


def _plain(value: object) -> bool:
    """Whether it is a tensor whose numbers are all there: not quantised, sparse, complex or empty of data."""
    if not isinstance(value, torch.Tensor) or value.is_quantized or value.is_complex():
        return False
    return value.layout == torch.strided and not value.is_meta


def _list(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{more})"


def _advice(shaped: list[str], differences: Mapping[str, list[str]]) -> str:
    others = sum(len(names) for names in differences.values()) - len(shaped)
    if shaped and not others and all(".attn.rel_pos_" in line for line in shaped):
        # Only tables of the global blocks differ: the same network, trained on crops of another size.
        return "Create the network with the image_size that it was trained with (127 rows mean 1024)."
    return "Create the network by the name and configuration in the checkpoint's card."


def refuse_broken(state: Mapping[str, torch.Tensor], where: str = "") -> None:
    """Refuse weights with an infinite value or nan.

    Raises:
        CheckpointError: a value is not finite; the message names the tensors.
    """
    broken = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise CheckpointError(
            f"weights are not numbers: {_list('broken', broken)}",
            where=where,
            fix="Training diverged; go back to an earlier checkpoint.",
        )


def _read(path: Path) -> Mapping[str, Any]:
    if _is_torchscript(path):
        raise CheckpointError(
            "is a TorchScript program, not a file of weights",
            where=str(path),
            fix="Import it with --contract rgb, rgb+plate or recurrent.",
        )
    if (form := _form(path)) is None:
        raise CheckpointError(
            "its format is unknown, so it is not a file of plain tensors",
            where=str(path),
            fix="Get it as safetensors, or as a state dict of PyTorch.",
        )
    try:
        if form == "safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickles, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own words advise to load it unsafely
        raise CheckpointError(
            "not a file of plain tensors: it holds other objects of Python, which are not loaded, or is cut off",
            where=str(path),
            fix="Download it again, or ask its author for a bare state dict or safetensors.",
        ) from error
    except _DAMAGE as error:
        raise CheckpointError(
            "not a file of plain tensors: it is damaged or cut off",
            where=str(path),
            fix="Download it again, or ask its author for a bare state dict or safetensors.",
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"holds a {type(content).__name__}, not tensors by name",
            where=str(path),
            fix="Save the network's state_dict().",
        )
    return content


def _form(path: Path) -> Literal["safetensors", "torch"] | None:
    """The format of a file by its content; None if it is none that can hold weights."""
    if path.exists() and not path.is_file():
        raise CheckpointError("this is not a file", where=str(path), fix="Name the file with the weights.")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        what = (
            "the file does not exist"
            if isinstance(error, FileNotFoundError)
            else f"cannot be read ({error.strerror})"
        )
        raise CheckpointError(what, where=str(path), fix="Check the path.") from error
    if start[:4] == b"PK\3\4" or start[:1] == b"\x80":  # an archive, or a bare pickle of before 2020
        return "torch"
    return "safetensors" if start[8:] == b"{" else None  # a length of 8 bytes, then JSON


def _is_torchscript(path: Path) -> bool:
    """Programs and weights are both archives; only programs hold a file of constants."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
        return False


def _halved(value: torch.Tensor) -> torch.Tensor:
    if not value.is_floating_point():
        return value
    half = value.half()
    return half if half.isfinite().all() else value
