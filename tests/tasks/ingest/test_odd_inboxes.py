"""Inboxes as people and servers make them: links, clocks, long names, odd keys."""

import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import ConfigError, SessionError, StoreError
from storage.descriptor import read_session
from storage.store.root import Root
from tasks.ingest.inbox import Inbox, fetch, read_inbox
from tasks.ingest.inbox_files import Bucket
from tests.storage.tiny_session import edit_toml, write_session

HOUR = 3600.0


def see(inbox: Path) -> Inbox:
    return read_inbox(str(inbox), 10, now=lambda: time.time() + HOUR, second_look_s=0)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    write_session(tmp_path / "inbox" / "day1")
    return tmp_path / "inbox"


@pytest.mark.parametrize(
    ("name", "target"),
    [("latest", "day1"), ("aa-latest", "day1"), ("loop", "."), ("day1/takes/loop", ".."), ("up", "..")],
)
def test_a_link_to_what_the_inbox_has_is_no_second_session(inbox: Path, name: str, target: str) -> None:
    (inbox / name).symlink_to(target)
    found = see(inbox)
    assert [arrived.file for arrived in found.sessions] == [str(inbox / "day1/session.toml")]
    assert found.refused == []


def test_a_link_to_a_session_elsewhere_is_a_session_once(inbox: Path, tmp_path: Path) -> None:
    edit_toml(write_session(tmp_path / "disk2" / "day2"), 'name = "day"', 'name = "day2"')
    for name in ("day2", "today"):
        (inbox / name).symlink_to(tmp_path / "disk2" / "day2")
    assert [Path(arrived.file).parent.name for arrived in see(inbox).sessions] == ["day1", "day2"]


def test_an_inbox_that_is_a_link_itself_is_read(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "mount").symlink_to(inbox)
    (inbox / "latest").symlink_to("day1")
    assert [arrived.file for arrived in see(tmp_path / "mount").sessions] == [f"{tmp_path}/mount/day1/session.toml"]


def test_a_camera_behind_a_link_counts_while_it_is_copied(inbox: Path, tmp_path: Path) -> None:
    camera = inbox / "day1/takes/walk/c01"
    shutil.move(camera, tmp_path / "c01")
    camera.symlink_to(tmp_path / "c01")
    before = see(inbox).sessions[0].takes["walk"]
    (tmp_path / "c01/0001.png").touch()
    assert see(inbox).sessions[0].takes["walk"] != before
    found = read_inbox(str(inbox), 10, second_look_s=0)
    assert found.sessions == []


@pytest.mark.parametrize("off", [-HOUR, HOUR])
def test_our_clock_decides_nothing(inbox: Path, off: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are dated by the kernel, which stands for the file server."""
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + off)
    assert read_inbox(str(inbox), 10, second_look_s=0).sessions == []  # written just now
    time.sleep(0.3)
    assert read_inbox(str(inbox), 0.002, second_look_s=0).sessions  # and still since


def test_an_inbox_that_is_read_only_is_read_by_our_clock(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clock(root: Root) -> float:
        raise StoreError("the store is read-only", where=root.url)

    monkeypatch.setattr(Root, "clock", clock)
    assert read_inbox(str(inbox), 10, second_look_s=0).sessions == []


def test_the_clock_of_a_server_is_its_own_and_asking_leaves_nothing(tmp_path: Path, s3_root: Root) -> None:
    for root in (Root(tmp_path), s3_root):
        assert abs(root.clock() - time.time()) < 5
        assert root.list() == []


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 250))
def test_a_name_is_short_enough_for_the_files_that_are_named_after_it_or_refused(length: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        session = write_session(Path(folder) / "day", frames=1, plates=1)
        edit_toml(session, "[takes.walk]", f"[takes.{'w' * length}]")
        if length > 100:
            with pytest.raises(SessionError, match=r"takes.*at most 100"):
                read_session(session)
        else:
            assert list(read_session(session).takes) == ["w" * length]


def test_a_name_that_the_file_system_does_not_take_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="a name is too long for this file system. Choose a shorter name"):
        Root(tmp_path).write(f"{'n' * 250}.json", b"")


@pytest.mark.parametrize("key", ["day//takes/walk/c00/0000.png", "day/takes/../../../evil.png", "day/./x.png", "//a"])
def test_keys_that_no_path_stands_for_are_left_and_named(
    s3_root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    import boto3

    session = write_session(tmp_path / "day")
    for file in session.rglob("*.*"):
        s3_root.write(f"day/{file.relative_to(session)}", file.read_bytes())
    bucket, _, prefix = s3_root.url.removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=b"evil")
    found = read_inbox(s3_root.url, 0, second_look_s=0)
    assert [left["where"] for left in found.left] == [s3_root.at(key)]
    assert "empty" in found.left[0]["why"]
    (arrived,) = found.sessions
    assert isinstance(found.files, Bucket)
    fetch(found.files, arrived, "walk")
    copies = Path(".capmat/inbox").absolute()
    assert all(
        copies in path.parents for path in tmp_path.rglob("*") if path.is_file() and session not in path.parents
    )
    assert (copies / "day/takes/walk/c00/0000.png").read_bytes() == (session / "takes/walk/c00/0000.png").read_bytes()


@pytest.mark.parametrize("url", ["s3://", "s3:///", "s3:/bucket/prefix", "S3://bucket"])
def test_an_address_without_a_bucket_is_no_store_and_no_folder(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="s3://bucket/prefix"):
        Root(url)
    assert list(tmp_path.iterdir()) == []
