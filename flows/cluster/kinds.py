"""How each kind of cluster is started. Workers are processes with one Dask thread each.

A training step sets its own number of torch threads, and an inference task keeps one core or one GPU busy. GPU
workers of one machine differ by `CUDA_VISIBLE_DEVICES`. That is enough, because no array travels, and `local-cuda`
needs no package beyond Dask. Packages of other kinds are imported when they are used.
"""

import importlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capmat_errors import ConfigError
from flows.cluster.security import check_answer, new_key, remember
from tasks.config import Cluster

SHARED = "CLUSTER_OF_CAPMAT"
"""Variable with the scheduler of a command, for its flows. It is no setting, since mattes remember their settings."""

PACKAGES = {"slurm": "dask_jobqueue", "kubernetes": "dask_kubernetes"}
"""Kinds that need a package that capmat does not bring; the name of the extra is that of the kind."""

_DASK = {
    # a worker that returns late must not be dropped for good, or the next task waits for ever
    "distributed.deploy.lost-worker-timeout": "600s",
    "distributed.scheduler.allowed-failures": 2,
    # a task that holds the interpreter (loading torch) needs no warning
    "distributed.admin.tick.limit": "60s",
    # watching its own event loops fifty times a second costs a tenth of a core, also when nothing runs
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    # the stacks of every second, kept for an hour on a page that nobody opens: they grow to 100 MB in each worker
    "distributed.worker.profile.enabled": False,
    # pages for people, which need no password: only the sign of life that Kubernetes asks for
    "distributed.scheduler.http.routes": ["distributed.http.health"],
    "distributed.worker.http.routes": ["distributed.http.health"],
    "distributed.worker.preload": ["flows.cluster.preload"],
    # workers hold nothing that could be spilled: one that pauses near its limit would wait for ever
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
}
# By default a worker returns memory to the system whenever 64 kB are free. Training then requests it again in every
# step, which doubles the processor time of a step.
_KEPT = {"MALLOC_TRIM_THRESHOLD_": 1 << 30, "MALLOC_MMAP_THRESHOLD_": 1 << 25}
_LOOPBACK = {"host": "127.0.0.1"}
_DATABASE = [f"PREFECT_{of}_DATABASE_{name}" for of in ("SERVER", "API") for name in ("PASSWORD", "CONNECTION_URL")]
_NO_PASSWORD = dict.fromkeys(["PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING", *_DATABASE], "")
"""What programs that a worker starts do not inherit. The worker's own settings travel with each task."""
_NO_PLUGINS = {"PREFECT_PLUGINS_ENABLED": "0"}  # Prefect cannot start them inside a worker's event loop, and says so
_HTTP = {"dashboard_address": "127.0.0.1:0"}  # any free port; None would want 8787 and warn where it is taken


def start_cluster(config: Cluster) -> Any:
    """Start a cluster of the kind that the settings name, and let it grow if they say so.

    Returns:
        A Dask cluster, to be used as a context manager.

    Raises:
        ConfigError: its package is not installed, the machine has no GPU, or the memory limit is wrong.
    """
    import dask
    from dask.utils import parse_bytes
    from distributed.gc import disable_gc_diagnosis

    try:
        parse_bytes(config.memory)
    except ValueError as e:
        raise ConfigError(
            "expected an amount of memory", where=f"cluster.memory = {config.memory}", fix="Write it like 8GiB"
        ) from e
    dask.config.set(_DASK)
    cluster = {"local": _local, "local-cuda": _local_cuda, "slurm": _slurm, "kubernetes": _kubernetes}[config.kind](
        config
    )
    if config.maximum:
        cluster.adapt(minimum=config.workers, maximum=config.maximum)
    disable_gc_diagnosis()  # it runs inside the garbage collector, where the exception of a signal is lost
    return cluster


def _local(config: Cluster) -> Any:
    """Worker processes on this machine, on loopback only."""
    # each worker owns one core; set before numpy and torch load in the worker
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for name, size in _KEPT.items():
        os.environ.setdefault(name, str(size))
    from distributed import LocalCluster

    ours = {"n_workers": config.workers, "threads_per_worker": 1, "memory_limit": config.memory, **_LOOPBACK}
    ours |= {"security": new_key(config), "env": _NO_PASSWORD | _NO_PLUGINS, "silence_logs": 40}
    return remember(LocalCluster(**{**ours, **_HTTP, **config.extra}))


def _local_cuda(config: Cluster) -> Any:
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    gpus = (given.split(",") if given else [str(i) for i in range(64)])[: torch.cuda.device_count()]
    if not gpus:
        raise ConfigError("no CUDA device is visible", where="cluster.kind = local-cuda", fix="Set it to local")
    return mixed_cluster(config, gpus)


