"""Tells the Prefect server about new labels. The event is a hint: the store alone decides whether labels are new.

It is one request without an import of Prefect, whose own events start a server if none runs, and may get lost
silently.
"""

import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime
from http import HTTPStatus

from flows.service.access import basic
from flows.service.automations import EVENT
from flows.service.server import environment, running_server

_ANSWER_S = 5


def tell_waiting(store: str) -> str:
    """`tell_labels` if labels wait in the store, since their own event may have been lost."""
    from tasks.labels.in_use import waiting

    return tell_labels("waiting") if waiting(store) else ""


def tell_labels(version: str) -> str:
    """Tell the server in `PREFECT_API_URL`, else that of this working folder, that a label set was frozen.

    Args:
        version: of the set, "l0007".

    Returns:
        The API that took the event; empty if no server runs, if it did not answer, or if it starts no training.
    """
    server = running_server()
    ours = environment(server.port) if server else {}
    url = os.environ.get("PREFECT_API_URL") or ours.get("PREFECT_API_URL", "")
    if not url:
        return ""
    event = {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": EVENT,
        "resource": {
            "prefect.resource.id": "capmat.labels.scribbles",
            "prefect.resource.name": version,
            "capmat.kind": "labels",  # the same in all events; the trigger counts by it
        },
        "payload": {"labels": version},
    }
    headers = {"Content-Type": "application/json"}
    own = url == ours.get("PREFECT_API_URL") and ours["PREFECT_API_AUTH_STRING"]  # which no other server may see
    if password := os.environ.get("PREFECT_API_AUTH_STRING") or own:
        headers["Authorization"] = basic(password)
    request = urllib.request.Request(f"{url}/events", json.dumps([event]).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_S):
            pass
        asked = urllib.request.Request(f"{url}/deployments/name/redistill/redistill", headers=headers)
        with urllib.request.urlopen(asked, timeout=_ANSWER_S):
            return url
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            sys.stderr.write(f"capmat: {url} has no deployment `redistill`, so it starts no training\n")
        return ""
    except (urllib.error.URLError, OSError):
        return ""
