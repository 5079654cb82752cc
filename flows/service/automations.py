"""What the Prefect server does by itself: it starts a training when labels arrive, and restarts killed runs.

This is not in prefect.yaml, for two reasons. The quiet time is a setting, and `prefect deploy` makes the triggers
of its file anew each time, which forgets labels that wait for the quiet time.

A proactive trigger fires when the expected event does not come. Two facts of Prefect 3.8 matter. Without `for_each`
such a trigger fires for ever, so the event carries a constant label for it. And a state event is named after its
state, which flows choose freely ("NothingNew"), so of a run any event at all is expected.
"""

import sys
from datetime import timedelta
from typing import Any

from flows.service.restarts import AGAIN, BY_SIGNAL, PASSING, REASON, STARTS

EVENT = "capmat.labels.new"
"""Emitted by `flows.service.events` when labels were frozen."""

ON_LABELS = "redistill-after-labels"
"""Name of the automation that hears it."""

PENDING_LIMIT = timedelta(minutes=15)
"""A run that its worker took, but that did not start within this time, will not start any more."""

SILENT_LIMIT = timedelta(minutes=10)
"""A run without a sign of life for this long is dead. It is ten signs: three proved too few on a busy machine."""


def automations(redistill: Any, quiet_s: int) -> list[Any]:
    """The automations of a working folder.

    Args:
        redistill: id of its deployment; None if prefect.yaml has none, so that labels start nothing.
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
                match_related={"prefect.resource.role": "deployment"},  # not a command, whose terminal tells
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name=AGAIN, message=REASON)],
        )

    def on_labels() -> Any:
        return AutomationCore(
            name=ON_LABELS,
            description="New labels, then quiet: start redistill. It ends at once if the labels were used already.",
            trigger=silence({EVENT}, {EVENT}, "capmat.kind", timedelta(seconds=quiet_s), "capmat.labels.*"),
            actions=[RunDeployment(source="selected", deployment_id=redistill, parameters={"only_new": True})],
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
        *([on_labels()] if redistill else []),
        AutomationCore(
            name="restart-stuck-pending",
            description="A worker took the run and died: let another take it.",
            trigger=of_runs(("Pending", "Submitting", "InfrastructurePending"), PENDING_LIMIT),
            actions=[ChangeFlowRunState(state=StateType.SCHEDULED, name=AGAIN, message="Its worker died.")],
        ),
        AutomationCore(
            name="crash-silent-running",
            description="The process of the run was killed: mark the run as crashed.",
            trigger=of_runs(("heartbeat", "Running", "Retrying", "Rerunning"), SILENT_LIMIT),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message="No sign of life: its process died.")],
        ),
        AutomationCore(
            name="cancel-stuck-cancelling",
            description="The process of the run died before it could end the run: end it.",
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
    """Create or update the automations; one that is up to date keeps what it has seen so far.

    Args:
        client: Prefect's synchronous client.
        quiet_s: see `automations`.
    """
    from prefect.exceptions import ObjectNotFound

    try:
        redistill = client.read_deployment_by_name("redistill/redistill").id
    except ObjectNotFound:
        redistill = None
        sys.stderr.write("capmat: prefect.yaml has no deployment `redistill`, so new labels start no training\n")
        for old in client.read_automations_by_name(ON_LABELS):
            client.delete_automation(old.id)
    for wanted in automations(redistill, quiet_s):
        existing = client.read_automations_by_name(wanted.name)
        if not existing:
            client.create_automation(wanted)
            continue
        wanted.enabled = existing[0].enabled  # what a person switched off stays off
        if _decided(existing[0]) != _decided(wanted):
            client.update_automation(existing[0].id, wanted)
        for extra in existing[1:]:
            client.delete_automation(extra.id)


def _decided(automation: Any) -> Any:
    """What we decide about an automation; the server adds ids."""
    decided = automation.model_dump(mode="json", include={"description", "enabled", "trigger", "actions"})
    decided["trigger"].pop("id", None)
    return _sorted(decided)


def _sorted(value: Any) -> Any:
    """The value with its lists sorted, because sets come back in any order."""
    if isinstance(value, dict):
        return {key: _sorted(inner) for key, inner in value.items()}
    return sorted((_sorted(inner) for inner in value), key=str) if isinstance(value, list) else value
