"""The command line as a person meets it: help in groups, examples that work, and the right word after a wrong one."""

import re
import resource
import shlex
import subprocess
import sys
from argparse import Namespace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

from flows.command.main import GROUPS, WORDS, build_parser, main
from storage.registry import Registry
from storage.store.root import Root
from tasks.models.networks import Run, find_run
from tests.storage.tiny_session import edit_toml, write_session

Said = pytest.CaptureFixture[str]
EXAMPLES = {
    word: import_module(f"flows.command.{module}").WORDS[word][2].strip().splitlines()
    for word, (module, _) in WORDS.items()
}
STUDENT = "bgmv2_mobilenetv2_xs"


def parsed(line: str) -> list[Namespace]:
    """The commands of an example as the parser reads them."""
    commands = [shlex.split(part, comments=True) for part in line.split("&&")]
    return [build_parser().parse_args(words[words.index("capmat") + 1 :]) for words in commands]


def refused(words: list[str], capsys: Said) -> str:
    """The one line that a wrong command line gets, by the parser or by the command."""
    try:
        code: object = main(words)
    except SystemExit as done:
        code = done.code
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == (2, 1), error
    return error


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]])
def test_the_help_lists_every_word_in_its_group_with_the_version(words: list[str], capsys: Said) -> None:
    with pytest.raises(SystemExit) as done:
        main(words)
    told = capsys.readouterr().out
    assert done.value.code == 0
    assert f"capmat {version('capmat')}" in told
    assert list(GROUPS) == ["Start", "Day", "Night", "Labels", "Models", "Look", "Maintain"]
    found: dict[str, list[str]] = {}
    for line in told.splitlines():
        if heading := re.fullmatch(r"([A-Z]\w+):", line):
            found[heading[1]] = []
        elif found and (word := re.match(r"  ([a-z][a-z-]+)  ", line)):
            found[list(found)[-1]].append(word[1])
    assert found == {group: list(entries) for group, entries in GROUPS.items()}


def test_the_help_costs_at_most_150_ms_of_a_processor() -> None:
    def cost() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "flows.command.main", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cost() for _ in range(5)) <= 0.15


@pytest.mark.parametrize("word", WORDS)
def test_the_help_of_a_word_shows_three_examples_or_more_that_its_parser_takes(word: str, capsys: Said) -> None:
    with pytest.raises(SystemExit):
        main([word, "--help"])
    told = [line.strip() for line in capsys.readouterr().out.partition("examples:")[2].splitlines()]
    examples = [line.strip() for line in EXAMPLES[word]]
    assert len(examples) >= 3
    assert told[1:] == examples
    for line in examples:
        assert word in [args.command for args in parsed(line)]


def test_every_verb_has_an_example_of_its_own(capsys: Said) -> None:
    for word, verbs in (("models", 6), ("scribbles", 4), ("benchmark", 3), ("stage", 1)):
        shown = {args.verb for line in EXAMPLES[word] for args in parsed(line)} - {None}
        assert len(shown) == verbs
        for verb in shown:
            with pytest.raises(SystemExit):
                main([word, verb, "--help"])
            assert f"  capmat {word} {verb}" in capsys.readouterr().out.partition("examples:")[2]


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    """Those that are cheap on a store with one take."""
    monkeypatch.chdir(tmp_path)
    edit_toml(write_session(tmp_path), "[takes.walk]", "[takes.cedar]")
    edit_toml(tmp_path, 'stage = "ring"', 'stage = "cylinder"')
    cheap = ("capmat ingest session.toml", "capmat stage check session.toml  ", "capmat stage check cylinder",
             "capmat verify", "capmat gc", "capmat models  ", "capmat models list", "capmat models show",
             "capmat scribbles  ", "capmat scribbles list", "capmat benchmark show  ")  # fmt: skip
    ran = 0
    for word in ("ingest", "stage", "verify", "gc", "models", "scribbles", "benchmark"):
        for line in map(str.strip, EXAMPLES[word]):
            if line.startswith(cheap):
                assert main(shlex.split(line, comments=True)[1:]) == 0, (line, capsys.readouterr().err)
                ran += 1
        if word == "gc":  # `models show student` comes next
            registry = Registry(Root(tmp_path / ".capmat/store"))
            registry.promote("student", STUDENT, registry.add(STUDENT, b"weights", {}), {})
    assert ran == 16


