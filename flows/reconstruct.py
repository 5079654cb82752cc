"""What a matte is worth: one frame as a radiance field, with two sets of mattes (paper section 5.4).

Without names it compares the two students of the gate's newest verdict and stores the figures beside the verdict:
what the benchmark calls better should be better downstream. The frame is the first of the benchmark take, or of the
first take where the session has no benchmark.
"""

from collections.abc import Sequence
from typing import Any, cast

from prefect import flow
from prefect.states import Completed

from flows.cluster.runner import default_runner
from flows.ingest import ingest_session
from flows.service.restarts import HOOKS
from flows.steps import freeze_benchmark, matte_take, run_name, start_fields
from tasks.config import Config
from tasks.geometry.reconstruct import judge_task
from tasks.models.networks import Run, register_base_task
from tasks.runtime.form import asked
from tasks.runtime.step import Record
from tasks.validate.promote import keep_reconstruction_task, newest_pair_task

NOTHING_TO_COMPARE = "NothingToCompare"
"""Name of the state in which a run ends when only the base student was ever judged."""


@flow(name="reconstruct", flow_run_name=run_name, task_runner=default_runner(), **HOOKS)
def reconstruct(
    base_run: str = "", refined_run: str = "", session: str = "", overrides: Sequence[str] = (), config: str = ""
) -> Record:
    """Reconstruct one frame twice and compare the held-out cameras.

    Args:
        base_run: Alpha run of the model before a round, with `refined_run`. Empty: of the newest verdict's champion.
        refined_run: Alpha run of the model after it.
        session: The `session.toml` of a recorded day. Empty: `session` of the settings.
        overrides: Other settings for this run, each as `KEY=VALUE`, such as `reconstruction.preset=quick`.
        config: File with the settings. Empty: `capmat.toml` of the folder of `capmat up`.

    Returns:
        Record with `base` and `refined` scores, the black image's PSNR, the backend and the held-out cameras. None
        if only the base student was ever judged.
    """
    return _compared(asked(config, overrides, session=session), base_run, refined_run)


def _compared(config: Config, base_run: str, refined_run: str) -> Record:
    plan, takes = ingest_session(config)
    base = register_base_task(config.store, config.weights, config.architectures)
    take = takes[plan["benchmark"]] if plan["benchmark"] else next(iter(takes.values()))
    pair = newest_pair_task(config.store, "student", base["student"])
    models = (pair["base"], pair["refined"])
    judged_runs = tuple(Run("student", model).name for model in models)
    if not (base_run and refined_run):
        if models[0] == models[1]:
            state: Any = Completed(name=NOTHING_TO_COMPARE, message="Only the base student was ever judged.")
            return cast(Record, state)  # Prefect takes a state for how the run ends
        for future in [future for model in models for future in matte_take(config, take, "student", model)]:
            future.result()
        base_run, refined_run = judged_runs
    started = start_fields(config, take, {"base": base_run, "refined": refined_run})
    benchmark = freeze_benchmark(config, base, take).result() if plan["benchmark"] else None
    fields = {name: future.result() for name, future in started.items()}
    judged = judge_task(config.store, take["take"], take["frames"][0], fields, benchmark)
    if pair["verdict"] and (base_run, refined_run) == judged_runs:
        keep_reconstruction_task(config.store, "student", pair["verdict"], judged)
    return judged
