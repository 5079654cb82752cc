"""Distillation: the student learns the refined teacher's mattes of new takes (paper section 4.3)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storage.store.root import Root
from storage.takes.crops import MattedFrames
from storage.takes.take import Take
from tasks.config import Config
from tasks.models.networks import Ref
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.show.sheet import spread
from tasks.train.run import Training, TrainingRecord, train
from tasks.train.watch import FRAMES, Frame, benchmark_frames, stage_frame

if TYPE_CHECKING:
    from capmat_models.data.composites import Composites
    from capmat_models.training.loop import History, Hooks

FIXED_RIG = {"shift": 0, "jitter": 0.5, "brightness": 0.05, "contrast": 0.05, "saturation": 0.05, "hue": 0.02}
"""Augmentation of a student on a stage: the plate is where it was, and as bright as it was."""


def _labelled_frames(root: Root, take: str, run: str) -> list[Frame]:
    recording = Take.open(root, take)
    frame = recording.frames[0]
    return [
        stage_frame(root, take, camera, frame, recording.read_alpha(run, camera, frame))
        for camera in spread(list(recording.cameras), FRAMES)
    ]


def distill(config: Config, base: Ref, pseudo: Sequence[Record], benchmark: Record | None = None) -> TrainingRecord:
    """Train the student on pseudo-labels: first its base network, then base and refiner together.

    Args:
        config: store, base data, seed, and the settings of the `student`.
        base: the student to start from.
        pseudo: records of the pseudo-labelled takes (all of one teacher run).
        benchmark: record of a benchmark on which the training is looked at; it has no influence on the result.
            Without one, some of the pseudo-labelled frames are looked at, and the figures say how far the student
            agrees with its teacher there.
    """
    store, settings, seed = config.store, config.student, config.seed
    run = pseudo[0]["run"]
    takes = sorted({record["take"] for record in pseudo})
    inputs = {
        "base": base,
        "pseudo": [record["digest"] for record in pseudo],
        "settings": settings.model_dump(),
        "seed": seed,
    }

    def fit(network: Any, learn: "Composites", hooks: "Hooks", size: dict[str, Any]) -> "History":
        from capmat_models.data.augment import Augmentation
        from capmat_models.data.stage import PairData
        from capmat_models.training.distill import DistillConfig, distill_student
        from capmat_models.training.student import check_crop

        check_crop(settings.crop)  # what the frames get of it is a multiple of 4 in any case

        pairs = PairData(MattedFrames(Root(store), takes, run))
        augmentation = Augmentation(**FIXED_RIG)
        recipe = DistillConfig(
            **settings.model_dump(exclude={"model", "plate_share", "crop"}),
            **size,
            augmentation=augmentation,
            seed=seed,
        )
        return distill_student(network, pairs, recipe, base=learn, hooks=hooks)

    def work() -> TrainingRecord:
        root = Root(store)
        measured = benchmark_frames(root, benchmark, takes)
        training = Training(
            name=f"distill-{digest(inputs)}",
            title="student",
            words="distil student",
            base=base,
            iterations=settings.base_iterations + settings.joint_iterations,
            crop=settings.crop,
            takes=takes,
            plate_share=settings.plate_share,
            fit=fit,
            frames=measured or _labelled_frames(root, takes[0], run),
            card={
                "role": "student",
                "kind": "distilled",
                "teacher": run,
                "takes": takes,
                "settings": settings.model_dump(),
                "seed": seed,
            },
            against="stage" if measured else "teacher",
        )
        return train(config, training)

    return run_once(store, "distill", f"student {run}", inputs, work)


distill_task = retryable("distil", "distil student", gpu=True)(distill)
