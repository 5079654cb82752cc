"""The files of deploy/ give what runs no more rights than it needs, and keep secrets in files."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import Settings
from sqlalchemy.engine import make_url

from tests.project import ROOT

DEPLOY = ROOT / "deploy"
PASSWORD = "a@b/c:d +=%$'\"\\"


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return found


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_the_unit_is_closed_as_far_as_systemd_can_tell() -> None:
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=40", str(DEPLOY / "capmat.service")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd judges no files")
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


def test_no_container_is_root_or_holds_a_secret_in_a_variable() -> None:
    for name, service in services().items():
        assert service["user"].startswith("${OWNER:?"), name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        secret = re.compile("PASSWORD|SECRET|AUTH|TOKEN")
        assert all(key.endswith("_FILE") for key in service["environment"] if secret.search(key)), name
        assert all(isinstance(volume, dict) for volume in service["volumes"]), (
            "a name with a colon breaks the short form"
        )
    users = re.findall(r"^USER (.+)$", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert users
    assert users[-1] != "root"


def test_compose_1_reads_the_file_too() -> None:
    words = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert {word for word in words if not word.startswith("x-")} == {"services", "secrets"}


def test_the_database_asks_everyone_for_a_password() -> None:
    database = services()["database"]
    assert "--auth=scram-sha-256" in database["environment"]["POSTGRES_INITDB_ARGS"]
    assert "listen_addresses=127.0.0.1" in database["command"]


def test_any_password_of_the_file_reaches_the_database_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capmat = services()["capmat"]
    (tmp_path / "database").write_text(f"{PASSWORD}\n")
    shell, option, script = capmat["command"]
    # as compose does; and instead of capmat, tell what it would get
    script = script.replace("$$", "$").replace("/run/secrets/database", str(tmp_path / "database"))
    script = script.replace("exec capmat up --foreground", 'printf %s "$PREFECT_SERVER_DATABASE_PASSWORD"')
    said = subprocess.run([shell, option, script], capture_output=True, text=True, check=True).stdout
    assert said == PASSWORD
    for key, value in {**capmat["environment"], "PREFECT_SERVER_DATABASE_PASSWORD": said}.items():
        if key.startswith("PREFECT_"):
            monkeypatch.setenv(key, value)
    address = Settings().server.database.connection_url
    assert address
    url = make_url(address.get_secret_value())
    assert (url.password, url.host, url.port, url.database) == (PASSWORD, "127.0.0.1", 5433, "prefect")
    (tmp_path / "database").unlink()
    assert subprocess.run([shell, option, script], capture_output=True, check=False).returncode != 0
