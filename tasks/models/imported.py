"""Brings published weights and exported networks into the registry.

Weights are read as plain tensors, so nothing in them runs. Exported networks are programs: only those whose operators
are all known to stay within their tensors are run, in this process (`capmat_models.weights.operators`). Each must
matte a small made-up picture before it is registered.
"""

import json
from collections.abc import Sequence
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from capmat_errors import CheckpointError, ConfigError
from storage.registry import Registry
from storage.store.root import Root
from tasks.models.infer import infer
from tasks.models.networks import ROLES, Ref, described

_WAY: Literal["difference"] = "difference"  # docs/decisions/0005-the-plate-starts-as-a-difference.md
_PATCH = 16  # pixels a side of a token, for the size that position tables were trained at


def import_weights(
    store: str,
    file: Path,
    architecture: str,
    *,
    name: str = "",
    changes: Sequence[str] = (),
    adapt: bool = False,
) -> Ref:
    """Register released weights of a network that `create_model` knows.

    Args:
        store: URL of the store.
        file: `.pth`, `.pt`, `.ckpt` or `.safetensors`, as its authors released it.
        architecture: which network.
        name: of the registry entry; the architecture's if empty.
        changes: `field=value` of the network's configuration. The size of the training crops is read from the
            file itself.
        adapt: the file holds trimap weights, and `architecture` takes a plate: replace the trimap's input.

    Returns:
        The entry; the same file twice gives the same one.

    Raises:
        CheckpointError: the file is damaged or of another network, has values that are not finite, or its matte is
            not an alpha.
        ConfigError: the network or the setting does not exist, or a role has the name.
    """
    import torch

    from capmat_models.networks.configs import ARCHITECTURES
    from capmat_models.networks.factory import create_model
    from capmat_models.weights.adapt import background_from_trimap
    from capmat_models.weights.state import dump_weights, load_published, read_published

    name = _free(name or architecture)
    settings = _settings(architecture, changes)
    data = _bytes(file)
    if adapt and ("bgr" not in ARCHITECTURES[architecture].inputs or "guide" not in _known(architecture)):
        raise ConfigError(f"{architecture} is not a ViTMatte with a plate", where="--adapt background",
                          fix="Adapt to bg_vitmatte_s.")  # fmt: skip
    state = read_published(file)
    try:
        if not adapt:
            _refuse_trimap_weights(architecture, settings, state)
        else:
            state = background_from_trimap(state, _WAY)
        if "image_size" not in settings and (size := _training_size(architecture, settings, state)):
            settings["image_size"] = size
        network = create_model(architecture, **settings).eval()
        load_published(network, state)
        _try(network)
    except CheckpointError as e:
        raise CheckpointError(e.what, where=str(file), fix=e.fix) from e
    card = {
        **described(network),
        "role": ARCHITECTURES[architecture].role or "baseline",
        **({"kind": "adapted", "way": _WAY} if adapt else {"kind": "published"}),
        "source": _source(file, data),
        "parameters": sum(p.numel() for p in network.parameters()),
        "torch": str(torch.__version__),
    }
    return Ref(name=name, version=Registry(Root(store)).add(name, dump_weights(network, half=False), card))


def import_exported(store: str, file: Path, name: str, contract: dict[str, Any]) -> Ref:
    """Register a TorchScript or ONNX file.

    Args:
        store: URL of the store.
        file: an ONNX file, or a TorchScript archive.
        name: of the registry entry.
        contract: fields of `capmat_models.weights.exported.Contract`.

    Returns:
        The entry; the same file with the same contract twice gives the same one.

    Raises:
        CheckpointError: the file cannot be opened, does not fit the contract, or makes no alpha.
        ConfigError: a role has the name.
    """
    import torch

    from capmat_models.weights.exported import Contract, ExportedModel, fit

    name = _free(name)
    data = _bytes(file)
    form: Any = "torchscript" if data[:4] == b"PK\3\4" else "onnx"
    if form == "onnx" and file.suffix.lower() != ".onnx":
        raise CheckpointError(
            "its format is unknown: it is no TorchScript archive, and its name does not end in .onnx",
            where=str(file),
            fix="Export the network as TorchScript or ONNX.",
        )
    try:
        fitted = fit(data, form, Contract(**contract))
        model = ExportedModel(data, form, fitted)
        _try(model.eval())
    except CheckpointError as e:
        raise CheckpointError(e.what, where=str(file), fix=e.fix) from e
    card = {
        "architecture": "exported",
        "format": form,
        "contract": fitted.to_json(),
        **({"notes": model.notes} if model.notes else {}),
        "role": "baseline",
        "kind": "exported",
        "source": _source(file, data),
        "parameters": sum(p.numel() for p in model.parameters()) or None,
        "torch": str(torch.__version__),
    }
    return Ref(name=name, version=Registry(Root(store)).add(name, data, card))


