"""Hybrid fine-tuning of the teacher on base data and scribbles (paper section 4.2)."""

from typing import Any

from storage.labels.label_set import LABELS, LabelSet
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.crops import frame_and_plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Teacher
from tasks.labels.in_use import LabelsRecord, split_labels
from tasks.models.networks import Ref, described, load_network
from tasks.runtime.checkpoint import StoreCheckpointer
from tasks.runtime.progress import Progress
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.train.base_data import load_base_data
from tasks.train.held_back import compared, label_error
from tasks.train.watch import FRAMES, Frame, benchmark_frames, hold_out, stage_frame, watch


def read_scribbles(store: str, labels: LabelsRecord) -> Any:
    """The frames of a label set with their plates, read when and where they are cut, and labels, as training data.

    Frames of takes that are kept back for validation are not in it.
    """
    from capmat_models.data.stage import ScribbleData

    root = Root(store)
    version = LabelSet.open(root, LABELS, labels["labels"])
    frames = []
    for name, id, frame in split_labels(store, labels)[0]:
        take = Take.open(root, name)
        src, bgr = frame_and_plate(take, Stage.open(root, take.stage), id, frame)
        frames.append((src, bgr, version.label(name, id, frame)))
    return ScribbleData(frames)


def frames_to_watch(store: str, labels: LabelsRecord, benchmark: Record | None) -> list[Frame]:
    """Frames of the benchmark; without one, scribbled frames, to see the strokes take effect but not to measure."""
    root, (trained, _) = Root(store), split_labels(store, labels)
    found = benchmark_frames(root, benchmark, [take for take, _, _ in trained])
    return found or [stage_frame(root, *key, None) for key in trained[:FRAMES]]


def finetune(
    store: str,
    base: Ref,
    labels: LabelsRecord,
    base_data: str,
    settings: Teacher,
    seed: int,
    threads: int,
    benchmark: Record | None = None,
) -> Record:
    """Refine the teacher and register the result.

    Args:
        store: URL of the store.
        base: the teacher to start from. A round always starts from the base weights and uses the union of all
            labels: going on from the last refined model un-learns.
        labels: record of the label set.
        base_data: folder of foregrounds and backgrounds.
        settings: share, iterations, rates.
        seed: start of the sampler.
        threads: torch threads.
        benchmark: record of a benchmark on which the training is looked at; it has no influence on the result.

    Returns:
        Record with `model` (a Ref), the training `history`, and `pictures` of it (keys of `sheet` and `curves`);
        where labels are kept back, `label_error` before and after, see there.
    """
    inputs = {"base": base, "labels": labels["digest"], "settings": settings.model_dump(), "seed": seed}

    def work() -> dict[str, Any]:
        from capmat_models.training.teacher import FinetuneConfig, finetune_teacher
        from capmat_models.weights.state import dump_weights

        network = load_network(store, base, threads, fresh=True)
        config = FinetuneConfig(
            iterations=settings.iterations,
            batch=settings.batch,
            scribble_share=settings.scribble_share,
            scribble_weight=settings.scribble_weight,
            crop=settings.crop,
            layer_decay=settings.layer_decay,
            lr=settings.lr,
            lr_late=settings.lr_late,
            lr_late_from=round(settings.lr_late_from * settings.iterations),
            noise=settings.noise,
            seed=seed,
        )
        name = f"finetune-{digest(inputs)}"
        learn, held = hold_out(load_base_data(base_data))
        look = watch(
            Root(store),
            name,
            "teacher",
            network,
            frames_to_watch(store, labels, benchmark),
            held,
            iterations=settings.iterations,
            crop=settings.crop,
        )
        before = label_error(store, labels, network)
        keeper = StoreCheckpointer(store, name)
        history = finetune_teacher(
            network,
            learn,
            read_scribbles(store, labels) if settings.scribble_share else None,
            config,
            checkpointer=keeper,
            progress=Progress("fine-tune teacher", settings.iterations),
            validate=look.validate,
            validate_every=look.every,
        )
        error = compared(before, label_error(store, labels, network))
        card = {
            **described(network),
            "role": "teacher",
            "kind": "refined",
            "parent": base,
            "labels": labels["labels"],
            "settings": settings.model_dump(),
            "seed": seed,
            **error,
        }
        version = Registry(Root(store)).add(base["name"], dump_weights(network), card)
        keeper.forget()
        model = Ref(name=base["name"], version=version)
        return {"model": model, "history": history, "pictures": look.pictures, **error}

    return run_once(store, "finetune", f"teacher {labels['labels']}", inputs, work)


finetune_task = retryable("fine-tune", "fine-tune teacher on {labels[labels]}", gpu=True)(finetune)
