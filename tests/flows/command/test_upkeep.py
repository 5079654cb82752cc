"""`capmat verify` says what is damaged and how to mend it, and programs can read both."""

import json
from pathlib import Path

import pytest

from flows.command.main import main
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tests.storage.tiny_session import write_session


def test_damage_is_said_forgotten_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    session = str(write_session(tmp_path / "session") / "session.toml")
    ingest_plates("store", session)
    ingest_take("store", session, "walk")
    verify = ["--set", "store=store", "verify"]
    assert main([*verify, "walk", "--deep"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-1].startswith("1 take, 41 files, ")
    assert out[-1].endswith(" kB, all intact (every byte read)")
    file = "takes/walk.zarr/cameras/c01/rgb/c/2/0/0/0"
    Path("store", file).unlink()
    assert main([*verify, "--json"]) == 1
    (said,) = json.loads(capsys.readouterr().out)["findings"]
    again = f"capmat ingest {session} walk"
    assert (said["camera"], said["frame"], said["file"], said["again"]) == ("c01", 2, file, again)
    assert main([*verify, "--forget"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"DAMAGED  walk c01 frame 2: is missing ({file}); {again}"
    assert out[-2:] == ["removed from the ledger; these commands do the work again:", f"  {again}"]
    assert main(["--set", "store=store", *again.split()[1:]]) == 0
    assert main(verify) == 0
    assert main([*verify, "run"]) == 2