def test_the_settings_stand_before_and_after_the_word_and_the_verb() -> None:
    args = build_parser().parse_args(
        [
            "--set",
            "seed=1",
            "--config",
            "a.toml",
            "models",
            "--set",
            "seed=2",
            "list",
            "--set",
            "store=x",
            "--new-store",
        ]
    )
    assert (args.set, args.config, args.new_store) == (["seed=1", "seed=2", "store=x"], Path("a.toml"), True)
    args = build_parser().parse_args(["--config", "a.toml", "export", "walk", "--config", "b.toml", "--out", "x"])
    assert (args.set, args.config, args.new_store) == ([], Path("b.toml"), False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["expotr"], "capmat: has no command 'expotr'. Did you mean export?"),
        (["--set", "seed=1", "expotr", "cedar", "--outt", "x"], "Did you mean export?"),
        (["valdate", "student"], "Did you mean validate?"),
        (["models", "shwo"], "Did you mean show?"),
        (["export", "walk", "--fromat", "exr"], "capmat export: has no option --fromat. Did you mean --format?"),
        (["models", "import", "x.pth", "--a", "y", "--adpat", "background"], "Did you mean --adapt?"),
        (["--cofnig", "a.toml", "models"], "Did you mean --config?"),
        (["models", "promote", "studnet", "x", "--reason", "y"], "Did you mean student?"),
        (["export", "walk"], "required: --out. For example: capmat export cedar --out mattes"),
        (["stage"], "required: VERB. For example: capmat stage check session.toml"),
        (["verify", "walk", "jump"], "capmat verify: does not expect 'jump'"),
        (["export", "walk", "--take", "jump", "--out", "x"], "the take is named twice"),
    ],
)
def test_a_wrong_word_is_answered_in_one_line_with_the_nearest_right_one(
    words: list[str], says: str, capsys: Said
) -> None:
    assert says in refused(words, capsys)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """A store with two versions of a student, the second in use, below the working folder."""
    monkeypatch.chdir(tmp_path)
    root = Root(tmp_path / ".capmat/store")
    registry = Registry(root)
    for weights in (b"one", b"two"):
        registry.add(STUDENT, weights, {"role": "student"})
    registry.promote("student", STUDENT, "v0002", {})
    registry.add("modnet", b"three", {})
    return root


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["models", "show", "bgmv2_mobilnetv2_xs"], f"Did you mean {STUDENT}?"),
        (["models", "show", "studnet"], "Did you mean student?"),
        (["models", "show", "student@v0003"], "no version is called v0003; the store has: v0001, v0002"),
        (["validate", "mdonet"], "Did you mean modnet?"),
        (["validate", "teacher"], "has no teacher in use"),
        (["validate", "--benchmark", "gold", "studnt"], "no benchmark is called gold"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest_that_the_store_has(
    words: list[str], says: str, store: Root, capsys: Said
) -> None:
    assert says in refused(words, capsys)


def test_a_wrong_take_is_answered_with_the_nearest(store: Root, capsys: Said) -> None:
    config = "--set=store=.capmat/store"
    session = write_session(Path("day"))
    for words in (["ingest", "day", "wlak"], ["stage", "check", "day", "wlak"]):
        assert "no take wlak; it has walk. Did you mean walk?" in refused([*words, config], capsys)
    assert main(["ingest", str(session / "session.toml")]) == 0
    for words in (["export", "wlak", "--out", "x"], ["hull", "wlak", "--out", "x.ply"], ["mine", "wlak"],
                  ["verify", "wlak"], ["matte", "wlak"], ["scribble", "wlak", "--no-browser"]):  # fmt: skip
        said = refused(words, capsys)
        assert "no take is called wlak; the store has: walk. Did you mean walk?" in said, words


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("export '' --out x", "'' cannot be the name of a take"),
        ("export walk --out x --format jpg", "expected exr, png, tiff, mp4, prores, got 'jpg'"),
        ("session day --layout easyvolca", "Did you mean easyvolcap?"),
        ("session notes.txt", "notes.txt: this is a file; a folder is needed"),
        ("calibration x --format colamp", "Did you mean colmap?"),
        ("calibration x --format colmap --scale abc", "--scale: expected a number, got 'abc'"),
        ("calibration x --format colmap --to colmpa --out y", "Did you mean colmap?"),
        ("matte notes.txt --plate p.png --out x", "Name a photograph with --image."),
        ("matte", "capmat matte: needs a take, or --image"),
        ("metrics --out day", "day: a folder stands where a file is needed. Name a file in it."),
        ("models export student --format onnx --size 12 --out x", "--size: expected WIDTHxHEIGHT, got '12'"),
        ("models import x.onnx --as y --contract rgb --mean a,b", "--mean: expected a number, got 'a'"),
        ("train-base student --minutes -5", "--minutes: expected a number above 0, got -5"),
        ("train-base student --blend 7", "--blend: expected a number from 0 to 1, got 7"),
        ("train-base student --iterations 0", "--iterations: expected 1 or more, got 0"),
        ("scribbles import day --offset x", "--offset: expected a whole number, got 'x'"),
        ("ingest", "required: SESSION. For example"),
    ],
)
def test_a_wrong_value_is_answered_in_one_line(words: str, says: str, store: Root, capsys: Said) -> None:
    Path("day").mkdir()
    Path("notes.txt").write_text("hello")
    said = refused(shlex.split(words), capsys)
    assert says in said
    assert said.startswith("capmat")
    assert "capmat: capmat" not in said


