"""New labels are announced, or at least never lost: what is in the store counts."""

import time
from pathlib import Path

import pytest

from flows.command.main import main
from flows.service.events import tell_labels
from storage.labels.label_set import LABELS, list_label_sets
from storage.store.root import Root
from tasks.labels.in_use import mark_used, newest_labels, waiting
from tasks.labels.incoming import INBOX, import_labels
from tests.tasks.labels.test_in_use import overlay, put, store  # noqa: F401


def test_labels_wait_until_a_finished_round_has_used_them(store: str, tmp_path: Path) -> None:  # noqa: F811
    inbox = tmp_path / "inbox"
    assert not waiting(store, str(inbox))
    put(inbox, "walk/c00/0001.png", overlay())
    assert waiting(store, str(inbox))
    assert not waiting(store)  # nobody froze them yet
    import_labels(store, inbox, INBOX)
    assert waiting(store)
    mark_used(store, newest_labels(store, str(inbox)), {"teacher": "HOLD"})
    assert not waiting(store, str(inbox))
    put(inbox, "walk/c01/0001.png", overlay())
    assert waiting(store, str(inbox))


def test_a_round_takes_the_newest_labels_whoever_froze_them(store: str, tmp_path: Path) -> None:  # noqa: F811
    put(tmp_path / "inbox", "walk/c00/0001.png", overlay())
    import_labels(store, tmp_path / "inbox", INBOX)
    put(tmp_path / "elsewhere", "walk/c01/0001.png", overlay())
    second = import_labels(store, tmp_path / "elsewhere", INBOX)
    newest = newest_labels(store, str(tmp_path / "inbox"))
    assert newest["labels"] == second["labels"]
    assert newest["frames"] == 2


def test_an_empty_inbox_is_no_fault_where_there_are_labels(store: str, tmp_path: Path) -> None:  # noqa: F811
    put(tmp_path / "inbox", "walk/c00/0001.png", overlay())
    first = import_labels(store, tmp_path / "inbox", INBOX)
    assert newest_labels(store, str(tmp_path / "nothing"))["labels"] == first["labels"]


def test_without_a_server_labels_are_stored_and_it_is_said_that_nobody_was_told(
    store: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(tmp_path / "inbox", "walk/c00/0001.png", overlay())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert main(["--set", f"store={store}", "scribbles", "import", str(tmp_path / "inbox")]) == 0
    assert "no Prefect server was told" in capsys.readouterr().out
    assert list_label_sets(Root(store))[LABELS] == ["l0001"]
    assert not (tmp_path / ".capmat").exists()  # none was started


def test_a_server_that_is_gone_costs_no_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    start = time.monotonic()
    assert tell_labels("l0001") == ""
    assert time.monotonic() - start < 30  # with its own patience it would be minutes