def mixed_cluster(config: Cluster, gpus: Sequence[str]) -> Any:
    """One worker per GPU beside the CPU workers, on loopback only.

    Args:
        config: `workers`, `memory`, `tls`, `extra`.
        gpus: each as `CUDA_VISIBLE_DEVICES` calls it. Its worker sees no other; the CPU workers see none.
    """
    from distributed import Nanny, Scheduler, SpecCluster

    key = new_key(config)
    secure = {**_LOOPBACK, "protocol": "tls://", "security": key}

    def worker(label: str, device: str) -> dict[str, Any]:
        own = {"nthreads": 1, "memory_limit": config.memory, "resources": {label: 1}, "silence_logs": 40, **secure}
        return {
            "cls": Nanny,
            "options": {**own, "env": _NO_PASSWORD | _NO_PLUGINS | {"CUDA_VISIBLE_DEVICES": device}},
        }

    workers = {f"gpu{i}": worker("GPU", gpu) for i, gpu in enumerate(gpus)}
    workers |= {f"cpu{i}": worker("CPU", "") for i in range(config.workers)}
    ours = {"workers": workers, "scheduler": {"cls": Scheduler, "options": {**secure, **_HTTP}}, "security": key}
    return remember(SpecCluster(**{**ours, "silence_logs": 40, **config.extra}))


def worker_environment() -> dict[str, str]:
    """Variables of workers that inherit nothing from this process: Dask's settings, and capmat's logger."""
    names = {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": str(value) for key, value in _DASK.items()}
    ours = {"PREFECT_LOGGING_EXTRA_LOGGERS": "capmat", "PYTHONSAFEPATH": "1", "DO_NOT_TRACK": "1", **_NO_PLUGINS}
    return {**names, **ours, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def _slurm(config: Cluster) -> Any:
    """Jobs that each run one worker. Scheduler and workers listen on the network, as they must, but with TLS."""
    package, files = _package("slurm"), Path(".capmat").resolve()
    files.mkdir(mode=0o700, exist_ok=True)
    secure = {} if config.insecure else {"security": new_key(config), "shared_temp_directory": str(files)}
    directives = [*(["--gres=gpu:1"] if config.gpu else []), *config.directives]
    ours = {
        "cores": config.train_threads,
        "processes": 1,
        "memory": config.memory,
        "queue": config.queue or None,
        "account": config.account or None,
        "walltime": config.walltime,
        "job_extra_directives": directives,
        "job_script_prologue": [
            f"unset {' '.join(_NO_PASSWORD)}",
            *(f'export {name}="{value}"' for name, value in worker_environment().items()),
        ],
        "worker_extra_args": ["--nthreads", "1", "--no-dashboard", *_label(config)],
        "scheduler_options": _HTTP,
        "python": sys.executable,
        "n_workers": config.workers,
    }
    return remember(package.SLURMCluster(**{**ours, **secure, **config.extra}))


def _kubernetes(config: Cluster) -> Any:
    if not config.insecure:
        raise ConfigError(
            "the Dask operator starts schedulers without TLS: every pod that reaches them runs commands",
            where="cluster.kind = kubernetes",
            fix="Set cluster.insecure in a namespace that others do not reach, or kind = address (docs/security.md)",
        )
    package = _package("kubernetes")
    return package.KubeCluster(
        **{"custom_cluster_spec": pods(config, package), "namespace": config.namespace, **config.extra}
    )


def pods(config: Cluster, package: Any) -> dict[str, Any]:
    """What capmat asks the Dask operator of Kubernetes for: a scheduler, and workers with their memory and GPU.

    Args:
        config: the settings.
        package: `dask_kubernetes.operator`.
    """
    from dask.utils import parse_bytes

    spec: dict[str, Any] = package.make_cluster_spec(
        name="capmat",
        image=config.image,
        n_workers=config.workers,
        env=worker_environment(),
        worker_command=["dask", "worker", "--nthreads", "1", "--memory-limit", config.memory, *_label(config)],
    )
    limits = {"memory": str(parse_bytes(config.memory)), "cpu": str(config.train_threads)}
    if config.gpu:
        limits["nvidia.com/gpu"] = "1"
    # by hand, because the package would give the scheduler a GPU as well
    spec["spec"]["worker"]["spec"]["containers"][0]["resources"] = {"limits": limits, "requests": limits}
    return spec


def _label(config: Cluster) -> list[str]:
    return ["--resources", "GPU=1"] if config.gpu else []


def _package(kind: str) -> Any:
    try:
        return importlib.import_module(PACKAGES[kind] + (".operator" if kind == "kubernetes" else ""))
    except ImportError as e:
        raise ConfigError(
            f"the package {PACKAGES[kind].replace('_', '-')} is not installed",
            where=f"cluster.kind = {kind}",
            fix=f"Install it with pip install 'capmat[{kind}]'",
        ) from e


@contextmanager
def shared_cluster(config: Cluster) -> Iterator[str]:
    """One cluster for all flows started inside; yields the address of its scheduler.

    Raises:
        ConfigError: a package of this kind is not installed, the machine has no GPU, or the address does not answer
            or has no TLS.
    """
    if config.address:
        check_answer(config, config.address)
        yield config.address
        return
    cluster = start_cluster(config)
    try:
        yield cluster.scheduler_address
    except KeyboardInterrupt:
        logging.disable(logging.ERROR)  # what Dask says of work that was interrupted; the command says that it was
        raise
    finally:
        with without_haste():
            cluster.close()


@contextmanager
def without_haste() -> Iterator[None]:
    """Let a cluster that ends too slowly for Dask be; what it did is done, and its processes end with this one."""
    try:
        yield
    except TimeoutError:
        logging.getLogger("capmat.cluster").warning("the workers end slowly; nothing is lost")
