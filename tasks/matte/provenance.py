"""Where a matte comes from: the model and its labels, the settings, the plates, the code.

Every array of mattes has it as attributes (`zarr.open(...).attrs["capmat"]`), and so have `runs/RUN.json` and the
headers of exported files. A digest names the settings, which lie in `configs/<digest>.json` of the store.
"""

import json
import re
from importlib.metadata import version
from typing import Any

from capmat_errors import NotFound
from storage.labels.label_set import LABELS
from storage.registry import Registry
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Config
from tasks.models.networks import Ref, card_of
from tasks.runtime.step import digest


def keep_config(config: Config) -> str:
    """Put the settings into their store; returns the digest that names them."""
    settings = config.model_dump(mode="json")
    root, name = Root(config.store), digest(settings)
    key = f"configs/{name}.json"
    if not root.exists(key):
        root.write(key, json.dumps(settings, indent=1, sort_keys=True).encode())
    return name


def provenance(store: str, take: Take, model: Ref, config: str) -> dict[str, Any]:
    """What a run of mattes is made from, beside its model; unknown parts are absent.

    Args:
        store: URL of the store.
        take: the take.
        model: the model.
        config: digest of the settings, see `keep_config`; "" names none.

    Returns:
        `labels` (the label set that the model, or its teacher, learned from), `config`, `stage` and `plates` (a
        digest of the recordings of the empty stage that its plates were averaged from), `mended` (by camera, how its
        plate was changed to lie under the take), `code` (version of capmat).
    """
    parts = {
        "labels": _labels(store, model),
        "config": config,
        "stage": take.stage,
        "plates": _plates(take),
        "mended": mended_plates(take),
        "code": version("capmat"),
    }
    return {key: value for key, value in parts.items() if value}


def begun(take: Take, run: str, described: dict[str, Any]) -> dict[str, Any]:
    """The description of a run that is opened again: the stored one, unless more than the settings has changed.

    Settings change every day without touching a matte. A run names those under which its mattes were begun.
    """
    before = take.alpha_runs().get(run, {})
    same = {**before, "config": ""} == {**described, "config": ""}
    return before if same and before.get("config") else described


def mended_plates(take: Take) -> dict[str, str]:
    """By camera, how its plate was changed so that it lies under this take; empty if all plates fit."""
    try:
        stage = Stage.under(take)
    except NotFound:
        return {}
    changes = {camera: stage.change(camera) for camera in take.cameras}
    return {camera: change["words"] for camera, change in changes.items() if change}


def _labels(store: str, model: Ref) -> str:
    card = card_of(store, model)
    if not card.get("labels") and (teacher := _teacher(card)):
        registry = Registry(Root(store))
        card = card_of(store, teacher) if teacher["version"] in registry.versions(teacher["name"]) else {}
    return f"{LABELS}@{card['labels']}" if card.get("labels") else ""


def _teacher(card: dict[str, Any]) -> Ref | None:
    """The teacher of a student, by the name of the run that the student learned from."""
    match = re.fullmatch(r"teacher-(.+)-(v\d{4,})(?:-tiles\d+)?", str(card.get("teacher", "")))
    return Ref(name=match[1], version=match[2]) if match else None


def _plates(take: Take) -> str:
    entries = Ledger(take.root).entries(f"plates/{take.stage}/")
    manifests = {key: entry["manifest"] for key, entry in entries.items() if entry and "manifest" in entry}
    return digest([take.stage, manifests]) if manifests else ""
