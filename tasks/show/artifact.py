"""Pictures and tables as Prefect artifacts, so that people see them beside the run that made them."""

import base64
import re
from typing import cast
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.context import TaskRunContext

from tasks.show.sheet import at_most

ARTIFACT_BYTES = 300_000
"""Most that one artifact may hold. The UI's list of artifacts loads them all in full."""


def show(
    key: str, title: str, jpeg: bytes, note: str = "", curves: str = "", before: UUID | None = None
) -> UUID | None:
    """Put a picture beside the run in the Prefect UI; outside a task nothing happens.

    Args:
        key: name of its place in the UI; what is shown there again stands before what was shown earlier.
        title: what it shows, in words.
        jpeg: the picture.
        note: markdown that stands above it.
        curves: an SVG document that stands below it.
        before: what this call returned earlier; that picture is replaced, so that a long work has one.

    Returns:
        What to give as `before`.
    """
    if TaskRunContext.get() is None:
        return None
    text = picture_text(title, jpeg, note, curves)
    if before is None:
        return cast(UUID, create_markdown_artifact(text, key=artifact_key(key), description=title))
    with get_client(sync_client=True) as client:
        client.update_artifact(before, ArtifactUpdate(data=text, description=title))
    return before


def artifact_key(words: str) -> str:
    """Prefect takes small letters, digits and dashes; takes may be called anything."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def picture_text(title: str, jpeg: bytes, note: str = "", curves: str = "") -> str:
    """Markdown that holds its pictures itself, in at most `ARTIFACT_BYTES`; see `show`."""
    drawn = _embedded("curves", "svg+xml", curves.encode()) if curves else ""
    room = (ARTIFACT_BYTES - len(note) - len(drawn)) * 3 // 4 - 200  # base64 makes four bytes of three
    return "\n\n".join(filter(None, (note, _embedded(title, "jpeg", at_most(jpeg, room)), drawn)))


def _embedded(title: str, kind: str, data: bytes) -> str:
    return f"![{title}](data:image/{kind};base64,{base64.b64encode(data).decode()})"


def where_text(place: str) -> str:
    """Where a report lies, as markdown to copy: browsers follow no link from a web page to a file."""
    return f"The whole report: `{place if '://' in place else f'file://{place}'}`"
