"""The frozen benchmark: frames on which every model is measured, and what counts as right on them.

    benchmarks/<name>/b0001.json               entries and card
    benchmarks/<name>/pictures/<sha256>.png    trimaps (8-bit), supervisors' mattes and known alphas (16-bit)

Numbers of two models can only be compared on the same version, so a version never changes. What a supervisor made
and what is known to be true are two columns that nothing mixes. Entries of earlier versions of capmat have no
supervisor of their own: there the card names it for all.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import MatteError, NotFound, SizeMismatch
from storage.labels.trimaps import check_alpha, check_trimap
from storage.pictures.png import decode_png, encode_png
from storage.store.root import Root, checked_name
from storage.store.versions import add_version, list_versions, read_version

Key = tuple[str, str, int]
"""(take, camera, frame)."""


class BenchmarkEntry(NamedTuple):
    """One frame: trimap (H, W) uint8 of 0, 128, 255; alpha (H, W) float32 0..1, the supervisor's."""

    take: str
    camera: str
    frame: int
    trimap: NDArray[np.uint8]
    alpha: NDArray[np.float32]


class NewEntry(NamedTuple):
    """One frame to freeze.

    Attributes:
        take: the take.
        camera: the camera.
        frame: number of the frame.
        trimap: (H, W) uint8 of 0, 128, 255.
        alpha: (H, W) 0..1, made by the supervisor.
        supervisor: what made it: name, version and settings; plain json.
        truth: (H, W) 0..1, what is known to be right, where anybody knows.
    """

    take: str
    camera: str
    frame: int
    trimap: NDArray[np.uint8]
    alpha: NDArray[Any]
    supervisor: Mapping[str, Any] = {}
    truth: NDArray[Any] | None = None


class Benchmark:
    """One version of a benchmark; make one with `freeze_benchmark` or `Benchmark.open`.

    Attributes:
        name: its name.
        version: "b0001", ...
        card: how it was made.
        keys: (take, camera, frame) of every entry, sorted.
    """

    def __init__(self, root: Root, name: str, version: str, data: dict[str, Any]) -> None:
        self.root, self.name, self.version = root, name, version
        self.card: dict[str, Any] = data["card"]
        self._entries = {_key(e): e for e in data["entries"]}
        self.keys = sorted(self._entries)

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def open(cls, root: Root, name: str, version: str | None = None) -> "Benchmark":
        """Open a version, the newest if None.

        Raises:
            NotFound: there is no such benchmark or version.
        """
        if not list_versions(root, _folder(name), "b"):
            raise NotFound(
                f"there is no benchmark {name}; there is {', '.join(list_benchmarks(root)) or 'none'}",
                where=root.url,
                fix="Make one with `capmat benchmark create`.",
            )
        found, data = read_version(root, _folder(name), "b", version)
        return cls(root, name, found, data)

    @property
    def entries(self) -> list[BenchmarkEntry]:
        """All entries, read from the store."""
        return [BenchmarkEntry(*key, self.trimap(*key), self.alpha(*key)) for key in self.keys]

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
        return self._picture(take, camera, frame, "trimap").astype(np.uint8)

    def alpha(self, take: str, camera: str, frame: int) -> NDArray[np.float32]:
        """The supervisor's matte of a frame: (H, W) float32 0..1."""
        return _unit(self._picture(take, camera, frame, "alpha"))

    def truth(self, take: str, camera: str, frame: int) -> NDArray[np.float32]:
        """The known alpha of a frame: (H, W) float32 0..1.

        Raises:
            NotFound: the frame is not in the benchmark, or nobody knows its alpha.
        """
        return _unit(self._picture(take, camera, frame, "truth"))

    def supervisor(self, take: str, camera: str, frame: int) -> dict[str, Any]:
        """What made the alpha of a frame: `name`, `version`, and its settings; empty where nobody said."""
        return _supervisor(self._entry(take, camera, frame), self.card)

    def _entry(self, take: str, camera: str, frame: int) -> dict[str, Any]:
        if (take, camera, frame) not in self._entries:
            raise NotFound(
                "this frame is not in the benchmark",
                where=f"take {take} camera {camera} frame {frame}",
                fix=f"See what {self.name} {self.version} lists.",
            )
        return self._entries[take, camera, frame]

    def _picture(self, take: str, camera: str, frame: int, kind: str) -> NDArray[Any]:
        entry = self._entry(take, camera, frame)
        if kind not in entry:
            raise NotFound(
                "its true alpha is not known",
                where=f"take {take} camera {camera} frame {frame}",
                fix="Compare with the supervisor's.",
            )
        return read_picture(self.root, self.name, entry[kind])


def freeze_benchmark(
    root: Root, name: str, entries: Iterable[NewEntry | tuple[Any, ...]], card: dict[str, Any]
) -> Benchmark:
    """Make the next version of a benchmark; it holds these entries and no others.

    Args:
        root: the store.
        name: its name.
        entries: the fields of `NewEntry`, at least the first five.
        card: how it was made: who annotated, which supervisor; plain json.

    Raises:
        MatteError: there is no entry, a trimap has no unknown band or other values than 0, 128 and 255, or a
            matte holds nan or values outside 0..1.
        SizeMismatch: trimap and matte differ in size.
    """
    listed = _listed(root, name, entries)
    content = {"entries": listed, "card": card}
    return Benchmark.open(root, name, add_version(root, _folder(name), "b", lambda _: content))


