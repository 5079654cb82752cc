"""A benchmark by hand: people choose takes, trimaps and supervisor, and let a benchmark grow version by version.

`tasks.validate.supervise` makes the one benchmark that a session names. Here every file is checked before the
supervisor starts, and every matte is a step, so a killed command repeats one matte at most.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError, MatteError, NotFound, no_such
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
from tasks.runtime.step import StepRecord, run_once
from tasks.show.sheet import RGB, Row, contact_sheet
from tasks.validate.supervise import made_by, noise_seed, supervise


class AlphaRecord(StepRecord):
    """A supervisor's matte in the store, by the digest of its picture."""

    alpha: str


Pictures = Mapping[tuple[str, int], NDArray[Any]]
"""Pictures by (camera, frame)."""
_ROWS = 8  # of a contact sheet: more are not readable on one screen


def grow(
    store: str,
    how: Literal["create", "add"],
    name: str,
    take: str,
    trimaps: Pictures,
    truth: Pictures,
    model: Ref,
    steps: int,
    seed: int,
    threads: int = 1,
) -> Benchmark:
    """Make the first or the next version of a benchmark.

    Args:
        store: URL of the store.
        how: "create" for a new name, "add" for the next version of an existing benchmark.
        name: of the benchmark.
        take: the take that the frames are of.
        trimaps: see `drawn` and `scribbled`.
        truth: known alphas of some of these frames, see `known`.
        model: the supervisor, a network that takes a trimap.
        steps: of its sampling.
        seed: start of its noise; every frame has a stream of its own, whatever else is in the benchmark.
        threads: torch threads.

    Raises:
        MatteError: "create" of a name that is taken, or the benchmark has an entry with other pictures.
        NotFound: "add" to a benchmark that does not exist.
        ConfigError: the model takes no trimap.
    """
    root = Root(store)
    existing = list_benchmarks(root)
    if how == "create" and name in existing:
        fix = "Use `capmat benchmark add`, or another name."
        raise MatteError("a benchmark of this name exists", where=f"benchmark {name}", fix=fix)
    if how == "add" and name not in existing:
        raise no_such("benchmark", name, existing, where=store, fix="Use `capmat benchmark create`.")
    network = load_network(store, model, threads)
    if network.inputs != ("src", "trimap"):
        raise ConfigError(
            f"a supervisor takes src and trimap, {model['name']} takes {' and '.join(network.inputs)}",
            where=f"{model['name']}@{model['version']}",
            fix="Name another one with --model.",
        )
    recording, ingested = Take.open(root, take), take_record(store, take)["digest"]
    bar = Progress(f"supervisor mattes of {take}", len(trimaps), "pictures")

    def entry(camera: str, frame: int) -> NewEntry:
        trimap, stream = trimaps[camera, frame], noise_seed(seed, take, camera, frame)
        supervisor = made_by(network, model, steps, stream)

        def work() -> AlphaRecord:
            where = f"take {take} camera {camera} frame {frame}"
            pha = supervise(network, recording.read(camera, frame), trimap, steps, stream, where)
            return {"alpha": keep_alpha(root, name, pha)}

        inputs = {"take": ingested, "trimap": sha256(trimap.tobytes()).hexdigest(), "by": supervisor}
        done = run_once(store, "supervise", f"{name} {take} {camera} {frame}", inputs, work)
        alpha = read_alpha(root, name, done["alpha"])
        return NewEntry(take, camera, frame, trimap, alpha, supervisor, truth.get((camera, frame)))

    def entries() -> Iterator[NewEntry]:
        for number, (camera, frame) in enumerate(sorted(trimaps), 1):
            yield entry(camera, frame)
            bar(number, camera)

    card = {"supervisor": model, "steps": steps, "seed": seed, "take": take}
    if how == "create":
        return freeze_benchmark(root, name, entries(), card, new=True)
    return extend_benchmark(root, name, entries(), card)


