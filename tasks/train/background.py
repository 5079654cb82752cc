"""One trial of a training at a time, in a process of its own, for the program of the scribble page.

The process ends with the program, however the program ends, and never writes, so it may be killed at any moment.
"""

import os
import re
import signal
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any

from capmat_errors import CapmatError, NotFound, TrainingError
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.train.trial import Asked, model_of, try_out

_FULL = re.compile("out of memory|allocate memory")  # in torch's errors
_NICE = 10  # tiles and previews of those who paint come first


class Trials:
    """The trial of a program, which runs or was the last.

    Args:
        config: the settings.
        seconds: length of the training; None for the default of this machine.
    """

    def __init__(self, config: Config, seconds: float | None = None) -> None:
        self._config, self._seconds, self._lock = config, seconds, Lock()
        self._process: Any = None
        self._said: dict[str, Any] = {"state": "none"}

    def start(self, id: str, asked: Asked) -> dict[str, Any]:
        """Begin a trial in place of the last one.

        Args:
            id: chosen by whoever begins it, who alone can stop it.
            asked: what to train and show.

        Returns:
            What `state` does.

        Raises:
            TrainingError: another one runs, or the run is not of a teacher that can be trained.
            NotFound: the run or its model does not exist.
        """
        root = Root(self._config.store)
        model_of(root, Take.open(root, asked.take), asked.run)
        with self._lock:
            if self._said["state"] == "running":
                raise TrainingError("somebody is training already", fix="Wait until that training has ended.")
            context = get_context("spawn")  # a fork would copy the locks of other threads
            ear, mouth = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(self._config, asked, self._seconds, mouth), daemon=True)
            process.start()
            mouth.close()  # so that the end of the process is heard
            known = {"id": id, "take": asked.take, "run": asked.run}
            self._process, self._said = process, {**known, "state": "running", "doing": "starting"}
            Thread(target=self._listen, args=(process, ear, known), daemon=True).start()
        return self.state()

    def state(self) -> dict[str, Any]:
        """`state` ("none", "running", "done", "failed"), `id`, `take`, `run`, and what `try_out` told or returned."""
        with self._lock:
            return {key: value for key, value in self._said.items() if key != "pngs"}

    def stop(self, id: str) -> dict[str, Any]:
        """End a trial and forget it; one that somebody else began stays. Returns what `state` does."""
        with self._lock:
            if id == self._said.get("id"):
                self._process.kill()
                self._process, self._said = None, {"state": "none"}
        return self.state()

    def png(self, id: str, place: int) -> bytes:
        """The matte after a trial, of the frame at a place of `frames`; raises NotFound."""
        with self._lock:
            pngs = self._said.get("pngs", ()) if id == self._said.get("id") else ()
        if place >= len(pngs):
            raise NotFound("the program no longer has this training", fix="Train again.")
        return bytes(pngs[place])

    def _listen(self, process: Any, ear: Connection, known: dict[str, Any]) -> None:
        """Take in what a process says until it ends, so that it never waits."""
        with ear, suppress(EOFError, OSError):
            while True:
                self._hear(process, {**known, **ear.recv()})
        process.join()
        if self.state()["state"] == "running":
            self._hear(process, {**known, "state": "failed", "error": _why(process.exitcode)})

    def _hear(self, process: Any, said: dict[str, Any]) -> None:
        with self._lock:
            if process is self._process:  # else it was stopped
                self._said = said


def _why(exitcode: int) -> str:
    if exitcode < 0:
        return f"its process was ended from outside ({signal.strsignal(-exitcode)}); the memory may be full"
    return "its process ended with an error, which the terminal of `capmat scribble` shows"


def _run(config: Config, asked: Asked, seconds: float | None, mouth: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C the program takes care
    Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_NICE)
    try:
        record = try_out(config, asked, lambda said: mouth.send({"state": "running", **said}), seconds)
        said: dict[str, Any] = {"state": "done", **record}
    except CapmatError as error:
        said = {"state": "failed", "error": str(error)}
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _FULL.search(str(error)):
            raise
        said = {"state": "failed", "error": "the memory is full. Close other programs, or wait for what they do."}
    mouth.send(said)


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
