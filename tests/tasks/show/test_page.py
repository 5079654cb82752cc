"""No page lets a name through raw, and a value that a template misses is an error."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from tasks.night.page import night_page
from tasks.report.paper.page import paper_page
from tasks.report.paper.statements import judge_statements
from tasks.show.figures import METRICS
from tasks.show.page import render
from tasks.stage.measure import Measured
from tasks.stage.page import stage_page
from tasks.validate.page import Shown, render_validation
from tests.tasks.night.test_morning import NIGHT, REFUSED, TAKE
from tests.tasks.report.test_page import JPEG, Page

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1)


def night(name: str) -> str:
    takes = [{**TAKE, "take": name, "session": name, "runs": [name], "bytes": 1}]
    lists = {"left": [{"where": name, "why": name}], "attention": [{"what": name, "fix": name}], "kept": [name]}
    refused = {"refused": [dict.fromkeys(REFUSED, name)]}
    return night_page({**NIGHT, **lists, **refused, "takes": takes, "inbox": name, "store": name}, {name: JPEG})


def paper(name: str) -> str:
    row = {"key": name, "title": name, "paper": {"mse": 1.0}, "by": {"truth": {"mse": 2.0}}, "note": name}
    statements = [{**one, "text": name, "paper": name} for one in judge_statements({})]
    facts = {"hardware": {name: name}, "versions": {}, "config": {name: {name: [name]}}}
    seconds = {name: {"cpu_s": 1.0, "wall_s": 2.0}}
    head: dict[str, Any] = {"title": name, "created": name, "command": name, "statements": statements}
    return paper_page({**head, **facts, "seconds": seconds, "tables": {"table1": [row]}}, {"table1": "<svg/>"}, {})


def validation(name: str) -> str:
    mean = {"mean": 0.1, "interval": None, "pictures": 1}
    time = {"ms": 1.0, "size": (2, 3), "hardware": name, "device": "cpu", "threads": 1}
    found: dict[str, Any] = {
        "models": {name: {}},
        "answers": [],
        "scores": {name: {"supervisor": {name: {"mse": mean}}}},
        "per_image": {name: {"supervisor": {name: {name: {"mse": 0.1}}}}},
        "latency": {name: {name: time}},
        "hull": {name: {name: {"absent": name}}},
        "doubts": {name: {name: 0.1}},
        "benchmarks": {name: {"supervisors": [name]}},
        **{"level": 0.95, "created": name, "store": name},
    }
    return render_validation(
        found,
        METRICS,
        {f"{name} supervisor": "<svg/>"},
        {f"{name} {name}": JPEG},
        {name: [Shown(name, {name: JPEG}, JPEG, known=False)]},
    )


def stage(name: str) -> str:
    nothing = np.zeros((8, 8), bool)
    measured = Measured(
        **{"size": (8, 8), "fold": 1, "empty": 2, "coarse": False, "frames": (), "lamps": []},
        **{"plate": np.zeros((8, 8, 3), np.uint8)},
        **dict.fromkeys(("white", "dark", "around", "matte"), nothing),
    )
    finding = {"kind": name, "light": "red", "what": name, "advice": name, "places": []}
    camera = {"light": "red", "findings": [finding], "missing": {name: name}, "figures": {name: 1.0}}
    report = {"session": name, "stage": name, "take": name, "notes": [name], "cameras": {name: camera}}
    return stage_page(report, {name: measured})


@pytest.mark.parametrize("page", [night, paper, validation, stage])
@settings(max_examples=20, deadline=None)
@example("<b>&\"'")
@example("</td><script>")
@given(name=NAMES)
def test_a_name_is_printed_as_it_is_and_never_read_as_markup(page: Any, name: str) -> None:
    html = page(name)
    read = Page(html)
    assert read.tags == Page(page("walk")).tags
    assert f">{name}<" not in html or not set(name) & set("<>&\"'")
    assert " ".join(name.replace("\xa0", " ").split()) in read.text


def test_a_value_that_a_template_misses_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="facts"):
        render("show/page.html", title="t")
