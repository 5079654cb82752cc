"""One trial of a training at a time, in a process of its own, for the program of the scribble page.

The process ends with the program, however the program ends, because its input ends then. It never writes, so it may
be killed at any moment. It is a plain child: one of `multiprocessing` leaves semaphores behind when it is killed.
"""

import os
import pickle
import re
import signal
import sys
from contextlib import suppress
from subprocess import PIPE, Popen
from threading import Lock, Thread
from typing import Any

from capmat_errors import CapmatError, NotFound, TrainingError
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.train.trial import Asked, model_of, try_out

_FULL = re.compile("out of memory|allocate memory")  # in torch's errors
_NICE = 5  # tiles and previews of those who paint come first


class Trials:
    """The trial of a program, which runs or was the last.

    Args:
        config: the settings.
        seconds: length of the training; None for the default of this machine.
    """

    def __init__(self, config: Config, seconds: float | None = None) -> None:
        self._config, self._seconds, self._lock = config, seconds, Lock()
        self._process: Popen[bytes] | None = None
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
            words = [sys.executable, "-P", "-m", "tasks.train.background"]
            process = Popen(words, stdin=PIPE, stdout=PIPE, start_new_session=True)  # so Ctrl-C reaches it as the end
            assert process.stdin
            pickle.dump((self._config, asked, self._seconds), process.stdin)
            process.stdin.flush()
            known = {"id": id, "take": asked.take, "run": asked.run}
            self._process, self._said = process, {**known, "state": "running", "doing": "starting"}
            Thread(target=self._listen, args=(process, known), daemon=True).start()
        return self.state()

    def state(self) -> dict[str, Any]:
        """`state` ("none", "running", "done", "failed"), `id`, `take`, `run`, and what `try_out` told or returned."""
        with self._lock:
            return {key: value for key, value in self._said.items() if key != "pngs"}

    def stop(self, id: str) -> dict[str, Any]:
        """End a trial and forget it; one that somebody else began stays. Returns what `state` does."""
        with self._lock:
            if self._process and id == self._said.get("id"):
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

    def _listen(self, process: Popen[bytes], known: dict[str, Any]) -> None:
        """Take in what a process says until it ends, so that it never waits."""
        with process, suppress(EOFError, pickle.UnpicklingError):  # at the end, perhaps in the middle of a word
            assert process.stdout
            while True:
                self._hear(process, {**known, **pickle.load(process.stdout)})
        if self.state()["state"] == "running":
            self._hear(process, {**known, "state": "failed", "error": _why(process.returncode)})

    def _hear(self, process: Popen[bytes], said: dict[str, Any]) -> None:
        with self._lock:
            if process is self._process:  # else it was stopped
                self._said = said


def _why(exitcode: int) -> str:
    if exitcode < 0:
        return f"its process was ended from outside ({signal.strsignal(-exitcode)}); the memory may be full"
    return "its process ended with an error, which the terminal of `capmat scribble` shows"


def _main() -> None:
    """Read what to do from the input, and tell the output how it goes."""
    config, asked, seconds = pickle.load(sys.stdin.buffer)
    Thread(target=_end_with_parent, daemon=True).start()
    mouth = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print
    if hasattr(os, "nice"):
        os.nice(_NICE)

    def tell(said: dict[str, Any]) -> None:
        pickle.dump({"state": "running", **said}, mouth)
        mouth.flush()

    try:
        tell({"state": "done", **try_out(config, asked, tell, seconds)})
    except CapmatError as error:
        tell({"state": "failed", "error": str(error)})
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _FULL.search(str(error)):
            raise
        tell({"state": "failed", "error": "the memory is full. Close other programs, or wait for what they do."})


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # waits for the end
    os._exit(1)


if __name__ == "__main__":
    _main()
