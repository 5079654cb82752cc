"""The command line: answers at once, refuses with one line, exits with the documented codes."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import TextIO, cast

import pytest

from flows.command.main import main
from storage.store.marker import begin_store
from storage.store.root import Root
from tasks.runtime.display import Lines
from tests.project import ROOT
from tests.storage.tiny_session import edit_toml, write_session

COMMANDS = [
    *("demo", "nightly", "redistill", "validate", "reconstruct", "session", "ingest", "matte", "export", "verify"),
    *("scribbles", "scribble", "mine", "train-base", "sim", "models", "ui", "doctor", "plan", "metrics", "gc", "up"),
    *("down", "deploy", "benchmark", "paper", "stage", "hull", "scene", "calibration", "bench"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "teacher.itrations=1", "models"], "itrations"),
        (["ingest", "nowhere/session.toml"], "nowhere/session.toml"),
        (["matte", "--image", "none.png"], "--plate"),
        (["matte", "--image", "none.png", "--plate", "none.png", "--out", "out"], "none.png"),
        (["export", "nobody", "--out", "out"], "nobody"),
        (["reconstruct", "student-v0001"], "two alpha runs"),
        (["--set", "store=ftp://x", "models"], "ftp://x"),
        (["paper", "--only", "table9"], "table9"),
        (["--set", "pseudo_takes=", "paper"], "pseudo_takes"),
        (["--set", "session=day1/session.toml", "redistill"], "day1/session.toml"),
        (["--set", "session=day1/session.toml", "nightly"], "day1/session.toml"),
        (["--set", "inbox=day2", "nightly"], "day2: the inbox is not a folder"),
        (["--set", "session=day1/session.toml", "validate"], "day1/session.toml"),
        (["--set", "session=day1/session.toml", "reconstruct", "a", "b"], "day1/session.toml"),
        (["demo"], "the demo needs the sample session of capmat's clone"),
        (["--set", "paper.shares=0,0.01", "paper"], "less than one scribbled crop"),
    ],
)
def test_a_refusal_is_one_line_with_the_place(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nightly"], "frame 1"),
        (["reconstruct", "a", "b"], "frame 1"),
        (["validate"], "frame 1"),
        (["validate", "nobody@v0001"], "nobody"),
    ],
)
def test_a_flow_is_refused_before_a_server_or_a_cluster_starts(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (write_session(tmp_path / "day") / "takes/walk/c01/0001.png").unlink()
    assert main(["--set", "session=day/session.toml", "--set", "store=store", *words]) == 2
    out, error = capsys.readouterr()
    assert says in error
    assert (error.count("\n"), out) == (1, "")
    assert not (tmp_path / ".capmat").exists()


def test_no_server_is_started_for_runs_that_do_not_exist_or_without_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    day = write_session(tmp_path / "day")
    there = ["--set", "session=day/session.toml", "--set", "store=store"]
    assert main([*there, "ingest", "day"]) == 0
    assert main([*there, "reconstruct", "student-v0001", "student-v0002"]) == 2
    assert "student-v0001" in capsys.readouterr().err
    edit_toml(day, "[takes.walk]", '[benchmark]\ntake = "walk"\ntrimaps = "plates"\n\n[takes.walk]')
    assert main([*there, "--set", "pseudo_takes=walk", "redistill"]) == 2
    capsys.readouterr()
    assert not (tmp_path / ".capmat").exists()


def test_a_training_is_refused_before_it_starts_where_the_session_lacks_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_session(tmp_path / "day")
    there = ["--set", "session=day/session.toml", "--set", "store=store"]
    redistill = [*there, "--set", f"base_data={Path(__file__).parents[3]}/samples/base", "redistill"]
    assert main(redistill) == 2
    assert "the session has no [benchmark]" in capsys.readouterr().err
    edit_toml(folder, "[takes.walk]", '[benchmark]\ntake = "walk"\ntrimaps = "trimaps"\n\n[takes.walk]')
    assert main(["--set", "pseudo_takes=walk,birch", *redistill]) == 2
    error = capsys.readouterr().err
    assert "pseudo_takes: the session has no take birch; it has walk. Name takes of the session." in error
    edit_toml(folder, "[takes.walk]", '[takes.jump]\npath = "takes/walk/{camera}/{frame:04d}.png"\n\n[takes.walk]')
    assert main(["--set", "scribble_takes=jmup", *redistill]) == 2
    assert "scribble_takes: the session has no take jmup; it has jump, walk." in capsys.readouterr().err
    assert main(["--set", "scribble_takes=jump", *redistill]) == 2
    assert "so the teacher has none to label. Add a take to the session" in capsys.readouterr().err
    assert main([*there, "--set", "base_data=nowhere", "--set", "pseudo_takes=walk", "redistill"]) == 2
    assert "nowhere: the base data have no pictures in foregrounds/ and backgrounds/" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
    assert not (tmp_path / ".capmat").exists()  # not even a server was started


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"capmat {version('capmat')}\n"


def test_help_loads_neither_torch_nor_prefect() -> None:
    """Of every word; what all words share loads no numpy either."""
    code = (
        "import sys\n"
        "from flows.command.main import WORDS, main\n"
        "def help(*words):\n"
        "    try:\n"
        "        main([*words, '--help'])\n"
        "    except SystemExit:\n"
        "        return\n"
        "help()\n"
        "assert not {'numpy', 'pydantic'} & sys.modules.keys()\n"
        "for word in WORDS:\n"
        "    help(word)\n"
        "    assert not {'torch', 'prefect', 'dask'} & sys.modules.keys(), word\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_command_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.command.main", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "has no command 'nonsense'" in done.stderr


def test_doctor_says_the_same_to_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    begin_store(Root(str(tmp_path / "store")))
    for size, name in enumerate(("reports/a/b", "plans/a", "drafts/a", "checkpoints/a", "takes/not-counted"), 1):
        (tmp_path / "store" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "store" / name).write_bytes(bytes(size * 1000))
    for size, name in enumerate(("worker.log", "prefect.db", "prefect.db-wal"), 21):
        (tmp_path / ".capmat/prefect").mkdir(parents=True, exist_ok=True)
        with (tmp_path / ".capmat/prefect" / name).open("wb") as file:
            file.truncate(size * 10**6)
    code = main(["--set", "store=store", "doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {"python", "store", "disk", "history", "cluster", "teacher"} <= {finding["name"] for finding in found}
    assert all(list(finding) == ["name", "state", "detail", "fix", "needed"] for finding in found)
    assert {finding["state"] for finding in found} <= {"ok", "limited", "missing"}
    assert code == any(finding["state"] == "missing" and finding["needed"] for finding in found)
    (history,) = (finding for finding in found if finding["name"] == "history")
    sizes = "prefect.db 22 MB, prefect.db-wal 23 MB, worker.log 21 MB, reports 1 kB, plans 2 kB, drafts 3 kB"
    assert (history["state"], history["detail"]) == ("limited", f"{sizes}, checkpoints 4 kB")
    assert history["fix"] == "Shorten the logs: `capmat gc --yes`"


@pytest.mark.parametrize(
    ("setting", "names", "said"),
    [
        (f"store={'a' * 300}", {"store", "disk"}, "a name is too long for this file system"),
        ("weights=/etc/hostname", {"teacher", "student"}, "cannot be read (Not a directory)"),
    ],
)
def test_doctor_lists_all_the_rest_where_store_or_weights_cannot_be_read(
    here: Path, capsys: pytest.CaptureFixture[str], setting: str, names: set[str], said: str
) -> None:
    assert main(["--set", setting, "doctor", "--json"]) == 1
    found = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert {name for name, finding in found.items() if said in finding["detail"]} == names
    assert {"python", "history", "supervisor"} <= {
        name for name, finding in found.items() if finding["state"] == "ok"
    }


def test_a_folder_with_packages_of_the_same_names_changes_nothing(tmp_path: Path) -> None:
    for name in ("flows", "storage", "tasks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong package')")
    capmat = Path(sys.executable).with_name("capmat")
    for words in (["--help"], ["doctor"]):
        done = subprocess.run([capmat, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_names_and_messages_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "a\x1b[2J\u202eb\udcff"
    assert main(["--set", f"store={place}", "verify"]) == 2
    with pytest.raises(SystemExit):
        main(["verify", "--\x1b]0;title\x07"])
    refused = capsys.readouterr().err
    assert "a\\x1b[2J\\u202eb\\udcff" in refused
    assert "--\\x1b]0;title\\x07" in refused
    with redirect_stdout(cast(TextIO, Lines("models", sys.stdout))):
        print(place, "né 学 👩\u200d🎨", "\x9b1m")
    shown = capsys.readouterr().out
    assert shown == f"{tmp_path}/a\\x1b[2J\\u202eb\\udcff né 学 👩\u200d🎨 \\x9b1m\n"
    assert not set(refused + shown) & {"\x1b", "\x07", "\x9b", "\u202e"}


_LIBRARIES = """
import main, os, pathlib
main.find_home()
assert os.access(os.environ["PREFECT_HOME"], os.W_OK) and os.access(os.environ["NUMBA_CACHE_DIR"], os.W_OK)
print(pathlib.Path.home())
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can become a nameless user")
@pytest.mark.parametrize("home", ["", "/"])
@pytest.mark.parametrize("writable", [True, False])
def test_a_user_without_name_and_home_can_work(tmp_path: Path, home: str, writable: bool) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for folder in (tmp_path, *tmp_path.parents):
        if "pytest" in str(folder):  # and not /tmp itself
            folder.chmod(0o755)
    here.chmod(0o777 if writable else 0o755)
    rights = "+dac_read_search"  # reads the interpreter, wherever it is installed
    user = [f"--{word}=54321" for word in ("reuid", "regid")] + ["--clear-groups", "--inh-caps", rights]
    words = ["setpriv", *user, "--ambient-caps", rights, sys.executable, "-c", _LIBRARIES]
    where = f"{ROOT}:{ROOT}/flows/command"
    env = {"PYTHONPATH": where, "PATH": os.environ["PATH"], **({"HOME": home} if home else {})}
    done = subprocess.run(words, cwd=here, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = Path(done.stdout.strip())
    assert found == Path(home) if home else (found == here / ".capmat/home") is writable
    assert not home or found.exists()
    assert (here / ".capmat/home").exists() is writable
    if writable:
        assert (here / ".capmat").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give up its rights")
def test_a_place_of_another_user_is_refused_by_its_name(tmp_path: Path) -> None:
    private, folder = tmp_path / "private", tmp_path / ".capmat/prefect"
    for place in (private, folder):
        place.mkdir(parents=True)
        (place / "prefect.db").touch()
        os.chown(place, 54321, 54321)
        place.chmod(0o700)

    def said(*words: str) -> tuple[int, str]:
        rights = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        program = [*rights, sys.executable, "-m", "flows.command.main", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(program, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert said("--new-store", "gc") == (0, "nothing may be removed\n")
    for words in (
        ("ingest", f"{private}/day"),
        ("plan", "--set", f"inbox={private}/inbox"),
        ("--config", f"{private}/capmat.toml", "status"),
    ):
        code, text = said(*words)
        assert (code, text.count("\n")) == (2, 1), text
        assert f"{private}/" in text
        assert "Permission denied" in text
