"""Is the store intact? Compares its files with what the ledger lists.

The list of files costs one request per thousand of them; entries of the ledger and descriptions of arrays one each.
Only a deep look reads every byte. A file that belongs to several finished pieces of work (mattes made again) is whole
if it is what any of them wrote.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from storage.store.ledger import Ledger, is_as_written, read_description, seal_key, sealed_copy
from storage.store.root import Root
from storage.takes.group import group_key
from storage.takes.schema import SCHEMA
from storage.takes.take import Take
from storage.upkeep.files import (
    Entries,
    Shape,
    Tell,
    absent,
    all_takes,
    camera_and_run,
    differing,
    listed_files,
    matte_entries,
    part_of,
    run_info,
    strays,
)
from storage.upkeep.findings import Finding, Findings, ingest_command, matte_command


def verify(root: Root, takes: list[str] | None = None, deep: bool = False, tell: Tell | None = None) -> Findings:
    """Look at takes, their mattes and the plates of their stages.

    Args:
        root: the store.
        takes: names of the takes; None for all takes and stages of the store.
        deep: read every file and compare its checksum; without it, presence and size.
        tell: told where a deep look is.

    Raises:
        NotFound: the store holds nothing of such a take.
        StoreError: the store cannot be read.
    """
    out, stages = Findings(list(takes if takes is not None else all_takes(root)), deep=deep), set()
    for name in out.takes:
        take = _Take(root, name)
        out.add(take.sizes, take.findings(deep, tell))
        stages.add(str(take.about.get("stage", "")))
    if takes is None:
        stages |= {file.removesuffix(".zarr") for file in root.names("stages")}
    for stage in (_Stage(root, name) for name in sorted(filter(None, stages))):
        out.add(stage.sizes, stage.findings(deep, tell))
    return out


class _Group:
    """A take or a stage as the store, its own description and the ledger know it.

    Args:
        root: the store.
        kind: "take" or "stage".
        name: its name.
        ingested: entries of its pictures or plates.
        again: the command that ingests it.
    """

    def __init__(self, root: Root, kind: str, name: str, ingested: Entries, again: str) -> None:
        self.root, self.name, self.ingested, self.again = root, name, ingested, again
        self.folder = group_key(kind, name)
        self.sizes = root.sizes(f"{self.folder}/")
        self.about, self.description_findings = self._describe()
        self.sealed = bool(self.about.get("complete"))

    def _describe(self) -> tuple[dict[str, Any], list[Finding]]:
        """The attributes, from the ledger's copy if the group's own are damaged, and what is wrong with them."""
        file, key, ledger = f"{self.folder}/zarr.json", seal_key(self.folder), Ledger(self.root)
        seal, own = ledger.done(key), read_description(self.root, self.folder)
        copy = sealed_copy(seal, self.folder)
        findings = []
        there = copy is not None or key in ledger.entries(key)
        if own and copy is None and (there or (own["attributes"]["complete"] and not self._from_before_copies())):
            what = f"the ledger's copy of the description is {'damaged' if there else 'missing'}"
            findings.append(Finding(self.name, what, self.again, unseal=self.folder))
        elif own is None or (seal and not is_as_written(self.root.read(file), seal.get("files", {}).get(file, []))):
            what = "is damaged" if self.sizes.get(file) else "is empty" if file in self.sizes else "is missing"
            findings.append(Finding(self.name, what, self.again, file=file, unseal=self.folder))
            own = copy
        return (own["attributes"] if own else {}), findings

    def _from_before_copies(self) -> bool:
        """Whether an early version wrote the group: its entries list no files, its seal has no copy in the ledger."""
        return bool(self.ingested) and not any("files" in (entry or {}) for entry in self.ingested.values())

    def unknown(self, what: str, camera: str, key: str) -> Finding:
        """A finding about ingested work that the ledger does not know."""
        return Finding(self.name, what, self.again, camera, entries=(key,), unseal=self.folder)

    def unfinished(self, what: str) -> Iterator[Finding]:
        if self.about and not self.sealed:
            yield Finding(self.name, what, self.again, damage=False)


class _Take(_Group):
    def __init__(self, root: Root, name: str) -> None:
        ledger = Ledger(root)
        ingested = ledger.entries(f"ingest/{name}/")
        super().__init__(root, "take", name, ingested, ingest_command(list(ingested.values()), name))
        if not self.sizes and not ingested:
            Take.open(root, name)  # refuses, and says which takes the store has
        self.runs, self.mattes = ledger.entries(f"run/{name}/"), matte_entries(ledger, name)
        self.shape, self.cameras = Shape(self.about), list(self.about.get("cameras", {}))
        self.listed = listed_files({**ingested, **self.runs, **self.mattes})
        parts = (part_of(file.removeprefix(f"{self.folder}/")) for file in self.sizes)
        names = {part.run for part in parts if part.kind == "run" and part.run}
        names |= {camera_and_run(entry)[1] for entry in self.mattes.values() if entry}
        names |= {key.split("/")[2] for key in self.runs}
        self.infos = {run: run_info(root, name, run, self.runs.get(f"run/{name}/{run}")) for run in sorted(names)}

    def mattes_of(self, camera: str, run: str) -> dict[str, dict[str, Any]]:
        return {key: e for key, e in self.mattes.items() if e and camera_and_run(e) == (camera, run)}

    def at(self, file: str, what: str, *keys: str, damage: bool = True) -> Finding:
        """A finding at a file; where the file lies says what makes it again, and what that needs."""
        part = part_of(file.removeprefix(f"{self.folder}/"))
        frame = next(iter(self.shape.inside(part)), None)
        finding = Finding(self.name, what, self.again, part.camera, frame, file, damage, keys)
        if not part.run:
            return replace(finding, unseal=self.folder)
        finding = replace(finding, again=matte_command(self.name, self.infos.get(part.run)))
        if part.kind == "array":  # mattes beside a damaged description cannot be kept: nothing says what they are
            mattes = self.mattes_of(part.camera, part.run)
            entries = (*keys, *mattes, f"run/{self.name}/{part.run}")
            return replace(finding, entries=entries, clear=file.rpartition("/")[0])
        return replace(finding, clear=file) if part.kind == "run" else finding

    def findings(self, deep: bool, tell: Tell | None) -> Iterator[Finding]:
        yield from self.description_findings
        for file, what, keys in differing(self.root, self.sizes, self.listed, deep, tell):
            yield self.at(file, what, *keys)
        yield from self._entries()
        yield from self._pictures()
        for run in self.infos:
            yield from self._run(run, deep)
        yield from self.unfinished("the take is not complete, its ingest has not finished")
        for file, what in strays(self.sizes, self.listed, self.folder, self.cameras, self.shape.blocks):
            stray = self.at(file, what, damage=False)
            yield replace(stray, again="", unseal="", clear="", entries=())

    def _entries(self) -> Iterator[Finding]:
        """Entries of the ledger that list no files, or that cannot be read."""
        old = [key for key, e in {**self.ingested, **self.mattes}.items() if e and "files" not in e]
        if old:
            what = f"{len(old)} records were made before files were listed: only presence can be checked"
            yield Finding(self.name, what, damage=False)
        for key, entry in {**self.ingested, **self.runs, **self.mattes}.items():
            if entry is None:
                what = f"the ledger's entry {key} cannot be read"
                if key.startswith("ingest/"):
                    yield self.unknown(what, key.split("/")[2], key)
                else:
                    yield Finding(self.name, what, matte_command(self.name, None), entries=(key,))

    def _pictures(self) -> Iterator[Finding]:
        """Recorded pictures and previews that are missing, or that the ledger does not know."""
        for camera in self.cameras:
            wanted = self.shape.ingested(f"ingest/{self.name}/{camera}", f"{self.folder}/cameras/{camera}")
            for key, files in wanted.items():
                if key not in self.ingested and self.sealed:
                    what = "the take is sealed, but the ledger does not know this part of it"
                    yield self.unknown(what, camera, key)
                if entry := self.ingested.get(key):
                    for file, what in absent(self.root, self.sizes, files, entry):
                        yield self.at(file, what, key)

    def _run(self, run: str, deep: bool) -> Iterator[Finding]:
        """What is wrong with a run, and whether it is finished."""
        count = 0
        for camera in self.cameras:
            array = f"{self.folder}/cameras/{camera}/alpha/{run}"
            mattes = self.mattes_of(camera, run)
            blocks = (f"{array}/c/{index}/0/0" for index in range(self.shape.blocks("alpha")))
            stored = [file for file in blocks if file in self.sizes]
            unlisted = [entry["frames"] for entry in mattes.values() if "files" not in entry]
            whole = [e for e in mattes.values() if any(file in self.sizes for file in e.get("files", ()))]
            numbers = {number for entry in whole for number in entry.get("numbers", [])}
            count += len(numbers) or len(stored if unlisted else [file for file in stored if file in self.listed])
            if unlisted and len(stored) < max(unlisted):
                what = f"the ledger says that run {run} has {max(unlisted)} mattes here, {len(stored)} are stored"
                yield replace(self.at(array, what, *mattes), file="")
            if unlisted:
                empty = (file for file in stored if not self.sizes[file] and file not in self.listed)
                yield from (self.at(file, "is empty", *mattes) for file in empty)
            if mattes:
                yield from self._unlisted(f"{array}/zarr.json")
                yield from self._lost(camera, run, mattes, deep)
        yield from self._unlisted(f"{self.folder}/runs/{run}.json")
        if count < (total := len(self.cameras) * len(self.shape.frames)):
            what = f"run {run} is not finished: {count} of {total} mattes"
            yield Finding(self.name, what, matte_command(self.name, self.infos[run]), damage=False)

    def _lost(self, camera: str, run: str, mattes: dict[str, dict[str, Any]], deep: bool) -> Iterator[Finding]:
        """Files that lack mattes of an entry, because another writer replaced them.

        This reads an index per file. A look that is not deep skips cameras whose entries all list different files or
        the same frames: nobody else could write these files.
        """
        lists: dict[str, dict[str, frozenset[int]]] = {}
        for key, entry in mattes.items():
            for file in filter(self.sizes.get, entry.get("files", ())):
                lists.setdefault(file, {})[key] = frozenset(entry.get("numbers", ()))
        shared = any(len(set(whose.values())) > 1 for whose in lists.values())
        if not self.sealed or self.about.get("schema") != SCHEMA or not (deep or shared):
            return
        stored = set(Take(self.root, self.name, self.about).matted(run, camera))
        for file, whose in lists.items():
            lacking = set(self.shape.inside(part_of(file.removeprefix(f"{self.folder}/")))) - stored
            lost = {key: gone for key, listed in whose.items() if (gone := listed & lacking)}
            if lost:
                frames = sorted(frozenset[int]().union(*lost.values()))
                what = f"lacks mattes that the ledger lists, of frames: {', '.join(map(str, frames))}"
                yield replace(self.at(file, what, *lost), frame=frames[0])

    def _unlisted(self, file: str) -> Iterator[Finding]:
        """A file that must exist though no entry lists it."""
        if file not in self.listed:
            yield from (self.at(file, what) for _, what in absent(self.root, self.sizes, [file], {}))


class _Stage(_Group):
    def __init__(self, root: Root, name: str) -> None:
        entries = Ledger(root).entries(f"plates/{name}/")
        plates = {key: entry for key, entry in entries.items() if not entry or "digest" not in entry}
        super().__init__(root, "stage", name, plates, ingest_command(list(plates.values())))

    def findings(self, deep: bool, tell: Tell | None) -> Iterator[Finding]:
        yield from self.description_findings
        listed, wanted = listed_files(self.ingested), {f"{self.folder}/zarr.json"}
        for file, what, keys in differing(self.root, self.sizes, listed, deep, tell):
            yield self._at(file, what, *keys)
        # A stage may have no plates.
        for camera in self.about.get("source", {}).get("manifests", self.about.get("cameras", {})):
            key, folder = f"plates/{self.name}/{camera}", f"{self.folder}/cameras/{camera}"
            pixels = {"mean": "c/0/0/0/0", "noise": "c/0/0/0/0", "valid": "c/0/0/0"}
            files = [f"{folder}/{part}/{end}" for part, data in pixels.items() for end in ("zarr.json", data)]
            wanted |= set(files)
            if entry := self.ingested.get(key):
                for file, what in absent(self.root, self.sizes, files, entry):
                    yield self._at(file, what, key)
            elif self.sealed or key in self.ingested:
                yield self.unknown("the ledger does not know this plate, or its entry cannot be read", camera, key)
        yield from self.unfinished("not all plates are stored, their ingest has not finished")
        for file in sorted(self.sizes.keys() - listed.keys() - wanted):
            yield Finding(self.name, "the ledger does not list this file; nothing reads it", file=file, damage=False)

    def _at(self, file: str, what: str, *keys: str) -> Finding:
        camera = part_of(file.removeprefix(f"{self.folder}/")).camera
        return Finding(self.name, what, self.again, camera, None, file, True, keys, self.folder)
