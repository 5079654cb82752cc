"""Networks by reference: what travels between tasks is a name and a version, never weights.

A worker process loads a network once and keeps the last few.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

from capmat_errors import CheckpointError
from storage.registry import Registry
from storage.root import Root
from tasks.step import Record, retryable, run_once


class Ref(TypedDict):
    """One entry of the model registry."""

    name: str
    version: str


ROLES = ("teacher", "student", "supervisor")


def run_name(role: str, model: Ref) -> str:
    """Name of the alpha run that a model writes into a take: `student-1f3a9c2b`."""
    return f"{role}-{model['version']}"


@lru_cache(maxsize=4)
def _load(store: str, name: str, version: str) -> Any:
    from capmat_models import create_model
    from capmat_models.state import load_weights

    weights, card = Registry(Root(store)).load(name, version)
    model = create_model(card["architecture"])
    load_weights(model, weights)
    return model.eval()


def load_network(store: str, model: Ref, threads: int = 1, *, fresh: bool = False) -> Any:
    """The network in evaluation mode, from the registry of `store`.

    Args:
        store: URL of the store.
        model: which one.
        threads: torch threads for this process from now on.
        fresh: a copy of its own, for training.

    Raises:
        NotFound: no such entry.
        CheckpointError: the weights do not fit the architecture that its card names.
    """
    import torch

    torch.set_num_threads(threads)
    load = _load.__wrapped__ if fresh else _load
    return load(store, model["name"], model["version"])


def read_base_weights(folder: Path, architecture: str) -> tuple[bytes, dict[str, Any]]:
    """Base weights as they are delivered: `<folder>/<architecture>/model.safetensors` and `card.json`.

    Raises:
        CheckpointError: not there.
    """
    import json

    place = folder / architecture
    try:
        weights = (place / "model.safetensors").read_bytes()
        card = json.loads((place / "card.json").read_text())
    except FileNotFoundError as e:
        raise CheckpointError(
            "base weights are not there",
            where=str(e.filename),
            fix="Train them with `capmat train-base`, or set `weights` to the folder that has them",
        ) from e
    return weights, card


def register_base(store: str, weights: str, architectures: Mapping[str, str]) -> Record:
    """Put the base weights of every role into the registry; the first champion of a role is its base.

    Args:
        store: URL of the store.
        weights: folder of the base weights.
        architectures: role -> architecture.

    Returns:
        Record with a `Ref` per role.
    """
    loaded = {role: read_base_weights(Path(weights), name) for role, name in architectures.items()}

    def work() -> dict[str, Any]:
        registry = Registry(Root(store))
        refs: dict[str, Any] = {}
        for role, (data, card) in loaded.items():
            name = architectures[role]
            version = registry.add(name, data, {**card, "architecture": name, "role": role, "kind": "base"})
            refs[role] = Ref(name=name, version=version)
            if registry.champion(role) is None:
                registry.promote(role, name, version, {"decision": "PROMOTE", "reasons": ["first of its role"]})
        return refs

    inputs = {"weights": {role: card for role, (_, card) in loaded.items()}, **architectures}
    return run_once(store, "register", "base", inputs, work)


def champion(store: str, role: str) -> Ref:
    """The model that is in use for `role`.

    Raises:
        CheckpointError: the store has none yet.
    """
    found = Registry(Root(store)).champion(role)
    if found is None:
        raise CheckpointError(f"no {role} in the registry", where=store, fix="Run `capmat nightly` first")
    return Ref(name=found[0], version=found[1])


def champions(store: str) -> dict[str, Ref]:
    """The models in use, by role."""
    return {role: champion(store, role) for role in ROLES}


register_base_task = retryable("register base models")(register_base)
champions_task = retryable("models in use")(champions)
