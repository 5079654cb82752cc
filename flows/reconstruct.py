"""What a matte is worth: one frame as a radiance field, with base and with refined mattes (paper section 5.4)."""

from typing import Any

from prefect import flow

from flows.again import HOOKS
from flows.cluster import default_runner
from flows.ingest import ingest_session
from flows.run_names import session_name
from tasks.config import Config, load_config
from tasks.models import champions_task, register_base_task, run_name
from tasks.rebuild import judge_task, rebuild_task
from tasks.supervise import make_benchmark_task


@flow(name="reconstruct", flow_run_name=session_name, task_runner=default_runner(), **HOOKS)
def reconstruct(config: Config | None = None, base_run: str = "", refined_run: str = "") -> dict[str, Any]:
    """Reconstruct the first benchmark frame twice and compare the held-out cameras.

    Args:
        config: the settings.
        base_run: alpha run of the model before the round. Empty: the base student's.
        refined_run: alpha run of the model after it. Empty: that of the student in use.

    Returns:
        Record with `base` and `refined` scores, the black image's PSNR, the backend and the held-out cameras.
    """
    config = config or load_config()
    plan, takes = ingest_session(config)
    base = register_base_task(config.store, config.weights, config.architectures)
    if not (base_run and refined_run):
        base_run = base_run or run_name("student", base["student"])
        refined_run = refined_run or run_name("student", champions_task(config.store)["student"])
    take = takes[plan["benchmark"]]
    frame = take["frames"][0]
    fields = {
        name: rebuild_task.submit(config.store, take, frame, run, config.reconstruction, config.seed)
        for name, run in (("base", base_run), ("refined", refined_run))
    }
    benchmark = make_benchmark_task.submit(
        config.store, config.session, base["supervisor"], take["digest"], config.supervisor.steps, config.seed
    )
    done = {name: future.result() for name, future in fields.items()}
    return judge_task(config.store, take["take"], frame, done, benchmark.result())
