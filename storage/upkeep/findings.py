"""The findings of `capmat verify`: one per file or piece of work that differs from the ledger."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from storage.upkeep.files import matte_entries


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that is worth knowing.

    Attributes:
        take: the take; of a stage's plates, the name of the stage.
        what: what is wrong, in words.
        again: the command that mends it; "" if nothing is to be done.
        camera: "" if it concerns no single one.
        frame: its number in the recording; None if it concerns no single one.
        file: key in the store, or "".
        damage: False if it is only information.
        entries: ledger entries to take back before the command can mend it.
        unseal: folder of the take or stage that is not complete without it.
        clear: key of what must go because nothing can be written beside it.
    """

    take: str
    what: str
    again: str = ""
    camera: str = ""
    frame: int | None = None
    file: str = ""
    damage: bool = True
    entries: tuple[str, ...] = ()
    unseal: str = ""
    clear: str = ""

    def __str__(self) -> str:
        where = [self.take, self.camera, "" if self.frame is None else f"frame {self.frame}"]
        line = f"{' '.join(filter(None, where))}: {self.what}"
        line += f" ({self.file})" if self.file else ""
        return f"{line}; {self.again}" if self.again else line


@dataclass
class Findings:
    """What was looked at, and what was found.

    Attributes:
        takes: names of the takes.
        files: number of their files, with those of their stages.
        bytes: of these files.
        deep: whether every byte was read.
        found: what is not as it should be.
    """

    takes: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    deep: bool = False
    found: list[Finding] = field(default_factory=list)

    def add(self, sizes: dict[str, int], found: Iterable[Finding]) -> None:
        """Count the files of one take or stage, and add what was found there."""
        self.files, self.bytes = self.files + len(sizes), self.bytes + sum(sizes.values())
        self.found += found

    @property
    def damaged(self) -> list[Finding]:
        """Those that are damage."""
        return [finding for finding in self.found if finding.damage]


def ingest_command(entries: list[dict[str, Any] | None], take: str = "") -> str:
    """How to ingest something again, by the session that its entries name."""
    sessions = [entry["session"] for entry in entries if entry and "session" in entry]
    command = f"capmat ingest {shlex.quote(sessions[0]) if sessions else 'SESSION.toml'}"
    return f"{command} {take}" if take else command


def matte_command(take: str, run: dict[str, Any] | None) -> str:
    """How to make a run's mattes again, by how it is made."""
    run = run or {}
    if "role" not in run or "name" not in run:
        return f"capmat matte {take}"
    by_hand = run["role"] == run["name"]
    which = f"--model {run['name']}@{run['version']}" if by_hand else f"--role {run['role']}"
    tile = f" --set {run['role']}.tile={run['tile']}" if "tile" in run else ""
    hull = " --hull" if "hull" in run else ""
    return f"capmat{tile} matte {take} {which}{hull}"


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
        (Take if kind == "takes" else Stage).break_seal(root, name)
    for key in {key for finding in damage for key in finding.entries}:
        ledger.forget(key)
    for key in {finding.clear for finding in damage if finding.clear}:
        root.delete(key)


def forget_take(root: Root, take: str) -> None:
    """Take back all that is known of a take, before another one takes its name."""
    ledger = Ledger(root)
    for key in [*ledger.entries(f"ingest/{take}/"), *ledger.entries(f"run/{take}/"), *matte_entries(ledger, take)]:
        ledger.forget(key)
