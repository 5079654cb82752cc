"""What a new prefect.yaml does to the server: a schedule that a person paused stays paused, what the file lost goes.

`prefect deploy` makes the schedules of the file anew, all of them active, and leaves what the file no longer has. So
the ids of what came from the file are kept beside the database. Whatever has another id was made by a person.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from flows.service.access import home
from storage.store.json_file import FileDamaged, object_of

Kept = dict[str, list[str]]
"""Ids of deployments that came from a prefect.yaml, each with those of its schedules."""


def _note() -> Any:
    return home() / "deployed.json"


def noted() -> tuple[str, Kept]:
    """What the last prefect.yaml depended on, and what came from it; nothing if none was registered."""
    try:
        note = object_of(_note().read_bytes(), str(_note()), of=str, kept=dict)
    except (FileNotFoundError, FileDamaged):  # missing, or its writer was killed
        return "", {}
    return note["of"], note["kept"]


def note(of: str, kept: Kept) -> None:
    """Remember what a prefect.yaml depended on, and what came from it."""
    _note().write_text(json.dumps({"of": of, "kept": kept}))


def deployments_of(client: Any, pool: str) -> list[Any]:
    """The deployments of a work pool."""
    from prefect.client.schemas.filters import WorkPoolFilter

    return list(client.read_deployments(work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [pool]}})))


def paused(deployments: list[Any]) -> set[tuple[Any, str]]:
    """What a person paused: deployments, with "", and their schedules, by what they say."""
    schedules = {(d.id, _says(s)) for d in deployments for s in d.schedules if not s.active}
    return schedules | {(d.id, "") for d in deployments if d.paused}


def pause(client: Any, deployments: list[Any], before: set[tuple[Any, str]]) -> None:
    """Pause what was paused before it was made anew."""
    for deployment in deployments:
        if (deployment.id, "") in before and not deployment.paused:
            client.pause_deployment(deployment.id)
        for schedule in deployment.schedules:
            if schedule.active and (deployment.id, _says(schedule)) in before:
                client.update_deployment_schedule(deployment.id, schedule.id, active=False)


def _says(schedule: Any) -> str:
    return str(schedule.slug or schedule.schedule.model_dump_json(exclude={"anchor_date"}))


def drop(client: Any, deployments: list[Any], file: dict[str, bool], before: Kept) -> Kept:
    """Delete what came from the last prefect.yaml and is not in this one; name what a person made.

    Args:
        client: Prefect's synchronous client.
        deployments: those of the server, after this file was registered.
        file: names of its deployments, and whether each has schedules there.
        before: what came from the last file.

    Returns:
        What came from this file.
    """
    kept: Kept = {}
    for deployment in deployments:
        name, key = deployment.name, str(deployment.id)
        if name not in file:
            if key in before:
                client.delete_deployment(deployment.id)
            _tell(f"the deployment {name}", key in before)
        elif file[name]:
            kept[key] = [str(schedule.id) for schedule in deployment.schedules]
        else:
            kept[key] = []
            for schedule in deployment.schedules:
                ours = str(schedule.id) in before.get(key, [])
                if ours:
                    client.delete_deployment_schedule(deployment.id, schedule.id)
                _tell(f"a schedule of the deployment {name}", ours)
    return kept


def _tell(what: str, removed: bool) -> None:
    sys.stderr.write(f"capmat: {what} is not in prefect.yaml{' any more, and was removed' if removed else ''}\n")


def only_the_newest(client: Any, pool: str) -> None:
    """Of the scheduled runs that a deployment missed while nothing was up, leave the newest and cancel the others."""
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.states import Cancelled

    late = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate(
            {
                "state": {"name": {"any_": ["Scheduled", "Late"]}},
                "expected_start_time": {"before_": datetime.now(UTC)},
            }
        ),
        work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [pool]}}),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
    )
    newest: set[Any] = set()
    for run in (run for run in late if run.auto_scheduled):
        work = run.deployment_id, str(run.parameters)
        if work in newest:
            client.set_flow_run_state(run.id, Cancelled(message="It was missed, and so was a newer one, which runs."))
        newest.add(work)
