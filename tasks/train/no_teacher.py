"""Students without a teacher: the two losing strategies of the paper's Table 2, to compare distillation with."""

from typing import TYPE_CHECKING, Any

from storage.registry import Registry
from storage.store.root import Root
from tasks.config import Student, Teacher
from tasks.labels.in_use import LabelsRecord
from tasks.models.networks import Ref, described, load_network
from tasks.runtime.checkpoint import StoreCheckpointer
from tasks.runtime.progress import Progress
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.train.base_data import load_base_data
from tasks.train.held_back import compared, label_error
from tasks.train.student import FIXED_RIG
from tasks.train.teacher import frames_to_watch, read_scribbles
from tasks.train.watch import hold_out, watch

if TYPE_CHECKING:
    from capmat_models.training.no_teacher import Strategy


def scribble_student(
    store: str,
    strategy: "Strategy",
    base: Ref,
    labels: LabelsRecord,
    base_data: str,
    settings: Student,
    mix: Teacher,
    seed: int,
    threads: int,
    benchmark: Record | None = None,
) -> Record:
    """Train a student on base data and scribbles alone, and register the result.

    Args:
        store: URL of the store.
        strategy: `scribbles_only` or `frozen_refiner`; becomes the `kind` of the model.
        base: the student to start from.
        labels: record of the label set.
        base_data: folder of foregrounds and backgrounds.
        settings: iterations, batch, crop, rates. The second stage has `joint_iterations`, so that every strategy
            takes as many steps as distillation.
        mix: share and weight of the scribbles, those of the teacher.
        seed: start of the sampler.
        threads: torch threads.
        benchmark: record of a benchmark on which the training is looked at; it has no influence on the result.

    Returns:
        Record with `model` (a Ref), the training `history`, and `pictures` of it (keys of `sheet` and `curves`);
        where labels are kept back, `label_error` before and after, see there.
    """
    inputs = {
        "strategy": strategy,
        "base": base,
        "labels": labels["digest"],
        "settings": settings.model_dump(),
        "share": mix.scribble_share,
        "weight": mix.scribble_weight,
        "seed": seed,
    }

    def work() -> dict[str, Any]:
        from capmat_models.data.augment import Augmentation
        from capmat_models.training.no_teacher import ScribbleStudentConfig, train_scribble_student
        from capmat_models.weights.state import dump_weights

        network = load_network(store, base, threads, fresh=True)
        config = ScribbleStudentConfig(
            base_iterations=settings.base_iterations,
            second_iterations=settings.joint_iterations,
            batch=settings.batch,
            crop=settings.crop,
            lr_scale=settings.lr_scale,
            decay=settings.decay,
            scribble_share=mix.scribble_share,
            scribble_weight=mix.scribble_weight,
            augmentation=Augmentation(**FIXED_RIG),
            seed=seed,
        )
        name = f"{strategy.replace('_', '-')}-{digest(inputs)}"
        iterations = settings.base_iterations + settings.joint_iterations
        learn, held = hold_out(load_base_data(base_data))
        look = watch(
            Root(store),
            name,
            f"student-{strategy.replace('_', '-')}",
            network,
            frames_to_watch(store, labels, benchmark),
            held,
            iterations=iterations,
            crop=settings.crop,
        )
        before = label_error(store, labels, network)
        keeper = StoreCheckpointer(store, name)
        history = train_scribble_student(
            strategy,
            network,
            learn,
            read_scribbles(store, labels),
            config,
            checkpointer=keeper,
            progress=Progress(f"train student ({strategy.replace('_', ' ')})", iterations),
            validate=look.validate,
            validate_every=look.every,
        )
        error = compared(before, label_error(store, labels, network))
        card = {
            **described(network),
            "role": "student",
            "kind": strategy,
            "parent": base,
            "labels": labels["labels"],
            "settings": {**settings.model_dump(), "share": mix.scribble_share, "weight": mix.scribble_weight},
            "seed": seed,
            **error,
        }
        version = Registry(Root(store)).add(base["name"], dump_weights(network), card)
        keeper.forget()
        model = Ref(name=base["name"], version=version)
        return {"model": model, "history": history, "pictures": look.pictures, **error}

    return run_once(store, "scribble-student", f"{strategy} {labels['labels']}", inputs, work)


scribble_student_task = retryable("train without a teacher", "train student, {strategy}", gpu=True)(scribble_student)
