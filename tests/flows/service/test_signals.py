"""Whoever ends a command ends all that it started, whenever that is."""

import signal
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.flows.site import Site, eventually
from tests.storage.tiny_session import write_session

pytestmark = pytest.mark.chain


def started_by(mark: str) -> list[list[str]]:
    """The processes that inherited a variable with this value."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TEST_MARK") == mark:
                found.append(process.cmdline())
        except psutil.Error:  # gone, a zombie, or another user's
            continue
    return found


@pytest.mark.parametrize(
    ("word", "says", "first", "second"),
    [
        ("ui", "Prefect UI: ", signal.SIGHUP, signal.SIGTERM),
        ("nightly", "starting the Prefect server and the Dask cluster", signal.SIGINT, signal.SIGINT),
    ],
)
def test_a_command_that_is_ended_leaves_no_process(
    word: str, says: str, first: signal.Signals, second: signal.Signals, tmp_path: Path
) -> None:
    write_session(tmp_path / "day")
    mark = uuid4().hex
    site = Site(tmp_path, {"TEST_MARK": mark, "CAPMAT_SESSION": "day/session.toml", "CAPMAT_STORE": "store"})
    process = site.start(word)
    assert process.stdout
    assert says in process.stdout.readline()
    eventually(lambda: len(started_by(mark)) > 1)
    process.stdout.close()  # the terminal is gone
    process.send_signal(first)
    process.send_signal(second)  # while it cleans up
    assert process.wait(timeout=120) == 128 + first
    assert eventually(lambda: not started_by(mark))
