"""What all tests share: a real S3 server on loopback, a folder to work in, and repeatable property tests in CI."""

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from storage.store.root import Root
from tasks.runtime import display
from tests.storage.tiny_session import write_session

# New cases are looked for at the desk; a build that nobody touched must not fail on one. How long a case takes is the
# machine's affair.
settings.register_profile("desk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("desk"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")

# What tests start has to hear signals, also where a shell in the background or `nohup` made the tests deaf to them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

_BUCKET = "capmat-tests"
_count = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def _patience() -> None:
    """What a command says of its long silence must not depend on how busy the machine is."""
    display.SILENT_S = 1e9


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server in this process, with test keys in the environment."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    ours = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    boto3.client("s3").create_bucket(Bucket=_BUCKET)
    yield ours["AWS_ENDPOINT_URL"]
    for name, value in before.items():
        if value is None:
            os.environ.pop(name)
        else:
            os.environ[name] = value
    server.stop()


@pytest.fixture
def s3_root(s3_server: str) -> Root:
    """An empty place on S3."""
    return Root(f"s3://{_BUCKET}/{next(_count):04d}")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a sound session `day`."""
    monkeypatch.chdir(tmp_path)
    write_session(tmp_path / "day")
    return tmp_path
