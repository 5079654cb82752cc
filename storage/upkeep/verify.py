"""Is everything still there? Compares what lies in the store with what the ledger says was put there.

The list of files costs one request per thousand of them; the ledger, and what describes arrays, one each. Only
a deep look reads every byte. A file that belongs to several finished pieces of work (mattes made again) is whole
if it is what any of them wrote.
"""

import json
from dataclasses import replace
from typing import Any

from storage.store.ledger import Ledger, is_as_written, read_description, seal_key, sealed_copy
from storage.store.root import Root, checked_name
from storage.takes.take import BLOCK, Take
from storage.upkeep.files import (
    Place,
    Tell,
    _of,
    absent,
    all_takes,
    differing,
    is_json,
    listed_files,
    matte_entries,
    place,
    strays,
)
from storage.upkeep.findings import Finding, Findings, ingest_command, matte_command


def verify_take(root: Root, name: str, deep: bool = False, tell: Tell | None = None) -> Findings:
    """Look at a take, its mattes and the plates of its stage.

    Args:
        root: the store.
        name: the take's name.
        deep: read every file and compare its checksum; without it, presence and size.
        tell: told where a deep look is.

    Raises:
        NotFound: the store holds nothing of such a take.
        StoreError: the store cannot be read.
    """
    return verify(root, [name], deep, tell)


def verify(root: Root, takes: list[str] | None = None, deep: bool = False, tell: Tell | None = None) -> Findings:
    """Look at some takes and the plates of their stages; at all there are, if None. See `verify_take`."""
    out, stages = Findings(list(takes if takes is not None else all_takes(root)), deep=deep), set()
    for name in out.takes:
        stages |= {_verify_one_take(root, name, out, tell)}
    if takes is None:
        stages |= {file.removesuffix(".zarr") for file in root.names("stages")}
    for stage in sorted(filter(None, stages)):
        _verify_stage(root, stage, out, tell)
    return out


