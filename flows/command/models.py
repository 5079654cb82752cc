"""What `capmat models VERB` does, one function per verb."""

import getpass
import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from capmat_errors import ConfigError
from storage.registry import ModelEntry, Registry
from storage.store.root import Root
from tasks.config import Config
from tasks.models.networks import Ref, build, find_model
from tasks.validate.promote import check_role


def listed(config: Config, args: Namespace) -> None:
    """Every version of every model; a star marks those in use."""
    registry = Registry(Root(config.store))
    entries = registry.entries()
    if args.json:
        print(json.dumps([{**entry, "champion": bool(_used_for(registry, entry))} for entry in entries], indent=2))
        return
    for entry in entries:
        mark, card = "*" if _used_for(registry, entry) else " ", entry["card"]
        role, kind = card.get("role") or "-", card.get("kind") or "-"
        print(f"{mark} {role:10} {entry['name']:22} {entry['version']}  {kind:15} {entry['added']}")
    print("* in use" if entries else "no models yet; capmat nightly registers the base weights")


def show(config: Config, args: Namespace) -> None:
    """One model's card, and which roles it is in use for."""
    registry = Registry(Root(config.store))
    name, _, wanted = args.model.partition("@")
    version = registry.resolve(name, wanted or None)
    (entry,) = [e for e in registry.entries(name) if e["version"] == version]
    roles = _used_for(registry, entry)
    print(f"{entry['name']}@{entry['version']}{f'   in use as {roles}' if roles else ''}")
    print(f"added        {entry['added']}")
    print(f"weights      {entry['bytes']} bytes, sha256 {entry['weights']}")
    for key, value in entry["card"].items():
        print(f"{key:12} {_readable(value)}")


def bring(config: Config, args: Namespace) -> None:
    """Import published weights or an exported network."""
    from tasks.models.imported import import_exported, import_weights

    if args.contract:
        if args.adapt or args.changes:
            raise ConfigError("--adapt and --set are for weights, not for exported networks", where=str(args.file))
        contract = {key: getattr(args, key) for key in ("range", "multiple", "side", "size", "alpha")}
        name = args.name or args.network
        model = import_exported(config.store, args.file, name, {"kind": args.contract, **contract})
    elif args.file.suffix == ".onnx":
        raise ConfigError("an exported network needs --contract", where=str(args.file), fix="See docs/models.md.")
    else:
        adapt = args.adapt == "background"
        model = import_weights(
            config.store, args.file, args.network, name=args.name, changes=args.changes, adapt=adapt
        )
    print(f"{model['name']}@{model['version']}   try it: capmat matte --model {model['name']}@{model['version']} ...")


def export(config: Config, args: Namespace) -> None:
    """Write a model as a file."""
    from capmat_models.weights.export import export_network
    from tasks.matte.picture import open_model

    network, name = open_model(config.store, Path(config.weights), args.model)
    data = export_network(network, args.format, args.size)
    Root(args.out.absolute().parent).write(args.out.name, data)
    print(f"{args.out}   {len(data) / 1e6:.1f} MB, {args.format} of {name}")


def promote(config: Config, args: Namespace) -> None:
    """Put a model in use for a role, by hand."""
    registry = Registry(Root(config.store))
    model = find_model(config.store, config.weights, args.model)
    former = registry.champion(args.role)
    record: dict[str, Any] = {"decision": "PROMOTE", "by": "hand", "reasons": [args.reason]}
    if former:
        record["champion"] = Ref(name=former[0], version=former[1])
    weights, card = registry.load(model["name"], model["version"])
    check_role(args.role, model, build(weights, card).inputs)
    registry.promote(args.role, model["name"], model["version"], record)
    before = f"; before: {former[0]}@{former[1]}" if former else ""
    print(f"{args.role}: {model['name']}@{model['version']}{before}")


def rollback(config: Config, args: Namespace) -> None:
    """Put the model back in use that was in use before."""
    record = {"by": _who(), "reasons": [args.reason]}
    former, now = Registry(Root(config.store)).roll_back(args.role, record)
    print(f"{args.role}: {'@'.join(now)}; taken back: {'@'.join(former)}")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container whose user has no name
        return f"user {os.getuid()}"


def _used_for(registry: Registry, entry: ModelEntry) -> str:
    roles = registry.root.names("promotions")
    return ", ".join(role for role in roles if registry.champion(role) == (entry["name"], entry["version"]))


def _readable(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_readable(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return f"{len(value)} entries" if len(str(value)) > 200 else ", ".join(_readable(inner) for inner in value)
    return str(value)