def drawn(store: str, take: str, folder: Path) -> Pictures:
    """Painted trimaps, `<camera>/<frame>.png`, each checked.

    Raises:
        NotFound: the folder has no trimap, or one for a camera or frame that the take does not have.
        MatteError: a picture is not a trimap, or has no unknown band.
        SizeMismatch: a trimap and the pictures of its camera differ in size.
    """
    return _read(Take.open(Root(store), take), trimap_files(folder), read_trimap)


def scribbled(store: str, take: str, version: str | None) -> Pictures:
    """Trimaps of the scribbles of a take: green is foreground, red is background, unpainted pixels are unknown.

    Args:
        store: URL of the store.
        take: the take.
        version: of the label set; None for the newest.

    Raises:
        NotFound: the version does not exist, or has no label in this take.
        MatteError: a label has no unknown pixel.
    """
    labels = LabelSet.open(Root(store), LABELS, version)
    trimaps = {}
    for name, camera, frame in labels.keys:
        if name == take:
            trimap = trimaps[camera, frame] = trimap_of(labels.label(take, camera, frame))
            check_trimap(trimap, f"take {take} camera {camera} frame {frame}, labels {labels.version}")
    if not trimaps:
        what = f"label set {labels.version} has no label in this take"
        raise NotFound(what, where=f"take {take}", fix="Scribble on it, or give --trimaps.")
    return trimaps


def known(store: str, take: str, folder: Path, wanted: Sequence[tuple[str, int]]) -> Pictures:
    """Known alphas of the wanted frames, see `storage.labels.trimaps.truth_files`.

    Raises:
        NotFound: the folder has no alpha of a wanted frame.
        MatteError: an alpha holds nan or values outside 0..1.
        SizeMismatch: an alpha and the pictures of its camera differ in size.
    """
    files = {key: file for key, file in truth_files(folder, take).items() if key in set(wanted)}
    if not files:
        raise NotFound(
            "the folder has no alpha of these frames", where=str(folder), fix="Correct --truth, or remove it."
        )
    return _read(Take.open(Root(store), take), files, read_truth)


def benchmark_sheets(store: str, benchmark: Benchmark) -> list[RGB]:
    """Contact sheets of a benchmark: image, trimap, the supervisor's matte, and the known alpha.

    Returns:
        Pictures (H, W, 3) uint8 of eight entries each. A frame whose take has changed or is gone has no image.
    """
    takes: dict[str, Take] = {}
    columns = ["image", "trimap", "supervisor", *(["truth"] if benchmark.known else [])]
    rows = []
    for key in benchmark.keys:
        take, camera, frame = key
        supervisor = benchmark.supervisor(*key)
        try:
            takes[take] = takes.get(take) or Take.open(Root(store), take)
            src = takes[take].read(camera, frame)
        except NotFound:
            src = None
        pictures = [src, benchmark.trimap(*key), benchmark.alpha(*key)]
        if benchmark.known:
            pictures.append(benchmark.truth(*key) if key in benchmark.known else None)
        unknown = f"{100 * unknown_share(benchmark, key):.0f} % unknown"
        by = f"{supervisor.get('name')}@{supervisor.get('version')}"
        rows.append(Row(f"{take} {camera} {frame}", pictures, ("", unknown, by)))
    return [contact_sheet(rows[i : i + _ROWS], columns) for i in range(0, len(rows), _ROWS)]


def unknown_share(benchmark: Benchmark, key: tuple[str, str, int]) -> float:
    """The share of an entry's picture that its supervisor had to decide, 0..1."""
    return float(np.mean(benchmark.trimap(*key) == 128))


def _read(
    take: Take, files: Mapping[tuple[str, int], Path], read: Callable[[Path, tuple[int, int]], NDArray[Any]]
) -> Pictures:
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


def every_version(store: str) -> list[Benchmark]:
    """Every version of every benchmark."""
    root = Root(store)
    return [Benchmark.open(root, name, version) for name, some in list_benchmarks(root).items() for version in some]