def extend_benchmark(
    root: Root, name: str, entries: Iterable[NewEntry | tuple[Any, ...]], card: dict[str, Any]
) -> Benchmark:
    """Make the next version of a benchmark that is there: all of its newest one, unchanged, and these.

    Entries that it holds already are nothing new; without any other the newest version stays the newest.

    Args:
        root: the store.
        name: its name.
        entries: as in `freeze_benchmark`.
        card: how the next version came about.

    Raises:
        NotFound: there is no such benchmark.
        MatteError: an entry is there with another trimap, matte or truth; or as in `freeze_benchmark`.
        SizeMismatch: as in `freeze_benchmark`.
    """
    new, newest = _listed(root, name, entries), Benchmark.open(root, name)
    if not _missing(new, newest):
        return newest

    def content(version: str | None) -> dict[str, Any]:
        there = Benchmark.open(root, name, version)
        old = [{**e, "supervisor": _supervisor(e, there.card)} for e in there._entries.values()]
        return {"entries": old + _missing(new, there), "card": card}

    return Benchmark.open(root, name, add_version(root, _folder(name), "b", content))


def list_benchmarks(root: Root) -> dict[str, list[str]]:
    """The versions of every benchmark, oldest first."""
    found = {name: list_versions(root, _folder(name), "b") for name in root.names("benchmarks")}
    return {name: versions for name, versions in found.items() if versions}


def keep_picture(root: Root, name: str, picture: NDArray[Any]) -> str:
    """Put a picture, (H, W) uint8 or uint16, where those of a benchmark lie; its sha256, by which it is called."""
    png = encode_png(picture)
    digest = sha256(png).hexdigest()
    root.write(f"{_folder(name)}/pictures/{digest}.png", png)
    return digest


def keep_alpha(root: Root, name: str, alpha: NDArray[Any]) -> str:
    """As `keep_picture`, for an alpha (H, W) 0..1."""
    return keep_picture(root, name, np.rint(alpha.astype(np.float32) * 65535).astype(np.uint16))


def read_alpha(root: Root, name: str, digest: str) -> NDArray[np.float32]:
    """Undo `keep_alpha`."""
    return _unit(read_picture(root, name, digest))


def read_picture(root: Root, name: str, digest: str) -> NDArray[Any]:
    """Undo `keep_picture`.

    Raises:
        NotFound: there is no such picture.
        ImageUnreadable: it is damaged.
    """
    key = f"{_folder(name)}/pictures/{digest}.png"
    return decode_png(root.read(key), root.at(key))


def _listed(root: Root, name: str, entries: Iterable[NewEntry | tuple[Any, ...]]) -> list[dict[str, Any]]:
    """The entries as json, their pictures stored."""
    listed = []
    for entry in (NewEntry(*fields) for fields in entries):
        where = f"take {entry.take} camera {entry.camera} frame {entry.frame}"
        check_trimap(entry.trimap, where)
        kept = {"trimap": keep_picture(root, name, entry.trimap.astype(np.uint8))}
        for kind, alpha in (("alpha", entry.alpha), ("truth", entry.truth)):
            if alpha is None:
                continue
            if alpha.shape != entry.trimap.shape:
                raise SizeMismatch(
                    f"the {'matte' if kind == 'alpha' else kind} is {alpha.shape}, the trimap {entry.trimap.shape}",
                    where=where,
                    fix="Compute it at the frame's size.",
                )
            check_alpha(alpha, where)
            kept[kind] = keep_alpha(root, name, alpha)
        place = {"take": entry.take, "camera": entry.camera, "frame": int(entry.frame)}
        listed.append({**place, **kept, "supervisor": dict(entry.supervisor)})
    if not listed:
        raise MatteError("there is nothing to freeze", where=f"benchmark {name}", fix="Annotate a trimap first.")
    return listed


def _missing(new: list[dict[str, Any]], there: Benchmark) -> list[dict[str, Any]]:
    """The entries that a benchmark does not hold; those that it holds must be the same there."""
    for entry in new:
        old = there._entries.get(_key(entry), entry)
        if other := [kind for kind in ("trimap", "alpha", "truth") if old.get(kind) != entry.get(kind)]:
            raise MatteError(
                f"{there.name} {there.version} holds this frame with another {other[0]}, and entries never change",
                where="take {} camera {} frame {}".format(*_key(entry)),
                fix="Leave it away, or create a benchmark of another name.",
            )
    return [entry for entry in new if _key(entry) not in there._entries]


def _supervisor(entry: dict[str, Any], card: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = dict(entry.get("supervisor") or {})
    if not said and isinstance(card.get("supervisor"), dict):
        said = {**card["supervisor"], **{key: card[key] for key in ("steps", "seed") if key in card}}
    return said


def _key(entry: dict[str, Any]) -> Key:
    return entry["take"], entry["camera"], int(entry["frame"])


def _unit(integers: NDArray[Any]) -> NDArray[np.float32]:
    return integers.astype(np.float32) / np.float32(65535)


def _folder(name: str) -> str:
    return f"benchmarks/{checked_name('benchmark', name)}"
