"""Distillation: the student learns the refined teacher's mattes of new takes (paper section 4.3)."""

from collections.abc import Sequence
from typing import Any

from storage.plates import Stage
from storage.registry import Registry
from storage.root import Root
from storage.take import Take
from tasks.base_folder import load_base_data
from tasks.checkpoint import StoreCheckpointer
from tasks.config import Student
from tasks.models import Ref, described, load_network
from tasks.progress import Progress
from tasks.step import Record, digest, retryable, run_once


def read_pairs(store: str, takes: Sequence[str], run: str) -> Any:
    """Frames, plates and pseudo-labels of whole takes, as training data."""
    from capmat_models.pairs import PairData

    root = Root(store)
    pairs = []
    for name in takes:
        take = Take.open(root, name)
        stage = Stage.open(root, take.stage)
        for camera in take.cameras:
            bgr = stage.plate(camera)
            pairs += [(take.read(camera, frame), bgr, take.read_alpha(run, camera, frame)) for frame in take.frames]
    return PairData(pairs)


def distill(
    store: str,
    base: Ref,
    pseudo: Sequence[Record],
    base_data: str,
    settings: Student,
    seed: int,
    threads: int,
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

    Returns:
        Record with `model` (a Ref) and the training `history`.
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
        from capmat_models.augment import Augmentation
        from capmat_models.distill import DistillConfig, distill_student
        from capmat_models.state import dump_weights

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
            # a fixed rig: the plate is where it was, and as bright as it was
            augmentation=Augmentation(shift=0, jitter=0.5, brightness=0.05, contrast=0.05, saturation=0.05, hue=0.02),
            seed=seed,
        )
        keeper = StoreCheckpointer(store, f"distill-{digest(inputs)}")
        history = distill_student(
            network,
            read_pairs(store, takes, run),
            config,
            base=load_base_data(base_data),
            checkpointer=keeper,
            progress=Progress("distil student", settings.base_iterations + settings.joint_iterations),
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
        return {"model": Ref(name=base["name"], version=version), "history": history}

    return run_once(store, "distill", f"student {run}", inputs, work)


distill_task = retryable("distil", "distil student")(distill)
