"""What may go: mattes of models that others took the place of, and what killed or finished work left behind.

Plates and recorded frames are never among it. Entries of the ledger go before what they answer for, so whoever is
killed here leaves work that has to be done again and never work that seems to be done.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.registry import ModelEntry, Registry
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.store.writers import is_gone
from storage.upkeep.files import all_takes, is_json, matte_entries

KINDS = ("mattes", "half-written files", "claims", "checkpoints")
_STARTS = ("base", "published", "adapted")  # kinds of models that every round starts from
_TRAININGS = ("finetune", "distill", "scribble-student")


@dataclass(frozen=True)
class Waste:
    """One thing that may go.

    Attributes:
        kind: one of `KINDS`.
        what: it is, in words.
        bytes: that it takes.
        keys: of files and folders, in the order in which they go.
        entries: of the ledger, which go first.
    """

    kind: str
    what: str
    bytes: int
    keys: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()


def find_waste(root: Root, keep: int = 2) -> list[Waste]:
    """Look for everything that may go; changes nothing.

    Args:
        root: the store.
        keep: newest versions of every model whose mattes stay, whether in use or not.

    Raises:
        StoreError: the store cannot be read.
    """
    return [*_mattes(root, keep), *_half_written(root), *_claims(root), *_checkpoints(root)]


def remove_waste(root: Root, waste: Iterable[Waste]) -> None:
    """Remove what `find_waste` found. Only while nothing is matted with an old model and no training runs.

    Raises:
        StoreError: the store cannot be written to; the same call goes on there.
    """
    ledger = Ledger(root)
    for one in waste:
        for entry in one.entries:
            ledger.forget(entry)
        for key in one.keys:
            root.delete(key)


def _mattes(root: Root, keep: int) -> Iterator[Waste]:
    """Runs that were made for a role by a model that is out of use, no start, and not among the newest."""
    ledger, old = Ledger(root), _superseded(Registry(root), keep)
    for take in all_takes(root) if old else ():
        folder = f"takes/{take}.zarr"
        runs = [run for run, said in _runs(root, ledger, take).items() if _made_by(said, old)]
        entries = matte_entries(ledger, take) if runs else {}
        for run in runs:
            theirs = [k for k, entry in entries.items() if entry and entry.get("run") == run]
            arrays = [f"{folder}/cameras/{camera}/alpha/{run}" for camera in root.names(f"{folder}/cameras")]
            size = sum(sum(root.sizes(f"{array}/").values()) for array in arrays)
            # What announces the run goes last: by it the rest is found again after a kill.
            keys = (*arrays, f"{folder}/runs/{run}.json")
            yield Waste("mattes", f"take {take} run {run}", size, keys, (*theirs, f"run/{take}/{run}"))


def _runs(root: Root, ledger: Ledger, take: str) -> dict[str, dict[str, Any]]:
    """What the ledger, or else the take itself, says of every run; runs of which neither does are left out."""
    found = {key.rpartition("/")[2]: said for key, said in ledger.entries(f"run/{take}/").items() if said}
    for file in root.names(f"takes/{take}.zarr/runs"):
        if (run := file.removesuffix(".json")) not in found:
            data = root.read(f"takes/{take}.zarr/runs/{file}")
            found |= {run: json.loads(data)} if is_json(data) else {}
    return found


def _made_by(said: dict[str, Any], models: set[tuple[str, str]]) -> bool:
    """Whether one of these models made a run for a role; what people made with `--model` is theirs."""
    return said.get("role") != said.get("name") and (said.get("name"), said.get("version")) in models


def _superseded(registry: Registry, keep: int) -> set[tuple[str, str]]:
    used = {registry.champion(role) for role in registry.root.names("promotions")}
    by_name: dict[str, list[ModelEntry]] = defaultdict(list)
    for entry in registry.entries():
        by_name[entry["name"]].append(entry)
    return {
        (name, entry["version"])
        for name, entries in by_name.items()
        for entry in entries[: max(0, len(entries) - keep)]
        if (name, entry["version"]) not in used and entry["card"].get("kind") not in _STARTS
    }


def _half_written(root: Root) -> Iterator[Waste]:
    """Files of writers on this machine that were killed; S3 has none."""
    for key in () if root.remote else root.list(""):
        name = key.rpartition("/")[2].split(".")
        # .NAME.MARK.NUMBER.partial; claims are files of their own kind.
        ours = len(name) >= 5 and not name[0] and name[-1] == "partial"
        if ours and not key.startswith("claims/") and is_gone(name[-3]):
            yield Waste("half-written files", key, root.size(key) or 0, (key,))


def _claims(root: Root) -> Iterator[Waste]:
    for key in root.list("claims"):
        if is_gone(key.rpartition("/")[2].lstrip(".").partition(".")[0]):
            yield Waste("claims", key, root.size(key) or 0, (key,))


def _checkpoints(root: Root) -> Iterator[Waste]:
    """Those of trainings that have a record; a training without one goes on from its checkpoint."""
    there = root.names("checkpoints")
    records = (entry for kind in _TRAININGS for entry in Ledger(root).entries(f"{kind}/").values()) if there else ()
    # A training's name is part of the keys of its pictures.
    named = {Path(key).parent.name for entry in records if entry for key in entry.get("pictures", {}).values()}
    for file in there:
        if file.removesuffix(".pt") in named:
            key = f"checkpoints/{file}"
            yield Waste("checkpoints", f"{key}: that training is finished", root.size(key) or 0, (key,))
