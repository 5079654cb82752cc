"""The frozen benchmark: frames on which every model is measured, and what counts as right on them.

    benchmarks/<name>/b0001.json               entries and card
    benchmarks/<name>/pictures/<sha256>.png    trimaps (8-bit) and supervisors' mattes (16-bit)

Numbers of two models can only be compared on the same version, so a version never changes.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import MatteError, NotFound, SizeMismatch
from storage.frames import decode_png, encode_png
from storage.root import Root, checked_name
from storage.versions import add_version, list_versions, read_version


class BenchmarkEntry(NamedTuple):
    """One frame: trimap (H, W) uint8 of 0, 128, 255; alpha (H, W) float32 0..1, the supervisor's."""

    take: str
    camera: str
    frame: int
    trimap: NDArray[np.uint8]
    alpha: NDArray[np.float32]


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
        self._entries = {(e["take"], e["camera"], int(e["frame"])): e for e in data["entries"]}
        self.keys = sorted(self._entries)

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def open(cls, root: Root, name: str, version: str | None = None) -> "Benchmark":
        """Open a version, the newest if None.

        Raises:
            NotFound: there is no such benchmark or version.
        """
        found, data = read_version(root, _folder(name), "b", version)
        return cls(root, name, found, data)

    @property
    def entries(self) -> list[BenchmarkEntry]:
        """All entries, read from the store."""
        return [BenchmarkEntry(*key, self.trimap(*key), self.alpha(*key)) for key in self.keys]

    def trimap(self, take: str, camera: str, frame: int) -> NDArray[np.uint8]:
        """The trimap of a frame: (H, W) uint8 of 0, 128 (unknown), 255."""
        return self._picture(take, camera, frame, "trimap").astype(np.uint8)

    def alpha(self, take: str, camera: str, frame: int) -> NDArray[np.float32]:
        """The supervisor's matte of a frame: (H, W) float32 0..1."""
        return self._picture(take, camera, frame, "alpha").astype(np.float32) / np.float32(65535)

    def _picture(self, take: str, camera: str, frame: int, kind: str) -> NDArray[Any]:
        entry = self._entries.get((take, camera, frame))
        if entry is None:
            raise NotFound(
                "this frame is not in the benchmark",
                where=f"take {take} camera {camera} frame {frame}",
                fix=f"See what {self.name} {self.version} lists.",
            )
        key = f"{_folder(self.name)}/pictures/{entry[kind]}.png"
        return decode_png(self.root.read(key), self.root.at(key))


def freeze_benchmark(
    root: Root,
    name: str,
    entries: Iterable[tuple[str, str, int, NDArray[np.uint8], NDArray[Any]]],
    card: dict[str, Any],
) -> Benchmark:
    """Make the next version of a benchmark; it holds these entries and no others.

    Args:
        root: the store.
        name: its name.
        entries: (take, camera, frame, trimap, alpha).
        card: how it was made: who annotated, which supervisor; plain json.

    Raises:
        MatteError: there is no entry, a trimap has no unknown band or other values than 0, 128 and 255, or a
            matte holds nan or values outside 0..1.
        SizeMismatch: trimap and matte differ in size.
    """
    listed = []
    for take, camera, frame, trimap, alpha in entries:
        where = f"take {take} camera {camera} frame {frame}"
        check_trimap(trimap, where)
        if alpha.shape != trimap.shape:
            raise SizeMismatch(
                f"the matte is {alpha.shape}, the trimap {trimap.shape}",
                where=where,
                fix="Compute the matte at the frame's size.",
            )
        # Written so that nan fails too.
        if not (alpha.min() >= 0 and alpha.max() <= 1):
            raise MatteError("the matte holds nan or values outside 0..1", where=where, fix="Compute it again.")
        listed.append(
            {
                "take": take,
                "camera": camera,
                "frame": int(frame),
                "trimap": _keep(root, name, trimap.astype(np.uint8)),
                "alpha": _keep(root, name, np.rint(alpha.astype(np.float32) * 65535).astype(np.uint16)),
            }
        )
    if not listed:
        raise MatteError("there is nothing to freeze", where=f"benchmark {name}", fix="Annotate a trimap first.")
    content = {"entries": listed, "card": card}
    return Benchmark.open(root, name, add_version(root, _folder(name), "b", lambda _: content))


def check_trimap(trimap: NDArray[Any], where: str) -> None:
    """Refuse what is no trimap.

    Args:
        trimap: (H, W).
        where: take, camera and frame, or file, for errors.

    Raises:
        MatteError: other values than 0, 128 and 255, or no unknown band.
    """
    values = set(np.unique(trimap).tolist())
    if trimap.ndim != 2 or not values <= {0, 128, 255}:
        strange = ", ".join(str(value) for value in sorted(values - {0, 128, 255})[:4])
        raise MatteError(
            f"the trimap holds {strange or 'more than one channel'}",
            where=where,
            fix="Use 0 for background, 128 for unknown, 255 for foreground, without soft edges.",
        )
    if 128 not in values:
        raise MatteError("the trimap has no unknown band", where=where, fix="Paint 128 over hair and edges.")


def list_benchmarks(root: Root) -> dict[str, list[str]]:
    """The versions of every benchmark, oldest first."""
    return {name: list_versions(root, _folder(name), "b") for name in root.names("benchmarks")}


def _keep(root: Root, name: str, picture: NDArray[Any]) -> str:
    png = encode_png(picture)
    digest = sha256(png).hexdigest()
    root.write(f"{_folder(name)}/pictures/{digest}.png", png)
    return digest


def _folder(name: str) -> str:
    return f"benchmarks/{checked_name('benchmark', name)}"
