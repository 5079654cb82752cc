"""The inbox gives out what is copied and leaves the rest; nothing in the store is lost to a namesake."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from capmat_errors import ConfigError, FrameGap, SessionError, StoreError
from storage.descriptor import read_session
from storage.session.plan import check_stage
from storage.store.root import Root
from storage.takes.take import Take
from tasks.ingest.arrival import check_names, finish, is_finished
from tasks.ingest.inbox import Delivery, Inbox, drop, fetch, read_inbox, to_fetch
from tasks.ingest.inbox_files import Bucket
from tasks.ingest.session import ingest, plates
from tests.storage.tiny_session import CAMERAS, edit_toml, tree, write_session

HOUR = 3600.0


def see(inbox: Path, later: float = HOUR, still_minutes: float = 10) -> Inbox:
    """What the inbox shows to somebody who comes `later` seconds after the files were written."""
    return read_inbox(str(inbox), still_minutes, now=lambda: time.time() + later, second_look_s=0)


def named(folder: Path, name: str, take: str = "") -> Path:
    """Give a tiny session, its stage and its take names of their own."""
    edit_toml(folder, 'name = "day"', f'name = "{name}"')
    edit_toml(folder, 'stage = "ring"', f'stage = "ring-{name}"')
    edit_toml(folder, "[takes.walk]", f"[takes.{take or name}]")
    return folder


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def test_a_session_that_was_copied_is_found_however_deep(inbox: Path) -> None:
    session = write_session(inbox / "2026" / "june" / "monday")
    (found,) = see(inbox).sessions
    assert found.file == str(session / "session.toml")
    assert list(found.takes) == ["walk"]


def test_what_is_still_being_copied_is_left_and_the_reason_said(inbox: Path) -> None:
    write_session(inbox / "day")
    found = see(inbox, later=0)
    assert found.sessions == []
    (left,) = found.left
    assert left["where"] == str(inbox / "day")
    assert "which is too recent" in left["why"]


def test_a_copy_that_keeps_the_times_of_the_files_is_seen_all_the_same(inbox: Path) -> None:
    session = write_session(inbox / "day")
    for file in session.rglob("*.*"):
        os.utime(file, (0, 0))
    assert see(inbox, later=0).sessions == []


def test_a_take_waits_for_its_own_files_only(inbox: Path) -> None:
    session = write_session(inbox / "day")
    shutil.copytree(session / "takes/walk", session / "takes/run")
    with (session / "session.toml").open("a") as file:
        file.write('[takes.run]\npath = "takes/run/{camera}/{frame:04d}.png"\n')
        file.write('[takes.jump]\npath = "takes/jump/{camera}/{frame:04d}.png"\n')
    time.sleep(0.2)
    since = time.time()
    time.sleep(0.2)
    (session / "takes/run/c00/0001.png").touch()
    found = read_inbox(str(inbox), 10, now=lambda: since + 10 * 60, second_look_s=0)
    assert [list(arrived.takes) for arrived in found.sessions] == [["walk"]]
    why = {left["where"].rpartition(" ")[2]: left["why"] for left in found.left}
    assert why["run"].startswith("0001.png changed at ")
    assert why["jump"] == "nothing of it has arrived yet"


def test_a_file_that_grows_between_two_looks_is_not_copied(inbox: Path) -> None:
    session = write_session(inbox / "day")

    looked = threading.Event()

    def grow() -> None:
        while not looked.wait(0.02):
            with (session / "takes/walk/c01/0000.png").open("ab") as file:
                file.write(b"more")

    copying = threading.Thread(target=grow)
    copying.start()
    # its clock is an hour ahead, as a file server may be that reports no change in time
    found = read_inbox(str(inbox), 10, now=lambda: time.time() + HOUR, second_look_s=1.0)
    looked.set()
    copying.join()
    assert found.sessions == []
    assert found.left == [{"where": f"{session}, take walk", "why": "0000.png changed between two looks"}]


def test_a_folder_without_descriptor_is_named_and_hidden_ones_are_not_looked_at(inbox: Path) -> None:
    write_session(inbox / ".trash")
    (inbox / "tuesday" / "clips").mkdir(parents=True)
    found = see(inbox)
    assert found.sessions == []
    assert found.left == [{"where": str(inbox / "tuesday"), "why": "has no session.toml yet"}]


def test_a_descriptor_that_cannot_be_read_is_refused_alone(inbox: Path) -> None:
    named(write_session(inbox / "good"), "good")
    edit_toml(write_session(inbox / "bad"), "fps = 25.0", "fps = -1")
    found = see(inbox)
    assert [arrived.session.name for arrived in found.sessions] == ["good"]
    (refused,) = found.refused
    assert refused["error"] == "SessionError"
    assert refused["where"] == str(inbox / "bad" / "session.toml")
    assert refused["fix"]
    assert see(inbox, later=0).refused == []  # perhaps it is not copied to its end


def test_two_sessions_of_one_name_are_both_refused(inbox: Path) -> None:
    write_session(inbox / "monday")
    write_session(inbox / "tuesday")
    found = see(inbox)
    assert found.sessions == []
    assert [item["session"] for item in found.refused] == [str(inbox / "monday"), str(inbox / "tuesday")]


@pytest.mark.parametrize("place", ["ftp://server/inbox", "nowhere"])
def test_an_inbox_that_is_no_folder_is_refused(place: str) -> None:
    with pytest.raises(ConfigError, match="the inbox is not a folder"):
        read_inbox(place, 0)


def test_a_take_of_another_session_keeps_its_place_in_the_store(tmp_path: Path) -> None:
    store, ours = str(tmp_path / "store"), write_session(tmp_path / "ours") / "session.toml"
    ingest(store, str(ours), "walk", plates(store, str(ours))["digest"])
    check_names(store, read_session(ours))
    check_names(store, read_session(ours), "walk")
    theirs = named(write_session(tmp_path / "theirs"), "theirs", "walk")
    check_names(store, read_session(theirs))
    with pytest.raises(SessionError, match=r"a take walk of session day\. Give this take another name"):
        check_names(store, read_session(theirs), "walk")
    edit_toml(theirs, "ring-theirs", "ring")
    with pytest.raises(SessionError, match="plates of a stage ring of session day"):
        check_names(store, read_session(theirs))


def test_two_sessions_may_share_one_recording_of_the_empty_stage(tmp_path: Path) -> None:
    store, ours = str(tmp_path / "store"), write_session(tmp_path / "ours") / "session.toml"
    plates(store, str(ours))
    theirs = tmp_path / "theirs"
    shutil.copytree(tmp_path / "ours", theirs)
    edit_toml(theirs, 'name = "day"', 'name = "theirs"')
    check_names(store, read_session(theirs))


def test_a_finished_take_is_known_until_its_files_or_wishes_change(inbox: Path, tmp_path: Path) -> None:
    store, session = str(tmp_path / "store"), write_session(inbox / "day")
    (before,) = see(inbox).sessions
    wish = {"teacher": 0}
    ingest(store, before.file, "walk", plates(store, before.file)["digest"])
    assert not is_finished(store, "walk", before.takes["walk"], wish)
    finish(store, "walk", before.takes["walk"], wish, "day")
    assert is_finished(store, "walk", before.takes["walk"], wish)
    assert not is_finished(store, "walk", before.takes["walk"], {"teacher": 2})
    with (session / "session.toml").open("a") as file:
        file.write('[takes.run]\npath = "takes/run/{camera}/{frame:04d}.png"\n')
    assert see(inbox).sessions[0].takes["walk"] == before.takes["walk"]  # the day has grown by another take
    (session / "plates" / CAMERAS[0] / "0000.png").touch()
    assert see(inbox).sessions[0].takes["walk"] != before.takes["walk"]


def test_a_take_that_was_taken_out_of_the_store_is_not_finished(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    files = Delivery("files", "says", 1.0, gone=False)
    finish(store, "walk", files, {}, "day")
    assert not is_finished(store, "walk", files, {})


def upload(folder: Path, root: Root, to: str) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            root.write(f"{to}/{file.relative_to(folder)}", file.read_bytes())


def test_a_session_on_s3_is_copied_here_take_by_take_and_forgotten_when_it_is_done(
    s3_root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session, store = write_session(tmp_path / "day"), str(tmp_path / "store")
    with (session / "session.toml").open("a") as file:
        file.write('[takes.run]\npath = "takes/run/{camera}/{frame:04d}.png"\n')
    upload(session, s3_root, "2026/day")
    upload(session / "takes/walk", s3_root, "2026/day/takes/run")
    s3_root.write("tuesday/notes.txt", b"later")
    before = s3_root.stamps()

    early = read_inbox(s3_root.url, 10, second_look_s=0)
    assert early.sessions == []
    assert {left["where"] for left in early.left} == {s3_root.at("2026/day"), s3_root.at("tuesday")}
    assert "which is too recent" in early.left[1]["why"]
    found = read_inbox(s3_root.url, 10, now=lambda: time.time() + HOUR, second_look_s=0)
    (arrived,) = found.sessions
    assert list(arrived.takes) == ["walk", "run"]
    place = found.files
    assert isinstance(place, Bucket)
    staged = tmp_path / ".capmat/inbox/2026/day"
    assert tree(staged).keys() == {"session.toml"}  # a look costs no more than the descriptors

    size = sum(file.stat().st_size for file in (session / "takes/walk").rglob("*.png"))
    assert to_fetch(place, arrived, "walk") > size
    fetch(place, arrived, "walk")
    assert to_fetch(place, arrived, "walk") == 0
    assert tree(staged) == {name: data for name, data in tree(session).items() if "takes/run" not in name}
    first = ingest(store, arrived.file, "walk", plates(store, arrived.file)["digest"])

    lost = staged / "takes/walk/c00/0001.png"
    times = {file: file.stat().st_ctime_ns for file in staged.rglob("*.png")}
    lost.write_bytes(lost.read_bytes()[:100])  # killed half-way
    (staged / "takes/walk/c00/0009.png").write_bytes(b"of an earlier upload")
    fetch(place, arrived, "walk")
    assert [file for file in times if file.stat().st_ctime_ns != times[file]] == [lost]
    assert ingest(store, arrived.file, "walk", plates(store, arrived.file)["digest"]) == {**first, "reused": True}

    drop(place, arrived, ["run"])
    assert "takes" not in {path.name for path in staged.iterdir()}
    assert (staged / "plates/c00/0000.png").exists()  # the other take will need them
    drop(place, arrived, [])
    assert list(tmp_path.joinpath(".capmat").rglob("*")) == []
    assert s3_root.stamps() == before  # nothing in the inbox was touched


@pytest.mark.parametrize(("name", "beside"), [("d [A]", "d A"), ("d*", "day"), ("d?y", "day")])
def test_names_that_look_like_patterns_are_only_names_in_an_inbox_on_s3(
    s3_root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, beside: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, take in ((name, "ours"), (beside, "other")):
        session = named(write_session(tmp_path / "made" / take, frames=2 if take == "ours" else 3), take)
        for kind in ("plates", "takes/walk"):
            (session / kind).rename(session / f"{kind} {folder}")
            edit_toml(session, f'path = "{kind}/', f'path = "{kind} {folder}/')
        upload(session, s3_root, f"{folder}/in {folder}")
    upload(session / f"takes/walk {beside}", s3_root, f"{name}/in {name}/takes/walk {beside}")
    before = s3_root.stamps()

    inbox = Root(f"{s3_root}/{name}")
    found = read_inbox(inbox.url, 10, now=lambda: time.time() + HOUR, second_look_s=0)
    (arrived,) = found.sessions
    assert isinstance(found.files, Bucket)
    fetch(found.files, arrived, "ours")
    made = tree(tmp_path / "made/ours")
    assert tree(tmp_path / ".capmat/inbox" / f"in {name}") == made
    store = str(tmp_path / "store")
    ingest(store, arrived.file, "ours", plates(store, arrived.file)["digest"])
    assert Take.open(Root(store), "ours").frames == [0, 1]
    drop(found.files, arrived, [])
    assert s3_root.stamps() == before


def test_a_take_on_s3_that_is_written_again_is_not_used(
    s3_root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = write_session(tmp_path / "day")
    upload(session, s3_root, "day")
    found = read_inbox(s3_root.url, 0, now=lambda: time.time() + HOUR, second_look_s=0)
    (arrived,) = found.sessions
    s3_root.write("day/takes/walk/c00/0000.png", b"another picture")
    assert isinstance(found.files, Bucket)
    with pytest.raises(StoreError, match="changed while it was copied"):
        fetch(found.files, arrived, "walk")
    s3_root.write("far/session.toml", (session / "session.toml").read_bytes().replace(b"plates/{", b"../../x/{"))
    (refused,) = read_inbox(s3_root.url, 0, now=lambda: time.time() + HOUR, second_look_s=0).refused
    assert (refused["error"], refused["what"]) == ("SessionError", "the session's files are not in the inbox")


def test_one_bad_take_of_a_stage_without_plates_leaves_the_others_usable(tmp_path: Path) -> None:
    session = write_session(tmp_path / "day")
    edit_toml(session, '[plates]\npath = "plates/{camera}/{frame:04d}.png"\n', "")
    shutil.copytree(session / "takes/walk", session / "takes/run")
    with (session / "session.toml").open("a") as file:
        file.write('[takes.run]\npath = "takes/run/{camera}/{frame:04d}.png"\n')
    (session / "takes/run/c01/0001.png").unlink()
    described = read_session(session)
    assert list(check_stage(described).cameras) == list(CAMERAS)
    (session / "takes/walk/c01/0001.png").unlink()
    with pytest.raises(FrameGap):
        check_stage(described)
