"""What a matte is worth: one frame as a radiance field, with two sets of mattes (paper section 5.4).

Without names it compares the two students of the gate's newest verdict, on the first frame of the benchmark take (of
the first take, where the session has no benchmark), and puts the figures beside the verdict: what the benchmark calls
better should be better downstream.
"""

from typing import Any, cast

from prefect import flow
from prefect.states import Completed

from flows.cluster.runner import default_runner
from flows.ingest import ingest_session
from flows.service.restarts import HOOKS
from flows.steps import matte_take, session_name
from tasks.config import Config
from tasks.geometry.reconstruct import judge_task, reconstruct_task
from tasks.models.networks import Run, register_base_task
from tasks.runtime.settings import load_config
from tasks.runtime.step import Record
from tasks.validate.promote import keep_reconstruction_task, newest_pair_task
from tasks.validate.supervise import make_benchmark_task

NOTHING_TO_COMPARE = "NothingToCompare"
"""Name of the state in which a run ends when the base student is in use and nothing else was ever judged."""


@flow(name="reconstruct", flow_run_name=session_name, task_runner=default_runner(), **HOOKS)
def reconstruct(config: Config | None = None, base_run: str = "", refined_run: str = "") -> Record:
    """Reconstruct one frame twice and compare the held-out cameras.

    Args:
        config: the settings.
        base_run: alpha run of the model before the round; with `refined_run`. Empty: as the module says.
        refined_run: alpha run of the model after it.

    Returns:
        Record with `base` and `refined` scores, the black image's PSNR, the backend and the held-out cameras. None
        when there is nothing to compare.
    """
    config = config or load_config()
    plan, takes = ingest_session(config)
    base = register_base_task(config.store, config.weights, config.architectures)
    take = takes[plan["benchmark"]] if plan["benchmark"] else next(iter(takes.values()))
    frame = take["frames"][0]
    pair = newest_pair_task(config.store, "student", base["student"])
    judged_runs = tuple(Run("student", pair[row]).name for row in ("base", "refined"))
    if not (base_run and refined_run):
        if pair["base"] == pair["refined"]:
            state: Any = Completed(name=NOTHING_TO_COMPARE, message="Nothing but the base student was ever judged.")
            return cast(Record, state)  # which Prefect takes for what it says
        mattes = [f for row in ("base", "refined") for f in matte_take(config, take, "student", pair[row])]
        for matte in mattes:
            matte.result()
        base_run, refined_run = judged_runs
    fields = {
        name: reconstruct_task.submit(config.store, take, frame, run, config.reconstruction, config.seed)
        for name, run in (("base", base_run), ("refined", refined_run))
    }
    benchmark = None
    if plan["benchmark"]:
        benchmark = make_benchmark_task.submit(
            config.store, config.session, base["supervisor"], take["digest"], config.supervisor.steps, config.seed
        ).result()
    done = {name: future.result() for name, future in fields.items()}
    judged = judge_task(config.store, take["take"], frame, done, benchmark)
    if pair["verdict"] and (base_run, refined_run) == judged_runs:
        keep_reconstruction_task(config.store, "student", pair["verdict"], judged)
    return judged
