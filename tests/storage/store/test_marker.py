"""A folder whose disk is not mounted is never taken for an empty store, and an early store still opens."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from capmat_errors import NotFound, StoreError
from flows.command.main import main
from flows.ingest import ingest
from flows.nightly import nightly
from flows.service.doctor import examine
from storage.store.marker import MARKER, begin_store, check_place, check_store, is_store
from storage.store.root import Root
from storage.takes.take import list_takes
from tasks.config import Config
from tests.storage.tiny_session import tree

READERS = [["verify"], ["verify", "--deep"], ["gc"], ["gc", "--yes"], ["metrics"], ["models"], ["models", "list"]]
READERS += [["benchmark", "show"], ["scribbles", "list"]]
USERS = [["mine", "walk"], ["export", "walk", "--out", "out"], ["hull", "walk", "--out", "a.ply"], ["validate"]]
USERS += [["scribble", "--no-browser"], ["models", "show", "student"]]


@pytest.fixture
def mount(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder elsewhere, on which a disk should be mounted."""
    return tmp_path_factory.mktemp("mnt")


def said(words: list[str], store: Any, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["--set", f"store={store}", *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("words", [*READERS, *USERS], ids=" ".join)
def test_reading_commands_refuse_a_folder_that_is_no_store(
    here: Path, mount: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    for store in (mount, mount / "store", *([here / ".capmat/store"] if words in READERS else [])):
        assert f"{store}: no store is here. Mount its disk" in said(words, store, capsys)
    assert list(mount.iterdir()) == []
    assert not (here / ".capmat").exists()


def test_an_ingest_into_an_empty_mount_point_asks_once(
    here: Path, mount: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["ingest", "day"], ["plan"], ["stage", "check", "day"]):
        assert "capmat --new-store" in said(words, mount, capsys)
    assert list(mount.iterdir()) == []
    assert main(["--set", f"store={mount}", "ingest", "--new-store", "day"]) == 0
    name = json.loads((mount / MARKER).read_text())["store"]
    assert main(["--set", f"store={mount}", "plan"]) == 2  # there is no session.toml where the settings say
    assert "no store" not in capsys.readouterr().err
    assert json.loads((mount / MARKER).read_text())["store"] == name  # it keeps its name
    moved = shutil.move(mount, f"{mount}-away")
    mount.mkdir()
    assert "no store is here" in said(["verify"], mount, capsys)
    assert "no store is here" in said(["ingest", "day"], mount, capsys)
    shutil.rmtree(moved)


@pytest.mark.parametrize("flow", [nightly, ingest])
def test_a_run_of_a_deployment_refuses_as_well(here: Path, mount: Path, flow: Any) -> None:
    with pytest.raises(StoreError, match="no store is here"):
        flow.fn(session=str(here / "day/session.toml"), overrides=[f"store={mount}"])
    assert list(mount.iterdir()) == []


def test_a_store_begins_unasked_below_the_working_folder(here: Path) -> None:
    assert {finding.name: finding.state for finding in examine(Config(store=str(here / "store")))}["store"] == "ok"
    assert not (here / "store").exists()  # doctor leaves no empty folder
    check_place(Root(here / "store"))
    (here / "disk").mkdir()
    with pytest.raises(StoreError, match="new-store"):
        check_place(Root(here / "disk"))


def test_a_store_of_an_early_version_opens_and_gets_its_name_with_the_next_ingest(here: Path) -> None:
    assert main(["--set", "store=store", "ingest", "day"]) == 0
    assert is_store(Root(here / "store"))
    (here / "store" / MARKER).unlink()
    before = tree(here / "store")
    assert main(["--set", "store=store", "verify", "--deep"]) == 0
    assert main(["--set", "store=store", "gc"]) == 0
    assert tree(here / "store") == before
    assert main(["--set", "store=store", "ingest", "day"]) == 0
    assert (here / "store" / MARKER).exists()


@pytest.mark.parametrize("folder", ["ledger/a.json", "models/m/v0001.json", "takes/t.zarr/zarr.json", "plans/n.json"])
def test_an_early_store_is_known_by_anything_that_it_holds(root: Root, folder: str) -> None:
    with pytest.raises(NotFound, match="no store is here"):
        check_store(root)
    root.write(folder, b"{}")
    check_store(root)


def test_a_place_on_s3_without_a_store_asks(s3_root: Root) -> None:
    with pytest.raises(StoreError, match="new-store"):
        check_place(s3_root)
    begin_store(s3_root)
    begin_store(s3_root)
    check_place(s3_root)
    check_store(s3_root)
    assert s3_root.list() == [MARKER]
    assert list_takes(s3_root) == []
