"""The frozen benchmark: frames on which every model is measured, and what counts as right on them.

    benchmarks/<name>/b0001.json               entries and card
    benchmarks/<name>/pictures/<sha256>.png    trimaps (8-bit), supervisors' mattes and known alphas (16-bit)

Numbers of two models can only be compared on the same version, so a version never changes. Supervisors' mattes and
known alphas are two separate columns. Entries of early versions of capmat name no supervisor; the card names one for
all of them.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from capmat_errors import MatteError, NotFound, SizeMismatch, no_such
from storage.labels.label_set import where_of
from storage.labels.trimaps import check_alpha, check_trimap
from storage.pictures.png import decode_png, encode_png
from storage.store.root import Root, checked_name
from storage.store.versions import Versions

Key = tuple[str, str, int]
"""(take, camera, frame)."""


class NewEntry(NamedTuple):
    """One frame to freeze.

    Attributes:
        take: the take.
        camera: the camera.
        frame: number of the frame.
        trimap: (H, W) uint8 of 0, 128, 255.
        alpha: (H, W) 0..1, made by the supervisor.
        supervisor: what made it: name, version and settings; plain JSON.
        truth: (H, W) 0..1, the true alpha, where it is known.
    """

    take: str
    camera: str
    frame: int
    trimap: NDArray[np.uint8]
    alpha: NDArray[Any]
    supervisor: Mapping[str, Any] = {}
    truth: NDArray[Any] | None = None


class _Entry(TypedDict):
    """One frame as a version lists it; trimap, alpha and truth are the sha256 of their pictures."""

    take: str
    camera: str
    frame: int
    trimap: str
    alpha: str
    truth: NotRequired[str]
    supervisor: NotRequired[dict[str, Any]]


class Benchmark:
    """One version of a benchmark; make one with `freeze_benchmark` or `Benchmark.open`.

    Attributes:
        name: its name.
        version: "b0001", ...
        card: how it was made.
        keys: (take, camera, frame) of every entry, sorted.
    """

    def __init__(self, root: Root, name: str, version: str, entries: list[_Entry], card: dict[str, Any]) -> None:
        self.root, self.name, self.version, self.card = root, name, version, card
        self._entries = {_key(entry): entry for entry in entries}
        self.keys = sorted(self._entries)

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def open(cls, root: Root, name: str, version: str | None = None) -> "Benchmark":
        """Open a version, the newest if None.

        Raises:
            NotFound: the benchmark or the version does not exist.
        """
        versions = _versions(root, name)
        if not versions.names():
            fix = "Make one with `capmat benchmark create`."
            raise no_such("benchmark", name, list_benchmarks(root), where=root.url, fix=fix)
        version, content = versions.read(version)
        return cls(root, name, version, **content)

    @property
    def takes(self) -> list[str]:
        """The takes that its frames come from."""
        return sorted({take for take, _, _ in self.keys})

    @property
    def known(self) -> list[Key]:
        """The entries that have a known alpha beside the supervisor's."""
        return [key for key in self.keys if "truth" in self._entries[key]]

    def trimap(self, take: str, camera: str, frame: int) -> NDArray[np.uint8]:
        """The trimap of a frame: (H, W) uint8 of 0, 128 (unknown), 255."""
        return _read_picture(self.root, self.name, self._entry(take, camera, frame)["trimap"]).astype(np.uint8)

    def alpha(self, take: str, camera: str, frame: int) -> NDArray[np.float32]:
        """The supervisor's matte of a frame: (H, W) float32 0..1."""
        return read_alpha(self.root, self.name, self._entry(take, camera, frame)["alpha"])

    def truth(self, take: str, camera: str, frame: int) -> NDArray[np.float32]:
        """The known alpha of a frame: (H, W) float32 0..1.

        Raises:
            NotFound: the benchmark does not have the frame, or its true alpha is not known.
        """
        if not (digest := self._entry(take, camera, frame).get("truth")):
            raise NotFound(
                "its true alpha is not known",
                where=where_of((take, camera, frame)),
                fix="Compare with the supervisor's.",
            )
        return read_alpha(self.root, self.name, digest)

    def supervisor(self, take: str, camera: str, frame: int) -> dict[str, Any]:
        """What made the alpha of a frame: `name`, `version`, and its settings; empty if it is not recorded."""
        return _supervisor(self._entry(take, camera, frame), self.card)

    def _entry(self, take: str, camera: str, frame: int) -> _Entry:
        if (take, camera, frame) not in self._entries:
            raise NotFound(
                "this frame is not in the benchmark",
                where=where_of((take, camera, frame)),
                fix=f"Choose one that {self.name} {self.version} lists.",
            )
        return self._entries[take, camera, frame]


def freeze_benchmark(
    root: Root,
    name: str,
    entries: Iterable[NewEntry | tuple[Any, ...]],
    card: dict[str, Any],
    *,
    new: bool = False,
) -> Benchmark:
    """Make the next version of a benchmark, which holds these entries and no others.

    Args:
        root: the store.
        name: its name.
        entries: the fields of `NewEntry`, at least the first five.
        card: how it was made: who annotated, which supervisor; plain JSON.
        new: refuse a name that has a version, also one that appears meanwhile.

    Raises:
        MatteError: `entries` is empty, a trimap has no unknown band or other values than 0, 128 and 255, or a matte
            holds nan or values outside 0..1; or the name is taken.
        SizeMismatch: trimap and matte differ in size.
    """
    frozen = {"entries": _stored(root, name, entries), "card": card}

    def content(newest: str | None) -> dict[str, Any]:
        if new and newest:
            fix = "Use `capmat benchmark add`, or another name."
            raise MatteError("a benchmark of this name exists", where=f"benchmark {name}", fix=fix)
        return frozen

    return Benchmark.open(root, name, _versions(root, name).add(content))


