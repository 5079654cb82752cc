"""Which label sets a finished round of training has used; the ledger remembers it."""

from storage.labels.label_set import LABELS, list_label_sets
from storage.store.ledger import Ledger
from storage.store.root import Root


def round_key(version: str) -> str:
    """Key of the ledger under which a finished round notes its label set; "" for the start of all of them."""
    return f"redistill/{LABELS}-{version}"


def waiting_labels(root: Root) -> str:
    """The version of the newest label set if no finished round has used it; "" if none waits."""
    newest = list_label_sets(root).get(LABELS, [])[-1:]
    return newest[0] if newest and Ledger(root).done(round_key(newest[0])) is None else ""
