"""A store on S3 loses nothing when the server fails, and says plainly when there is nothing to be done."""

import json
import logging
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import ConfigError, StoreError
from storage.export.mattes import export_mattes
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LabelSet
from storage.pictures.files import read_image
from storage.registry import Registry
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.store.versions import Versions
from storage.takes.stage import Stage
from storage.takes.take import Take
from storage.upkeep.verify import verify
from storage.upkeep.waste import find_waste
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tests.project import ROOT
from tests.storage.raw_pictures import read_raw
from tests.storage.store.faulty_s3 import FaultyS3, faulty_s3
from tests.storage.tiny_session import HEIGHT, WIDTH, write_session

PHA = np.linspace(0, 1, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
SECRET, TOKEN = "Zq7secretOfTheTest", "Tk9tokenOfTheTest"


@pytest.fixture
def proxy(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    """A proxy before the S3 server, which every store of the test goes through."""
    with faulty_s3(s3_server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def s3(s3_root: Root, proxy: FaultyS3) -> Root:
    """An empty store behind the proxy."""
    return s3_root


def _one_camera(folder: Path) -> Path:
    """The tiny session with two frames of one camera: what takes time here is the number of requests."""
    session = write_session(folder / "session", frames=2)
    calibration = session / "calibration.json"
    cameras = json.loads(calibration.read_text())["cameras"]
    calibration.write_text(json.dumps({"units": "m", "cameras": {"c00": cameras.pop("c00")}}))
    for camera in cameras:
        shutil.rmtree(session / "plates" / camera)
        shutil.rmtree(session / "takes/walk" / camera)
    return session


def _work(root: Root, session: Path) -> None:
    """All that is ever written into a store, once."""
    ingest_plates(root.url, session)
    ingest_take(root.url, session, "walk")
    take = Take.open(root, "walk")
    take.start_run("r", {"name": "m", "version": "v0001"})
    files = {}
    for camera in take.cameras:
        files |= take.write_alphas("r", camera, {frame: PHA * np.float32(frame / 4) for frame in take.frames})
    Ledger(root).record("matte/walk-r", {"files": files})
    freeze_labels(root, "painted", [("walk", "c00", 1, np.eye(HEIGHT, WIDTH, dtype=np.uint8))])
    registry = Registry(root)
    registry.add("m", b"weights" * 1000, {"kind": "test"})
    registry.promote("student", "m", "v0001", {"why": "first"})
    export_mattes(take, "r", Root(f"{root.url}/out"), ("exr", "mp4"))


def test_a_fifth_of_all_requests_may_fail_and_nothing_is_lost(
    s3: Root, proxy: FaultyS3, s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = _one_camera(tmp_path)
    proxy.fail(0.2, seed=1)
    _work(s3, session)
    assert verify(s3, deep=True).damaged == []
    assert min(proxy.faults[kind] for kind in ("503", "500", "reset", "lost")) >= 2
    assert 0.1 < proxy.faults.total() / len(proxy.requests) < 0.3
    # What lies there is looked at without the proxy.
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    local = Root(tmp_path / "store")
    _work(local, session)
    assert s3.list() == [key for key in local.list() if key != "out"]
    take, plain = Take.open(s3, "walk"), Take.open(local, "walk")
    stage, there = Stage.open(s3, "ring"), Stage.open(local, "ring")
    for camera in take.cameras:
        np.testing.assert_array_equal(stage.plate(camera), there.plate(camera))
        for frame in take.frames:
            recorded = read_image(session / f"takes/walk/{camera}/{frame:04d}.png")
            np.testing.assert_array_equal(read_raw(take, camera, frame), recorded)
            np.testing.assert_array_equal(take.read_alpha("r", camera, frame), plain.read_alpha("r", camera, frame))
    assert LabelSet.open(s3, "painted").version == "l0001"
    assert Registry(s3).versions("m") == ["v0001"]
    assert Registry(s3).load("m", "v0001")[0] == b"weights" * 1000
    assert len(Registry(s3).history("student")) == 1
    for key in local.list("out/walk"):
        if key.endswith("exr"):
            assert s3.read(key) == local.read(key)


def test_opening_a_take_asks_for_little(s3: Root, proxy: FaultyS3, tmp_path: Path) -> None:
    ingest_take(s3.url, _one_camera(tmp_path), "walk")
    proxy.requests.clear()
    Take.open(s3, "walk")
    assert len(proxy.requests) <= 3, proxy.requests


def test_a_new_file_or_matte_or_picture_is_one_request(s3: Root, proxy: FaultyS3) -> None:
    s3.write("a", b"x")
    s3.read("a")
    assert s3.create("b", b"x")
    assert [method for method, _ in proxy.requests] == ["PUT", "GET", "PUT"]


def test_what_many_dead_claims_cost_is_one_list(s3: Root, proxy: FaultyS3) -> None:
    for number in range(30):
        s3.write(f"claims/takes/walk.zarr/old{number}", b"12")
    proxy.requests.clear()
    assert sum(one.bytes for one in find_waste(s3, 2)) == 60
    assert len(proxy.requests) < 30, proxy.requests


def _refused(root: Root, use: Callable[[], object], words: str) -> None:
    start = time.monotonic()
    with pytest.raises(StoreError, match=words) as error:
        use()
    assert root.url in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.fix
    assert time.monotonic() - start < 30  # and no timeout of a minute


def test_a_server_that_refuses_is_asked_once(s3: Root, proxy: FaultyS3) -> None:
    proxy.decide = lambda method, path: "403"
    for use in (lambda: s3.write("a", b"x"), lambda: s3.read("a"), lambda: s3.names("takes")):
        proxy.requests.clear()
        _refused(s3, use, "access is denied. Check the keys of S3")
        assert len(proxy.requests) == 1


def test_a_server_that_stays_busy_is_asked_ten_times(s3: Root, proxy: FaultyS3) -> None:
    proxy.decide = lambda method, path: "503"
    _refused(s3, lambda: s3.read("a"), "S3 says SlowDown")
    assert len(proxy.requests) == 10


def test_a_server_that_is_restarted_is_waited_for(
    s3_server: str, s3_root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_s3(s3_server) as before:
        monkeypatch.setenv("AWS_ENDPOINT_URL", before.url)
    done: list[str] = []
    writing = threading.Thread(target=lambda: (s3_root.write("a", b"x"), done.append("written")))
    writing.start()
    time.sleep(0.5)
    assert done == []
    with faulty_s3(s3_server, before.server.server_port):
        writing.join(60)
        assert done == ["written"]
        assert s3_root.read("a") == b"x"


def test_a_file_that_was_sent_by_half_is_not_there(s3: Root, proxy: FaultyS3) -> None:
    proxy.decide = lambda method, path: "half" if method == "PUT" else ""
    _refused(s3, lambda: s3.write("a/b", b"x" * 100_000), "does not answer")
    assert proxy.faults["half"] >= 10
    proxy.decide = lambda method, path: ""
    assert s3.list() == []


def test_who_was_first_knows_it_though_the_answer_got_lost(s3: Root, proxy: FaultyS3) -> None:
    lost = iter(["lost"])
    proxy.decide = lambda method, path: next(lost, "") if method == "PUT" else ""
    assert s3.create("claims/1", b"mine")
    assert not s3.create("claims/1", b"mine")
    assert proxy.faults["lost"] == 1
    assert len(proxy.asked("PUT")) == 3


@pytest.mark.parametrize("fault", ["lost", "409"])
def test_a_lost_answer_never_makes_two_versions_of_one(s3: Root, proxy: FaultyS3, fault: str) -> None:
    for number in range(1, 4):
        once = iter([fault])
        proxy.decide = lambda method, path, once=once: next(once, "") if method == "PUT" else ""  # type: ignore[misc]
        assert Versions(s3, "promotions/student", "p").add(lambda newest: {"after": newest}) == f"p{number:04d}"
    assert proxy.faults[fault] == 3


def test_of_many_who_want_a_name_one_gets_it_whatever_fails(s3: Root, proxy: FaultyS3) -> None:
    proxy.fail(0.3, seed=3)
    won: list[int] = []

    def claim(number: int) -> None:
        if s3.create("claims/1", str(number).encode()):
            won.append(number)

    crowd = [threading.Thread(target=claim, args=(number,)) for number in range(5)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    proxy.decide = lambda method, path: ""
    assert [str(number).encode() for number in won] == [s3.read("claims/1")]


_FORK = """
import os
import sys
import time
from storage.store.root import Root
from storage.takes.take import Take

s3 = Root(sys.argv[1])
take = Take.open(s3, "walk")
before = take.read("c00", 0)
for number in range(2):
    child = os.fork()
    if not child:
        s3.write(f"from/child{number}", b"x")
        os._exit(0 if (take.read("c00", 0) == before).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    start = time.monotonic()
    assert s3.read(f"from/child{number}") == b"x"
    print(time.monotonic() - start < 30)  # it would be a minute
"""


def test_a_store_that_was_used_works_in_a_forked_child_and_still_in_its_parent(s3: Root, tmp_path: Path) -> None:
    ingest_take(s3.url, _one_camera(tmp_path), "walk")
    command = [sys.executable, "-c", _FORK, s3.url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 2


def test_credentials_are_in_no_pickle_log_record_or_error(
    s3: Root, proxy: FaultyS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG)
    for name in ("botocore", "aiobotocore", "s3fs", "fsspec"):
        caplog.set_level(logging.DEBUG, name)
    proxy.fail(0.02, seed=5)
    session = _one_camera(tmp_path)
    ingest_plates(s3.url, session)
    ingest_take(s3.url, session, "walk")
    take = Take.open(s3, "walk")
    take.read("c00", 0)
    said = [pickle.dumps(thing) for thing in (s3, take, Stage.open(s3, "ring"), Ledger(s3))]
    proxy.decide = lambda method, path: "403"
    with pytest.raises(StoreError) as error:
        s3.read("a")
    said += [str(error.value).encode(), repr(error.value.__cause__).encode()]
    proxy.decide = lambda method, path: ""
    said += [s3.read(key) for key in s3.list()]
    assert any(record.name.startswith("botocore") for record in caplog.records)
    said.append(caplog.text.encode())
    for secret in (SECRET, TOKEN):
        assert not any(secret.encode() in text for text in said), secret


@pytest.mark.parametrize(
    "given", ["localhost:9000", "10.0.0.7", "", "http://", "ftp://x", "http://a b", "http://a:port"]
)
@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_that_is_no_address_is_refused(name: str, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, given)
    with pytest.raises(ConfigError, match=f"{name} is '{given}', which is no address. Write it as http://host:port"):
        Root("s3://bucket/prefix")


@pytest.mark.parametrize(
    "given", ["http://localhost:9000", "https://s3.example.org/", "http://[::1]:9000", "https://a/b"]
)
def test_an_endpoint_that_is_an_address_is_taken(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", given)
    assert Root("s3://bucket/prefix").remote