def test_the_mistakes_of_a_session_are_told_at_once(tmp_path: Path, capsys: Said) -> None:
    folder = write_session(tmp_path / "day")
    edit_toml(folder, 'stage = "ring"', 'stge = "ring"')
    assert "session.toml: stge: no such key. Did you mean stage? docs/ingest.md" in refused(
        ["ingest", str(folder)], capsys
    )
    edit_toml(folder, 'transfer = "linear"', 'transfer = "log"')
    edit_toml(folder, "fps = 25.0", "")
    assert main(["ingest", str(folder)]) == 2
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == f"capmat: {folder}/session.toml: 3 mistakes. docs/ingest.md describes the fields."
    assert [line.strip() for line in lines] == [
        "stge: no such key. Did you mean stage?",
        "fps: is missing",
        "colour.transfer: expected 'linear', 'srgb' or 'rec709', got 'log'",
    ]


def test_student_is_the_name_of_the_model_in_use(store: Root, capsys: Said) -> None:
    for name, shown in (("student", "v0002"), ("student@v0001", "v0001"), (STUDENT, "v0002")):
        assert main(["models", "show", name]) == 0
        assert capsys.readouterr().out.startswith(f"{STUDENT}@{shown}")
    made = {"name": STUDENT, "version": "v0001"}
    assert find_run(store.url, "student@v0001") == Run("student", made).name == f"student-{STUDENT}-v0001"  # type: ignore[arg-type]
    assert find_run(store.url) == find_run(store.url, "student") == f"student-{STUDENT}-v0002"
    assert find_run(store.url, "modnet") == "modnet-v0001"
    assert "no model is called studnet" in refused(["hull", "walk", "--run", "studnet", "--out", "x.ply"], capsys)
    assert find_run(store.url, "teacher-bg_vitmatte-v0007") == "teacher-bg_vitmatte-v0007"


def test_a_role_is_no_folder_of_the_place_where_a_command_runs(
    store: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "student").mkdir()  # such as exported mattes
    monkeypatch.chdir(tmp_path)
    assert find_run(store.url, "student") == f"student-{STUDENT}-v0002"


@pytest.mark.parametrize(
    ("words", "takes"),
    [
        ("export TAKE --out x", ["walk"]),
        ("export --out x TAKE", ["walk"]),
        ("hull TAKE --out x", ["walk"]),
        ("scene TAKE --out x", ["walk"]),
        ("mine --top 3 TAKE", ["walk"]),
        ("verify --deep TAKE", ["walk"]),
        ("matte --role teacher TAKE", ["walk"]),
        ("scribble jump TAKE", ["jump", "walk"]),
        ("ingest day --plan TAKE", ["walk"]),
        ("ingest TAKE day --plan jump", ["jump", "walk"]),
        ("stage check day --json TAKE", ["walk"]),
        ("benchmark create gold --trimaps t TAKE", ["walk"]),
    ],
)
def test_a_take_stands_at_its_position_or_behind_its_option(words: str, takes: list[str]) -> None:
    for way in ("walk", "--take walk"):
        if words.startswith("ingest TAKE") and way == "walk":
            continue  # the session stands first
        take = build_parser().parse_args(words.replace("TAKE", way).split()).take
        assert sorted([take] if isinstance(take, str) else take) == takes


@pytest.mark.parametrize(
    "words",
    [
        *(["models"], ["models", "list"], ["models", "show", "student"], ["scribbles"], ["scribbles", "list"]),
        *(["scribbles", "show"], ["benchmark", "show"], ["verify"], ["gc"], ["metrics"], ["plan"], ["matte", "walk"]),
        *(["export", "walk", "--out", "x"], ["mine", "walk"], ["nightly"], ["redistill"], ["scribble"]),
    ],
)
def test_a_store_that_is_not_there_is_an_error(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "/nonexistent: no store is here. Mount its disk" in refused(
        [*words, "--set", "store=/nonexistent"], capsys
    )
    assert not list(tmp_path.iterdir())
