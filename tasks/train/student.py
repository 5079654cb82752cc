"""Distillation: the student learns the refined teacher's mattes of new takes (paper section 4.3)."""

from collections.abc import Sequence
from typing import Any

from storage.registry import Registry
from storage.store.root import Root
from storage.takes.crops import MattedFrames
from storage.takes.take import Take
from tasks.config import Student
from tasks.models.networks import Ref, described, load_network
from tasks.runtime.checkpoint import StoreCheckpointer
from tasks.runtime.progress import Progress
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.show.sheet import spread
from tasks.train.base_data import load_base_data
from tasks.train.watch import FRAMES, Frame, benchmark_frames, hold_out, stage_frame, watch

FIXED_RIG = {"shift": 0, "jitter": 0.5, "brightness": 0.05, "contrast": 0.05, "saturation": 0.05, "hue": 0.02}
"""Augmentation of a student on a stage: the plate is where it was, and as bright as it was."""


def read_pairs(store: str, takes: Sequence[str], run: str) -> Any:
    """Frames, plates and pseudo-labels of whole takes, as training data; read when, and where, they are cut."""
    from capmat_models.data.stage import PairData

    return PairData(MattedFrames(Root(store), takes, run))


def _labelled_frames(root: Root, take: str, run: str) -> list[Frame]:
    recording = Take.open(root, take)
    frame = recording.frames[0]
    return [
        stage_frame(root, take, camera, frame, recording.read_alpha(run, camera, frame))
        for camera in spread(list(recording.cameras), FRAMES)
    ]


def distill(
    store: str,
    base: Ref,
    pseudo: Sequence[Record],
    base_data: str,
    settings: Student,
    seed: int,
    threads: int,
    benchmark: Record | None = None,
) -> Record:
    """Train the student on pseudo-labels: first its base network, then base and refiner together.

    Args:
        store: URL of the store.
        base: the student to start from.
        pseudo: records of the pseudo-labelled takes (all of one teacher run).
        base_data: folder of foregrounds and backgrounds.
        settings: iterations, batch, rates.
        seed: start of the sampler.
        threads: torch threads.
        benchmark: record of a benchmark on which the training is looked at; it has no influence on the result.
            Without one, some of the pseudo-labelled frames are looked at, and the figures say how far the student
            agrees with its teacher there.

    Returns:
        Record with `model` (a Ref), the training `history`, and `pictures` of it (keys of `sheet` and `curves`).
    """
    run = pseudo[0]["run"]
    takes = sorted({record["take"] for record in pseudo})
    inputs = {
        "base": base,
        "pseudo": [record["digest"] for record in pseudo],
        "settings": settings.model_dump(),
        "seed": seed,
    }

    def work() -> dict[str, Any]:
        from capmat_models.data.augment import Augmentation
        from capmat_models.training.distill import DistillConfig, distill_student
        from capmat_models.weights.state import dump_weights

        network = load_network(store, base, threads, fresh=True)
        config = DistillConfig(
            base_iterations=settings.base_iterations,
            joint_iterations=settings.joint_iterations,
            batch=settings.batch,
            crop=settings.crop,
            lr_scale=settings.lr_scale,
            decay=settings.decay,
            base_share=settings.base_share,
            recolour=settings.recolour,
            augmentation=Augmentation(**FIXED_RIG),
            seed=seed,
        )
        name = f"distill-{digest(inputs)}"
        iterations = settings.base_iterations + settings.joint_iterations
        learn, held = hold_out(load_base_data(base_data))
        root = Root(store)
        measured = benchmark_frames(root, benchmark, takes)
        look = watch(
            root,
            name,
            "student",
            network,
            measured or _labelled_frames(root, takes[0], run),
            held,
            iterations=iterations,
            crop=settings.crop,
            against="stage" if measured else "teacher",
        )
        keeper = StoreCheckpointer(store, name)
        history = distill_student(
            network,
            read_pairs(store, takes, run),
            config,
            base=learn,
            checkpointer=keeper,
            progress=Progress("distil student", iterations),
            validate=look.validate,
            validate_every=look.every,
        )
        card = {
            **described(network),
            "role": "student",
            "kind": "distilled",
            "parent": base,
            "teacher": run,
            "takes": takes,
            "settings": settings.model_dump(),
            "seed": seed,
        }
        version = Registry(Root(store)).add(base["name"], dump_weights(network), card)
        keeper.forget()
        return {"model": Ref(name=base["name"], version=version), "history": history, "pictures": look.pictures}

    return run_once(store, "distill", f"student {run}", inputs, work)


distill_task = retryable("distil", "distil student", gpu=True)(distill)
