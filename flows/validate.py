"""How good the models are: those in use, the base models and any that are named, on the session's benchmark.

Nothing is promoted. The mattes are those of the nights where they are there already; what is missing is made.
"""

from collections.abc import Sequence
from typing import Any

from prefect import flow

from capmat_errors import SessionError
from flows.again import HOOKS
from flows.cluster import default_runner
from flows.ingest import ingest_session
from flows.matte_take import matte_take
from flows.run_names import session_name
from tasks.config import Config, load_config
from tasks.look import show_validation_task
from tasks.models import Ref, champions_task, find_model, register_base_task, run_name
from tasks.supervise import make_benchmark_task
from tasks.validate import validate_task


@flow(name="validate", flow_run_name=session_name, task_runner=default_runner(), **HOOKS)
def validate(config: Config | None = None, models: Sequence[str] = ()) -> dict[str, Any]:
    """Score models on the benchmark of the session.

    Args:
        config: the settings; the session must have a `[benchmark]`.
        models: NAME or NAME@VERSION of more models; see `capmat models`.

    Returns:
        Record of the validation, with `rows` (model by row) and `runs` (alpha run by row).

    Raises:
        SessionError: the session has no benchmark.
        NotFound: there is no such model.
        ConfigError: a model needs a trimap for every frame.
    """
    config = config or load_config()
    plan, takes = ingest_session(config)
    if not plan["benchmark"]:
        raise SessionError("has no [benchmark]", where=config.session, fix="Name a take and its trimaps there")
    base = register_base_task(config.store, config.weights, config.architectures)
    named = [find_model(config.store, config.weights, name) for name in models]
    rows = contestants(base, champions_task(config.store), named)
    take = takes[plan["benchmark"]]
    benchmark = make_benchmark_task.submit(
        config.store, config.session, base["supervisor"], take["digest"], config.supervisor.steps, config.seed
    )
    futures = [future for role, model in rows.values() for future in matte_take(config, take, role, model)]
    runs = {row: run_name(role, model, config.tile(role)) for row, (role, model) in rows.items()}
    mattes = [future.result() for future in futures]
    scores = validate_task(config.store, benchmark.result(), runs, mattes)
    show_validation_task(config.store, benchmark.result(), scores, runs)
    return {**scores, "rows": {row: model for row, (_, model) in rows.items()}, "runs": runs}


def contestants(base: dict[str, Ref], in_use: dict[str, Ref], named: Sequence[Ref]) -> dict[str, tuple[str, Ref]]:
    """Row -> role and model, each model once: base and in use of both roles, then those that were named.

    Args:
        base: base models by role.
        in_use: models in use by role.
        named: others. They matte in runs of their own name, unless they are among the rest.
    """
    rows: dict[str, tuple[str, Ref]] = {}
    for role in ("teacher", "student"):
        rows[f"{role}_base"] = (role, base[role])
        if in_use[role] != base[role]:
            rows[f"{role}_in_use"] = (role, in_use[role])
    for model in named:
        if model not in [known for _, known in rows.values()]:
            rows[f"{model['name']}@{model['version']}"] = (model["name"], model)
    return rows