def _verify_one_take(root: Root, name: str, out: Findings, tell: Tell | None) -> str:
    """Add what is found to `out`; returns the take's stage, "" if nothing says it any more."""
    folder, ledger = f"takes/{checked_name('take', name)}.zarr", Ledger(root)
    sizes = root.sizes(f"{folder}/")
    ingested, runs = ledger.entries(f"ingest/{name}/"), ledger.entries(f"run/{name}/")
    mattes = matte_entries(ledger, name)
    again = ingest_command(list(ingested.values()), name)
    if not sizes and not ingested:
        Take.open(root, name)  # says which takes there are
    out.files, out.bytes = out.files + len(sizes), out.bytes + sum(sizes.values())
    about, sealed = _description(root, folder, sizes, name, again, out)
    frames, cameras = about.get("frames", []), list(about.get("cameras", {}))
    shape = _Shape(about)
    names = (
        {_of(e)[1] for e in mattes.values() if e} | _announced(sizes, folder) | {key.split("/")[2] for key in runs}
    )
    said = {run: _run_info(root, folder, run, sizes, runs.get(f"run/{name}/{run}")) for run in sorted(names)}

    def found(file: str, what: str, *keys: str, damage: bool = True) -> Finding:
        """A finding at a file; where it lies says what makes it again, and what that needs."""
        at = place(file.removeprefix(f"{folder}/"))
        camera, run = at.camera, at.run
        finding = Finding(name, what, again, camera, shape.frame(at), file, damage, keys)
        if not run:
            return replace(finding, unseal=folder)
        finding = replace(finding, again=matte_command(name, said.get(run)))
        if at.kind == "array":  # mattes beside a damaged description cannot be kept: nothing says what they are
            theirs = tuple(key for key, e in mattes.items() if e and _of(e) == (camera, run))
            return replace(finding, entries=(*keys, *theirs, f"run/{name}/{run}"), clear=file.rpartition("/")[0])
        return replace(finding, clear=file) if at.kind == "run" else finding

    whose = listed_files({**ingested, **runs, **mattes})
    for file, what, keys in differing(root, sizes, whose, out.deep, tell):
        out.found.append(found(file, what, *keys))
    old = [key for key, e in {**ingested, **mattes}.items() if e and "files" not in e]
    if old:
        text = f"{len(old)} records were made before files were listed: only presence can be checked"
        out.found.append(Finding(name, text, damage=False))
    for key, entry in {**ingested, **runs, **mattes}.items():
        if entry is None:
            text = f"the ledger's entry {key} cannot be read"
            mine = key.startswith("ingest/")
            camera = key.split("/")[2] if mine else ""
            command = again if mine else matte_command(name, None)
            out.found.append(Finding(name, text, command, camera, entries=(key,), unseal=folder if mine else ""))
    for camera in cameras:
        for key, wanted in shape.ingested(f"ingest/{name}/{camera}", f"{folder}/cameras/{camera}").items():
            if key not in ingested and sealed:
                text = "the take is sealed, but the ledger does not know this part of it"
                out.found.append(Finding(name, text, again, camera, entries=(key,), unseal=folder))
            if entry := ingested.get(key):
                out.found += [found(file, what, key) for file, what in absent(root, sizes, wanted, entry)]
    for run in said:
        file, total = f"{folder}/runs/{run}.json", len(cameras) * len(frames)
        have = 0
        for camera in cameras:
            array = f"{folder}/cameras/{camera}/alpha/{run}"
            theirs = {key: e for key, e in mattes.items() if e and _of(e) == (camera, run)}
            there = [k for k in (f"{array}/c/{i}/0/0" for i in range(shape.blocks("alpha"))) if k in sizes]
            unlisted = [e["frames"] for e in theirs.values() if "files" not in e]
            whole = [e for e in theirs.values() if any(k in sizes for k in e.get("files", ()))]
            numbered = {number for e in whole for number in e.get("numbers", [])}
            have += len(numbered) or len(there if unlisted else [k for k in there if k in whose])
            if unlisted and len(there) < max(unlisted):
                text = f"the ledger says that run {run} has {max(unlisted)} mattes here, {len(there)} are there"
                out.found.append(replace(found(array, text, *theirs), file=""))
            if unlisted:
                out.found += [found(k, "is empty", *theirs) for k in there if not sizes[k] and k not in whose]
            if f"{array}/zarr.json" not in whose and theirs:
                out.found += [found(k, w) for k, w in absent(root, sizes, [f"{array}/zarr.json"], {})]
        if file not in whose:
            out.found += [found(file, what) for file, what in absent(root, sizes, [file], {})]
        if have < total:
            text = f"run {run} is not finished: {have} of {total} mattes"
            out.found.append(Finding(name, text, matte_command(name, said[run]), damage=False))
    if about and not sealed:
        out.found.append(Finding(name, "the take is not complete, its ingest has not finished", again, damage=False))
    out.found += [
        replace(found(file, text, damage=False), again="", unseal="", clear="", entries=())
        for file, text in strays(sizes, whose, folder, cameras, shape.blocks)
    ]
    return str(about.get("stage", ""))


def _verify_stage(root: Root, name: str, out: Findings, tell: Tell | None) -> None:
    """The same for the plates of a stage."""
    folder, ledger = f"stages/{checked_name('stage', name)}.zarr", Ledger(root)
    sizes = root.sizes(f"{folder}/")
    out.files, out.bytes = out.files + len(sizes), out.bytes + sum(sizes.values())
    entries = {key: e for key, e in ledger.entries(f"plates/{name}/").items() if not e or "digest" not in e}
    again = ingest_command(list(entries.values()))
    about, sealed = _description(root, folder, sizes, name, again, out)

    def found(file: str, what: str, *keys: str) -> Finding:
        camera = place(file.removeprefix(f"{folder}/")).camera
        return Finding(name, what, again, camera, None, file, True, keys, folder)

    whose = listed_files(entries)
    out.found += [found(file, what, *keys) for file, what, keys in differing(root, sizes, whose, out.deep, tell)]
    wanted = []
    recorded = about.get("source", {}).get("manifests", about.get("cameras", {}))  # a stage may have no plates
    for camera in recorded:
        key, entry = f"plates/{name}/{camera}", entries.get(f"plates/{name}/{camera}")
        arrays = [f"{folder}/cameras/{camera}/{part}" for part in ("mean", "noise", "valid")]
        files = [
            f"{a}/{end}" for a in arrays for end in ("zarr.json", "c/0/0/0" if a.endswith("/valid") else "c/0/0/0/0")
        ]
        wanted += files
        if entry:
            out.found += [found(file, what, key) for file, what in absent(root, sizes, files, entry)]
        elif sealed or key in entries:
            text = "the ledger does not know this plate, or its entry cannot be read"
            out.found.append(Finding(name, text, again, camera, entries=(key,), unseal=folder))
    if about and not sealed:
        out.found.append(
            Finding(name, "not all plates are there, their ingest has not finished", again, damage=False)
        )
    for file in sorted(sizes.keys() - whose.keys() - {*wanted, f"{folder}/zarr.json"}):
        out.found.append(Finding(name, "nobody recorded this file; nothing reads it", file=file, damage=False))


