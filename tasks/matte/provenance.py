"""What a matte says of where it comes from: the model and its labels, the settings, the plates, the code.

It lies with the run: as attributes of every array of mattes (`zarr.open(...).attrs["capmat"]`), in `runs/RUN.json`,
and from there in the headers of exported files. The settings are named by a digest; `configs/<digest>.json` of the
store holds them.
"""

import json
import re
from importlib.metadata import version
from typing import Any

from storage.labels.label_set import LABELS
from storage.registry import Registry
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.models.networks import Ref, card_of
from tasks.runtime.step import digest


def keep_config(config: Config) -> str:
    """Put the settings into their store, under the digest that names them; the digest."""
    said = config.model_dump(mode="json")
    root, name = Root(config.store), digest(said)
    key = f"configs/{name}.json"
    if not root.exists(key):
        root.write(key, json.dumps(said, indent=1, sort_keys=True).encode())
    return name


def provenance(store: str, take: Take, model: Ref, config: str) -> dict[str, Any]:
    """What a run of mattes is made from, beside its model; what nobody knows is absent.

    Args:
        store: URL of the store.
        take: the take.
        model: the model.
        config: digest of the settings, see `keep_config`; "" where there are none.

    Returns:
        `labels` (the label set that the model, or its teacher, learned from), `config`, `stage` and `plates` (a
        digest of the recordings of the empty stage that its plates were averaged from), `code` (version of capmat).
    """
    said = {
        "labels": _labels(store, model),
        "config": config,
        "stage": take.stage,
        "plates": _plates(take),
        "code": version("capmat"),
    }
    return {key: value for key, value in said.items() if value}


def begun(take: Take, run: str, said: dict[str, Any]) -> dict[str, Any]:
    """What a run says when it is opened once more: what it said, unless anything but the settings has changed.

    Settings change every day without touching a matte. Those under which the mattes were begun are the ones to name.
    """
    before = take.alpha_runs().get(run, {})
    same = {**before, "config": ""} == {**said, "config": ""}
    return before if same and before.get("config") else said


def _labels(store: str, model: Ref) -> str:
    card = card_of(store, model)
    if not card.get("labels") and (teacher := _teacher(card)):
        registry = Registry(Root(store))
        card = card_of(store, teacher) if teacher["version"] in registry.versions(teacher["name"]) else {}
    return f"{LABELS}@{card['labels']}" if card.get("labels") else ""


def _teacher(card: dict[str, Any]) -> Ref | None:
    """The teacher that labelled what a student learned from, by the name of its run."""
    found = re.fullmatch(r"teacher-(.+)-(v\d{4,})(?:-tiles\d+)?", str(card.get("teacher", "")))
    return Ref(name=found[1], version=found[2]) if found else None


def _plates(take: Take) -> str:
    found = Ledger(take.root).entries(f"plates/{take.stage}/")
    manifests = {key: entry["manifest"] for key, entry in found.items() if entry and "manifest" in entry}
    return digest([take.stage, manifests]) if manifests else ""
