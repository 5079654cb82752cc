"""Only those who hold its key give work to a cluster; OpenSSL and Python's ssl judge, not our own code."""

import os
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from distributed.security import Security
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import ConfigError
from flows.cluster import security
from flows.cluster.kinds import mixed_cluster, shared_cluster, start_cluster
from flows.cluster.runner import Runner
from tasks.config import Cluster
from tasks.runtime.settings import load_config

PASSWORDS = (
    "PREFECT_API_AUTH_STRING",
    "PREFECT_SERVER_API_AUTH_STRING",
    "PREFECT_SERVER_DATABASE_PASSWORD",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_PASSWORD",
    "PREFECT_API_DATABASE_CONNECTION_URL",
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of `cluster.tls`, made with the commands of docs/security.md."""
    return make_keys(tmp_path_factory.mktemp("keys"))


def make_keys(folder: Path) -> Path:
    page = Path(__file__).parents[3] / "docs/security.md"
    commands = [
        line.strip() for line in page.read_text().splitlines() if line.startswith(("    openssl ", "    cp "))
    ]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True)
    return folder


def local(config: Cluster) -> Any:
    return start_cluster(config)


def mixed(config: Cluster) -> Any:
    return mixed_cluster(config, ["0"])


@pytest.fixture(scope="module", params=[local, mixed])
def cluster(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A running cluster of one CPU worker, started by a process that holds the password of Prefect."""
    start: Callable[[Cluster], Any] = request.param
    with pytest.MonkeyPatch.context() as patch:
        for name in PASSWORDS:
            patch.setenv(name, "admin:secret")
        with start(Cluster(workers=1)) as cluster:
            yield cluster


def test_a_stranger_gives_no_work_to_a_cluster_with_or_without_a_key_of_his_own(cluster: Any) -> None:
    address = cluster.scheduler_address
    assert address.startswith("tls://127.0.0.1:")
    for url, key in ((address, Security.temporary()), (address.replace("tls", "tcp"), None)):
        with pytest.raises(OSError, match=r"TLS certificate|closed|reset|[Tt]imed out"):
            Client(url, security=key, timeout=3)


def test_the_workers_speak_tls_as_well_and_show_no_page(cluster: Any) -> None:
    with Client(cluster) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        assert workers
        assert all(name.startswith("tls://") for name in workers)
        assert all(worker["nanny"].startswith("tls://") for worker in workers.values())
        pages = [cluster.scheduler.http_server.port, *(w["services"]["dashboard"] for w in workers.values())]
    for port in filter(None, pages):
        for page in ("info/main/workers.html", "json/counts.json", "metrics"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}")


def test_what_a_worker_starts_inherits_no_password_and_its_prefect_starts_no_plugin(cluster: Any) -> None:
    with Client(cluster) as client:
        told = client.submit(lambda: subprocess.check_output(["env"], text=True)).result()
    assert "secret" not in told
    assert "PREFECT_PLUGINS_ENABLED=0" in told  # in an event loop they end in a traceback


def test_two_clusters_of_one_process_have_keys_of_their_own(cluster: Any) -> None:
    assert security.new_key(Cluster()).tls_client_key != cluster.security.tls_client_key
    assert security.key_of(Cluster(), cluster.scheduler_address) is cluster.security


def test_a_scheduler_that_runs_already_is_reached_with_the_key_of_the_settings(
    keys: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CAPMAT_CLUSTER__ADDRESS", raising=False)
    with start_cluster(Cluster(workers=1, tls=str(keys))) as cluster:
        address = cluster.scheduler_address
        monkeypatch.setattr(security, "_ours", {})  # as another process
        given = Cluster(address=address, tls=str(keys))
        with shared_cluster(given) as found:
            assert found == address
        monkeypatch.setenv("CAPMAT_CLUSTER__ADDRESS", address)
        with pytest.raises(ConfigError, match="no key for this Dask scheduler"), Runner().duplicate() as runner:
            assert runner.client
        monkeypatch.setenv("CAPMAT_CLUSTER__TLS", str(keys))
        with Runner().duplicate() as runner:
            assert runner.client.submit(os.getpid).result() != os.getpid()
        (other := tmp_path / "other").mkdir()
        with pytest.raises(ConfigError, match=r"do not fit.*one ca.pem"):
            security.check_answer(Cluster(address=address, tls=str(make_keys(other))), address)
        ssl.get_server_certificate(("127.0.0.1", int(address.rpartition(":")[2])))  # it is TLS


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["tcp://", "", "ws://", "TLS://", "ucx://"]), st.integers(1, 65535))
def test_an_address_without_tls_is_refused_unless_a_setting_says_otherwise(scheme: str, port: int) -> None:
    address = f"{scheme}stage.lan:{port}"
    with pytest.raises(ConfigError, match=r"without TLS runs commands.*insecure"):
        security.key_of(Cluster(kind="address", address=address), address)
    assert security.key_of(Cluster(kind="address", address=address, insecure=True), address) is None


def test_a_flow_on_an_address_without_tls_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    address = "tcp://127.0.0.1:1"
    monkeypatch.setenv("CAPMAT_CLUSTER__ADDRESS", address)
    with pytest.raises(ConfigError, match="without TLS"), Runner().duplicate() as runner:
        assert runner.client
    with pytest.raises(ConfigError, match="without TLS"), shared_cluster(Cluster(address=address)):
        pass


def test_pods_are_refused_without_the_setting_since_their_scheduler_has_no_tls() -> None:
    with pytest.raises(ConfigError, match=r"without TLS.*cluster.insecure"):
        start_cluster(Cluster(kind="kubernetes", image="capmat:1"))


def test_a_key_that_others_may_read_or_that_is_missing_is_refused(keys: Path, tmp_path: Path) -> None:
    (given := tmp_path / "keys").mkdir()
    for name in ("ca", "cert", "key"):
        with pytest.raises(ConfigError, match=rf"{name}.pem: is missing"):
            security.new_key(Cluster(tls=str(given)))
        (given / f"{name}.pem").write_bytes((keys / f"{name}.pem").read_bytes())
    (given / "key.pem").chmod(0o640)
    with pytest.raises(ConfigError, match="other users may read the key"):
        security.new_key(Cluster(tls=str(given)))
    (given / "key.pem").chmod(0o600)
    assert security.new_key(Cluster(tls=str(given))).require_encryption


def test_the_folder_of_keys_is_relative_to_the_file_of_settings(tmp_path: Path) -> None:
    (file := tmp_path / "capmat.toml").write_text('[cluster]\ntls = "keys"\n')
    assert load_config(file, environ={}).cluster.tls == str(tmp_path / "keys")
