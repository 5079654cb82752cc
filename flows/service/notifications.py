"""Who hears of a run that failed or needs a human: the blocks of `[notify]`, called by the Prefect server itself.

People make a block in the UI or with the Prefect CLI and name it in the settings. The address or password that it
holds stays in the server's database, encrypted; nothing here asks for it. Only runs of deployments are told of:
whoever types a command sees how it ends.
"""

import socket
import sys
from datetime import timedelta
from typing import Any

from tasks.config import Config

NAME = "tell-people"
"""Of the automation."""

STATES = ("Failed", "TimedOut", "Crashed", "NeedsHuman")
"""Names of the states that are told of."""

_WEBHOOK = "webhook"  # the one type of block that sends what it is given, instead of a subject and a body
# What happened, where and what to do is in the message: an error of capmat is made of these three.
_SUBJECT = "capmat on {host}: {{{{ flow_run.name }}}}: {{{{ flow_run.state.name }}}}"
_BODY = """{{ flow_run.state.message }}
{% if flow_run.state.type != "COMPLETED" %}
What the run had finished is kept. Started again, it goes on behind it.
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
    """Let the server tell the blocks of the settings, and nobody else; says which of them cannot be told.

    Needs Prefect's variables in the environment and a server that answers.

    Returns:
        Whether every block is there. Where one is not, the others are told all the same: a night is worth more than
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
        there = client.read_automations_by_name(NAME)
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
            # Made anew each time: it counts nothing that could be lost.
            if there:
                client.update_automation(there[0].id, wanted)
            else:
                client.create_automation(wanted)
        for extra in there[1 if actions else 0 :]:
            client.delete_automation(extra.id)
        if wrong:
            page = client.api_url.copy_with(path="/blocks")
            fix = f"Make it at {page}, then `capmat up` again; see docs/operate.md"
            sys.stderr.write("".join(f"capmat: {line}. {fix}\n" for line in wrong))
    return not wrong


def _action(client: Any, block: str) -> tuple[Any, str]:
    """What the server does with one block; or why it can do nothing."""
    from prefect.events.actions import CallWebhook, SendNotification
    from prefect.exceptions import ObjectNotFound

    host = socket.gethostname()
    kind, _, name = block.partition("/")
    try:
        found = client.read_block_document_by_name(name, kind, include_secrets=False)
    except ObjectNotFound:
        return None, "does not exist"
    if kind == _WEBHOOK:
        return CallWebhook(block_document_id=found.id, payload=_PAYLOAD.format(host=host)), ""
    if "notify" not in found.block_schema.capabilities:
        return None, "is no block that can notify"
    return SendNotification(block_document_id=found.id, subject=_SUBJECT.format(host=host), body=_BODY), ""
