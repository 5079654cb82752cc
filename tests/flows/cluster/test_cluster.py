"""Tasks go to the workers that are labelled for them, and none hangs when its worker dies: real server, real Dask."""

import ctypes
import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import get_worker
from prefect import flow, get_client, get_run_logger, runtime, tags
from prefect.client.schemas.filters import LogFilter, LogFilterTaskRunId
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from capmat_errors import WorkerLost
from flows.cluster.kinds import mixed_cluster, start_cluster
from flows.cluster.runner import SMALL, Runner
from flows.steps import outcome
from tasks.config import Cluster
from tasks.models.networks import _load, load_network, register_base
from tasks.runtime.progress import Progress
from tasks.runtime.step import retryable
from tests.flows.site import eventually
from tests.project import WEIGHTS

pytestmark = pytest.mark.chain

LIMIT = 1.2 * 2**30  # bytes; Prefect and Dask alone take a quarter of it
_kept: list[bytearray] = []


def place() -> tuple[str, str]:
    """Name of the worker that this runs on, and the GPUs that it sees."""
    return str(get_worker().name), os.environ.get("CUDA_VISIBLE_DEVICES", "")


def load(store: str, model: Any) -> tuple[int, int]:
    """Load a network; the process, and how often it has really loaded one."""
    load_network(store, model)
    return os.getpid(), _load.cache_info().misses


def fill(share: float) -> int:
    """Hold memory until the process takes this share of the limit."""
    while psutil.Process().memory_info().rss < share * LIMIT:
        _kept.append(bytearray(os.urandom(2**20) * 32))
    return os.getpid()


def silence() -> float:
    """Seconds without progress after which this worker is ended."""
    return float(get_worker().plugins["capmat-watch"].silence_s)


def die_once(mark: str) -> str:
    """Kill the own worker, the first time; the name of the worker that lived."""
    if not Path(mark).exists():
        Path(mark).write_text(str(get_worker().name))
        os.kill(os.getpid(), signal.SIGKILL)
    return str(get_worker().name)


def whereabouts(said: str, before: object = None) -> tuple[str, str, list[str], int]:
    """Names of the own flow and task run, the tags, and which connection to the server is used; logs a line."""
    get_run_logger().info("this is %s", said)
    connection = id(get_client(sync_client=True))
    return str(runtime.flow_run.flow_name), str(runtime.task_run.name), sorted(runtime.task_run.tags), connection


whereabouts_task = retryable("whereabouts", "where is {said}", gpu=True)(whereabouts)


def hang_once(mark: str) -> str:
    """Wait for ever, the first time, and let no thread of Python go on; the name of the worker that did not."""
    if not Path(mark).exists():
        Path(mark).write_text(str(get_worker().name))
        ctypes.PyDLL(None).sleep(3600)  # unlike CDLL, it keeps the interpreter
    return str(get_worker().name)


def progress(steps: int) -> int:
    """Take longer than the limit, but show that it goes on."""
    bar = Progress("steps", steps)
    for done in range(steps):
        time.sleep(1)
        bar(done + 1)
    return steps


on_gpu = retryable("on the GPU", gpu=True)(place)
on_cpu = retryable("on the CPU")(place)
load_task = retryable("load", gpu=True)(load)
fill_task = retryable("fill")(fill)
silence_task = retryable("silence")(silence)
die_once_task = retryable("die once")(die_once)
hang_once_task = retryable("hang once")(hang_once)
progress_task = retryable("progress")(progress)
echo_task = retryable("echo")(lambda thing: thing)


