"""Pictures and tables as Prefect artifacts, so that people see them beside the run that made them."""

import re
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import TaskRunContext

from tasks.show.markdown import picture
from tasks.show.sheet import at_most

ARTIFACT_BYTES = 300_000
"""Limit of one artifact: the UI's list of artifacts loads all of them in full."""


def show(
    key: str,
    title: str,
    jpeg: bytes,
    note: str = "",
    curves: str = "",
    before: UUID | None = None,
    *,
    of_task: bool = False,
) -> UUID | None:
    """Put a picture beside the flow run in the Prefect UI; outside a task nothing happens.

    Args:
        key: name of the artifact; the UI lists all that have it, the newest first.
        title: what the picture shows.
        jpeg: the picture.
        note: markdown above it.
        curves: an SVG document below it.
        before: what an earlier call returned; its picture is replaced, so that a long task shows one.
        of_task: put it beside the task alone. A run has few pictures of its own, and the UI shows those first.

    Returns:
        What to hand to the next call as `before`.
    """
    if TaskRunContext.get() is None:
        return None
    text = picture_text(title, jpeg, note, curves)
    if before is None:
        return show_text(key, title, text, of_task=of_task)
    with get_client(sync_client=True) as client:
        client.update_artifact(before, ArtifactUpdate(data=text, description=title))
    return before


def show_text(key: str, title: str, text: str, *, of_task: bool = False) -> UUID | None:
    """Put markdown beside the flow run in the Prefect UI; see `show`."""
    context = TaskRunContext.get()
    if context is None:
        return None
    run = context.task_run
    artifact = ArtifactCreate(
        key=artifact_key(key),
        type="markdown",
        description=title,
        data=text,
        flow_run_id=run.flow_run_id,
        task_run_id=run.id if of_task else None,
    )
    with get_client(sync_client=True) as client:
        return client.create_artifact(artifact).id


def artifact_key(words: str) -> str:
    """A key that Prefect accepts: small letters, digits and dashes. A take may have any name."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def picture_text(title: str, jpeg: bytes, note: str = "", curves: str = "") -> str:
    """Markdown that holds its pictures itself, in at most `ARTIFACT_BYTES`; see `show`."""
    drawn = picture("curves", curves.encode(), "svg+xml") if curves else ""
    room = (ARTIFACT_BYTES - len(note) - len(drawn)) * 3 // 4 - 200  # base64 makes four bytes of three
    return "\n\n".join(filter(None, (note, picture(title, at_most(jpeg, room)), drawn)))


def where_text(url: str) -> str:
    """Where a report lies, as markdown to copy: browsers follow no link from a web page to a file."""
    return f"The whole report: `{url if '://' in url else f'file://{url}'}`"