def _description(
    root: Root, folder: str, sizes: dict[str, int], name: str, again: str, out: Findings
) -> tuple[dict[str, Any], bool]:
    """What a take or stage says of itself, from the ledger's copy if its own is damaged, and whether it is sealed."""
    file, seal = f"{folder}/zarr.json", Ledger(root).done(seal_key(folder))
    whole, copy = read_description(root, folder), sealed_copy(seal, folder)
    if whole and copy is None and (seal or seal_key(folder) in Ledger(root).entries(seal_key(folder))):
        out.found.append(Finding(name, "the ledger's copy of the description is damaged", again, unseal=folder))
    elif whole is None or (seal and not is_as_written(root.read(file), seal.get("files", {}).get(file, []))):
        what = "is damaged" if sizes.get(file) else "is empty" if file in sizes else "is missing"
        out.found.append(Finding(name, what, again, file=file, unseal=folder))
        whole = copy
    about: dict[str, Any] = whole["attributes"] if whole else {}
    return about, bool(about.get("complete"))


def _announced(sizes: dict[str, int], folder: str) -> set[str]:
    return {run for file in sizes if (at := place(file.removeprefix(f"{folder}/"))).kind == "run" and (run := at.run)}


def _run_info(
    root: Root, folder: str, run: str, sizes: dict[str, int], entry: dict[str, Any] | None
) -> dict[str, Any] | None:
    """How a run's mattes were made, from the ledger, else from the take itself."""
    file = f"{folder}/runs/{run}.json"
    if entry or not sizes.get(file):
        return entry
    data = root.read(file)
    return json.loads(data) if is_json(data) else None


class _Shape:
    """Which files a take has, by what it says about itself; a matter of its schema."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.frames: list[int] = about.get("frames", [])
        self.old = about.get("schema") == "capmat.take/1"
        self.raw = "raw" if about.get("colour", {}).get("cfa") else "rgb"

    def block(self, array: str) -> int:
        """Frames in one file of an array."""
        return 1 if array == self.raw or self.old else BLOCK

    def blocks(self, array: str) -> int:
        """Files of an array."""
        return -(-len(self.frames) // self.block(array))

    def frame(self, at: Place) -> int | None:
        """The first frame in a file of pixels; None if it is none, or beyond the take."""
        if at.block is None or at.block >= self.blocks(at.array):
            return None
        return self.frames[at.block * self.block(at.array)]

    def ingested(self, key: str, folder: str) -> dict[str, list[str]]:
        """What has to be there of a camera's pictures, by the ledger entry that answers for it."""
        raw = [f"{folder}/{self.raw}/c/{i}/0/0/0" for i in range(len(self.frames))]
        described = [f"{folder}/{self.raw}/zarr.json"]
        if self.old:
            return {key: described + raw}
        entries = {f"{key}/layout": [f"{folder}/zarr.json", *described, f"{folder}/preview/zarr.json"]}
        for block in range(self.blocks("preview")):
            own = raw[block * BLOCK : (block + 1) * BLOCK]
            entries[f"{key}/{block:05d}"] = [*own, f"{folder}/preview/c/{block}/0/0/0"]
        return entries
