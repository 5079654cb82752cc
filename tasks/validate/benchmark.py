"""A benchmark by hand: trimaps of any take in, a supervisor's mattes out, frozen as a version that never changes.

`tasks.validate.supervise` does it for the one benchmark that a session names; here people choose takes, trimaps and
supervisor, and let a benchmark grow. Every file is looked at before the supervisor starts, and every matte is a step
of its own, so a killed command repeats one at most.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError, MatteError, NotFound
from storage.benchmark import (
    Benchmark,
    NewEntry,
    extend_benchmark,
    freeze_benchmark,
    keep_alpha,
    list_benchmarks,
    read_alpha,
)
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.trimaps import check_trimap, read_trimap, read_truth, trimap_files, trimap_of, truth_files
from storage.store.root import Root
from storage.takes.take import Take
from tasks.ingest.session import take_record
from tasks.models.networks import Ref, load_network
from tasks.runtime.progress import Progress
from tasks.runtime.step import StepRecord, digest, run_once
from tasks.show.sheet import RGB, Row, contact_sheet
from tasks.validate.supervise import made_by, supervise


class AlphaRecord(StepRecord):
    """A supervisor's matte in the store, by the digest of its picture."""

    alpha: str


class Listed(TypedDict):
    """One version of a benchmark; `entries` and `known` are numbers of pictures."""

    name: str
    version: str
    entries: int
    known: int
    takes: list[str]


Places = Mapping[tuple[str, int], NDArray[Any]]
"""Pictures by (camera, frame)."""
_ROWS = 8  # of a contact sheet: more are not readable on one screen


def grow(
    store: str,
    how: Literal["create", "add"],
    name: str,
    take: str,
    trimaps: Places,
    truth: Places,
    model: Ref,
    steps: int,
    seed: int,
    threads: int = 1,
) -> Benchmark:
    """Make the first or the next version of a benchmark.

    Args:
        store: URL of the store.
        how: "create" for a name that is new, "add" for the next version of one that is there.
        name: of the benchmark.
        take: the take that the frames are of.
        trimaps: see `drawn` and `scribbled`.
        truth: known alphas of some of these frames, see `known`.
        model: the supervisor, a network that takes a trimap.
        steps: of its sampling.
        seed: start of its noise; every frame has a stream of its own, whichever others there are.
        threads: torch threads.

    Raises:
        MatteError: "create" of a name that is taken, or an entry that is there with other pictures.
        NotFound: "add" to what is not there.
        ConfigError: the model takes no trimap.
    """
    root = Root(store)
    there = list_benchmarks(root)
    if how == "create" and name in there:
        fix = "Use `capmat benchmark add`, or another name."
        raise MatteError("there is a benchmark of this name", where=f"benchmark {name}", fix=fix)
    if how == "add" and name not in there:
        what = f"there is no benchmark {name}; there is {', '.join(there) or 'none'}"
        raise NotFound(what, where=store, fix="Use `capmat benchmark create`.")
    network = load_network(store, model, threads)
    if network.inputs != ("src", "trimap"):
        raise ConfigError(
            f"a supervisor takes src and trimap, {model['name']} takes {' and '.join(network.inputs)}",
            where=f"{model['name']}@{model['version']}",
            fix="Name another one with --model.",
        )
    recording, taken = Take.open(root, take), take_record(store, take)["digest"]
    bar = Progress(f"supervisor mattes of {take}", len(trimaps))

    def entry(camera: str, frame: int) -> NewEntry:
        trimap, stream = trimaps[camera, frame], _stream(seed, take, camera, frame)
        said = made_by(network, model, steps, stream)

        def work() -> AlphaRecord:
            pha = supervise(network, recording.read(camera, frame), trimap, steps, stream)
            return {"alpha": keep_alpha(root, name, pha)}

        inputs = {"take": taken, "trimap": sha256(trimap.tobytes()).hexdigest(), "by": said}
        done = run_once(store, "supervise", f"{name} {take} {camera} {frame}", inputs, work)
        alpha = read_alpha(root, name, done["alpha"])
        return NewEntry(take, camera, frame, trimap, alpha, said, truth.get((camera, frame)))

    def entries() -> Iterator[NewEntry]:
        for number, (camera, frame) in enumerate(sorted(trimaps), 1):
            yield entry(camera, frame)
            bar(number, camera)

    freeze = freeze_benchmark if how == "create" else extend_benchmark
    return freeze(root, name, entries(), {"supervisor": model, "steps": steps, "seed": seed, "take": take})


