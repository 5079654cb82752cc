"""How good models are, on benchmarks: those in use, the base models and any that are named.

Nothing is promoted unless the gate is asked to. The mattes are those of the nights where they are there already; what
is missing is made.
"""

from collections.abc import Sequence
from typing import Any, Literal

from prefect import flow

from capmat_errors import ConfigError, SessionError
from flows.cluster.runner import default_runner
from flows.ingest import ingest_session
from flows.service.restarts import HOOKS
from flows.steps import ask_second, freeze_benchmark, label_run, matte_take, run_name
from storage.benchmark import Benchmark
from storage.registry import Registry
from storage.store.root import Root
from tasks.config import Config
from tasks.matte.provenance import keep_config
from tasks.models.networks import Ref, Run, card_of, champions_task, find_model, inputs_of, register_base_task
from tasks.runtime.form import asked
from tasks.runtime.step import Record
from tasks.validate.measure import check_measurable, measure_task
from tasks.validate.promote import ask_gate_task, check_role, show_verdicts_task
from tasks.validate.report import write_validation_task


@flow(name="validate", flow_run_name=run_name, task_runner=default_runner(), **HOOKS)
def validate(
    models: Sequence[str] = (),
    benchmarks: Sequence[str] = (),
    gate: Literal["", "teacher", "student"] = "",
    promote: bool = False,
    hull: bool = True,
    session: str = "",
    overrides: Sequence[str] = (),
    config: str = "",
) -> dict[str, Any]:
    """Score models on benchmarks, and ask the gate about one if that is wanted.

    Args:
        models: NAME or NAME@VERSION; see `capmat models`. With benchmarks, only these, if any are named; else more
            than the base models and those in use.
        benchmarks: NAME or NAME@VERSION; see `capmat benchmark`. Empty: that of the session, which must have one.
        gate: A role: the one model is measured beside the one in use, and the gate says which is to be in use.
        promote: Put it in use if the gate says so.
        hull: See whether the mattes of all cameras fit together on those frames, which has to matte all of them.
        session: The `session.toml` of a recorded day. Empty: `session` of the settings.
        overrides: Other settings for this run, each as `KEY=VALUE`, such as `supervisor.steps=20`.
        config: File with the settings. Empty: `capmat.toml` of the folder of `capmat up`.

    Returns:
        Record of the comparison, see `tasks.validate.report.write_validation`; with a gate also its `verdict`.

    Raises:
        SessionError: no benchmark was named, and the session has none.
        NotFound: a model or benchmark is unknown.
        ConfigError: a model needs a trimap for every frame; or there is not one challenger for the gate, or not of
            a form that the role can use.
    """
    return _measured(asked(config, overrides, session=session), models, benchmarks, gate, promote, hull)


def _measured(
    config: Config, models: Sequence[str], benchmarks: Sequence[str], gate: str, promote: bool, hull: bool
) -> dict[str, Any]:
    """Measure with settings that were read; arguments and result as in `validate`."""
    named, chosen = asked_for(config, models, benchmarks, gate)
    # A benchmark by hand needs no base models, and the first model of a role nothing to beat.
    base: Record = {} if gate and chosen else register_base_task(config.store, config.weights, config.architectures)
    if gate:
        rows = contest(config.store, gate, named)
    else:
        rows = contestants(base, champions_task(config.store), named)
        if chosen:
            rows = {row: item for row, item in rows.items() if not named or item[1] in named}
    chosen = chosen or [_of_session(config, base, rows)]
    settings = keep_config(config)
    box = config.reconstruction if hull else None
    opinions = {bench: ask_second(config, bench) for bench in chosen if config.supervisor.second}
    futures = {
        row: measure_task.submit(config.store, chosen, Run(role, model, config.tile(role), config=settings), box)
        for row, (role, model) in rows.items()
    }
    label_run(*("@".join(bench) for bench in chosen), *(f"{m['name']}@{m['version']}" for _, m in rows.values()))
    measured = {row: future.result() for row, future in futures.items()}
    doubts = {"@".join(bench): opinion.result() for bench, opinion in opinions.items()}
    done = dict(write_validation_task(config.store, measured, doubts))
    if gate:
        done["verdict"] = ask_gate_task(config.store, gate, measured, config.gate, promote, doubts)
        show_verdicts_task(config.store, [done["verdict"]])
    return done


def asked_for(
    config: Config, models: Sequence[str], benchmarks: Sequence[str], gate: str
) -> tuple[list[Ref], list[tuple[str, str]]]:
    """The models, and names and versions of the benchmarks, that are meant; arguments and errors as in `validate`.

    Looks at cards alone, so that it can be asked before anything is started.
    """
    opened = [Benchmark.open(Root(config.store), *_split(name)) for name in dict.fromkeys(benchmarks)]
    named = [find_model(config.store, config.weights, name) for name in models]
    for model in named:
        check_measurable(config.store, model)
    if gate:
        contest(config.store, gate, named)
    return named, [(frozen.name, frozen.version) for frozen in opened]


def contest(store: str, role: str, named: Sequence[Ref]) -> dict[str, tuple[str, Ref]]:
    """The rows of a challenger and of the model in use for a role, which a first model does not have.

    Raises:
        ConfigError: not one challenger was named, it is in use already, or it is of another form.
    """
    if len(named) != 1:
        raise ConfigError("asks about one model", where=f"--gate {role}", fix="Name the challenger, and no other.")
    (challenger,) = named
    check_role(role, challenger, inputs_of(card_of(store, challenger)))
    in_use = Registry(Root(store)).champion(role)
    if in_use == (challenger["name"], challenger["version"]):
        raise ConfigError(f"{'@'.join(in_use)} is in use already", where=f"--gate {role}", fix="Name another.")
    rows = {"challenger": (role, challenger)}
    return {"champion": (role, Ref(name=in_use[0], version=in_use[1])), **rows} if in_use else rows


def _of_session(config: Config, base: Record, rows: dict[str, tuple[str, Ref]]) -> tuple[str, str]:
    """The benchmark of the session, after its take was ingested and matted, cameras side by side."""
    plan, takes = ingest_session(config)
    if not plan["benchmark"]:
        raise SessionError(
            "has no [benchmark]", where=config.session, fix="Name a take and its trimaps there, or use --benchmark."
        )
    take = takes[plan["benchmark"]]
    made = freeze_benchmark(config, base, take).result()
    for future in [future for role, model in rows.values() for future in matte_take(config, take, role, model)]:
        future.result()
    return made["benchmark"], made["version"]


def _split(name: str) -> tuple[str, str | None]:
    first, _, version = name.partition("@")
    return first, version or None


def contestants(base: Record, in_use: dict[str, Ref], named: Sequence[Ref]) -> dict[str, tuple[str, Ref]]:
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
