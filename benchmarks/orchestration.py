"""What Prefect, Dask and the ledger cost beside the work itself: real server, real workers, in a folder of their own.

    python -m benchmarks.orchestration overhead  # tasks of 0 s and of 5 s, and the same functions in bare processes
    python -m benchmarks.orchestration units     # 10,000 blocks of frames, each a task that writes its record
    python -m benchmarks.orchestration scaling   # the student on one worker and on two

Overhead takes about 4 minutes, units 5 to 10, scaling 3. Processor times are steady on a busy machine, wall times are
not. Starting the server and the cluster is not in any figure; the lines say what it took.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from benchmarks.ingest import small

WORKERS = 2
WINDOW = 200  # tasks on their way at once; a night of the stage has fewer
BLOCK = 8


class Site:
    """A Prefect server in the working folder."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)

    def tree(self) -> list[psutil.Process]:
        """The server's processes."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu(self) -> float:
        """Processor seconds that they have used."""
        return sum(sum(process.cpu_times()[:2]) for process in self.tree())

    def locked(self) -> int:
        """How often its log says that the database was locked."""
        return len(re.findall("database is locked", Path(".capmat/prefect/server.log").read_text()))


@contextmanager
def site() -> Iterator[Site]:
    """A server in an empty folder, which becomes the working folder."""
    from flows.service.server import prefect_server

    with tempfile.TemporaryDirectory() as folder:
        home = Path.cwd()
        os.chdir(folder)
        try:
            start = time.perf_counter()
            with prefect_server() as server:
                server.wait()
                print(f"server started in {time.perf_counter() - start:.1f} s", flush=True)
                yield Site(server.pid)
        finally:
            os.chdir(home)


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """Our own local cluster; yields a function that runs calls of a task as one flow (see `send`)."""
    from benchmarks.orchestration_work import send
    from flows.cluster.kinds import start_cluster
    from flows.cluster.runner import Runner
    from tasks.config import Cluster

    start = time.perf_counter()
    with start_cluster(Cluster(workers=workers)) as started:
        started.wait_for_workers(workers)
        print(f"cluster of {workers} started in {time.perf_counter() - start:.1f} s", flush=True)
        runner = Runner(started.scheduler_address)
        yield lambda task, calls: send(task, calls, WINDOW, runner)


def overhead(here: Site, tasks: int, rounds: int) -> None:
    """Tasks against bare functions in as many processes, in turns."""
    from benchmarks.orchestration_work import burn, burn_task, calibrate

    with cluster(WORKERS) as flow, ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        list(pool.map(burn, [200] * WORKERS * 4))
        flow(burn_task, [[1]] * WORKERS * 4)
        for goal, seconds, count in (("< 60 ms", 0, tasks), ("< 2 %", 5, 6 * WORKERS)):
            work = calibrate(seconds) if seconds else 0
            more, ratio, used, exits = [], [], [], []
            for _ in range(rounds):
                start = time.perf_counter()
                list(pool.map(burn, [work] * count))
                bare, server = time.perf_counter() - start, here.cpu()
                start = time.perf_counter()
                done = flow(burn_task, [[work]] * count)
                exits.append(time.perf_counter() - start - done["wall"])
                time.sleep(4)  # states are written behind
                used.append([done["client"], done["workers"], here.cpu() - server])
                more.append(1e3 * (done["wall"] - bare) / count)
                ratio.append(100 * (done["wall"] / bare - 1))
            each = [1e3 * statistics.median(column) / count for column in zip(*used, strict=True)]
            print(f"{count} tasks of {seconds} s: {statistics.median(more):.1f} ms a task more than bare functions"
                  + (f", {statistics.median(ratio):.1f} %" if seconds else "") + f" (goal {goal}; rounds "
                  + ", ".join(f"{x:.1f}" for x in (ratio if seconds else more)) + ")")  # fmt: skip
            print("  processor ms a task, the work included: client with scheduler {:.1f}, workers {:.1f}, server "
                  "{:.1f}; beside its tasks the flow took {:.1f} s".format(*each, statistics.median(exits)),
                  flush=True)  # fmt: skip


def units(here: Site, tasks: int) -> None:
    """So many blocks of a take of 40 cameras: planned by capmat's planner, then one task for each."""
    from benchmarks.orchestration_work import RUN, seconds_of, unit_task
    from storage.store.ledger import Ledger
    from storage.store.root import Root
    from tasks.config import Config, Student
    from tasks.matte.take import block_steps
    from tasks.night.plan import plan_night

    cameras, blocks, store = 40, -(-tasks // 40), str(Path("store").resolve())
    place = Path("session")
    place.mkdir()
    small(place, cameras, blocks * BLOCK, (8, 8))
    config = Config(store=store, session=str(place / "session.toml"), student=Student(model=RUN.model["name"]))
    plans = []
    took = seconds_of(lambda: plans.append(plan_night(config, datetime.now().astimezone())))
    mattes = next(part for part in plans[0].parts if part.verb == "student mattes")
    print(f"planned in {took:.1f} s: {mattes.frames} frames; as capmat would send them, {mattes.tasks} tasks")
    numbers = [list(range(i, i + BLOCK)) for i in range(0, blocks * BLOCK, BLOCK)]
    calls = [[store, "t", f"C{camera:02d}", block] for camera in range(cameras) for block in numbers]
    with cluster(WORKERS) as flow:
        flow(unit_task, [[store, "warm", "C00", [i]] for i in range(8)])
        with memory(here) as seen:
            done = flow(unit_task, calls)
    ledger = Ledger(Root(store))
    kept = sum(ledger.done(block_steps(call[0], "t", call[2], RUN, [call[3]], "none")[0].key) is not None
               for call in calls)  # fmt: skip
    print(f"{len(calls)} units in {done['wall']:.0f} s, {1e3 * done['wall'] / len(calls):.1f} ms each; {kept} in the "
          f"ledger (goal {len(calls)}); 'database is locked' {here.locked()} times (goal 0)")  # fmt: skip
    for who, sizes in seen.items():
        quarters = [f"{sizes[(len(sizes) - 1) * i // 4]:.0f}" for i in range(5)]
        print(f"  {who:22} MB at 0, 1/4, 1/2, 3/4 and the end: {', '.join(quarters)} (goal: flat)", flush=True)


@contextmanager
def memory(here: Site) -> Iterator[dict[str, list[float]]]:
    """Resident MB over time, every two seconds: the client, the server, and each worker."""
    me, stop = psutil.Process(), threading.Event()
    seen: dict[str, list[float]] = {"client and scheduler": [], "server": [], "workers": []}

    def look() -> None:
        while not stop.wait(2):
            server = here.tree()
            rest = [process for process in me.children(recursive=True) if process not in server]
            for who, processes in zip(seen, ([me], server, rest), strict=True):
                seen[who].append(sum(map(resident, processes)) / 1e6)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def resident(process: psutil.Process) -> int:
    """Bytes; 0 of a process that has just ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def scaling(here: Site, rounds: int) -> None:
    """The same inference for each worker, on one and on two; in bare processes, too: what the machine can do."""
    from benchmarks.orchestration_work import student, student_task

    call, each = [4, 720, 1280], 6  # frames, height, width; tasks for each worker
    frames = call[0] * each
    speeds: dict[tuple[str, int], list[float]] = {}
    with ExitStack() as stack:
        flows = {workers: stack.enter_context(cluster(workers)) for workers in (1, WORKERS)}
        pools = {n: stack.enter_context(ProcessPoolExecutor(n, get_context("spawn"))) for n in (1, WORKERS)}
        for n in (1, WORKERS):
            flows[n](student_task, [[1, *call[1:]]] * n * 2)
            list(pools[n].map(student, *zip(*[[1, *call[1:]]] * n * 2, strict=True)))
        for _ in range(rounds):
            for n in (1, WORKERS):
                calls = [call] * each * n
                wall = flows[n](student_task, calls)["wall"]
                speeds.setdefault(("tasks", n), []).append(frames * n / wall)
                start = time.perf_counter()
                list(pools[n].map(student, *zip(*calls, strict=True)))
                speeds.setdefault(("bare", n), []).append(frames * n / (time.perf_counter() - start))
    for kind, goal in (("tasks", "goal >= 1.8"), ("bare", "what the machine gives")):
        first, second = (statistics.median(speeds[kind, workers]) for workers in (1, WORKERS))
        print(f"student, 1280x720, {kind}: {first:.2f} frames/s on one, {second:.2f} on two: x {second / first:.2f} "
              f"({goal})", flush=True)  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "units", "scaling"))
    parser.add_argument("--tasks", type=int, help="so many of 0 s (200), or so many units (10000)")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}")
    with site() as here:
        if given.what == "overhead":
            overhead(here, given.tasks or 200, given.rounds)
        elif given.what == "units":
            units(here, given.tasks or 10_000)
        else:
            scaling(here, given.rounds)
