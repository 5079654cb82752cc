"""What grows beside the store: the runs in Prefect's database, and the logs of server and worker."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from flows.service.access import home

LONG = 20_000_000
"""Bytes from which on a log is long, and the unused room in the database is worth the work."""
_REST = 1_000_000  # bytes of a long log that stay


def forgetting(days: int) -> dict[str, str]:
    """Variables for a server that forgets runs so many days after their end, with their logs and artifacts.

    Prefect's own service does it, when the server starts and every hour. 0 keeps them for ever.
    """
    name = "PREFECT_SERVER_SERVICES_DB_VACUUM"
    return {f"{name}_ENABLED": "events,flow_runs", f"{name}_RETENTION_PERIOD": str(days * 86400)} if days else {}


def files() -> dict[Path, int]:
    """Database and logs of this folder, with their sizes in bytes."""
    return {file: file.stat().st_size for file in sorted(home().glob("*")) if file.suffix == ".log" or _is_data(file)}


def long_logs() -> dict[Path, int]:
    """The logs that are too long, and how many bytes may go."""
    return {file: size - _REST for file, size in files().items() if file.suffix == ".log" and size > LONG}


def shorten(log: Path) -> None:
    """Keep the end of a log, from the beginning of a line. Whoever writes to it goes on, since all of them append."""
    with log.open("rb") as old:
        old.seek(-_REST, os.SEEK_END)
        old.readline()
        rest = old.read()
    os.truncate(log, 0)
    with log.open("ab") as new:
        new.write(rest)


def unused_room() -> dict[Path, int]:
    """The database, and how many of its bytes hold nothing since Prefect forgot runs; empty if those are few.

    Another user's, which nobody else may look at, counts as none.
    """
    file = home() / "prefect.db"
    if not os.access(file, os.R_OK | os.W_OK):
        return {}
    with closing(sqlite3.connect(file)) as database:
        (pages,), (size,) = (
            database.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size")
        )
    return {file: pages * size} if pages * size > LONG else {}


def pack(database: Path) -> None:
    """Give the unused room of a database back to the disk. No server may run; needs as much space once more."""
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("VACUUM")


def _is_data(file: Path) -> bool:
    return file.name.startswith("prefect.db")
