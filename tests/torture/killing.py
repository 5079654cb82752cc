"""Kills writers at random moments and starts them again, until all of them are done."""

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.torture.writing import REFUSED, Job, writer

_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload(["tests.torture.writing"])
LIMIT = 240.0
"""Seconds that a life may take; a writer that waits for ever ends there."""


def live(
    jobs: list[Job],
    store: str,
    session: Path,
    dice: random.Random,
    count: Counter[str],
    *,
    kills: int,
    pause: float = 0.6,
    environ: dict[str, str] | None = None,
) -> None:
    """Run writers side by side, kill some after every random pause, and start what is not done again.

    Args:
        jobs: one writer each; two may do the same.
        store: where to.
        session: session.toml.
        dice: decides who is killed and when.
        count: gets "kills", "restarts" and "refused" added.
        kills: how many kills at most; after them the writers are left alone.
        pause: the longest time between kills, in seconds.
        environ: variables for the writers, beside those of S3.

    Raises:
        AssertionError: a writer ended with a fault, or they never end.
    """
    log = session.parent / "writers.log"
    # the server of new processes began before the keys of a test's S3 were there
    s3 = {name: value for name, value in os.environ.items() if name.startswith("AWS_")} | (environ or {})
    running: dict[int, ForkServerProcess] = {}
    todo, started, end = set(range(len(jobs))), set[int](), time.monotonic() + LIMIT
    while todo:
        assert time.monotonic() < end, f"{[jobs[i] for i in todo]} are not done\n{log.read_text()[-3000:]}"
        for i in sorted(todo - set(running)):
            count["restarts"] += i in started
            started.add(i)
            given = (jobs[i], store, str(session), str(log), s3)
            running[i] = _START.Process(target=writer, args=given, daemon=True)
            running[i].start()
        time.sleep(dice.uniform(0, pause))
        for i in dice.sample(sorted(running), dice.randint(0, len(running))):
            if kills and running[i].is_alive():
                _kill(running[i])
                kills -= 1
        for i, process in list(running.items()):
            if not process.is_alive():
                process.join()
                del running[i]
                code = process.exitcode
                assert code in (0, REFUSED, -signal.SIGKILL), (
                    f"exit code {code} of {jobs[i]}\n{log.read_text()[-3000:]}"
                )
                count["kills"] += code == -signal.SIGKILL
                count["refused"] += code == REFUSED
                todo -= {i} if code == 0 else set()


def _kill(process: ForkServerProcess) -> None:
    """Kill a writer with all that it started; before it has a group of its own, itself."""
    try:
        os.killpg(process.pid or 0, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.join(10)
