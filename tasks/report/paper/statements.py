"""What the paper says, and whether it holds here: pure functions of the tables.

A statement is about order and sign, never about absolute values, because networks and stage differ. "By far" means
by a factor of at least `FAR`, which was fixed before anything was measured. Each judge answers on its own. Where a
figure is missing, the answer is "not run".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from tasks.report.paper.tables import JUDGES, Row, Tables
from tasks.show.figures import change

HOLDS, FAILS, NOT_RUN = "holds", "does not hold", "not run"
FAR = 1.5
"""One method beats another "by far" from this factor of their errors on."""

Values = Mapping[str, float]
"""Key of a row -> its value of one measure, by one judge."""
Answer = tuple[bool, str]
Test = Callable[[Values], Answer | None]
"""Returns whether a statement holds, and the figures in words; None when a figure is missing."""


@dataclass(frozen=True)
class Statement:
    """One sentence of the paper.

    Attributes:
        key: short name.
        part: the table or figure that decides it.
        text: the claim.
        paper: the paper's own figures, in words.
        test: whether the claim holds.
        judges: whose figures are tested.
        measure: the column that is tested.
    """

    key: str
    part: str
    text: str
    paper: str
    test: Test
    judges: tuple[str, ...] = JUDGES
    measure: str = "mse"


def lower(worse: str, better: str) -> Test:
    """A test that `better` has the lower error."""

    def test(of: Values) -> Answer | None:
        if worse not in of or better not in of:
            return None
        return of[better] < of[worse], _moved(of[worse], of[better])

    return test


def lowest(worse: Sequence[str], better: str, factor: float = 1.0) -> Test:
    """A test that `better` has a lower error than each of the others, by this factor at least."""

    def test(of: Values) -> Answer | None:
        if better not in of or any(key not in of for key in worse):
            return None
        holds = all(of[key] > of[better] and of[key] >= factor * of[better] for key in worse)
        return holds, f"{_mse(of[better])} against {' and '.join(_mse(of[key]) for key in worse)}"

    return test


def higher(before: str, after: str) -> Test:
    """A test that `after` is higher, in dB."""

    def test(of: Values) -> Answer | None:
        if before not in of or after not in of:
            return None
        return of[after] > of[before], f"{of[before]:.2f} -> {of[after]:.2f} dB"

    return test


def noise_helps(of: Values) -> Answer | None:
    """Training with noise lowers the error at every level of noise on the frames above 0."""
    levels = sorted({key.partition("@")[2] for key in of}, key=float)
    pairs = {level: (of.get(f"no_noise @{level}"), of.get(f"plain @{level}")) for level in levels}
    seen = {lv: (a, b) for lv, (a, b) in pairs.items() if float(lv) > 0 and a is not None and b is not None}
    if not seen or len(seen) < sum(float(level) > 0 for level in levels):
        return None
    words = "; ".join(f"noise {level}: {_moved(a, b)}" for level, (a, b) in seen.items())
    return all(b < a for a, b in seen.values()), words


def far_worst(of: Values) -> Answer | None:
    """Scribbles alone are by far worse than the worst mix."""
    mixes = {float(key): value for key, value in of.items()}
    alone = mixes.pop(1.0, None)
    if alone is None or len(mixes) < 2:
        return None
    share, next_worst = max(mixes.items(), key=lambda item: item[1])
    holds = alone > next_worst and alone >= FAR * next_worst
    return holds, f"{_mse(alone)}; the next worst, {share:.0%}: {_mse(next_worst)}"


STATEMENTS = (
    Statement("plate", "table1", "Background input beats none.",
              "BGMV2 20.69 against MODNet 258.07, VideoMatte 124.57; Bg-DAMNet 14.6 times below DAMNet",
              lower("no_plate", "plain")),
    Statement("noise", "fig5", "Noise in training helps on noisy frames.", "shown in pictures", noise_helps),
    Statement("mix over none", "fig6", "A fifth of scribbled frames beats none.", "a curve without numbers",
              lower("0", "0.2")),
    Statement("mix over all", "fig6", "A fifth of scribbled frames beats scribbles alone.", "4.98 against 78",
              lower("1", "0.2")),
    Statement("scribbles alone", "fig6", "Scribbles alone are by far the worst share.", "78, outside the plot",
              far_worst),
    Statement("teacher", "table1", "Hybrid fine-tuning cuts the teacher's MSE.", "7.81 -> 4.98 (-36 %)",
              lower("teacher base", "refined")),
    Statement("distillation", "table2", "Distillation beats scribbles alone and frozen refinement.",
              "8.05 against 89.2 and 27.8", lowest(("scribbles_only", "frozen_refiner"), "distilled")),
    Statement("distillation by far", "table2", "It beats them by far.",
              "11.1 and 3.5 times", lowest(("scribbles_only", "frozen_refiner"), "distilled", FAR)),
    Statement("student", "table1", "Distillation cuts the student's MSE.", "20.69 -> 8.05 (-61 %)",
              lower("student base", "distilled 0")),
    Statement("alignment", "table3", "The student comes closer to its teacher on unseen images.",
              "17.89 -> 9.10 (-49 %)", lower("student base to teacher", "distilled 0 to teacher"), ("teacher",)),
    Statement("plates", "plates", "Composites over the stage's own plates help before anybody paints.", "not in it",
              lower("0 0", "0.5 0")),
    Statement("psnr", "fig8", "Refined mattes raise the PSNR of a radiance field.", "30.5 -> 33.5 dB",
              higher("base", "refined"), ("supervisor",), "psnr"),
)  # fmt: skip


class Judged(TypedDict):
    """A statement, and by judge whether it holds (`verdicts`) and our figures in words (`ours`)."""

    key: str
    part: str
    text: str
    paper: str
    verdicts: dict[str, str]
    ours: dict[str, str]


def judge_statements(tables: Tables) -> list[Judged]:
    """Let every judge decide every statement; a part that was not run is absent from the tables."""
    judged: list[Judged] = []
    for one in STATEMENTS:
        answers = {judge: one.test(_values(tables.get(one.part, []), judge, one.measure)) for judge in one.judges}
        judged.append(
            {
                "key": one.key,
                "part": one.part,
                "text": one.text,
                "paper": one.paper,
                "verdicts": {judge: _verdict(answer) for judge, answer in answers.items()},
                "ours": {judge: answer[1] for judge, answer in answers.items() if answer},
            }
        )
    return judged


def _values(rows: Sequence[Row], judge: str, measure: str) -> dict[str, float]:
    return {row["key"]: row["by"][judge][measure] for row in rows if judge in row["by"]}


def _verdict(answer: Answer | None) -> str:
    return NOT_RUN if answer is None else HOLDS if answer[0] else FAILS


def _mse(value: float) -> str:
    return f"{value * 1e4:.2f}"


def _moved(before: float, after: float) -> str:
    return f"{_mse(before)} -> {_mse(after)} ({change(before, after)})"
