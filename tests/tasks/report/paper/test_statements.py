"""What the paper says is judged by order and sign, by each judge alone, and never guessed."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.paper.statements import FAILS, FAR, HOLDS, NOT_RUN, STATEMENTS, judge_statements
from tasks.report.paper.tables import Tables
from tasks.report.paper.text import answers

PARTS = {one.key: one.part for one in STATEMENTS}


def table(values: Mapping[str, Any], judge: str = "supervisor", measure: str = "mse") -> list[dict[str, Any]]:
    return [{"key": key, "by": {judge: {measure: value}}} for key, value in values.items()]


def verdict(key: str, values: Mapping[str, Any], judge: str = "supervisor", measure: str = "mse") -> str:
    tables: Tables = {PARTS[key]: table(values, judge, measure)}
    (said,) = (one for one in judge_statements(tables) if one["key"] == key)
    return str(said["verdicts"][judge])


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        ("plate", {"no_plate": 0.05, "plain": 0.01}, HOLDS),
        ("plate", {"no_plate": 0.01, "plain": 0.05}, FAILS),
        ("plate", {"plain": 0.05}, NOT_RUN),
        ("noise", {"no_noise @0": 0.1, "plain @0": 0.2, "no_noise @0.1": 0.5, "plain @0.1": 0.2}, HOLDS),
        ("noise", {"no_noise @0.05": 0.1, "plain @0.05": 0.2, "no_noise @0.1": 0.5, "plain @0.1": 0.2}, FAILS),
        ("noise", {"no_noise @0": 0.3, "plain @0": 0.2}, NOT_RUN),
        ("noise", {"no_noise @0.1": 0.3, "plain @0.1": 0.2, "plain @0.2": 0.2}, NOT_RUN),
        ("mix over none", {"0": 0.2, "0.2": 0.1, "1": 0.9}, HOLDS),
        ("mix over none", {"0": 0.1, "0.2": 0.2, "1": 0.9}, FAILS),
        ("mix over none", {"0.1": 0.1, "0.2": 0.2}, NOT_RUN),
        ("mix over all", {"0": 0.01, "0.2": 0.1, "1": 0.9}, HOLDS),
        ("mix over all", {"0.2": 0.9, "1": 0.1}, FAILS),
        ("scribbles alone", {"0": 0.1, "0.2": 0.05, "0.8": 0.2, "1": 0.9}, HOLDS),
        ("scribbles alone", {"0": 0.1, "0.2": 0.05, "0.8": 0.8, "1": 0.9}, FAILS),
        ("scribbles alone", {"0": 1.0, "0.2": 0.05, "1": 0.9}, FAILS),
        ("scribbles alone", {"1": 0.9}, NOT_RUN),
        ("teacher", {"teacher base": 0.2, "refined": 0.1}, HOLDS),
        ("teacher", {"teacher base": 0.2, "refined": 0.2}, FAILS),
        ("distillation", {"scribbles_only": 0.3, "frozen_refiner": 0.2, "distilled": 0.1}, HOLDS),
        ("distillation", {"scribbles_only": 0.3, "frozen_refiner": 0.11, "distilled": 0.1}, HOLDS),
        ("distillation", {"scribbles_only": 0.3, "frozen_refiner": 0.09, "distilled": 0.1}, FAILS),
        ("distillation by far", {"scribbles_only": 0.3, "frozen_refiner": 0.11, "distilled": 0.1}, FAILS),
        ("distillation by far", {"scribbles_only": 0.3, "frozen_refiner": 0.2, "distilled": 0.1}, HOLDS),
        ("distillation", {"scribbles_only": 0.3, "distilled": 0.1}, NOT_RUN),
        ("student", {"student base": 0.2, "distilled 0": 0.3}, FAILS),
    ],
)
def test_a_statement_holds_or_not_or_was_not_run(key: str, values: dict[str, float], expected: str) -> None:
    assert verdict(key, values) == expected
    assert verdict(key, values, "truth") == expected


def test_figures_with_a_judge_of_their_own() -> None:
    closer = {"student base to teacher": 0.2, "distilled 0 to teacher": 0.1}
    assert verdict("alignment", closer, "teacher") == HOLDS
    assert verdict("psnr", {"base": 25.0, "refined": 26.0}, measure="psnr") == HOLDS
    assert verdict("psnr", {"base": 26.0, "refined": 25.0}, measure="psnr") == FAILS


def test_nothing_that_was_run_makes_every_answer_not_run() -> None:
    assert {answers(one) for one in judge_statements({})} == {NOT_RUN}
    absent: Tables = {"table1": [{"key": "modnet", "by": {}}]}
    assert {answers(one) for one in judge_statements(absent)} == {NOT_RUN}


def test_judges_answer_apart_and_both_are_told() -> None:
    rows = table({"teacher base": 0.2, "refined": 0.1})
    for row, other in zip(rows, (0.1, 0.2), strict=True):
        row["by"]["truth"] = {"mse": other}
    (said,) = (one for one in judge_statements({"table1": rows}) if one["key"] == "teacher")
    assert answers(said) == f"{HOLDS} (supervisor); {FAILS} (ground truth)"
    assert "2000.00 -> 1000.00 (−50 %)" in said["ours"]["supervisor"]


@given(st.floats(1e-6, 1), st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_by_far_is_never_a_draw(scribbles: float, frozen: float, distilled: float) -> None:
    students = {"scribbles_only": scribbles, "frozen_refiner": frozen, "distilled": distilled}
    said = verdict("distillation by far", students)
    assert (said == HOLDS) == (min(scribbles, frozen) >= FAR * distilled)
