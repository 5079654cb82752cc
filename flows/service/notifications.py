"""Messages about runs that failed or need a human: the Prefect server sends them through the blocks of `[notify]`.

People make a block in the UI or with the Prefect CLI and name it in the settings. Its address or password stays
encrypted in the server's database; nothing here reads it. Only runs of deployments are reported, since whoever
types a command sees how it ends.
"""

import socket
import sys
from datetime import timedelta
from typing import Any

from tasks.config import Config

NAME = "tell-people"
"""Name of the automation."""

STATES = ("Failed", "TimedOut", "Crashed", "NeedsHuman")
"""Names of the states that are reported."""

_WEBHOOK = "webhook"  # the one type of block that sends what it is given, instead of a subject and a body
# The message of an error of capmat says what happened, where, and what to do.
_SUBJECT = "capmat on {host}: {{{{ flow_run.name }}}}: {{{{ flow_run.state.name }}}}"
_BODY = """{{ flow_run.state.message }}
{% if flow_run.state.name != "NeedsHuman" %}
The finished part of the run is kept. Started again, the run continues from there.
{% endif %}
Run: {{ flow_run|ui_url }}"""
_PAYLOAD = """{{
  "host": "{host}",
  "run": {{{{ flow_run.name|tojson }}}},
  "state": {{{{ flow_run.state.name|tojson }}}},
  "message": {{{{ flow_run.state.message|tojson }}}},
  "url": {{{{ flow_run|ui_url|tojson }}}}
}}"""


def notify(config: Config) -> bool:
    """Let the server send to the blocks of the settings, and to no others; prints those that do not exist.

    Needs Prefect's variables in the environment and a server that answers.

    Returns:
        Whether every block exists. If one is missing, the others are used all the same: a night is worth more than
        the message about it.
    """
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    with get_client(sync_client=True) as client:
        actions, wrong = [], []
        for block in config.notify.blocks:
            action, why = _action(client, block)
            actions += [action] if action else []
            wrong += [f"notify.blocks: {block} {why}"] if why else []
        existing = client.read_automations_by_name(NAME)
        if actions:
            wanted = AutomationCore(
                name=NAME,
                description="A run failed or needs a human: tell the blocks of [notify] in capmat.toml.",
                # A busy database makes the server read an event twice; within this time it counts once.
                trigger=EventTrigger(
                    for_each={"prefect.resource.id"},
                    within=timedelta(minutes=1),
                    expect={f"prefect.flow-run.{state}" for state in STATES},
                    match={"prefect.resource.id": "prefect.flow-run.*"},
                    match_related={"prefect.resource.role": "deployment"},
                    posture=Posture.Reactive,
                    threshold=1,
                ),
                actions=actions,
            )
            # Updated each time: it has no count that could be lost.
            if existing:
                client.update_automation(existing[0].id, wanted)
            else:
                client.create_automation(wanted)
        for extra in existing[1 if actions else 0 :]:
            client.delete_automation(extra.id)
        if wrong:
            page = client.api_url.copy_with(path="/blocks")
            fix = f"Make it at {page}, then `capmat up` again; see docs/automation.md"
            sys.stderr.write("".join(f"capmat: {line}. {fix}\n" for line in wrong))
    return not wrong


def _action(client: Any, block: str) -> tuple[Any, str]:
    """How the server sends through one block, and "", or None and why it cannot."""
    from prefect.events.actions import CallWebhook, SendNotification
    from prefect.exceptions import ObjectNotFound

    host = socket.gethostname()
    kind, _, name = block.partition("/")
    try:
        document = client.read_block_document_by_name(name, kind, include_secrets=False)
    except ObjectNotFound:
        return None, "does not exist"
    if kind == _WEBHOOK:
        return CallWebhook(block_document_id=document.id, payload=_PAYLOAD.format(host=host)), ""
    if "notify" not in document.block_schema.capabilities:
        return None, "cannot send notifications"
    return SendNotification(block_document_id=document.id, subject=_SUBJECT.format(host=host), body=_BODY), ""
