"""The inference of one take as tasks, some cameras each."""

from collections.abc import Sequence
from typing import Any

from tasks.config import Config
from tasks.matte.provenance import keep_config
from tasks.matte.take import matte_task, open_run_task
from tasks.models.networks import Ref
from tasks.runtime.step import Record


def matte_take(config: Config, take: Record, role: str, model: Ref, frames: Sequence[int] = ()) -> list[Any]:
    """Start the inference tasks of one take, some cameras each; returns their futures."""
    tile = config.tile(role)
    open_run_task(config.store, take["take"], role, model, tile, keep_config(config))
    cameras, size = take["cameras"], config.cameras_per_task
    return [
        matte_task.submit(
            config.store,
            take["take"],
            cameras[i : i + size],
            list(frames) or take["frames"],
            role,
            model,
            take["digest"],
            tile=tile,
        )
        for i in range(0, len(cameras), size)
    ]
