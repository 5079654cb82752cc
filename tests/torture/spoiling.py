"""Damage to a finished store: every kind that disks and people do to files, and whether `verify` sees it."""

import json
import random
from collections import Counter
from pathlib import Path

from storage.store.root import Root
from storage.upkeep.findings import Finding, forget_damage
from storage.upkeep.verify import verify

KINDS = ("missing", "cut off", "emptied", "zeroed", "bit", "swapped")
_CHEAP = ("missing", "cut off", "emptied")
"""Kinds that a look at names and sizes must find."""
_LEDGER = ("ingest/", "plates/", "matte/", "seal/")


def targets(store: Path) -> list[str]:
    """Files to spoil, by key: pixels, what describes them, and the ledger's entries for them."""
    keys = [path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()]
    entries = [key for key in keys if key.startswith(tuple(f"ledger/{start}" for start in _LEDGER))]
    # The records of whole steps say only that nothing is to be done; without them it is looked at again.
    steps = [key for key in entries if key.startswith("ledger/plates/") and '"digest"' in (store / key).read_text()]
    return sorted({key for key in keys if key.startswith(("takes/", "stages/"))} | (set(entries) - set(steps)))


def spoil(store: Path, key: str, kind: str, dice: random.Random) -> None:
    """Do one kind of damage to a file; the bytes are others afterwards."""
    path = store / key
    data = path.read_bytes()
    if kind == "missing":
        path.unlink()
        return
    if kind == "swapped":
        others = [p for p in path.parents[0 if key.startswith("ledger/") else 4].rglob(path.name) if p.is_file()]
        valid = [other for p in sorted(others) if (other := p.read_bytes()) != data]
        new = dice.choice(valid) if valid else bytes(len(data))
    elif kind == "bit":
        turned = bytearray(data)
        turned[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        new = bytes(turned)
    else:
        size = {"cut off": dice.randrange(1, len(data)), "emptied": 0}.get(kind, len(data))
        new = bytes(size) if kind == "zeroed" else data[:size]
    path.write_bytes(new)
    assert new != data


def damage_and_mend(store: Path, dice: random.Random, count: Counter[str], number: int) -> list[str]:
    """Spoil some files, let `verify` look, and take what it found back from the ledger.

    Returns:
        What was not found.
    """
    root, silent = Root(store), list[str]()
    whose = {entry: set(_listed(store / entry)) for entry in targets(store) if entry.startswith("ledger/")}
    done = {key: dice.choice(KINDS) for key in dice.sample(targets(store), number)}
    for key, kind in done.items():
        spoil(store, key, kind, dice)
        count[f"damage: {kind}"] += 1
    cheap, deep = verify(root).found, verify(root, deep=True).found
    for key, kind in done.items():
        # What a damaged entry answers for is made again with it; nobody can say any more whether it was whole.
        keys = [key, *(entry for entry in done if key in whose.get(entry, ()))]
        found = any(_names(deep, one) for one in keys)
        count["found"] += found
        if not found or (kind in _CHEAP and not any(_names(cheap, one) for one in keys)):
            silent.append(f"{kind}: {key}")
    forget_damage(root, deep)
    return silent


def _listed(entry: Path) -> list[str]:
    return list(json.loads(entry.read_text()).get("files", ()))


def _names(findings: list[Finding], key: str) -> bool:
    """Whether a finding is about a file.

    Of a lost entry for mattes, one that mattes are lacking; of a seal, one that the take or stage needs it again.
    """
    entry = key.removeprefix("ledger/").removesuffix(".json")
    lost = entry.startswith("matte/") and any("is not finished" in finding.what for finding in findings)
    if entry.startswith("seal/"):
        return any(finding.unseal == entry.removeprefix("seal/") for finding in findings)
    return lost or any(key == f.file or entry in f.entries or entry in f.what for f in findings)