def _try(network: Any) -> None:
    """Matte noise of a size that is not a multiple of any stride; the result must be an alpha."""
    shape = (75, 101)
    noise = np.random.default_rng(0).random((2, 3, *shape), dtype=np.float32)
    trimap = np.full(shape, 0.5, np.float32)
    trimap[:20], trimap[-20:] = 0, 1
    guides = {"bgr": noise[1], "trimap": trimap, "mask": trimap}
    inputs = {key: value for key, value in guides.items() if key in network.inputs}
    pha = infer(network, noise[0], **inputs)["pha"]
    if pha.shape != shape or not np.isfinite(pha).all() or pha.min() < 0 or pha.max() > 1:
        raise CheckpointError(
            f"the matte of a test picture runs from {pha.min():.3g} to {pha.max():.3g}",
            fix="Download the file again. If that does not help, it belongs to another network.",
        )


def _training_size(architecture: str, settings: dict[str, Any], state: dict[str, Any]) -> int | None:
    """Side of the training crops, from the length of a global block's position table (63 -> 512, 127 -> 1024)."""
    from capmat_models.networks.configs import ARCHITECTURES

    config: Any = ARCHITECTURES[architecture].config
    if "global_blocks" not in _known(architecture):
        return None
    first = next(iter(settings.get("global_blocks", config.global_blocks)), None)
    table = state.get(f"backbone.blocks.{first}.attn.rel_pos_h")
    return None if table is None or table.ndim != 2 else (len(table) + 1) // 2 * _PATCH


def _refuse_trimap_weights(architecture: str, settings: dict[str, Any], state: dict[str, Any]) -> None:
    """Refuse the likeliest mistake, with what to do: ViTMatte's own files are for trimaps."""
    from capmat_models.networks.configs import ARCHITECTURES

    first = state.get("backbone.patch_embed.proj.weight")
    plate = "guide" in _known(architecture) and "bgr" in ARCHITECTURES[architecture].inputs
    if plate and settings.get("guide") != "trimap" and first is not None and first.ndim == 4 and first.shape[1] == 4:
        raise CheckpointError(
            f"these weights take a trimap, but {architecture} takes a plate",
            fix="Add --adapt background, or import them as vitmatte_s.",
        )


def _settings(architecture: str, changes: Sequence[str]) -> dict[str, Any]:
    """`field=value` pairs as typed settings; values are JSON, or else text."""
    from capmat_models.networks.configs import ARCHITECTURES
    from capmat_models.networks.factory import create_model

    if architecture not in ARCHITECTURES:
        create_model(architecture)  # refuses, and lists the known ones
    settings: dict[str, Any] = {}
    for pair in changes:
        key, equals, text = pair.partition("=")
        default = getattr(ARCHITECTURES[architecture].config, key, None) if key in _known(architecture) else None
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if isinstance(value, list):
            value = tuple(value)
        elif isinstance(default, float) and type(value) is int:
            value = float(value)
        # an unknown key is left to create_model, which lists the known ones
        if not equals or (default is not None and type(value) is not type(default)):
            kind = type(default).__name__ if default is not None else "value"
            raise ConfigError(f"is not of the form field={kind}", where=f"--field {pair}", fix="Correct the value.")
        settings[key] = value
    if settings:
        create_model(architecture, **settings)
    return settings


def _free(name: str) -> str:
    """The name, unless it is that of a role: everywhere else it stands for the model in use."""
    if name in ROLES:
        where = "capmat models import"
        raise ConfigError(f"{name} stands for the model in use", where=where, fix="Choose another --name.")
    return name


def _known(architecture: str) -> set[str]:
    from capmat_models.networks.configs import ARCHITECTURES

    return {field.name for field in fields(ARCHITECTURES[architecture].config)}


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as e:
        raise CheckpointError(f"cannot be read ({e.strerror})", where=str(file), fix="Check the path.") from e


def _source(file: Path, data: bytes) -> dict[str, Any]:
    return {"file": file.name, "sha256": sha256(data).hexdigest(), "bytes": len(data)}
