"""Takes damaged work back from the ledger, so that the ordinary command does it again.

No recorded frame is deleted here. Mattes are, where the description of their array is damaged: without it they
cannot be read, and zarr would not replace it.
The steps above the pieces (one per take, one per stage) are taken back with them, or they would answer for work
that is no longer there.
"""

from collections.abc import Iterable

from storage.store.ledger import Ledger, break_seal
from storage.store.root import Root
from storage.upkeep.findings import Finding
from storage.upkeep.verify import matte_entries


def forget_damage(root: Root, findings: Iterable[Finding]) -> None:
    """Take back what `verify` found damaged; takes and stages that miss something lose their seal.

    Raises:
        StoreError: the store cannot be written to.
    """
    damage = [finding for finding in findings if finding.damage]
    ledger = Ledger(root)
    for folder in {finding.unseal for finding in damage if finding.unseal}:
        kind, _, name = folder.removesuffix(".zarr").partition("/")
        step = f"take/{name}/" if kind == "takes" else f"plates/{name}/"
        for key, entry in ledger.entries(step).items():
            if kind == "takes" or entry is None or "digest" in entry:  # cameras' entries lie beside the step's
                ledger.forget(key)
        break_seal(root, folder)
    for key in {key for finding in damage for key in finding.entries}:
        ledger.forget(key)
    for key in {finding.clear for finding in damage if finding.clear}:
        root.delete(key)


def forget_take(root: Root, take: str) -> None:
    """Take back all that is known of a take, before another one takes its name."""
    ledger = Ledger(root)
    for key in [*ledger.entries(f"ingest/{take}/"), *ledger.entries(f"run/{take}/"), *matte_entries(ledger, take)]:
        ledger.forget(key)
