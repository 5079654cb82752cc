"""Mattes that all cameras of a frame agree on: foreground that no other camera supports is removed.

A network sees one camera. It takes a leg's mirror image in a polished floor for a leg, or a thing that was moved for
the subject. Other cameras look past both. The result is a run of its own beside the mattes that it was made from.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from capmat_errors import MatteError, NotFound
from storage.store.claim import claim
from storage.store.ledger import Files, Ledger
from storage.store.root import Root
from storage.takes.take import PATIENCE, Take
from tasks.config import Reconstruction
from tasks.geometry.box import box_of
from tasks.geometry.hull_check import ENOUGH, FrameCheck, check_frame
from tasks.runtime.progress import Progress
from tasks.runtime.step import Step, StepRecord
from tasks.show.figures import counted


class _BlockRecord(StepRecord):
    """The mattes of one block of frames of one camera, as in `tasks.matte.take`, and what was removed of them."""

    run: str
    camera: str
    frames: int  # how many
    numbers: list[int]  # which
    foreground: float  # sum of the alphas before, in pixels
    removed: float  # of that, in pixels
    alone: list[int]  # frames that could not be compared
    files: Files


class AgreedRecord(TypedDict):
    """What `agree` leaves behind.

    Attributes:
        run: name of the run that was written.
        removed: by camera, the share 0..1 of its foreground that was removed.
        alone: frames that could not be compared, and are kept as they were: fewer than 3 cameras have a matte, or
            their mattes agree on no place, as before the subject comes in.
    """

    run: str
    removed: dict[str, float]
    alone: list[int]


def check_cameras(take: Take, settings: Reconstruction) -> None:
    """Refuse a take whose mattes cannot be compared, before any is made.

    Raises:
        NotFound: it has fewer than 3 cameras.
        CalibrationError: neither settings nor cameras say where the subject stands.
    """
    if len(take.cameras) < ENOUGH:
        cameras = counted(len(take.cameras), "camera")
        what = f"the take has {cameras}; mattes are compared between {ENOUGH} or more"
        raise NotFound(what, where=f"take {take.name}", fix="Matte it without --hull.")
    box_of(take.cameras.values(), settings)


def agree(store: str, take: str, run: str, made: Sequence[str], settings: Reconstruction) -> AgreedRecord:
    """Write a run without what no other camera supports; each block of frames that is stored is not made again.

    Args:
        store: URL of the store.
        take: which take.
        run: whose mattes; a camera without a matte of a frame has none in the new run either.
        made: digests of the records of these mattes.
        settings: the subject's box.

    Raises:
        NotFound: the take or run is not stored, or the take has fewer than 3 cameras.
        CalibrationError: neither settings nor cameras say where the subject stands.
    """
    root = Root(store)
    stored = Take.open(root, take)
    check_cameras(stored, settings)
    info, name = stored.run_info(run) | {"hull": run}, f"{run}-hull"
    with claim(root, f"{stored.key}/runs/{name}", "matting", PATIENCE):
        stored.start_run(name, info)
        Ledger(root).record(f"run/{take}/{name}", {**info, "files": stored.run_files(name)})
    inputs = {"mattes": list(made), "box": [settings.box_centre, settings.box_size]}
    records: list[_BlockRecord] = []
    bar = Progress(f"{take}: mattes that all cameras agree on", len(stored.frames), "frames")
    for block in stored.blocks:
        matted = {camera: [f for f in block if stored.has_alpha(run, camera, f)] for camera in stored.cameras}
        steps = {
            camera: Step[_BlockRecord](store, "matte", f"{take} {camera} {name}", {**inputs, "frames": frames})
            for camera, frames in matted.items()
            if frames
        }
        kept = [step.record() for step in steps.values()]
        if all(kept):
            bar.skip(len(block))
            records += filter(None, kept)
        else:
            records += _block(stored, run, name, steps, matted, settings, bar)
    sums = {camera: [r for r in records if r["camera"] == camera] for camera in stored.cameras}
    return {
        "run": name,
        "removed": {
            camera: sum(r["removed"] for r in own) / max(1, sum(r["foreground"] for r in own))
            for camera, own in sums.items()
            if own
        },
        "alone": sorted({frame for record in records for frame in record["alone"]}),
    }


def _block(
    take: Take,
    run: str,
    name: str,
    steps: Mapping[str, Step[_BlockRecord]],
    matted: Mapping[str, Sequence[int]],
    settings: Reconstruction,
    bar: Progress,
) -> Iterator[_BlockRecord]:
    """Compare a block of `run` frame by frame, then write it to `name` camera by camera.

    So only small maps of all cameras are in memory at once.
    """
    start = time.perf_counter()
    checks: dict[int, FrameCheck] = {}
    for frame, cameras in sorted(Counter(frame for frames in matted.values() for frame in frames).items()):
        if cameras >= ENOUGH:
            with suppress(MatteError):  # the mattes agree on no place
                checks[frame] = check_frame(take, run, frame, settings)
        bar.step()
    compared = (time.perf_counter() - start) / len(steps)  # each camera's part of the time
    for camera, step in steps.items():
        start = time.perf_counter()
        before = {frame: take.read_alpha(run, camera, frame) for frame in matted[camera]}
        after = {f: _without_halo(pha, checks[f], camera) if f in checks else pha for f, pha in before.items()}
        files = take.write_alphas(name, camera, after)
        foreground, rest = (sum(float(pha.sum(dtype=np.float64)) for pha in x.values()) for x in (before, after))
        record = {
            "run": name,
            "camera": camera,
            "frames": len(after),
            "numbers": list(after),
            "foreground": foreground,
            "removed": foreground - rest,
            "alone": [frame for frame in after if frame not in checks],
            "files": files,
        }
        yield step.keep(cast(_BlockRecord, record), compared + time.perf_counter() - start)


def _without_halo(pha: NDArray[np.float32], check: FrameCheck, camera: str) -> NDArray[np.float32]:
    import torch

    from capmat_models.geometry.hull_check import without_halo

    halo, _, fold = check.maps(camera)
    return without_halo(torch.from_numpy(pha), torch.from_numpy(halo), fold).numpy()
