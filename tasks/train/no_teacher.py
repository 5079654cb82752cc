"""Students without a teacher: the two losing strategies of the paper's Table 2, to compare distillation with."""

from typing import TYPE_CHECKING, Any

from tasks.config import Config
from tasks.labels.in_use import LabelsRecord, split_labels
from tasks.models.networks import Ref
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.train.run import Training, TrainingRecord, digests_of, train
from tasks.train.student import FIXED_RIG
from tasks.train.teacher import frames_to_watch, read_scribbles

if TYPE_CHECKING:
    from capmat_models.data.composites import Composites
    from capmat_models.training.loop import History, Hooks
    from capmat_models.training.no_teacher import Strategy


def scribble_student(
    config: Config, strategy: "Strategy", base: Ref, labels: LabelsRecord, benchmark: Record | None = None
) -> TrainingRecord:
    """Train a student on base data and scribbles alone, and register the result.

    Args:
        config: store, base data, seed and the settings of the `student`; share and weight of the scribbles are those
            of the `teacher`. The second phase has `joint_iterations`, so that every strategy takes as many steps as
            distillation.
        strategy: `scribbles_only` or `frozen_refiner`; becomes the `kind` of the model.
        base: the student to start from.
        labels: record of the label set.
        benchmark: record of a benchmark on which the training is looked at; it has no influence on the result.
    """
    store, settings, mix, seed = config.store, config.student, config.teacher, config.seed
    takes = [take for take, _, _ in split_labels(store, labels)[0]]
    scribbled = {"share": mix.scribble_share, "weight": mix.scribble_weight}
    inputs = {
        "strategy": strategy,
        "base": base,
        "labels": labels["digest"],
        "takes": digests_of(store, takes),
        "settings": settings.model_dump(),
        **scribbled,
        "seed": seed,
    }

    def fit(network: Any, learn: "Composites", hooks: "Hooks", size: dict[str, Any]) -> "History":
        from capmat_models.data.augment import Augmentation
        from capmat_models.training.no_teacher import ScribbleStudentConfig, train_scribble_student
        from capmat_models.training.student import check_crop

        check_crop(settings.crop)  # what the frames get of it is a multiple of 4 in any case

        recipe = ScribbleStudentConfig(
            **settings.model_dump(include={"base_iterations", "batch", "lr_scale", "decay", "frozen_norms"}),
            **size,
            second_iterations=settings.joint_iterations,
            **mix.model_dump(include={"scribble_share", "scribble_weight"}),
            augmentation=Augmentation(**FIXED_RIG),
            seed=seed,
        )
        return train_scribble_student(strategy, network, learn, read_scribbles(store, labels), recipe, hooks=hooks)

    def work() -> TrainingRecord:
        dashed = strategy.replace("_", "-")
        training = Training(
            name=f"{dashed}-{digest(inputs)}",
            title=f"student-{dashed}",
            words=f"train student ({strategy.replace('_', ' ')})",
            base=base,
            iterations=settings.base_iterations + settings.joint_iterations,
            crop=settings.crop,
            takes=takes,
            plate_share=settings.plate_share,
            fit=fit,
            frames=frames_to_watch(store, labels, benchmark),
            card={
                "role": "student",
                "kind": strategy,
                "labels": labels["labels"],
                "settings": {**settings.model_dump(), **scribbled},
                "seed": seed,
            },
            labels=labels,
        )
        return train(config, training)

    return run_once(store, "scribble-student", f"{strategy} {labels['labels']}", inputs, work)


scribble_student_task = retryable("train without a teacher", "train student, {strategy}", gpu=True)(scribble_student)
