"""The answer to a comparison: which pair is asked about, and when chance could explain the difference."""

from typing import Any

import pytest

from tasks.validate.answer import answers, sentence

OLD, NEW = {"name": "net", "version": "v0001"}, {"name": "net", "version": "v0002"}


def models(*rows: str) -> dict[str, Any]:
    made = {
        "teacher": {"name": "big", "version": "v0001"},
        "base": OLD,
        "use": NEW,
        "challenger": NEW,
        "champion": OLD,
    }
    return {row: {"model": made["teacher" if row.startswith("teacher") else row.rpartition("_")[2]],
                  "role": "teacher" if row.startswith("teacher") else "student"} for row in rows}  # fmt: skip


def asked(old: list[float], new: list[float], doubts: tuple[str, ...] = ()) -> dict[str, Any]:
    scores = {row: {f"walk/c00/{n}": {"mse": mse} for n, mse in enumerate(values)}
              for row, values in (("champion", old), ("challenger", new))}  # fmt: skip
    (answer,) = answers(
        models("champion", "challenger"), {"gold@b0001": {"supervisor": scores}}, {"gold@b0001": doubts}
    )
    return dict(answer)


@pytest.mark.parametrize(
    ("new", "better"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "yes"),
        ([3.0, 5.0, 7.0, 9.0, 11.0, 13.0], "no"),
        ([1.0, 9.0, 3.0, 9.0, 5.0, 13.0], "undecided"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], "undecided"),
        ([1.0, 2.0], "undecided"),
    ],
)
def test_better_is_said_only_where_chance_does_not_explain_it(new: list[float], better: str) -> None:
    assert asked([2.0, 4.0, 6.0, 8.0, 10.0, 12.0][: len(new)], new)["better"] == better


def test_the_sentence_says_how_much_on_what_and_what_the_doubtful_pictures_change() -> None:
    answer: Any = asked([2.0, 4.0, 6.0], [1.0, 2.0, 6.0], doubts=("walk/c00/2",))
    said = sentence(answer, models("champion", "challenger"))
    assert said.startswith(
        "Undecided: chance could explain how the challenger (net@v0002) differs from the model in use"
    )
    assert "Its error (MSE) is 25 % lower" in said  # 9 of 12
    assert "on 3 pictures of gold@b0001 against the supervisor's mattes" in said
    assert said.endswith("Without the pictures on which the supervisor may be wrong it is 50 % lower.")
    alone: Any = asked([2.0], [1.0])
    assert (alone["better"], alone["interval"]) == ("undecided", None)
    for few in (alone, answer):
        assert "Fewer than 6 pictures say too little about others." in sentence(few, models("champion", "challenger"))


def test_an_undecided_answer_says_how_often_chance_does_as_much() -> None:
    answer: Any = asked([2.0, 4.0, 6.0, 8.0, 10.0, 12.0], [1.0, 3.0, 5.0, 7.0, 9.0, 13.0])
    said = sentence(answer, models("champion", "challenger"))
    assert "is 10 % lower, on 6 pictures" in said  # 38 of 42
    # one of six differs to the other side by as much: 7 of 64 exchanges reach it on one side
    assert said.endswith("Two equally good models differ as much in 22 of 100 comparisons.")


def test_models_of_one_role_or_network_are_compared_and_the_higher_version_is_the_newer() -> None:
    def pairs(rows: dict[str, Any]) -> list[tuple[str, str]]:
        each = {row: {"walk/c00/1": {"mse": 1.0}} for row in rows}
        return [(answer["old"], answer["new"]) for answer in answers(rows, {"gold@b0001": {"truth": each}}, {})]

    assert pairs(models("teacher_base", "student_base", "student_in_use")) == [("student_base", "student_in_use")]
    by_hand = {row: {"model": model, "role": "net"} for row, model in (("net@v0002", NEW), ("net@v0001", OLD))}
    assert pairs(by_hand) == [("net@v0001", "net@v0002")]