def extend_benchmark(
    root: Root, name: str, entries: Iterable[NewEntry | tuple[Any, ...]], card: dict[str, Any]
) -> Benchmark:
    """Make the next version of a benchmark: the entries of its newest version, unchanged, and these.

    If the newest version holds all of these already, it stays the newest.

    Args:
        root: the store.
        name: its name.
        entries: as in `freeze_benchmark`.
        card: how the next version came about.

    Raises:
        NotFound: the benchmark does not exist.
        MatteError: the benchmark has an entry with another trimap, matte or truth; or as in `freeze_benchmark`.
        SizeMismatch: as in `freeze_benchmark`.
    """
    new, newest = _stored(root, name, entries), Benchmark.open(root, name)
    if not _missing(new, newest):
        return newest

    def content(version: str | None) -> dict[str, Any]:
        existing = Benchmark.open(root, name, version)
        kept = [{**entry, "supervisor": _supervisor(entry, existing.card)} for entry in existing._entries.values()]
        return {"entries": kept + [dict(entry) for entry in _missing(new, existing)], "card": card}

    return Benchmark.open(root, name, _versions(root, name).add(content))


def list_benchmarks(root: Root) -> dict[str, list[str]]:
    """The versions of every benchmark, oldest first."""
    versions = {name: _versions(root, name).names() for name in root.names("benchmarks")}
    return {name: names for name, names in versions.items() if names}


def keep_alpha(root: Root, name: str, alpha: NDArray[Any]) -> str:
    """Store an alpha, (H, W) 0..1, among the pictures of a benchmark; returns its sha256, which names it."""
    return _keep_picture(root, name, np.rint(alpha.astype(np.float32) * 65535).astype(np.uint16))


def read_alpha(root: Root, name: str, digest: str) -> NDArray[np.float32]:
    """The alpha that `keep_alpha` stored: (H, W) float32 0..1.

    Raises:
        NotFound: the picture does not exist.
        ImageUnreadable: it is damaged.
    """
    return _read_picture(root, name, digest).astype(np.float32) / np.float32(65535)


def _keep_picture(root: Root, name: str, picture: NDArray[Any]) -> str:
    png = encode_png(picture)
    digest = sha256(png).hexdigest()
    root.write(_picture_key(name, digest), png)
    return digest


def _read_picture(root: Root, name: str, digest: str) -> NDArray[Any]:
    key = _picture_key(name, digest)
    return decode_png(root.read(key), root.at(key))


def _stored(root: Root, name: str, entries: Iterable[NewEntry | tuple[Any, ...]]) -> list[_Entry]:
    """Check the entries and store their pictures."""
    stored = []
    for new in (NewEntry(*fields) for fields in entries):
        check_trimap(new.trimap, where_of(new[:3]))
        entry: _Entry = {
            "take": new.take,
            "camera": new.camera,
            "frame": int(new.frame),
            "supervisor": dict(new.supervisor),
            "trimap": _keep_picture(root, name, new.trimap.astype(np.uint8)),
            "alpha": _keep_checked(root, name, new, "matte", new.alpha),
        }
        if new.truth is not None:
            entry["truth"] = _keep_checked(root, name, new, "truth", new.truth)
        stored.append(entry)
    if not stored:
        raise MatteError("there is nothing to freeze", where=f"benchmark {name}", fix="Annotate a trimap first.")
    return stored


def _keep_checked(root: Root, name: str, new: NewEntry, kind: str, alpha: NDArray[Any]) -> str:
    if alpha.shape != new.trimap.shape:
        raise SizeMismatch(
            f"the {kind} is {alpha.shape}, the trimap {new.trimap.shape}",
            where=where_of(new[:3]),
            fix="Compute it at the frame's size.",
        )
    check_alpha(alpha, where_of(new[:3]))
    return keep_alpha(root, name, alpha)


def _missing(new: list[_Entry], benchmark: Benchmark) -> list[_Entry]:
    """The entries that a benchmark does not hold; refuses one that it holds with other pictures."""
    for entry in new:
        old = benchmark._entries.get(_key(entry), entry)
        if other := [kind for kind in ("trimap", "alpha", "truth") if old.get(kind) != entry.get(kind)]:
            raise MatteError(
                f"{benchmark.name} {benchmark.version} holds this frame with another {other[0]}, "
                "and entries never change",
                where=where_of(_key(entry)),
                fix="Remove it, or create a benchmark of another name.",
            )
    return [entry for entry in new if _key(entry) not in benchmark._entries]


def _supervisor(entry: _Entry, card: dict[str, Any]) -> dict[str, Any]:
    if own := entry.get("supervisor"):
        return dict(own)
    if isinstance(card.get("supervisor"), dict):
        return {**card["supervisor"], **{key: card[key] for key in ("steps", "seed") if key in card}}
    return {}


def _key(entry: _Entry) -> Key:
    return entry["take"], entry["camera"], int(entry["frame"])


def _versions(root: Root, name: str) -> Versions:
    return Versions(root, f"benchmarks/{checked_name('benchmark', name)}", "b", {"entries": list, "card": dict})


def _picture_key(name: str, digest: str) -> str:
    return f"benchmarks/{checked_name('benchmark', name)}/pictures/{digest}.png"
