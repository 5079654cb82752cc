"""What a run achieved, in a few lines: for the terminal, the Prefect artifact, and the top of the page.

The verdict states what was measured and in which direction it changed; it never calls a run good. A figure that was
not measured is left out.
"""

from tasks.report.figures import JUDGES, MODELS, PAPER, STATES, Report, decisions, judges, printed, psnr, wall_total
from tasks.show.figures import METRICS, decimals, duration, ratio
from tasks.show.markdown import table


def verdict(report: Report) -> str:
    """The outcome in one or two sentences of plain text.

    Returns:
        For example `Refinement cut the student's squared error by 61 % and the teacher's by 36 %, measured
        against ground truth. The reconstruction gained 3.0 dB.`
    """
    sentences = []
    measured = judges(report)
    if measured:
        judge, mse = measured[0], METRICS[0]
        clauses = []
        for model in ("student", "teacher"):
            before, after = (printed(report, judge, f"{model}_{state}", mse) for state in STATES)
            factor = ratio(before, after)
            if factor is not None:
                clauses.append((round((factor - 1) * 100), f"the {model}’s"))
        if clauses:
            sentences.append(f"Refinement {_moved(clauses)}, measured {JUDGES[judge]}.")
    base, refined = (psnr(report, state) for state in STATES)
    if base is not None and refined is not None:
        gain = refined - base
        verb = "gained" if gain >= 0 else "lost"
        sentences.append(f"The reconstruction {verb} {decimals(abs(gain), 1)} dB.")
    collapsed = [s for s in STATES if ((report.get("reconstruction") or {}).get(s) or {}).get("collapsed")]
    if collapsed:
        sentences.append(f"The reconstruction from {' and '.join(collapsed)} mattes collapsed.")
    sentences += [f"{model.title()}: {word.rstrip('.')}." for model, word in decisions(report).items()]
    return " ".join(sentences) or "Nothing was measured in this run."


def _moved(clauses: list[tuple[int, str]]) -> str:
    """Join (per cent, whose) pairs into `cut A’s squared error by 61 % and B’s by 36 %`."""
    parts = []
    for verb, chosen in (
        ("cut", [(-p, what) for p, what in clauses if p < 0]),
        ("raised", [(p, what) for p, what in clauses if p > 0]),
    ):
        if chosen:
            parts.append(f"{verb} " + " and ".join(f"{what} by {p} %" for p, what in chosen))
    same = [what for p, what in clauses if p == 0]
    if same:
        parts.append("left " + " and ".join(same) + " where it was")
    return " but ".join(parts).replace("’s ", "’s squared error ", 1)


def summary_lines(report: Report) -> list[str]:
    """The few figures that a terminal shows at the end of a run: ASCII, without what was not measured."""
    lines = [" ".join(str(report[key]) for key in ("title", "run") if report.get(key))]
    lines.append(verdict(report).replace("’", "'"))
    for judge in judges(report):
        for model in MODELS:
            figures = []
            for metric in METRICS:
                before, after = (printed(report, judge, f"{model}_{state}", metric) for state in STATES)
                if before is not None or after is not None:
                    figures.append(f"{metric.title} {_arrow(before, after, 3)} {metric.ascii_unit}")
            if figures:
                lines.append(f"{model:<9}{'   '.join(figures)}   ({JUDGES[judge]})")
    base, refined = (psnr(report, state) for state in STATES)
    if base is not None or refined is not None:
        backend = (report.get("reconstruction") or {}).get("backend")
        lines.append(f"{'3D':<9}PSNR {_arrow(base, refined, 2)} dB" + (f"   ({backend})" if backend else ""))
    total = wall_total(report)
    if total is not None:
        lines.append(f"{'time':<9}{duration(total)}")
    return [line for line in lines if line]


def _arrow(before: float | None, after: float | None, places: int) -> str:
    return f"{_ascii(before, places)} -> {_ascii(after, places)}"


def _ascii(value: float | None, places: int) -> str:
    return decimals(value, places).replace("−", "-").replace("–", "-")


def markdown_table(report: Report) -> str:
    """Verdict and accuracy as markdown: a column per metric and judge, then the paper's."""
    lines = [verdict(report).replace("\n", " ")]
    measured = judges(report)
    if measured:
        where = [*(JUDGES[judge] for judge in measured), "in the paper"]
        heads = ["", *(f"{m.title} {m.unit} {words}" for words in where for m in METRICS)]
        rows = []
        for row, (_, *paper) in PAPER.items():
            ours = [printed(report, judge, row, m) for judge in measured for m in METRICS]
            rows.append([row.replace("_", " "), *map(decimals, [*ours, *paper])])
        lines += ["", table(heads, rows), ""]
        lines.append("The paper measured on its own stage: its absolute values are not comparable.")
    base, refined = (psnr(report, state) for state in STATES)
    if base is not None or refined is not None:
        gain = "" if base is None or refined is None else f"({decimals(refined - base, 2, sign=True)})"
        lines += ["", f"Reconstruction: {decimals(base, 2)} → {decimals(refined, 2)} dB {gain}"]
    total = wall_total(report)
    if total is not None:
        lines += ["", f"Wall time: {duration(total)}"]
    return "\n".join(line.rstrip() for line in lines)
