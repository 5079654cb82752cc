"""Every kind of cluster is asked for as its settings say; what is missing is said before work starts."""

import os
import re
import socket
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, Nanny

from capmat_errors import ConfigError
from flows.cluster.kinds import pods, shared_cluster, start_cluster
from flows.cluster.runner import Runner
from flows.service.doctor import examine
from tasks.config import Cluster, Config
from tasks.runtime.settings import load_config


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["cluster.kind=address"], "needs the address"),
        (["cluster.kind=kubernetes"], "needs an image"),
        (["cluster.kind=local-cuda", "cluster.maximum=4"], "remove maximum"),
        (["cluster.workers=4", "cluster.maximum=2"], "maximum is below workers"),
        (["cluster.kind=moon"], "cluster.kind"),
    ],
)
def test_settings_that_make_no_cluster_are_refused_when_they_are_read(
    settings: list[str], says: str, tmp_path: Path
) -> None:
    file = tmp_path / "capmat.toml"
    file.write_text("")
    with pytest.raises(ConfigError, match=says):
        load_config(file, settings, {})


def test_what_has_no_setting_of_its_own_is_passed_on(tmp_path: Path) -> None:
    file = tmp_path / "capmat.toml"
    file.write_text('[cluster]\nkind = "slurm"\n[cluster.extra]\ninterface = "ib0"\n')
    assert load_config(file, (), {}).cluster.extra == {"interface": "ib0"}


def test_an_address_where_nobody_answers_is_refused_at_once() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        settings = Cluster(address=f"tcp://127.0.0.1:{taken.getsockname()[1]}", insecure=True)
        with pytest.raises(ConfigError, match="no Dask scheduler answers"), shared_cluster(settings):
            pass


def test_a_memory_limit_that_is_no_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="cluster.memory = plenty"):
        start_cluster(Cluster(memory="plenty"))


@pytest.mark.parametrize(("kind", "package"), [("slurm", "dask-jobqueue"), ("kubernetes", "dask-kubernetes")])
def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(
    kind: Any, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    with pytest.raises(ConfigError, match=rf"{package} is not installed.*capmat\[{kind}\]"):
        start_cluster(Cluster(kind=kind, image="capmat:1", insecure=True))


def test_gpus_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ConfigError, match="no CUDA device"):
        start_cluster(Cluster(kind="local-cuda"))


def test_a_local_cluster_grows_while_tasks_wait_and_shrinks_afterwards() -> None:
    with start_cluster(Cluster(workers=1, maximum=2)) as cluster, Client(cluster) as client:
        futures = client.map(lambda n: time.sleep(0.5) or n, range(1000))
        _until(lambda: len(cluster.scheduler.workers) == 2)
        client.cancel(futures)
        _until(lambda: len(cluster.scheduler.workers) == 1)


def test_a_worker_keeps_the_memory_that_the_next_step_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with start_cluster(Cluster(workers=1)) as cluster, Client(cluster) as client:
        assert int(client.submit(os.environ.get, "MALLOC_TRIM_THRESHOLD_").result()) > 1 << 20  # Dask says 1 << 16


def test_a_flow_starts_the_cluster_of_the_settings_and_finds_the_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAPMAT_CLUSTER__ADDRESS", raising=False)
    Path("capmat.toml").write_text("[cluster]\nworkers = 1\n")
    with Runner().duplicate() as first:
        assert len(first.client.scheduler_info(n_workers=-1)["workers"]) == 1
        address = first.client.scheduler_info()["address"]
        Path("capmat.toml").write_text(f'[cluster]\naddress = "{address}"\n')
        with Runner().duplicate() as second:
            assert second.client.scheduler_info()["address"] == address


def test_doctor_says_which_cluster_is_set_and_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def found(cluster: Cluster) -> tuple[str, str]:
        (finding,) = (f for f in examine(Config(cluster=cluster)) if f.name == "cluster")
        return finding.state, finding.detail

    assert found(Cluster(workers=3)) == ("ok", "local: 3 workers, 3.5GiB each")
    state, detail = found(Cluster(address="tcp://127.0.0.1:1"))
    assert (state, "without TLS" in detail) == ("missing", True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert found(Cluster(kind="local-cuda"))[0] == "missing"


def test_what_was_done_stays_done_when_the_workers_end_too_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine with fifteen processes a core, Dask gave up waiting for its workers to end."""
    end = Nanny.close

    async def slow(nanny: Nanny, *args: Any, **words: Any) -> None:
        await end(nanny, *args, **words)
        raise TimeoutError

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAPMAT_CLUSTER__ADDRESS", raising=False)
    monkeypatch.setattr(Nanny, "close", slow)
    with shared_cluster(Cluster(workers=1)) as address:
        assert address
    monkeypatch.setenv("CAPMAT_CLUSTER__WORKERS", "1")
    with Runner().duplicate() as runner:
        assert runner.client


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A queue of this machine: `sbatch` runs a copy of the script at once, `scancel` ends it; yields their folder."""
    run = 'cp "$1" {0}/job.sh; setsid bash {0}/job.sh >{0}/job.log 2>&1 & echo "Submitted batch job $!"'
    for name, text in {"sbatch": run.format(tmp_path), "scancel": 'kill -- -"$1"'}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_the_slurm_job_asks_for_what_the_settings_say_and_its_worker_gets_the_label(
    sbatch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("dask_jobqueue")
    monkeypatch.chdir(tmp_path)
    settings = Cluster(
        kind="slurm",
        workers=1,
        memory="8GiB",
        train_threads=4,
        gpu=True,
        queue="night",
        account="stage7",
        walltime="10:00:00",
        directives=("--constraint=h100",),
        extra={"scheduler_options": {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}},
    )
    with start_cluster(settings) as cluster, Client(cluster) as client:
        client.wait_for_workers(1, timeout=120)
        (worker,) = client.scheduler_info(n_workers=-1)["workers"].values()
        assert (worker["resources"], worker["nthreads"], worker["memory_limit"]) == ({"GPU": 1}, 1, 8 * 2**30)
        pause = client.submit(lambda: __import__("dask").config.get("distributed.worker.memory.pause")).result()
        assert pause is False
        assert cluster.scheduler_address.startswith("tls://")
    script = (sbatch / "job.sh").read_text()
    keys = re.findall(r"--tls-\S+ (\S+)", script)
    assert len(keys) == 3
    assert {stat.S_IMODE(Path(key).stat().st_mode) for key in keys if Path(key).exists()} <= {0o600}
    asked = {line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert asked >= {"-p night", "-A stage7", "--cpus-per-task=4", "--mem=8G", "-t 10:00:00", "--gres=gpu:1"}
    assert "--constraint=h100" in asked
    assert sys.executable in script


def test_pods_ask_for_memory_and_a_gpu_and_the_scheduler_for_none() -> None:
    package = pytest.importorskip("dask_kubernetes.operator")
    spec = pods(Cluster(kind="kubernetes", image="capmat:1", workers=3, memory="8GiB", gpu=True), package)["spec"]
    (container,) = spec["worker"]["spec"]["containers"]
    assert (spec["worker"]["replicas"], container["image"]) == (3, "capmat:1")
    assert container["resources"]["limits"] == {"memory": str(8 * 2**30), "cpu": "2", "nvidia.com/gpu": "1"}
    assert "--resources GPU=1" in " ".join(container["args"])
    assert "nvidia.com/gpu" not in str(spec["scheduler"])


def _until(holds: Any, limit_s: float = 60) -> None:
    stop = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < stop
        time.sleep(0.1)
