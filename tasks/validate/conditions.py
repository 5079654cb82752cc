"""What `capmat paper` measures: mattes of the benchmark's frames by any model, under a condition of the paper.

The mattes lie in a place of their own and not in the take, because a frame with noise on it, or a network that is
shown no plate, makes no matte that anybody should deliver.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.benchmark import Benchmark
from storage.labels.trimaps import truth_of
from storage.pictures.png import decode_png, encode_png
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.matte.take import snap
from tasks.models.infer import infer_camera
from tasks.models.networks import Ref, load_network
from tasks.runtime.step import StepRecord, digest, retryable, run_once
from tasks.validate.score import Scores
from tasks.validate.supervise import BenchmarkRecord

Alpha = NDArray[np.float32]
METRICS = ("mse", "sad", "grad")


class ConditionRecord(StepRecord):
    """Mattes under a condition of the paper. `mse`, `sad` and `grad` are per-pixel means.

    Attributes:
        folder: of the mattes in the store.
        supervisor: means against the supervisor's mattes.
        truth: means against the true ones; None where nobody knows them.
        per_image: the same of each picture, by judge and `camera/frame`.
    """

    folder: str
    supervisor: Scores
    truth: Scores | None
    per_image: dict[str, dict[str, Scores]]


class AlignRecord(StepRecord):
    """How far a student is from its `teacher`: means."""

    teacher: Scores


def score(
    store: str,
    benchmark: BenchmarkRecord,
    model: Ref,
    truth: str = "",
    noise: float = 0.0,
    plate: bool = True,
    seed: int = 0,
    tile: int = 0,
) -> ConditionRecord:
    """Matte the frames of a benchmark and compare with the supervisor's mattes and, where there is one, the truth.

    Args:
        store: URL of the store.
        benchmark: record of the benchmark.
        model: any network that needs no trimap.
        truth: folder of the ground truth; "" for none.
        noise: standard deviation of the noise on the frames, in display units; the plates stay as they are.
        plate: False for a network that is shown grey in place of the plate.
        seed: of the noise; each picture has a stream of its own.
        tile: side of the tiles for a network that cannot have a frame in one piece.
    """
    conditions = {"noise": noise, "plate": plate, "seed": seed if noise else 0, "tile": tile}
    inputs = {"benchmark": benchmark["digest"], "model": model, "truth": truth, **conditions}
    folder = f"paper/{model['name']}-{model['version']}-{digest(inputs)}"

    def work() -> ConditionRecord:
        from capmat_models.training.base import NO_PLATE

        root = Root(store)
        take = Take.open(root, benchmark["take"])
        stage = Stage.open(root, take.stage)
        network = load_network(store, model)
        entries = [(str(camera), int(frame)) for camera, frame in benchmark["entries"]]
        for camera in dict.fromkeys(camera for camera, _ in entries):
            frames = [frame for name, frame in entries if name == camera]
            bgr = stage.plate(camera) if "bgr" in network.inputs else None
            if bgr is not None and not plate:
                bgr = np.full_like(bgr, NO_PLATE)
            pictures = [noisy_frame(take, camera, frame, noise, seed) for frame in frames]
            mattes = infer_camera(network, pictures, bgr, tile=tile)
            for frame, pha in zip(frames, mattes, strict=True):
                root.write(key_of(folder, camera, frame), encode_png(np.rint(snap(pha) * 65535).astype(np.uint16)))
        frozen = Benchmark.open(root, benchmark["benchmark"], benchmark["version"])
        judges: dict[str, Any] = {"supervisor": partial(frozen.alpha, take.name)}
        if truth:
            judges["truth"] = truth_of(truth, take.name)
        each = {
            judge: {f"{c}/{f}": compare(read_matte(root, folder, c, f), reference(c, f)) for c, f in entries}
            for judge, reference in judges.items()
        }
        means = {judge: mean_of(list(scores.values())) for judge, scores in each.items()}
        return {
            "folder": folder,
            "supervisor": means["supervisor"],
            "truth": means.get("truth"),
            "per_image": each,
        }

    return run_once(store, "paper-score", f"{model['name']}-{model['version']}", inputs, work)


def align(store: str, benchmark: BenchmarkRecord, teacher: ConditionRecord, student: ConditionRecord) -> AlignRecord:
    """How far a student is from its teacher on the frames of a benchmark (Table 3).

    Args:
        store: URL of the store.
        benchmark: record of the benchmark.
        teacher: record of `score`.
        student: likewise.
    """

    def work() -> AlignRecord:
        root = Root(store)
        found = [
            compare(read_matte(root, student["folder"], c, f), read_matte(root, teacher["folder"], c, f))
            for c, f in benchmark["entries"]
        ]
        return {"teacher": mean_of(found)}

    inputs = {"teacher": teacher["digest"], "student": student["digest"]}
    return run_once(store, "paper-align", benchmark["benchmark"], inputs, work)


def noisy_frame(take: Take, camera: str, frame: int, noise: float, seed: int) -> Alpha:
    """A frame (3,H,W) 0..1 with more noise than the camera gave it."""
    src: Alpha = take.read(camera, frame)
    if noise:
        rng = np.random.default_rng([seed, int(digest([take.name, camera, frame]), 16) % 2**32])
        src = np.clip(src + np.float32(noise) * rng.standard_normal(src.shape, np.float32), 0, 1)
    return src


def key_of(folder: str, camera: str, frame: int) -> str:
    """Where a matte lies in the store."""
    return f"{folder}/{camera}-{frame:04d}.png"


def read_matte(root: Root, folder: str, camera: str, frame: int) -> Alpha:
    """A matte (H,W) 0..1 that `score` made."""
    key = key_of(folder, camera, frame)
    return decode_png(root.read(key), root.at(key)).astype(np.float32) / np.float32(65535)


def compare(pred: Alpha, true: Alpha) -> dict[str, float]:
    """The paper's three measures of one matte, as per-pixel means."""
    import torch

    from capmat_models.metrics import paper_metrics

    scores = paper_metrics(*(torch.from_numpy(pha)[None, None] for pha in (pred, true)))
    return {name: float(scores[name]) for name in METRICS}


def mean_of(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each measure; every picture weighs the same."""
    return {name: float(np.mean([one[name] for one in scores])) for name in METRICS}


def _name() -> str:
    from prefect import runtime

    given = runtime.task_run.parameters
    noise = f", noise {given['noise']:g}" if given.get("noise") else ""
    return f"score {given['model']['name']} {given['model']['version']}{noise}"


score_task = retryable("score", _name, gpu=True)(score)
align_task = retryable("align", "student against teacher")(align)
