"""Networks by reference: what travels between tasks is a name and a version, never weights.

A worker process loads a network once and keeps the last few.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version as installed
from pathlib import Path
from threading import Lock
from typing import Any, TypedDict

from capmat_errors import CheckpointError, NotFound, Overtaken, did_you_mean, no_such
from storage.registry import Registry
from storage.store.root import Root
from tasks.runtime.step import Record, retryable, run_once


class Ref(TypedDict):
    """One entry of the model registry."""

    name: str
    version: str


ROLES = ("teacher", "student", "supervisor")
_ANEW = "Copy the folder of these weights again."


@dataclass(frozen=True)
class Run:
    """How a model mattes: whose mattes they are, and what the process that makes them may use.

    Attributes:
        role: `teacher`, `student`, or the model's own name when it runs for no role.
        model: the network.
        tile: side of the tiles in pixels, see `tasks.models.infer.infer`; 0 for whole frames.
        threads: torch threads.
        config: digest of the settings, for the mattes to name; "" names none.
    """

    role: str
    model: Ref
    tile: int = 0
    threads: int = 1
    config: str = ""

    @property
    def name(self) -> str:
        """Name of the alpha run that this writes into a take: `student-bgmv2_mobilenetv2-v0003`.

        The model's name belongs to it: every model counts its versions from one, and any may be put in use. A model
        that runs for no role is not named twice. Mattes made in tiles say so, since tiles are an approximation.
        """
        parts = [self.model["name"], self.model["version"]] + ([f"tiles{self.tile}"] if self.tile else [])
        return "-".join(parts if self.role == self.model["name"] else [self.role, *parts])


_LOADING = Lock()


@lru_cache(maxsize=4)
def _load(store: str, name: str, version: str) -> Any:
    return build(*Registry(Root(store)).load(name, version))


def build(weights: bytes, card: Mapping[str, Any]) -> Any:
    """The network that a card describes, in evaluation mode, on the GPU if the machine has one.

    Args:
        weights: safetensors, or an exported file; nothing for a method without weights.
        card: `architecture` and, where it differs from the published, `config`; for "exported" files
            `format` and `contract`; for a method without weights `method`.

    Raises:
        CheckpointError: the weights do not fit the card, or another version of its method is installed.
        ConfigError: this capmat knows no such network.
    """
    import torch

    if card["architecture"] == "exported":
        from capmat_models.weights.exported import Contract, ExportedModel

        network: Any = ExportedModel(weights, card["format"], Contract(**card["contract"]))
    else:
        from capmat_models.networks.factory import create_model
        from capmat_models.weights.state import load_weights

        network = create_model(card["architecture"], **card.get("config", {}))
        if not (method := method_of(card["architecture"])):
            load_weights(network, weights)
        elif card["method"] != method:
            raise CheckpointError(
                f"it is {card['method']}, installed is {method}",
                where=card["architecture"],
                fix="Install that version, or choose a newer entry of `capmat models`.",
            )
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def described(network: Any) -> dict[str, Any]:
    """The part of a card that `build` needs: architecture, and changes of its configuration."""
    from capmat_models.networks.configs import ARCHITECTURES

    published = asdict(ARCHITECTURES[network.architecture].config)
    changed = {key: value for key, value in asdict(network.config).items() if value != published[key]}
    return {"architecture": network.architecture} | ({"config": changed} if changed else {})


def load_network(store: str, model: Ref, threads: int = 1, *, fresh: bool = False) -> Any:
    """The network in evaluation mode, from the registry of `store`.

    Args:
        store: URL of the store.
        model: which one.
        threads: torch threads for this process from now on.
        fresh: load a new copy, for training.

    Raises:
        NotFound: the registry does not have it.
        CheckpointError: the weights do not fit the architecture that its card names.
    """
    import torch

    torch.set_num_threads(threads)
    if fresh:
        return _load.__wrapped__(store, model["name"], model["version"])
    with _LOADING:  # or two threads that need the same network would both load it
        return _load(store, model["name"], model["version"])


def method_of(architecture: str) -> str:
    """The package and version of a method without weights, such as `pymatting 1.1.16`; "" for a network with some."""
    from capmat_models.networks.configs import ARCHITECTURES

    package = ARCHITECTURES[architecture].package if architecture in ARCHITECTURES else ""
    return f"{package} {installed(package)}" if package else ""


def has_base_weights(folder: Path, architecture: str) -> bool:
    """Whether `read_base_weights` knows the name."""
    # A path, such as "..", is not a name.
    return bool(method_of(architecture)) or architecture in {path.name for path in folder.glob("*/")}


def read_base_weights(folder: Path, architecture: str) -> tuple[bytes, dict[str, Any]]:
    """Base weights as they are delivered: `<folder>/<architecture>/model.safetensors` and `card.json`.

    A method without weights has no file. Its card names the installed package, so that another version of that makes
    another entry of the registry, and everything that depends on it is made again.

    Raises:
        CheckpointError: the folder does not have them or cannot be read, or their card is damaged.
    """
    import json

    file = folder / architecture / "card.json"
    if method := method_of(architecture):
        return b"", {"architecture": architecture, "method": method}
    try:
        weights = (folder / architecture / "model.safetensors").read_bytes()
        card = json.loads(file.read_text())
    except FileNotFoundError as e:
        raise CheckpointError(
            "the base weights are missing",
            where=str(e.filename),
            fix="Train them with `capmat train-base`, or set `weights` to the folder that has them.",
        ) from e
    except ValueError as e:
        raise CheckpointError(f"cannot be read ({e})", where=str(file), fix=_ANEW) from e
    except OSError as e:
        fix = "Check `weights`, and the owner and permissions of that folder."
        raise CheckpointError(f"cannot be read ({e.strerror})", where=str(e.filename), fix=fix) from e
    if not isinstance(card, dict) or not isinstance(card.get("config", {}), dict):
        raise CheckpointError("expected a JSON object, and one as its `config`", where=str(file), fix=_ANEW)
    return weights, card


def register_base(store: str, weights: str, architectures: Mapping[str, str]) -> Record:
    """Put the base weights of every role into the registry; the first champion of a role is its base.

    Weights come from the folder; an architecture that it does not have starts from the newest published or
    adapted weights of that name that were imported.

    Args:
        store: URL of the store.
        weights: folder of the base weights.
        architectures: role -> architecture.

    Returns:
        Record with a `Ref` per role.

    Raises:
        CheckpointError: neither the folder nor the registry has weights of an architecture.
    """
    registry = Registry(Root(store))
    starts = {role: _base(registry, Path(weights), name) for role, name in architectures.items()}

    def work() -> dict[str, Any]:
        refs: dict[str, Any] = {}
        for role, (version, data, card) in starts.items():
            name = architectures[role]
            version = version or _add_base(registry, name, role, data, card)
            refs[role] = Ref(name=name, version=version)
            first = {"decision": "PROMOTE", "reasons": ["first of its role"]}
            with suppress(Overtaken):  # a model is in use already
                registry.promote(role, name, version, first, beaten=())
        return refs

    inputs = {"weights": {role: version or card for role, (version, _, card) in starts.items()}, **architectures}
    return run_once(store, "register", "base", inputs, work)


def _base(registry: Registry, folder: Path, architecture: str) -> tuple[str, bytes, dict[str, Any]]:
    """Where a role starts: bytes and card of the folder, with "" as version, or else an imported version."""
    try:
        return "", *read_base_weights(folder, architecture)
    except CheckpointError:
        for entry in reversed(registry.entries(architecture)):
            card = entry["card"]
            if card.get("kind") in ("published", "adapted") and card.get("architecture") == architecture:
                return entry["version"], b"", card
        raise


def base_model(store: str, weights: str, architecture: str) -> Ref:
    """The base model of an architecture, in the registry; see `register_base`, which also puts it in use.

    Raises:
        CheckpointError: neither the folder nor the registry has weights of it.
    """
    from capmat_models.networks.configs import ARCHITECTURES

    registry = Registry(Root(store))
    version, data, card = _base(registry, Path(weights), architecture)
    role = ARCHITECTURES[architecture].role if architecture in ARCHITECTURES else ""
    return Ref(name=architecture, version=version or _add_base(registry, architecture, role, data, card))


def _add_base(registry: Registry, name: str, role: str, weights: bytes, card: Mapping[str, Any]) -> str:
    return registry.add(name, weights, {**card, "architecture": name, "role": role, "kind": "base"})


def find_model(store: str, weights: str, wanted: str) -> Ref:
    """A model by what a person calls it.

    Args:
        store: URL of the store.
        weights: folder of the base weights, where a name is looked for that the registry does not have.
        wanted: NAME or NAME@VERSION. Without version: the one in use, or else the newest. A role stands for the model
            in use, see `storage.registry.Registry.find`.

    Raises:
        NotFound: no model has that name or version; the message lists the names.
        CheckpointError: no model is in use for the role.
    """
    name, _, version = wanted.partition("@")
    registry = Registry(Root(store))
    if not version and name not in (*ROLES, *registry.names()) and has_base_weights(Path(weights), name):
        base_model(store, weights, name)
    if name not in registry.names():
        if name in ROLES:
            champion(store, name)
        else:
            existing = sorted(
                {*ROLES, *registry.names(), *(p.parent.name for p in Path(weights).glob("*/card.json"))}
            )
            fix = "Name one of these, or import one with `capmat models import`."
            raise no_such("model", name, existing, where=store, fix=fix)
    model = registry.find(wanted)
    return Ref(name=model.name, version=model.version)


def find_run(store: str, wanted: str = "", tile: int = 0) -> str:
    """Name of the alpha run that a person means.

    Args:
        store: URL of the store.
        wanted: name of a run, or of the model that made it: "teacher", "student@v0002", "modnet". Empty: "student".
        tile: `teacher.tile`, which belongs to the name of the teacher's runs.

    Raises:
        NotFound: the store has no such model.
        CheckpointError: no model is in use for the role.
    """
    name, _, version = (wanted or "student").partition("@")
    models = [*ROLES, *Registry(Root(store)).names()]
    if not version and name not in models:
        if "-" not in name and did_you_mean(name, models):  # names of runs have hyphens
            raise no_such("model", name, models, where=store)
        return wanted
    return Run(name, find_model(store, "", wanted or name), tile if name == "teacher" else 0).name


def card_of(store: str, model: Ref) -> dict[str, Any]:
    """The card of a model, without its weights.

    Raises:
        NotFound: the registry does not have it.
    """
    for entry in Registry(Root(store)).entries(model["name"]):
        if entry["version"] == model["version"]:
            return dict(entry["card"])
    where = f"{model['name']}@{model['version']}"
    raise NotFound("the store does not have this model", where=where, fix="`capmat models` lists them.")


def inputs_of(card: Mapping[str, Any]) -> tuple[str, ...]:
    """The inputs of a network, by its card alone; empty for one that this version of capmat does not know."""
    from capmat_models.networks.configs import ARCHITECTURES

    if card.get("architecture") == "exported":
        return ("src", "bgr") if card["contract"]["kind"] == "rgb+plate" else ("src",)
    known = ARCHITECTURES.get(card.get("architecture", ""))
    return known.config.inputs if known else ()


def champion(store: str, role: str) -> Ref:
    """The model that is in use for `role`.

    Raises:
        CheckpointError: the store has none yet.
    """
    in_use = Registry(Root(store)).champion(role)
    if in_use is None:
        raise CheckpointError(f"the registry has no {role} in use", where=store, fix="Run `capmat nightly` first.")
    return Ref(name=in_use[0], version=in_use[1])


def champions(store: str) -> dict[str, Ref]:
    """The models in use, by role."""
    return {role: champion(store, role) for role in ROLES}


register_base_task = retryable("register base models")(register_base)
champions_task = retryable("models in use")(champions)
