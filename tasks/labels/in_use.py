"""Labels in use: which set a round of training takes, and whether one waits (paper section 4.2)."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NotRequired

import numpy as np

from capmat_errors import ScribbleError
from storage.labels.formats.archive import entries_below
from storage.labels.label_set import LABELS, Key, LabelSet, list_label_sets
from storage.labels.raster import OPEN
from storage.labels.rounds import round_key, waiting_labels
from storage.store.ledger import Ledger
from storage.store.root import Root
from tasks.labels.incoming import INBOX, import_labels, is_frozen
from tasks.runtime.step import StepRecord, retryable, run_once


class LabelsRecord(StepRecord):
    """A label set. Its digest depends on the labels and the split alone, whoever froze them and in how many steps."""

    labels: str  # version of the set
    frames: int  # that have labels
    painted_share: float  # of a picture, the mean over the frames
    validation_takes: NotRequired[list[str]]  # kept from training; absent where no take is


def newest_labels(store: str, inbox: str = "", validation_takes: Sequence[str] = ()) -> LabelsRecord:
    """The newest label set, after freezing the overlays of the inbox, which may be empty if a set exists.

    Args:
        store: URL of the store.
        inbox: folder of overlays; "" uses the frozen sets alone.
        validation_takes: takes whose labels are kept from training, by name or pattern (`*-val`).

    Raises:
        ScribbleError: see `import_labels`; or every take is a validation take.
        NotFound: the store has no label set, and no inbox was given.
    """
    if inbox and (_overlays_in(inbox) or not _versions(store)):
        import_labels(store, Path(inbox), INBOX)
    labels = LabelSet.open(Root(store), LABELS)
    held = validation_part(labels, validation_takes)
    if len(held) == len({take for take, _, _ in labels.keys}):
        raise ScribbleError(
            f"all labels are of validation takes ({', '.join(held)})",
            where=f"label set {labels.version}",
            fix="Label another take, or change `validation_takes`.",
        )
    split = {"validation_takes": held} if held else {}

    def work() -> LabelsRecord:
        shares = [float(np.mean(labels.label(*key) != OPEN)) for key in labels.keys]
        record = LabelsRecord(labels=labels.version, frames=len(labels), painted_share=float(np.mean(shares)))
        if held:
            record["validation_takes"] = held
        return record

    return run_once(store, "scribbles", f"set {labels.version}", {"content": labels.content, **split}, work)


def validation_part(labels: LabelSet, patterns: Sequence[str]) -> list[str]:
    """The takes of a label set that are kept back, sorted, given names or patterns."""
    takes = sorted({take for take, _, _ in labels.keys})
    return [take for take in takes if any(fnmatchcase(take, pattern) for pattern in patterns)]


def split_labels(store: str, labels: LabelsRecord) -> tuple[list[Key], list[Key]]:
    """(take, camera, frame) of a label set to learn from, and those kept back to measure on; no take is in both."""
    keys = LabelSet.open(Root(store), LABELS, labels["labels"]).keys
    held = labels.get("validation_takes", ())
    return [key for key in keys if key[0] not in held], [key for key in keys if key[0] in held]


def has_labels(store: str) -> bool:
    """Whether the store has a label set."""
    return bool(_versions(store))


def waiting(store: str, inbox: str = "") -> bool:
    """Whether no finished round of training has used the newest labels.

    Args:
        store: URL of the store.
        inbox: folder of overlays, which count before they are frozen, too; "" looks at label sets alone.

    Raises:
        ScribbleError: something in the inbox is not a file.
    """
    if inbox and _overlays_in(inbox) and not is_frozen(store, inbox):
        return True
    return bool(waiting_labels(Root(store)))


def mark_used(store: str, labels: LabelsRecord, verdicts: Mapping[str, str], pseudo: Sequence[str] = ()) -> None:
    """Record that a round is finished: its labels, its pseudo takes, and the gate's decisions by role."""
    entry = {"labels": labels["digest"], "gate": dict(verdicts), "pseudo_takes": list(pseudo)}
    Ledger(Root(store)).record(round_key(labels["labels"]), entry)


def pseudo_takes_used(store: str, inbox: str = "") -> set[str]:
    """The pseudo takes of all finished rounds but the one that would now be repeated; arguments as in `waiting`."""
    repeated = [] if waiting(store, inbox) else [round_key(version) for version in _versions(store)[-1:]]
    rounds = Ledger(Root(store)).entries(round_key("")).items()
    return {take for key, entry in rounds if entry and key not in repeated for take in entry.get("pseudo_takes", ())}


def _versions(store: str) -> list[str]:
    return list_label_sets(Root(store)).get(LABELS, [])


def _overlays_in(inbox: str) -> bool:
    return any(path.suffix.lower() in (".png", ".tif", ".tiff") for path in entries_below(Path(inbox)))


newest_labels_task = retryable("newest labels")(newest_labels)
mark_used_task = retryable("mark labels as used")(mark_used)
