"""One trial at a time in a process of its own: started, looked at and stopped by the program of the scribble page.

The process ends with the program: the system's interrupt is left to the program, which ends its children, and a
program that is killed leaves a closed pipe, at which the next step of the training ends.
"""

import multiprocessing as mp
import os
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any

from capmat_errors import CapmatError, NotFound, TrainingError
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.train.trial import Asked, model_of, try_out

_NICE = 10
_PATIENCE_S = 5.0  # for a stopped process to end


class Trials:
    """The trial of a program, if there is one.

    Args:
        config: the settings.
    """

    def __init__(self, config: Config) -> None:
        self._config, self._lock = config, Lock()
        self._process: Any = None
        self._ear: Connection | None = None
        self._asked: Asked | None = None
        self._said: dict[str, Any] = {}
        self._pngs: list[bytes] = []

    def start(self, asked: Asked) -> dict[str, Any]:
        """Begin a trial; returns what `state` does.

        Raises:
            TrainingError: another one runs, or the run is not of a teacher that can be trained.
            NotFound: the run or its model does not exist.
        """
        root = Root(self._config.store)
        model_of(root, Take.open(root, asked.take), asked.run)
        with self._lock:
            self._listen()
            if self._said.get("state") == "running":
                raise TrainingError("a trial is running already", fix="Wait for its end, or stop it.")
            self._asked, self._said, self._pngs = asked, {"state": "running", "doing": "starting"}, []
            context = mp.get_context("spawn")  # a fork would copy the threads' locks
            self._ear, mouth = context.Pipe(duplex=False)
            self._process = context.Process(target=_run, args=(self._config, asked, mouth), daemon=True)
            self._process.start()
            mouth.close()  # so that the end of the process is heard
            return self._state()

    def state(self) -> dict[str, Any]:
        """`state` ("none", "running", "done", "failed"), `take`, `run`, and what `try_out` last told or returned."""
        with self._lock:
            self._listen()
            return self._state()

    def stop(self) -> dict[str, Any]:
        """End the trial and forget it."""
        with self._lock:
            self._end()
            self._asked, self._said, self._pngs = None, {}, []
            return self._state()

    def png(self, place: int) -> bytes:
        """The matte after the trial, of the frame at a place of `frames`; raises NotFound."""
        with self._lock:
            if not 0 <= place < len(self._pngs):
                raise NotFound("there is no such trial", fix="Train again.")
            return self._pngs[place]

    def _state(self) -> dict[str, Any]:
        asked = {"take": self._asked.take, "run": self._asked.run} if self._asked else {}
        return {"state": "none", **asked, **self._said}

    def _listen(self) -> None:
        """Take in what the process said."""
        while self._ear:
            try:
                if not self._ear.poll():
                    return
                said = self._ear.recv()
            except (EOFError, OSError):
                said = {"state": "failed", "error": "the training ended without a result; is the memory full?"}
            self._said = said
            if said["state"] == "running":
                continue
            if said["state"] == "done":
                self._pngs = [frame.pop("png") for frame in said["frames"]]
            self._end()

    def _end(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.join(_PATIENCE_S)
        if self._ear:
            self._ear.close()
        self._process = self._ear = None


def _run(config: Config, asked: Asked, mouth: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICE)
    with suppress(BrokenPipeError):  # the program has ended
        try:
            record = try_out(config, asked, lambda said: mouth.send({"state": "running", **said}))
            mouth.send({"state": "done", **record})
        except CapmatError as error:
            mouth.send({"state": "failed", "error": str(error)})
