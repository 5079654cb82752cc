"""`capmat plan` and `capmat gc` say what they found, and programs can read it."""

import json
from pathlib import Path

import pytest

from flows.command.main import main
from storage.store.marker import begin_store
from storage.store.root import Root
from tests.storage.tiny_session import edit_toml, write_session


def test_a_plan_is_said_kept_and_read_by_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    session = str(write_session(tmp_path / "session", frames=9) / "session.toml")
    capmat = ["--set", "store=store", "--set", f"session={session}"]
    assert main([*capmat, "plan", "--until", "7:00"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("plates           6 frames of the stage, 3 pieces on this machine: about ")
    assert out[1].startswith("ingest           27 frames of 1 take, 6 pieces on this machine: about ")
    assert out[1].endswith("sampled frames, timed just now")
    assert out[2] == "student mattes   27 frames of 1 take, 1 piece on 2 workers: not known yet: run one take"
    assert out[3] == "teacher mattes   nothing to do"
    assert out[4].startswith("not known on ")
    (kept,) = Root("store").names("plans")
    assert main([*capmat, "plan", "--json", "--gpus", "8"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [part["verb"] for part in plan["parts"]] == ["plates", "ingest", "student mattes", "teacher mattes"]
    assert (plan["parts"][2]["workers"], plan["fits"], plan["every"]) == (8, True, 1)
    assert main([*capmat, "plan", "--check"]) == 2
    assert main([*capmat, "plan", "--until", "25:00"]) == 2
    assert "expected a time, got '25:00'" in capsys.readouterr().err

    assert main(["--set", "store=store", "ingest", session]) == 0
    capsys.readouterr()
    assert main([*capmat, "plan", "--check", kept[:10]]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in out] == ["plan", "plates", "ingest"]
    assert all(line.endswith(" 20 %") for line in out[1:])
    assert main([*capmat, "plan", "--check", "--json"]) == 0
    assert [part["share"] for part in json.loads(capsys.readouterr().out)["parts"]] == [1.0, 1.0]


def test_a_plan_of_an_inbox_says_what_can_be_done_what_waits_and_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_session(tmp_path / "inbox/good")
    edit_toml(write_session(tmp_path / "inbox/bad"), "fps = 25.0", "fps = -1")
    (tmp_path / "inbox/tuesday").mkdir()
    sets = ["--set", "store=store", "--set", "inbox=inbox", "--set", "night.still_minutes=0"]
    assert main([*sets, "--set", "night.until=07:00", "plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["until"]
    assert plan["parts"][0]["frames"] == 6
    assert main([*sets, "plan"]) == 0
    out = capsys.readouterr().out
    assert "bad" in next(line for line in out.splitlines() if line.startswith("refused: "))
    assert "tuesday: has no session.toml yet" in next(line for line in out.splitlines() if line.startswith("left: "))
    assert "\nall else         starting, checks and exports: not known before the first night\n" in out


def test_gc_removes_nothing_unless_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    begin_store(Root(tmp_path / "store"))
    stray = tmp_path / "store" / "takes" / ".walk.1_1_nobody.99.partial"
    claim = tmp_path / "store" / "claims" / "takes" / "walk.zarr" / "garbage.99"
    for file in (stray, claim):
        file.parent.mkdir(parents=True)
        file.write_bytes(2000 * b"x")
    gc = ["--set", "store=store", "gc"]
    for words in ([], ["--dry-run"]):
        assert main([*gc, *words]) == 0
        out = capsys.readouterr().out.splitlines()
        assert out[-2:] == ["claims: 1, 2 kB", "2 kB may be removed; --yes removes it"]
        assert claim.exists()
    assert main([*gc, "--yes", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["removed"]
    assert [one["kind"] for one in said["found"]] == ["claims"]
    assert not claim.exists()
    assert stray.exists()  # of another machine, which cannot be asked
    assert main(gc) == 0
    assert capsys.readouterr().out == "nothing may be removed\n"
    with pytest.raises(SystemExit):
        main([*gc, "--yes", "--dry-run"])
