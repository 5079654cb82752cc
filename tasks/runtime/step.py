"""How every verb becomes a retryable, resumable step.

A step's result is a small record in the store's ledger, keyed by a digest of everything that it depends on.
A step that has a record does not run again, however often the run was killed. The digest of a record is an input of
the next step, so a change at the start of the chain reaches its end.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, cast

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

from capmat_errors import CapmatError
from storage.store.ledger import Ledger
from storage.store.root import Root

Record = Mapping[str, Any]
"""A record of which only some keys are read."""
P = ParamSpec("P")
R = TypeVar("R")
Made = TypeVar("Made", bound=Mapping[str, Any])


class StepRecord(TypedDict, total=False):
    """What `run_once` adds to a step's own record, which inherits from this.

    Attributes:
        digest: of the step's key and inputs; an input of the next step.
        reused: whether the step had run before.
        wall_s: seconds that it ran, by the clock.
        cpu_s: seconds of this process, which other programs on the machine change little.
    """

    digest: str
    reused: bool
    wall_s: float
    cpu_s: float


def digest(inputs: Any) -> str:
    """Sixteen hex digits that stand for JSON-able `inputs` (keys in any order)."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_once(store: str, verb: str, subject: str, inputs: Mapping[str, Any], work: Callable[[], Made]) -> Made:
    """Do `work` unless its record is in the ledger already.

    Args:
        store: URL of the store.
        verb: name of the step, e.g. `matte`.
        subject: what it works on in words, for the key: `amber teacher-base`.
        inputs: all that the result depends on; digests of earlier records among it.
        work: does it and returns a small JSON-able dict. It must store its result before it returns.

    Returns:
        The record: what `work` returned, with what `StepRecord` says.
    """
    step = Step[Made](store, verb, subject, inputs)
    if (record := step.record()) is not None:
        return record
    start, worked = time.perf_counter(), time.process_time()
    made = {**work(), "cpu_s": round(time.process_time() - worked, 2)}
    return step.keep(cast(Made, made), time.perf_counter() - start)


class Step(Generic[Made]):
    """The record of one step; `run_once` in two halves, for work that finishes several steps in one go.

    Args:
        store: URL of the store.
        verb: name of the step.
        subject: what it works on in words, for the key.
        inputs: all that the result depends on.
    """

    def __init__(self, store: str, verb: str, subject: str, inputs: Mapping[str, Any]) -> None:
        self._inputs = {**inputs, "capmat": version("capmat")}
        self._key = f"{verb}/{subject.replace(' ', '-')}/{digest(self._inputs)}"
        self._ledger = Ledger(Root(store))

    @property
    def key(self) -> str:
        """Where its record lies in the ledger."""
        return self._key

    def record(self) -> Made | None:
        """What was recorded when the step was done; None if it was not."""
        entry = self._ledger.done(self._key)
        return None if entry is None else cast(Made, {**entry, "reused": True})

    def keep(self, made: Made, seconds: float) -> Made:
        """Record that the step is done; its result is stored already."""
        entry = {**made, "digest": digest([self._key, self._inputs]), "wall_s": round(seconds, 2)}
        self._ledger.record(self._key, entry)
        return cast(Made, {**entry, "reused": False})


def worth_retrying(task: Any, run: Any, state: Any) -> bool:
    """Tell Prefect to try again what may pass; bad input stays bad."""
    return not isinstance(state.result(raise_on_failure=False), CapmatError)


_ON_GPU: set[str] = set()


def wants_gpu(made: "Task[Any, Any]") -> bool:
    """Whether a task goes to a worker that owns a GPU, if the cluster has one."""
    return made.name in _ON_GPU


def retryable(
    name: str, run_name: str | Callable[[], str] | None = None, *, gpu: bool = False
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a Prefect task of a plain function; it tries again what may pass, and never bad input.

    Prefect's own result cache stays off, because the ledger remembers results.

    Args:
        name: of the task.
        run_name: of each run, in the words of its parameters: `ingest {take}`.
        gpu: it runs a network; on a cluster with GPU workers it goes to one of them, all others to CPU workers.
    """
    if gpu:
        _ON_GPU.add(name)
    return task(
        name=name,
        task_run_name=run_name or name,
        retries=2,
        retry_delay_seconds=[2, 10],
        retry_condition_fn=worth_retrying,
        persist_result=False,
        cache_policy=NO_CACHE,
    )
