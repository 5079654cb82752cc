"""What may go: mattes of superseded models, and what killed or finished work left behind.

Plates and recorded frames never go. Entries of the ledger go before what they answer for: a removal that is killed
leaves work that is done again, and never work that only seems to be done.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from storage.labels.drafts import read_drafts
from storage.labels.label_set import LABELS, LabelSet, list_label_sets
from storage.registry import ModelEntry, Registry
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.store.writers import is_gone
from storage.takes.group import group_key
from storage.upkeep.files import all_takes, matte_entries, run_info

_STARTS = ("base", "published", "adapted")  # kinds of models that every round starts from
_NIGHTS = 5  # that forecasts are made from
_TRAININGS = ("finetune", "distill", "scribble-student")


@dataclass(frozen=True)
class Waste:
    """One thing that may go.

    Attributes:
        kind: one word for all of its kind.
        what: a description.
        bytes: its size.
        keys: files and folders, in the order in which they go.
        entries: entries of the ledger; they go first.
    """

    kind: str
    what: str
    bytes: int
    keys: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()


def find_waste(root: Root, keep: int = 2, days: int = 0) -> list[Waste]:
    """Look for everything that may go; changes nothing.

    Args:
        root: the store.
        keep: newest versions of every model whose mattes stay, whether in use or not.
        days: for which plans and morning reports stay; 0 for ever.

    Raises:
        StoreError: the store cannot be read.
    """
    left = [*_half_written(root), *_claims(root), *_checkpoints(root), *_drafts(root)]
    return [*_mattes(root, keep), *left, *(_nights(root, days) if days else ())]


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
    """Runs that a superseded model made for a role."""
    ledger, old = Ledger(root), _superseded(Registry(root), keep)
    for take in all_takes(root) if old else ():
        folder = group_key("take", take)
        runs = [run for run, info in _runs(root, ledger, take).items() if _made_by(info, old)]
        entries = matte_entries(ledger, take) if runs else {}
        for run in runs:
            mattes = [key for key, entry in entries.items() if entry and entry.get("run") == run]
            arrays = [f"{folder}/cameras/{camera}/alpha/{run}" for camera in root.names(f"{folder}/cameras")]
            size = sum(sum(root.sizes(f"{array}/").values()) for array in arrays)
            # What announces the run goes last: by it the rest is found again after a kill.
            keys = (*arrays, f"{folder}/runs/{run}.json")
            yield Waste("mattes", f"take {take} run {run}", size, keys, (*mattes, f"run/{take}/{run}"))


def _runs(root: Root, ledger: Ledger, take: str) -> dict[str, dict[str, Any]]:
    """How every run is made, where that is known."""
    entries = {key.rpartition("/")[2]: entry for key, entry in ledger.entries(f"run/{take}/").items()}
    names = {file.removesuffix(".json") for file in root.names(f"{group_key('take', take)}/runs")}
    infos = ((run, run_info(root, take, run, entries.get(run))) for run in sorted({*entries, *names}))
    return {run: info for run, info in infos if info}


def _made_by(info: dict[str, Any], models: set[tuple[str, str]]) -> bool:
    """Whether one of these models made a run for a role; a run of `--model` belongs to whoever asked for it."""
    return info.get("role") != info.get("name") and (info.get("name"), info.get("version")) in models


def _superseded(registry: Registry, keep: int) -> set[tuple[str, str]]:
    """Models out of use that no round starts from and that are not among the newest `keep` of their name."""
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
    for key, size in root.sizes("claims/").items():
        if is_gone(key.rpartition("/")[2].lstrip(".").partition(".")[0]):
            yield Waste("claims", key, size, (key,))


def _checkpoints(root: Root) -> Iterator[Waste]:
    """Those of trainings that have a record; a training without one goes on from its checkpoint."""
    files = root.names("checkpoints")
    records = (entry for kind in _TRAININGS for entry in Ledger(root).entries(f"{kind}/").values()) if files else ()
    # A training's name is part of the keys of its pictures.
    named = {Path(key).parent.name for entry in records if entry for key in entry.get("pictures", {}).values()}
    for file in files:
        if file.removesuffix(".pt") in named:
            key = f"checkpoints/{file}"
            yield Waste("checkpoints", f"{key}: that training is finished", root.size(key) or 0, (key,))


def _drafts(root: Root) -> Iterator[Waste]:
    """Those of frames of which the newest label set has every stroke."""
    takes = root.names("drafts")
    labels = LabelSet.open(root, LABELS) if takes and list_label_sets(root).get(LABELS) else None
    for take in takes if labels else ():
        for address, draft in read_drafts(root, take).items():
            frozen = labels.strokes(*address) if labels and address in labels.keys else None
            if frozen and set(draft.drawing.strokes) <= set(frozen.strokes):
                folder = "/".join(("drafts", *map(str, address)))
                # the newest goes last: a killed removal must not bring an older drawing back
                sizes = dict(sorted(root.sizes(f"{folder}/").items(), key=lambda item: (len(item[0]), item[0])))
                yield Waste("drafts", f"{folder}: labels have all of it", sum(sizes.values()), tuple(sizes))


def _nights(root: Root, days: int) -> Iterator[Waste]:
    """Plans and morning reports that are older; the name of each begins with its day. The newest stay in any case."""
    oldest = f"{datetime.now() - timedelta(days=days):%Y-%m-%d}"
    for folder, prefix in (("plans", ""), ("reports", "night-")):
        files = [name for name in root.names(folder) if name.startswith(prefix)]
        names = sorted({name.rpartition(".")[0] for name in files})
        for name in names[:-_NIGHTS]:
            if name.removeprefix(prefix) < oldest:
                keys = [f"{folder}/{file}" for file in files if file.rpartition(".")[0] == name]
                yield Waste(folder, f"{folder}/{name}", sum(root.size(key) or 0 for key in keys), tuple(keys))
