"""The answer that a comparison of models is made for: is the newer model better, and by how much?

Models are compared in pairs on the same pictures. Where chance alone could explain the difference, the answer is
"undecided": two equally good models differ as much in 5 of 100 comparisons or more.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal, TypedDict

from tasks.show.figures import counted
from tasks.validate.score import Scores

_WORDS = {
    **{"teacher_base": "base teacher", "teacher_in_use": "teacher in use", "student_base": "base student"},
    **{"student_in_use": "student in use", "champion": "model in use", "challenger": "challenger"},
}
_AGAINST = {"truth": "the known truth", "supervisor": "the supervisor's mattes"}


class Answer(TypedDict):
    """One pair of models on one benchmark, against one reference."""

    benchmark: str
    column: str  # supervisor or truth
    old: str  # row of the comparison
    new: str
    better: Literal["yes", "no", "undecided"]
    share: float  # MSE of the new one over that of the old one
    interval: tuple[float, float] | None  # of the share; None for too few pictures
    chance: float  # how often equally good models differ as much, see `by_chance`
    sure: float | None  # the share without pictures on which the supervisor may be wrong; None if there are none
    pictures: int


def answers(
    models: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, Mapping[Any, Mapping[str, Mapping[str, Scores]]]],
    doubts: Mapping[str, Collection[str]],
) -> list[Answer]:
    """Every pair on every benchmark and reference: the last pair first, and known truth before the supervisor.

    Args:
        models: row -> `model` and `role`.
        scores: by benchmark, column and row: picture -> its scores.
        doubts: by benchmark, pictures on which its supervisor may be wrong.
    """
    given = []
    for old, new in reversed(_pairs(models)):
        for name, columns in scores.items():
            for column in sorted(columns, reverse=True):
                pair = columns[column][old], columns[column][new]
                if all(pair):
                    unsure = doubts.get(name, ()) if column == "supervisor" else ()
                    given.append(_answer(name, column, (old, new), pair, unsure))
    return given


def called(row: str, model: Mapping[str, Any]) -> str:
    """A row in words, with its model: `student in use (bgmv2_mobilenetv2@v0002)`."""
    words, ref = short(row), "@".join(model.get("model", {}).values())
    return words if ref in ("", words) else f"{words} ({ref})"


def short(row: str) -> str:
    """A row in words, without its model."""
    return _WORDS.get(row, row)


def sentence(answer: Answer, models: Mapping[str, Mapping[str, Any]]) -> str:
    """The answer in words, the decision first."""
    from capmat_models.confidence import FEWEST

    old, new = (called(row, models[row]) for row in (answer["old"], answer["new"]))
    text = {
        "yes": f"Yes: the {new} is better than the {old}.",
        "no": f"No: the {new} is worse than the {old}.",
        "undecided": f"Undecided: chance could explain how the {new} differs from the {old}.",
    }[answer["better"]]
    text += f" Its error (MSE) is {_percent(answer['share'])}"
    if answer["interval"] and answer["better"] != "undecided":
        low, high = answer["interval"]
        text += f", with 95 % certainty between {_percent(low)} and {_percent(high)}"
    pictures = counted(answer["pictures"], "picture")
    text += f", on {pictures} of {answer['benchmark']} against {_AGAINST[answer['column']]}."
    if answer["pictures"] < FEWEST:
        text += f" Fewer than {FEWEST} pictures say too little about others."
    elif answer["better"] == "undecided":
        text += f" Two equally good models differ as much in {100 * answer['chance']:.0f} of 100 comparisons."
    if answer["sure"] is not None:
        text += f" Without the pictures on which the supervisor may be wrong it is {_percent(answer['sure'])}."
    return text


def _pairs(models: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Older and newer row of each pair: a row and the last one before it of its role or network, else the first."""
    rows, pairs = list(models), []
    for number, row in enumerate(rows[1:], 1):
        own = models[row]
        alike = [
            other
            for other in reversed(rows[:number])
            if own["role"] == models[other]["role"] or own["model"]["name"] == models[other]["model"]["name"]
        ]
        if not alike and row in _WORDS:
            continue  # teacher and student are never one against the other
        old = alike[0] if alike else rows[0]
        same = own["model"]["name"] == models[old]["model"]["name"]
        newer = not same or row in _WORDS or own["model"]["version"] >= models[old]["model"]["version"]
        pairs.append((old, row) if newer else (row, old))
    return pairs


def _answer(
    name: str, column: str, rows: tuple[str, str], pair: tuple[Mapping[str, Scores], ...], doubts: Collection[str]
) -> Answer:
    from capmat_models.confidence import LEVEL, by_chance, ratio_interval

    pictures = sorted(pair[0].keys() & pair[1].keys())
    old, new = ([each[picture]["mse"] for picture in pictures] for each in pair)
    sure = [number for number, picture in enumerate(pictures) if picture not in doubts]
    chance = by_chance(new, old) if len(pictures) > 1 else 1.0
    better: Literal["yes", "no", "undecided"] = "yes" if sum(new) < sum(old) else "no"
    if chance >= 1 - LEVEL:
        better = "undecided"
    return {
        "benchmark": name,
        "column": column,
        "old": rows[0],
        "new": rows[1],
        "better": better,
        "share": _share(new, old),
        "interval": ratio_interval(new, old),
        "chance": chance,
        "sure": _share([new[i] for i in sure], [old[i] for i in sure]) if 0 < len(sure) < len(pictures) else None,
        "pictures": len(pictures),
    }


def _share(new: list[float], old: list[float]) -> float:
    return sum(new) / sum(old) if sum(old) else float(sum(new) > 0) + 1


def _percent(share: float) -> str:
    """A ratio of errors in words: `11 % lower`."""
    off = 100 * (share - 1)
    digits = 0 if abs(off) >= 1 else 1
    return f"{abs(off):.{digits}f} % {'higher' if off > 0 else 'lower'}" if abs(off) >= 0.05 else "the same"
