"""What `capmat paper` measures: mattes of the benchmark's frames by any model, under a condition of the paper.

The mattes lie in a folder of their own, outside the take: nobody should deliver the matte of a frame with added
noise, or of a network that saw no plate.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from prefect import runtime

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
from tasks.validate.score import Reference, Scores, mean_scores, paper_scores
from tasks.validate.supervise import BenchmarkRecord

Alpha = NDArray[np.float32]


class ConditionRecord(StepRecord):
    """Mattes under a condition of the paper, and their scores."""

    folder: str  # of the mattes in the store
    supervisor: Scores  # means against the supervisor's mattes
    truth: Scores | None  # means against known mattes, where there are some
    per_image: dict[str, dict[str, Scores]]  # by column and `camera/frame`


class AlignRecord(StepRecord):
    """Mean scores of a student against its teacher."""

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
    """Matte the frames of a benchmark; compare with the supervisor's mattes and, where there are some, known ones.

    Args:
        store: URL of the store.
        benchmark: record of the benchmark.
        model: any network that needs no trimap.
        truth: folder of the ground truth; "" for none.
        noise: standard deviation of the noise on the frames, in display units; the plates stay as they are.
        plate: False shows the network grey in place of the plate.
        seed: of the noise; each picture has a stream of its own.
        tile: side of the tiles, see `tasks.models.infer.infer`.
    """
    conditions = {"noise": noise, "plate": plate, "seed": seed if noise else 0, "tile": tile}
    inputs = {"benchmark": benchmark["digest"], "model": model, "truth": truth, **conditions}
    folder = f"paper/{model['name']}-{model['version']}-{digest(inputs)}"

    def work() -> ConditionRecord:
        from capmat_models.training.base import NO_PLATE

        root = Root(store)
        take = Take.open(root, benchmark["take"])
        stage = Stage.under(take)
        network = load_network(store, model)
        entries = [(str(camera), int(frame)) for camera, frame in benchmark["entries"]]
        for camera in dict.fromkeys(camera for camera, _ in entries):
            frames = [frame for name, frame in entries if name == camera]
            bgr = stage.plate(camera) if "bgr" in network.inputs else None
            if bgr is not None and not plate:
                bgr = np.full_like(bgr, NO_PLATE)
            pictures = [noisy_frame(take, camera, frame, noise, seed) for frame in frames]
            for frame, pha in zip(frames, infer_camera(network, pictures, bgr, tile=tile), strict=True):
                root.write(_key(folder, camera, frame), encode_png(np.rint(snap(pha) * 65535).astype(np.uint16)))
        frozen = Benchmark.open(root, benchmark["benchmark"], benchmark["version"])
        references: dict[str, Reference] = {"supervisor": partial(frozen.alpha, take.name)}
        if truth:
            references["truth"] = truth_of(truth, take.name)
        matte = partial(read_matte, root, folder)
        each = {column: _scores(benchmark, matte, reference) for column, reference in references.items()}
        means = {column: mean_scores(scores) for column, scores in each.items()}
        return {"folder": folder, "supervisor": means["supervisor"], "truth": means.get("truth"), "per_image": each}

    return run_once(store, "paper-score", f"{model['name']}-{model['version']}", inputs, work)


def align(store: str, benchmark: BenchmarkRecord, teacher: ConditionRecord, student: ConditionRecord) -> AlignRecord:
    """How far a student is from its teacher on the frames of a benchmark (Table 3)."""

    def work() -> AlignRecord:
        mattes = [partial(read_matte, Root(store), record["folder"]) for record in (student, teacher)]
        return {"teacher": mean_scores(_scores(benchmark, *mattes))}

    inputs = {"teacher": teacher["digest"], "student": student["digest"]}
    return run_once(store, "paper-align", benchmark["benchmark"], inputs, work)


def noisy_frame(take: Take, camera: str, frame: int, noise: float, seed: int) -> Alpha:
    """A frame (3,H,W) 0..1 with more noise than the camera gave it."""
    src: Alpha = take.read(camera, frame)
    if noise:
        rng = np.random.default_rng([seed, int(digest([take.name, camera, frame]), 16) % 2**32])
        src = np.clip(src + np.float32(noise) * rng.standard_normal(src.shape, np.float32), 0, 1)
    return src


def read_matte(root: Root, folder: str, camera: str, frame: int) -> Alpha:
    """A matte (H,W) 0..1 that `score` made."""
    key = _key(folder, camera, frame)
    return decode_png(root.read(key), root.at(key)).astype(np.float32) / np.float32(65535)


def _key(folder: str, camera: str, frame: int) -> str:
    return f"{folder}/{camera}-{frame:04d}.png"


def _scores(benchmark: BenchmarkRecord, matte: Reference, reference: Reference) -> dict[str, Scores]:
    """The paper's scores of each picture, by `camera/frame`."""
    return {
        f"{c}/{f}": paper_scores(matte(c, f), reference(c, f), f"take {benchmark['take']} camera {c} frame {f}")
        for c, f in benchmark["entries"]
    }


def _name() -> str:
    given = runtime.task_run.parameters
    noise = f", noise {given['noise']:g}" if given.get("noise") else ""
    return f"score {given['model']['name']} {given['model']['version']}{noise}"


score_task = retryable("score", _name, gpu=True)(score)
align_task = retryable("align", "student against teacher")(align)
