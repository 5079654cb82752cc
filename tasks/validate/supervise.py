"""The benchmark of a session: mattes that a trimap model makes from hand-drawn trimaps (paper section 4.4).

The supervisor decides only inside the unknown band that a person drew, which bounds its errors. Teacher and student
are measured against its mattes where nobody knows the truth.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import runtime

from capmat_errors import MatteError, SessionError
from storage.benchmark import NewEntry, freeze_benchmark
from storage.descriptor import read_session
from storage.pictures.files import read_grey
from storage.session.plan import check_session
from storage.store.root import Root
from storage.takes.take import Take
from tasks.models.infer import infer
from tasks.models.networks import Ref, load_network, method_of
from tasks.runtime.progress import Progress
from tasks.runtime.step import StepRecord, digest, retryable, run_once


class BenchmarkRecord(StepRecord):
    """A frozen benchmark."""

    benchmark: str  # its name
    version: str
    take: str
    entries: list[tuple[str, int]]  # camera and frame


def make_benchmark(store: str, session: str, model: Ref, ingested: str, steps: int, seed: int) -> BenchmarkRecord:
    """Freeze the benchmark of a session: trimaps in, supervisor mattes out.

    Args:
        store: URL of the store.
        session: path of `session.toml`; its `[benchmark]` names the take and the trimaps.
        model: the supervisor.
        ingested: digest of the benchmark take's ingest record.
        steps: sampling steps.
        seed: start of the noise; each picture has a stream of its own, so that order does not matter.

    Raises:
        SessionError: the session names no benchmark.
    """
    described = read_session(session)
    if described.benchmark is None:
        fix = "Add a [benchmark] with a take and its trimaps."
        raise SessionError("the session has no [benchmark]", where=session, fix=fix)
    plan = check_session(described, only=described.benchmark.take)
    root, files = Root(store), plan.trimaps
    take = Take.open(root, described.benchmark.take)
    name = f"{plan.session.name}-{take.name}"

    def work() -> BenchmarkRecord:
        network = load_network(store, model)
        bar = Progress("supervisor mattes", len(files), "pictures")
        entries = []
        for i, ((camera, frame), file) in enumerate(sorted(files.items())):
            trimap = read_grey(file)
            where = f"take {take.name} camera {camera} frame {frame}"
            pha = supervise(network, take.read(camera, frame), trimap, steps, seed + i, where)
            entries.append(NewEntry(take.name, camera, frame, trimap, pha, made_by(network, model, steps, seed + i)))
            bar(i + 1, camera)
        frozen = freeze_benchmark(root, name, entries, {"supervisor": model, "steps": steps, "seed": seed})
        return {
            "benchmark": name,
            "version": frozen.version,
            "take": take.name,
            "entries": [(camera, frame) for _, camera, frame in frozen.keys],
        }

    stamps = [(str(k), p.stat().st_size, p.stat().st_mtime_ns) for k, p in sorted(files.items())]
    inputs = {"model": model, "ingested": ingested, "trimaps": stamps, "steps": steps, "seed": seed}
    return run_once(store, "benchmark", name, inputs, work)


def supervise(
    network: Any, src: NDArray[np.float32], trimap: NDArray[np.uint8], steps: int, seed: int, where: str
) -> NDArray[np.float32]:
    """The supervisor's matte of one picture.

    Args:
        network: one that takes a trimap.
        src: (3, H, W), 0..1, display-referred.
        trimap: (H, W) of 0, 128, 255.
        steps: of DiffMatte's sampling; other networks take none.
        seed: start of its noise.
        where: take, camera and frame, for errors.

    Returns:
        (H, W) 0..1.

    Raises:
        MatteError: the network cannot matte it, see `capmat_models.networks.closed_form`.
    """
    known = trimap.astype(np.float32) / np.float32(255)
    if not network.sampled:
        try:
            return np.asarray(infer(network, src, trimap=known)["pha"])
        except MatteError as error:
            raise MatteError(error.what, where=where, fix=error.fix) from error
    return np.asarray(infer(network, src, trimap=known, steps=steps, seed=seed)["pha"])


def made_by(network: Any, model: Ref, steps: int, seed: int) -> dict[str, Any]:
    """What an entry of a benchmark says of its supervisor; arguments as in `supervise`."""
    if network.sampled:
        return {**model, "steps": steps, "seed": seed}
    method = method_of(getattr(network, "architecture", ""))  # an exported network has no architecture
    return {**model, **({"method": method} if method else {})}


def noise_seed(seed: int, take: str, camera: str, frame: int) -> int:
    """The start of a frame's own noise."""
    return int(digest([seed, take, camera, frame])[:8], 16)


def _name() -> str:
    return f"supervisor benchmark of {Path(runtime.task_run.parameters['session']).resolve().parent.name}"


make_benchmark_task = retryable("benchmark", _name, gpu=True)(make_benchmark)