@pytest.fixture(scope="module")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    results = tmp_path_factory.mktemp("results")
    quiet = {PREFECT_LOCAL_STORAGE_PATH: results, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
    with temporary_settings(quiet), prefect_test_harness(server_startup_timeout=240):
        yield


@pytest.fixture(scope="module")
def mixed(prefect_api: None) -> Iterator[str]:
    """Two workers of this machine, one of which stands for a worker with a GPU."""
    with mixed_cluster(Cluster(workers=1), ["0"]) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def plain(prefect_api: None) -> Iterator[str]:
    """Two workers without labels and with little memory."""
    with start_cluster(Cluster(workers=2, memory=str(int(LIMIT)))) as cluster:
        yield cluster.scheduler_address


def run(address: str, work: Any) -> Any:
    """Call `work` inside of a flow on this cluster."""
    return flow(work, name="try", task_runner=Runner(address))()


def test_networks_run_on_gpu_workers_and_the_rest_on_the_cpu(mixed: str) -> None:
    def work() -> list[Any]:
        sent = [task.submit() for _ in range(3) for task in (on_gpu, on_cpu)]
        return [future.result() for future in sent]

    where = run(mixed, work)
    assert set(where[::2]) == {("gpu0", "0")}
    assert set(where[1::2]) == {("cpu0", "")}


def test_without_labels_every_task_runs_anywhere(plain: str) -> None:
    assert len(run(plain, lambda: [task.submit().result() for task in (on_gpu, on_cpu)])) == 2


def test_a_worker_loads_a_network_once_however_many_tasks_want_it(mixed: str, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    weights = str(WEIGHTS)
    model = register_base(store, weights, {"student": "bgmv2_mobilenetv2_xs"})["student"]
    done = run(mixed, lambda: [f.result() for f in [load_task.submit(store, model) for _ in range(4)]])
    assert len(set(done)) == 1
    assert done[0][1] == 1


def test_a_task_whose_worker_is_killed_is_done_by_another(plain: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    assert run(plain, lambda: die_once_task.submit(str(mark)).result()) in ("0", "1")
    assert mark.exists()


def test_a_task_that_hangs_is_ended_and_done_by_another_and_a_long_one_is_not(
    plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPMAT_CLUSTER__SILENT_MINUTES", "0.1")
    mark = tmp_path / "mark"

    def work() -> tuple[str, int]:
        hanging, long = hang_once_task.submit(str(mark)), progress_task.submit(9)
        return hanging.result(timeout=120), long.result(timeout=120)

    _, steps = run(plain, work)
    assert mark.exists()
    assert steps == 9


def test_the_settings_that_a_flow_is_given_reach_the_workers(plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPMAT_CLUSTER__SILENT_MINUTES", "7")

    @flow(name="try", task_runner=Runner(plain))
    def work(overrides: tuple[str, ...] = ()) -> float:
        return silence_task.submit().result()

    assert work(("cluster.silent_minutes=11",)) == 60 * 11  # as `--set` does, which no file knows
    assert work() == 60 * 7


def test_a_worker_close_to_its_limit_goes_on_working(plain: str) -> None:
    def work() -> list[int]:
        first = [fill_task.submit(0.86) for _ in range(4)]
        return [future.result(timeout=120) for future in first]

    assert len(run(plain, work)) == 4


def test_a_task_that_wants_more_memory_than_a_worker_has_ends_as_an_error(plain: str) -> None:
    def work() -> tuple[str, str]:
        found, error = outcome(fill_task.submit(3.0))
        assert found is None
        return type(error).__name__, str(error)

    kind, text = run(plain, work)
    assert kind == WorkerLost.__name__
    assert re.match("fill: every worker that ran it died.*cluster.memory", text)
    with get_client(sync_client=True) as client:
        states = [(run.name, run.state_type.value) for run in client.read_task_runs(limit=200) if run.state_type]
    assert ("fill", "CRASHED") in states
    assert "RUNNING" not in {state for _, state in states}
    assert run(plain, lambda: on_cpu.submit().result())  # the cluster lives


def test_a_task_knows_its_flow_and_tags_on_a_worker_and_the_ui_knows_the_task(mixed: str) -> None:
    def work() -> list[Any]:
        first = whereabouts_task.submit("a")
        with tags("night"):
            second = whereabouts_task.submit("b", first)
        return [first.result(), second.result()]

    (*one, connection), (*other, same) = run(mixed, work)
    assert one == ["try", "where is a", []]
    assert other == ["try", "where is b", ["night"]]
    assert connection == same, "a worker connects once"

    with get_client(sync_client=True) as client:
        found = eventually(lambda: _seen(client, "where is a", "where is b"))
        assert [given.id for given in found["where is b"].task_inputs["before"]] == [found["where is a"].id]
        wanted = LogFilter(task_run_id=LogFilterTaskRunId(any_=[found["where is b"].id]))
        assert "this is b" in eventually(lambda: [line.message for line in client.read_logs(wanted)])


def _seen(client: Any, *names: str) -> dict[str, Any]:
    """The task runs of these names as the server has them; none before all are completed."""
    ours = {r.name: r for r in client.read_task_runs(limit=200) if r.name in names and r.state_name == "Completed"}
    return ours if len(ours) == len(names) else {}


def test_arrays_that_travel_are_named_in_the_log_and_records_are_not(plain: str) -> None:
    with said() as lines:
        run(plain, lambda: echo_task.submit({"run": "teacher-v0001", "frames": list(range(900))}).result())
        assert lines == []
        run(plain, lambda: echo_task.submit(bytes(SMALL)).result())
    assert [line.split(";")[0] for line in lines] == [
        "echo: 100 kB travel as its arguments",
        "echo: 100 kB travel as its result",
    ]


@contextmanager
def said() -> Iterator[list[str]]:
    """Lines of our own logger while inside."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("prefect.capmat.cluster")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
