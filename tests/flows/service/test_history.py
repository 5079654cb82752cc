"""What grows beside the store stays small: logs are shortened, and Prefect forgets old runs."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from flows.command.main import main
from flows.service import history


def test_gc_shortens_long_logs_and_their_writers_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(history, "LONG", 2_000_000)
    folder = tmp_path / ".capmat/prefect"
    folder.mkdir(parents=True)
    (folder / "server.log").write_bytes(b"short\n")
    line = b"a line of the worker\n"
    with (folder / "worker.log").open("ab", buffering=0) as worker:
        worker.write(line * 150_000)
        assert main(["--new-store", "gc"]) == 0
        assert "worker.log: all but its end" in capsys.readouterr().out
        assert len((folder / "worker.log").read_bytes()) == 150_000 * len(line)
        assert main(["gc", "--yes"]) == 0
        worker.write(b"the last one\n")
    lines = (folder / "worker.log").read_bytes().splitlines(keepends=True)
    assert set(lines[:-1]) == {line}
    assert lines[-1] == b"the last one\n"
    assert 900_000 < sum(map(len, lines)) < 1_000_100
    assert (folder / "server.log").read_bytes() == b"short\n"
    capsys.readouterr()
    assert main(["gc"]) == 0
    assert capsys.readouterr().out == "nothing may be removed\n"


def test_gc_gives_the_room_of_forgotten_runs_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(history, "LONG", 2_000_000)
    (tmp_path / ".capmat/prefect").mkdir(parents=True)
    file = tmp_path / ".capmat/prefect/prefect.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode=WAL")  # as Prefect's
        database.execute("CREATE TABLE log (run INTEGER, message BLOB)")
        database.executemany("INSERT INTO log VALUES (?, zeroblob(100000))", [(run,) for run in range(40)])
        database.execute("DELETE FROM log WHERE run > 1")
        database.commit()
    assert file.stat().st_size > 4_000_000
    assert main(["--new-store", "gc"]) == 0
    assert "prefect.db: room of forgotten runs" in capsys.readouterr().out
    assert file.stat().st_size > 4_000_000
    assert main(["gc", "--yes"]) == 0
    assert file.stat().st_size < 300_000
    assert [path.name for path in file.parent.glob("prefect.db*")] == ["prefect.db"]
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM log").fetchone() == (2,)


def test_a_server_forgets_runs_after_the_days_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import Settings

    for name, value in history.forgetting(30).items():
        monkeypatch.setenv(name, value)
    found = Settings().server.services.db_vacuum
    assert found.enabled_vacuum_types >= {"flow_runs", "events", "orphans"}
    assert found.retention_period == timedelta(days=30)
    assert history.forgetting(0) == {}
