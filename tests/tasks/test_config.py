"""The configuration: file, then environment, then command line; nothing unknown gets through."""

import pickle
from pathlib import Path

import pytest

from capmat_errors import ConfigError
from tasks.runtime.settings import load_config, settings_page
from tests.project import ROOT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "capmat.toml"
    path.write_text('store = "here"\nscribble_takes = ["a"]\n[teacher]\niterations = 7\nbatch = 4\n')
    return path


def test_the_command_line_beats_the_environment_beats_the_file(file: Path) -> None:
    config = load_config(
        file, ["teacher.iterations=9"], {"CAPMAT_TEACHER__ITERATIONS": "8", "CAPMAT_TEACHER__BATCH": "5"}
    )
    assert (config.teacher.iterations, config.teacher.batch) == (9, 5)


def test_paths_are_relative_to_the_file_and_addresses_stay(file: Path) -> None:
    assert load_config(file, (), {}).store == str(file.parent / "here")
    assert load_config(file, ["store=s3://bucket/prefix"], {}).store == "s3://bucket/prefix"


def test_a_file_with_a_byte_order_mark_is_read_and_one_that_is_no_text_refused(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_config(file, (), {}).teacher.iterations == 7
    file.write_text('store = "here"', encoding="utf-16")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_config(file, (), {})


def test_lists_are_written_with_commas(file: Path) -> None:
    assert load_config(file, ["scribble_takes=b,c"], {}).scribble_takes == ("b", "c")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("teacher.itrations=3", "itrations"),
        ("teacher.batch=0", "expected at least 2, got '0'"),
        ("seed=soon", "a whole number"),
        ("seed", "KEY=VALUE"),
        ("seed.of.what=1", "seed"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(file: Path, override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(file, [override], {})


def test_all_mistakes_are_told_at_once_with_their_source_and_the_nearest_right_key(tmp_path: Path) -> None:
    file = tmp_path / "capmat.toml"
    file.write_text('stroe = "x"\n[teacher]\ntile = 7\n[night]\nkind = "slurm"\n')
    variables = {"CAPMAT_TEACHER__ITERATONS": "5", "CAPMAT_GATE__MARGIN": "-1", "OTHER": "x"}
    with pytest.raises(ConfigError) as refused:
        load_config(file, ["seed=soon", "itrations=7", "seed.of=1", "foo", "cluster.maximum=1"], variables)
    first, *lines = str(refused.value).splitlines()
    assert first == "settings: 10 mistakes. docs/settings.md lists all settings."
    assert {line.strip() for line in lines} == {
        "--set cluster.maximum=1: cluster: maximum is below workers",
        "--set foo: is not of the form KEY=VALUE",
        "--set itrations=7: no such key. Did you mean teacher.iterations or reconstruction.iterations?",
        "--set seed.of=1: seed has no settings below it",
        "--set seed=soon: expected a whole number, got 'soon'",
        "CAPMAT_GATE__MARGIN: expected a number above 0, got '-1'",
        "CAPMAT_TEACHER__ITERATONS: no such key. Did you mean CAPMAT_TEACHER__ITERATIONS?",
        f"{file}: night.kind: no such key. Did you mean cluster.kind?",
        f"{file}: stroe: no such key. Did you mean store?",
        f"{file}: teacher.tile: expected a multiple of 64, got 7",
    }
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_one_mistake_is_one_line(file: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(file, ["teacher.itrations=4"], {})
    told = "no such key. Did you mean teacher.iterations? docs/settings.md lists all settings."
    assert str(refused.value) == f"--set teacher.itrations=4: {told}"


def test_an_unknown_variable_of_ours_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"CAPMAT_STROE.*CAPMAT_STORE"):
        load_config(file, (), {"CAPMAT_STROE": "x"})


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_config(tmp_path / "none.toml", (), {})
    (tmp_path / "bad.toml").write_text("store = [")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load_config(tmp_path / "bad.toml", (), {})


def test_the_shipped_file_is_valid() -> None:
    assert load_config(ROOT / "capmat.toml", (), {}).scribble_takes


def test_the_page_of_settings_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), "run `make settings`"


def test_the_page_names_every_setting_with_its_text() -> None:
    rows = [line for line in settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert all(text.strip(" |") for text in (row.rsplit(" | ", 1)[1] for row in rows))
