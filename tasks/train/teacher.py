"""Hybrid fine-tuning of the teacher on base data and scribbles (paper section 4.2)."""

from typing import TYPE_CHECKING, Any

from storage.labels.label_set import LABELS, LabelSet
from storage.store.root import Root
from storage.takes.crops import frame_and_plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.in_use import LabelsRecord, split_labels
from tasks.models.networks import Ref
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.train.run import Training, TrainingRecord, digests_of, train
from tasks.train.watch import FRAMES, Frame, benchmark_frames, stage_frame

if TYPE_CHECKING:
    from capmat_models.data.composites import Composites
    from capmat_models.data.stage import ScribbleData
    from capmat_models.training.loop import History, Hooks


def read_scribbles(store: str, labels: LabelsRecord) -> "ScribbleData":
    """The labelled frames of a label set, without those of takes that are held back for validation.

    Frames and plates are read when, and where, they are cut.
    """
    from capmat_models.data.stage import ScribbleData

    root = Root(store)
    version = LabelSet.open(root, LABELS, labels["labels"])
    frames = []
    for name, id, frame in split_labels(store, labels)[0]:
        take = Take.open(root, name)
        src, bgr = frame_and_plate(take, Stage.under(take), id, frame)
        frames.append((src, bgr, version.label(name, id, frame)))
    return ScribbleData(frames)


def frames_to_watch(store: str, labels: LabelsRecord, benchmark: Record | None) -> list[Frame]:
    """Frames of the benchmark; without one, scribbled frames, to see the strokes take effect but not to measure."""
    root, (trained, _) = Root(store), split_labels(store, labels)
    frames = benchmark_frames(root, benchmark, [take for take, _, _ in trained])
    return frames or [stage_frame(root, *key, None) for key in trained[:FRAMES]]


def finetune(config: Config, base: Ref, labels: LabelsRecord, benchmark: Record | None = None) -> TrainingRecord:
    """Refine the teacher and register the result.

    Args:
        config: store, base data, seed, and the settings of the `teacher`.
        base: the teacher to start from. A round always starts from the base weights and uses the union of all
            labels: going on from the last refined model un-learns.
        labels: record of the label set.
        benchmark: record of a benchmark on which the training is looked at; it has no influence on the result.
    """
    store, settings, seed = config.store, config.teacher, config.seed
    takes = [take for take, _, _ in split_labels(store, labels)[0]]
    inputs = {
        "base": base,
        "labels": labels["digest"],
        "takes": digests_of(store, takes),
        "settings": settings.model_dump(),
        "seed": seed,
    }

    def fit(network: Any, learn: "Composites", hooks: "Hooks", size: dict[str, Any]) -> "History":
        from capmat_models.training.teacher import FinetuneConfig, finetune_teacher

        scribbles = read_scribbles(store, labels) if settings.scribble_share else None
        own = settings.model_dump(exclude={"model", "tile", "plate_share", "crop"})
        recipe = FinetuneConfig(**own, **size, seed=seed)
        return finetune_teacher(network, learn, scribbles, recipe, hooks=hooks)

    def work() -> TrainingRecord:
        training = Training(
            name=f"finetune-{digest(inputs)}",
            title="teacher",
            words="fine-tune teacher",
            base=base,
            iterations=settings.iterations,
            crop=settings.crop,
            takes=takes,
            plate_share=settings.plate_share,
            noise=settings.noise,
            fit=fit,
            frames=frames_to_watch(store, labels, benchmark),
            card={
                "role": "teacher",
                "kind": "refined",
                "labels": labels["labels"],
                "settings": settings.model_dump(),
                "seed": seed,
            },
            labels=labels,
        )
        return train(config, training)

    return run_once(store, "finetune", f"teacher {labels['labels']}", inputs, work)


finetune_task = retryable("fine-tune", "fine-tune teacher on {labels[labels]}", gpu=True)(finetune)
