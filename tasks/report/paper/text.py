"""The tables and statements of `capmat paper` as markdown, for the terminal, the Prefect UI and docs/paper.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.report.paper.pictures import PAPER, WHO
from tasks.report.paper.preset import PARTS
from tasks.report.paper.statements import NOT_RUN
from tasks.report.paper.tables import Row
from tasks.show.figures import METRICS

Report = Mapping[str, Any]
_UNITS = {
    **{m.key: (f"{m.title} {m.unit}", m.scale) for m in METRICS},
    "psnr": ("PSNR dB", 1.0),
    "psnr_own": ("PSNR by own mattes dB", 1.0),
    "psnr_foreground": ("PSNR of the foreground dB", 1.0),
}


def markdown(report: Report) -> str:
    """Statements, then every table, ours beside the paper's."""
    blocks = [statements_table(report["statements"])]
    for part, rows in report["tables"].items():
        blocks += [f"## {PARTS[part]}", figures_table(rows)]
        if said := notes(rows):
            blocks.append("\n".join(f"- {note}" for note in said))
    return "\n\n".join(blocks)


def statements_table(statements: Sequence[Mapping[str, Any]]) -> str:
    """A line per statement: what the paper says, its figures, the answers and ours."""
    lines = ["| the paper says | its figures | here | our figures |", "|---|---|---|---|"]
    lines += [f"| {one['text']} | {one['paper']} | {answers(one)} | {figures(one)} |" for one in statements]
    return "\n".join(lines)


def answers(statement: Mapping[str, Any]) -> str:
    """`holds`, or what each judge says where they differ."""
    verdicts = {judge: verdict for judge, verdict in statement["verdicts"].items() if verdict != NOT_RUN}
    if not verdicts:
        return NOT_RUN
    if len(set(verdicts.values())) == 1:
        return str(next(iter(verdicts.values())))
    return "; ".join(f"{verdict} ({WHO[judge]})" for judge, verdict in verdicts.items())


def figures(statement: Mapping[str, Any]) -> str:
    """Our figures, by judge."""
    return "; ".join(f"{WHO[judge]}: {said}" for judge, said in statement["ours"].items())


def columns(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(judge, measure) of every column that has a figure, then ("paper", measure)."""
    judges = dict.fromkeys(judge for row in rows for judge in row["by"])
    ours = [(j, m) for j in judges for m in _UNITS if any(m in row["by"].get(j, {}) for row in rows)]
    return ours + [("paper", m) for m in _UNITS if any(m in row["paper"] for row in rows)]


def heading(judge: str, measure: str) -> str:
    """Name of a column."""
    return f"{WHO.get(judge, PAPER)}: {_UNITS[measure][0]}"


def cells(row: Row, shown: Sequence[tuple[str, str]]) -> list[str]:
    """The figures of a row in the paper's units; "" for what is not known."""
    said = []
    for judge, measure in shown:
        value = (row["paper"] if judge == "paper" else row["by"].get(judge, {})).get(measure)
        said.append("" if value is None else f"{value * _UNITS[measure][1]:.2f}")
    return said


def notes(rows: Sequence[Row]) -> list[str]:
    """What must be known about rows, and where a mean is one of several seeds, the MSE of each."""
    said = [f"{row['title']}: {row['note']}" for row in rows if row["note"]]
    for row in rows:
        each = {judge: found for judge, found in row.get("each", {}).items() if len(found) > 1}
        if each:
            every = "; ".join(
                f"{WHO[judge]} {', '.join(f'{1e4 * x:.1f}' for x in found)}" for judge, found in each.items()
            )
            said.append(f"{row['title']}, MSE of each seed: {every}")
    return said


def figures_table(rows: Sequence[Row]) -> str:
    """One table as markdown."""
    shown = columns(rows)
    lines = [
        "| | " + " | ".join(heading(*column) for column in shown) + " |",
        "|---|" + "---:|" * len(shown),
    ]
    lines += [f"| {row['title']} | {' | '.join(cells(row, shown))} |" for row in rows]
    return "\n".join(lines)
