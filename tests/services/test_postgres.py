"""`capmat up` on a PostgreSQL of its own, in the place of SQLite: `make postgres`."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.flows.conftest import tiny_samples, tiny_settings  # noqa: F401
from tests.flows.site import Site, eventually, free_port

pytestmark = pytest.mark.postgres
SECRET = "a@b/c:d +=%$'\""
"""A password that has to be quoted in an address."""


class Database:
    """A PostgreSQL server on loopback, run by a user who is not root, as it insists.

    Args:
        folder: for its files.
    """

    def __init__(self, folder: Path) -> None:
        debian = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))
        self.path, self.folder, self.port = ":".join([*debian[-1:], os.environ["PATH"]]), folder, free_port()
        self.user = pwd.getpwnam("postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
        os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        (folder / "password").write_text(f"{SECRET}\n")
        self.run("initdb", "-D", "data", "-U", "prefect", "--auth=scram-sha-256", "--pwfile=password")
        (folder / "password").unlink()
        self.control("start")
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "prefect", "prefect")

    def control(self, word: str) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        self.run("pg_ctl", "-w", "-D", "data", "-l", "log", "-o", options, "-m", "fast", word)

    def ask(self, question: str) -> str:
        """The first value of an answer."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "prefect", "-d", "prefect"]
        return self.run("psql", *where, "-Atc", question).strip()

    def run(self, program: str, *words: str) -> str:
        other = {} if os.geteuid() else {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        with (self.folder / f"{program}.out").open("w+") as out:  # the server keeps it open, so a pipe would not end
            done = subprocess.run(
                [shutil.which(program, path=self.path) or program, *words],
                cwd=self.folder,
                env={"PATH": self.path, "LC_ALL": "C", "PGPASSWORD": SECRET},
                stdout=out,
                stderr=out,
                check=False,
                **other,
            )
            out.seek(0)
            said = out.read()
        assert done.returncode == 0, said
        return said

    @property
    def variables(self) -> dict[str, str]:
        """What deploy/compose.yaml sets."""
        names = {"DRIVER": "postgresql+asyncpg", "HOST": "127.0.0.1", "PORT": str(self.port)}
        names |= {"NAME": "prefect", "USER": "prefect", "PASSWORD": SECRET}
        return {f"PREFECT_SERVER_DATABASE_{name}": value for name, value in names.items()}


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    folder = Path(tempfile.mkdtemp(prefix="capmat-postgres-"))  # pytest's own folders are closed to other users
    try:
        database = Database(folder)
        try:
            yield database
        finally:
            database.control("stop")
    finally:
        shutil.rmtree(folder)


def test_a_night_on_postgresql_survives_its_server_and_its_database(
    database: Database,
    tiny_samples: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    pairs = (setting.split("=", 1) for setting in tiny_settings(tiny_samples))
    settings = {f"CAPMAT_{key.upper().replace('.', '__')}": value for key, value in pairs}
    site = Site(tmp_path, settings | database.variables)
    try:
        site.capmat("up")
        names = {found["name"] for found in site.ask("/deployments/filter", {})}
        assert names >= {"nightly", "ingest", "redistill", "reconstruct"}
        assert not list(tmp_path.rglob("prefect.db*"))
        run = site.begin("nightly")

        eventually(lambda: site.ask(f"/flow_runs/{run}")["state_type"] == "RUNNING", 240)
        server = psutil.Process(site.pid("server"))
        server.send_signal(signal.SIGKILL)
        server.wait(60)
        site.capmat("up")
        database.control("restart")  # every connection of the server ends
        ended = eventually(lambda: site.ask(f"/flow_runs/{run}").get("end_time") and site.ended(run), 600)
        assert ended["state_type"] == "COMPLETED", ended["state"]
        assert "DAMAGED" not in site.capmat("verify", "--deep")

        states = database.ask("select count(*) from flow_run where state_type = 'COMPLETED'")
        tasks = database.ask("select count(*) from task_run where state_type = 'COMPLETED'")
        assert (int(states) >= 1, int(tasks) >= 4) == (True, True)
        assert site.ask("/flow_runs/count", {}) == int(database.ask("select count(*) from flow_run"))
        print(f"\n{ended['run_count']} starts, {tasks} tasks completed, {database.ask('select version()')}")
        files = [file for file in (tmp_path / ".capmat").rglob("*") if file.is_file()]
        assert not [file for file in files if SECRET.encode() in file.read_bytes()]
    finally:
        site.capmat("down")
    assert not site.processes()
    others = "select count(*) from pg_stat_activity where datname = 'prefect' and pid <> pg_backend_pid()"
    eventually(lambda: database.ask(others) == "0")