def drawn(store: str, take: str, folder: Path) -> Places:
    """Painted trimaps, `<camera>/<frame>.png`, each looked at.

    Raises:
        NotFound: there is none, or one for a camera or frame that the take does not have.
        MatteError: one is no trimap, or has no unknown band.
        SizeMismatch: one has not the size of its camera's pictures.
    """
    return _read(Take.open(Root(store), take), trimap_files(folder), read_trimap)


def scribbled(store: str, take: str, version: str | None) -> Places:
    """Trimaps of the scribbles of a take: green is foreground, red is background, what is not painted is unknown.

    Args:
        store: URL of the store.
        take: the take.
        version: of the label set; None for the newest.

    Raises:
        NotFound: there is no such version, or it has no label in this take.
        MatteError: nothing was left open.
    """
    labels = LabelSet.open(Root(store), LABELS, version)
    places = {}
    for of, camera, frame in labels.keys:
        if of == take:
            places[camera, frame] = trimap_of(labels.label(of, camera, frame))
            check_trimap(places[camera, frame], f"take {take} camera {camera} frame {frame}, labels {labels.version}")
    if not places:
        what = f"label set {labels.version} has no label in this take"
        raise NotFound(what, where=f"take {take}", fix="Scribble on it, or give --trimaps.")
    return places


def known(store: str, take: str, folder: Path, wanted: Sequence[tuple[str, int]]) -> Places:
    """Known alphas of some frames, see `storage.labels.trimaps.truth_files`; those of other frames are passed over.

    Raises:
        NotFound: not one of the wanted frames is there.
        MatteError: one holds nan or values outside 0..1.
        SizeMismatch: one has not the size of its camera's pictures.
    """
    files = {key: file for key, file in truth_files(folder, take).items() if key in set(wanted)}
    if not files:
        raise NotFound("holds no alpha of these frames", where=str(folder), fix="Correct --truth, or leave it away.")
    return _read(Take.open(Root(store), take), files, read_truth)


def benchmark_sheets(store: str, benchmark: Benchmark) -> list[RGB]:
    """What a benchmark consists of, to be looked at: image, trimap, the supervisor's matte, and the true one.

    Returns:
        Pictures (H, W, 3) uint8 of eight entries each. A frame whose take has changed or gone has no image.
    """
    takes: dict[str, Take] = {}
    columns = ["image", "trimap", "supervisor", *(["truth"] if benchmark.known else [])]
    rows = []
    for key in benchmark.keys:
        take, camera, frame = key
        by = benchmark.supervisor(*key)
        try:
            takes[take] = takes.get(take) or Take.open(Root(store), take)
            src = takes[take].read(camera, frame)
        except NotFound:
            src = None
        pictures = [src, benchmark.trimap(*key), benchmark.alpha(*key)]
        if benchmark.known:
            pictures.append(benchmark.truth(*key) if key in benchmark.known else None)
        open_ = f"{100 * unknown_share(benchmark, key):.0f} % unknown"
        rows.append(Row(f"{take} {camera} {frame}", pictures, ("", open_, f"{by.get('name')}@{by.get('version')}")))
    return [contact_sheet(rows[i : i + _ROWS], columns) for i in range(0, len(rows), _ROWS)]


def unknown_share(benchmark: Benchmark, key: tuple[str, str, int]) -> float:
    """What part of an entry's picture its supervisor had to decide, 0..1."""
    return float(np.mean(benchmark.trimap(*key) == 128))


def _read(
    take: Take, files: Mapping[tuple[str, int], Path], read: Callable[[Path, tuple[int, int]], NDArray[Any]]
) -> Places:
    frames = set(take.frames)
    for (camera, frame), file in files.items():
        if camera not in take.cameras or frame not in frames:
            raise NotFound(
                f"take {take.name} has no camera {camera} with frame {frame}",
                where=str(file),
                fix="Rename or remove it.",
            )
    sizes = {id: (camera.height, camera.width) for id, camera in take.cameras.items()}
    return {(camera, frame): read(file, sizes[camera]) for (camera, frame), file in files.items()}


def _stream(seed: int, take: str, camera: str, frame: int) -> int:
    """The start of a frame's own noise."""
    return int(digest([seed, take, camera, frame])[:8], 16)


def listed(store: str) -> list[Listed]:
    """Every version of every benchmark."""
    root, found = Root(store), list[Listed]()
    for name, versions in list_benchmarks(root).items():
        for version in versions:
            frozen = Benchmark.open(root, name, version)
            found.append(
                {
                    "name": name,
                    "version": version,
                    "entries": len(frozen),
                    "known": len(frozen.known),
                    "takes": frozen.takes,
                }
            )
    return found
