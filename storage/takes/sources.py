"""What a take was made from, so that whatever is made of the take can tell when that has changed."""

from storage.store.ledger import Ledger
from storage.takes.take import Take

Manifests = dict[str, str]
"""By key of the ledger, what stands for the files of a finished piece of work."""


def sources(take: Take) -> tuple[Manifests, Manifests]:
    """Manifests of a take's files and of those of its plates; and those of plates that were mended for it."""
    ledger = Ledger(take.root)
    plates = (f"plates/{take.stage}/{camera}" for camera in take.cameras)
    entries = ledger.entries(f"ingest/{take.name}/") | {key: ledger.done(key) for key in plates}
    manifests = {key: (entry or {}).get("manifest", "") for key, entry in entries.items()}
    mended = {key: manifests.pop(key) for key in list(manifests) if key.endswith("/plate")}
    return manifests, mended
