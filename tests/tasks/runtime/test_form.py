"""The form of a deployment: few fields over the stage's own settings; a slip is named where it was typed."""

from pathlib import Path
from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema

from capmat_errors import ConfigError, NotFound
from flows.ingest import ingest
from flows.nightly import nightly
from flows.paper import paper
from flows.reconstruct import reconstruct
from flows.redistill import redistill
from flows.validate import validate
from tasks.config import Config
from tasks.matte.provenance import keep_config
from tasks.runtime.form import asked, chosen, faults

MOST_FIELDS = 9


@pytest.fixture(autouse=True)
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose stage has settings of its own."""
    monkeypatch.chdir(tmp_path)
    text = (
        f'store = "{tmp_path}/store"\ninbox = "in"\n[night]\nuntil = "06:30"\nteacher_every = 7\n[gate]\nworst = 3\n'
    )
    Path("capmat.toml").write_text(text)
    return tmp_path


@pytest.mark.parametrize("flow", [ingest, nightly, paper, reconstruct, redistill, validate], ids=lambda f: f.name)
def test_a_form_has_few_fields_and_each_is_a_line_or_a_list_of_lines_with_a_text(flow: Any) -> None:
    fields = parameter_schema(flow).model_dump_for_openapi()["properties"]
    assert {"overrides", "config"} <= fields.keys()
    assert len(fields) <= MOST_FIELDS
    for field in fields.values():
        assert field.get("items", field)["type"] in ("string", "boolean")
        assert field["description"][0].isupper() or field["description"][0] == "`"
        assert field["default"] in ("", [], False, True, "champion", "small")  # no setting: capmat.toml has those


def test_one_changed_field_keeps_all_that_the_stage_has_set_and_the_mattes_name_what_ran(stage: Path) -> None:
    before, now = asked(), asked(until="05:00", overrides=["night.teacher_every=3"])
    assert (now.night.until, now.night.teacher_every, now.gate.worst, now.inbox) == ("05:00", 3, 3.0, f"{stage}/in")
    assert now.model_dump(exclude={"night"}) == before.model_dump(exclude={"night"})
    name = keep_config(now)
    assert Config.model_validate_json((stage / f"store/configs/{name}.json").read_text()) == now


def test_a_session_that_is_named_goes_before_the_inbox_of_the_settings() -> None:
    assert (asked(session="day/session.toml").inbox, asked(session="day/session.toml").session) == (
        "",
        "day/session.toml",
    )
    assert asked(inbox="s3://other").inbox == "s3://other"
    with pytest.raises(ConfigError, match="only one of the two"):
        asked(session="day/session.toml", inbox="in")


def test_a_take_that_nobody_recorded_is_refused_with_the_names_of_those_there() -> None:
    assert chosen([], ["a", "b"], "day") == ["a", "b"]
    assert chosen(["b"], ["a", "b"], "day") == ["b"]
    with pytest.raises(NotFound, match="day: no take is called c; it has: a, b"):
        chosen(["b", "c"], ["a", "b"], "day")


def test_a_slip_is_named_beside_the_field_and_the_line_in_which_it_was_typed(stage: Path) -> None:
    def place(**values: Any) -> tuple[str, int | None, str]:
        (fault,) = faults(values)
        (said,) = fault["errors"]
        return (fault["property"], *((None, said) if isinstance(said, str) else (said["index"], said["errors"][0])))

    assert faults({}) == faults({"overrides": ["gate.worst=4"], "until": "07:00", "config": ""}) == []
    field, line, said = place(overrides=["gate.worst=4", "night.teacher_evry=10"])
    assert (field, line) == ("overrides", 1)
    assert "night.teacher_evry=10" in said
    assert "teacher_every" in said  # the nearest key
    assert "--set" not in said
    assert place(overrides=["gate.worst=much"])[:2] == ("overrides", 0)
    assert place(overrides=["much"])[:2] == ("overrides", 0)
    assert place(until="7 o'clock")[0] == "until"
    assert place(session="day/session.toml", inbox="in")[0] == "session"
    assert place(config="nowhere.toml")[0] == "config"
    (stage / "capmat.toml").write_text("stor = 1")
    assert place(overrides=["gate.worst=4"])[0] == "config"
