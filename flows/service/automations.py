"""What the Prefect server does by itself: start a training when labels arrived, and killed runs once more.

Made here and not in prefect.yaml, for two reasons: the quiet time is a setting, and `prefect deploy` would make the
triggers of its file anew each time, which forgets labels that wait for the quiet time.

A proactive trigger fires when what it expects stays away. Two facts of Prefect 3.8 matter. Without `for_each` such a
trigger fires for ever, so the event carries a constant label for it. And the name of a state event is that of the
state, which flows choose freely ("NothingNew"), so what is expected of a run is any event at all.
"""

from datetime import timedelta
from typing import Any

from flows.service.restarts import AGAIN, BY_SIGNAL, PASSING, REASON, STARTS

EVENT = "capmat.labels.new"
"""Emitted by `flows.service.events` when labels were frozen."""

PENDING_LIMIT = timedelta(minutes=15)
"""A run that its worker took but that did not start for so long will not start any more."""

SILENT_LIMIT = timedelta(minutes=10)
"""A run that gave no sign of life for so long is dead. Ten signs: three proved too few for a busy machine."""


def automations(redistill: Any, quiet_s: int) -> list[Any]:
    """The automations of a working folder.

    Args:
        redistill: id of its deployment.
        quiet_s: seconds without further labels after which a training starts.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState, RunDeployment
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    def silence(after: set[str], expect: set[str], label: str, within: timedelta, match: str) -> Any:
        return EventTrigger(
            after=after,
            expect=expect,
            match={"prefect.resource.id": match},
            for_each={label},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        )

    def of_runs(after: tuple[str, ...], within: timedelta) -> Any:
        events = {f"prefect.flow-run.{name}" for name in after}
        return silence(events, {"prefect.flow-run.*"}, "prefect.resource.id", within, "prefect.flow-run.*")

    def restart(name: str, why: str, event: str, **label: Any) -> Any:
        return AutomationCore(
            name=name,
            description=why,
            trigger=EventTrigger(
                expect={f"prefect.flow-run.{event}"},
                match={"prefect.resource.id": "prefect.flow-run.*", "prefect.run-count": starts, **label},
                match_related={"prefect.resource.role": "deployment"},  # no command, whose terminal tells
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name=AGAIN, message=REASON)],
        )

    starts = [str(n) for n in range(1, STARTS)]
    return [
        restart("restart-crashed", "The run was killed: start it again, a few times.", "Crashed"),
        restart(
            "restart-before-start",
            "The run was killed before it began: start it again.",
            "Crashed",
            **{"prefect.run-count": "0", "prefect.state-message": BY_SIGNAL},
        ),
        restart(
            "restart-unreached",
            "The server or the cluster was killed, not the run: start it again, a few times.",
            "Failed",
            **{"prefect.state-message": PASSING},
        ),
        AutomationCore(
            name="redistill-after-labels",
            description="New labels, then quiet: start redistill. It ends at once if the labels were used already.",
            trigger=silence({EVENT}, {EVENT}, "capmat.kind", timedelta(seconds=quiet_s), "capmat.labels.*"),
            actions=[RunDeployment(source="selected", deployment_id=redistill, parameters={"only_new": True})],
        ),
        AutomationCore(
            name="restart-stuck-pending",
            description="A worker took the run and died: let another take it.",
            trigger=of_runs(("Pending", "Submitting", "InfrastructurePending"), PENDING_LIMIT),
            actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name=AGAIN, message="Its worker died.")],
        ),
        AutomationCore(
            name="crash-silent-running",
            description="The process of the run was killed: say so.",
            trigger=of_runs(("heartbeat", "Running", "Retrying", "Rerunning"), SILENT_LIMIT),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message="No sign of life: its process died.")],
        ),
        AutomationCore(
            name="cancel-stuck-cancelling",
            description="Nobody is left who could end the run: its process died.",
            trigger=silence(
                {"prefect.flow-run.Cancelling"},
                {f"prefect.flow-run.{end}" for end in ("Cancelled", "Completed", "Failed", "Crashed")},
                "prefect.resource.id",
                SILENT_LIMIT,
                "prefect.flow-run.*",
            ),
            actions=[ChangeFlowRunState(state=StateType.CANCELLED, message="Its process died.")],
        ),
    ]


def put_automations(client: Any, quiet_s: int) -> None:
    """Make them, or mend those that differ; one that is as it should be keeps what it has seen so far.

    Args:
        client: Prefect's synchronous client.
        quiet_s: see `automations`.
    """
    redistill = client.read_deployment_by_name("redistill/redistill").id
    for wanted in automations(redistill, quiet_s):
        there = client.read_automations_by_name(wanted.name)
        if not there:
            client.create_automation(wanted)
        elif _said(there[0]) != _said(wanted):
            client.update_automation(there[0].id, wanted)
        for extra in there[1:]:
            client.delete_automation(extra.id)


def _said(automation: Any) -> Any:
    """All that we decide about an automation; the server adds ids."""
    said = automation.model_dump(mode="json", include={"description", "enabled", "trigger", "actions"})
    said["trigger"].pop("id", None)
    return _sorted(said)


def _sorted(value: Any) -> Any:
    """The same with lists in one order, because sets come back in any."""
    if isinstance(value, dict):
        return {key: _sorted(inner) for key, inner in value.items()}
    return sorted((_sorted(inner) for inner in value), key=str) if isinstance(value, list) else value
