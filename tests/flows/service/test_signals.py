"""Whoever ends a command that has a server ends the server too."""

import signal
from pathlib import Path

import pytest

from tests.flows.site import Site, eventually

pytestmark = pytest.mark.slow


def test_a_hangup_ends_a_command_and_its_server(tmp_path: Path) -> None:
    site = Site(tmp_path)
    process = site.start("ui")
    assert process.stdout
    assert process.stdout.readline().startswith("Prefect UI: ")
    assert site.processes()
    process.stdout.close()  # the terminal is gone
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    assert eventually(lambda: not site.processes())
