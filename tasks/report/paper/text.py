"""The tables and statements of `capmat paper` as markdown, for the terminal, the Prefect UI and docs/paper.md."""

from collections.abc import Sequence
from typing import Any, TypedDict

from tasks.report.paper.pictures import JUDGE_NAMES, PAPER
from tasks.report.paper.preset import PARTS
from tasks.report.paper.statements import NOT_RUN, Judged
from tasks.report.paper.tables import Row, Tables
from tasks.show.figures import METRICS
from tasks.show.markdown import table


class PaperReport(TypedDict):
    """What `paper.json` holds."""

    title: str
    created: str
    preset: str
    command: str
    parts: list[str]
    benchmark: dict[str, str]
    """`benchmark`, `version` and `take`."""
    tables: Tables
    statements: list[Judged]
    seconds: dict[str, dict[str, float]]
    """Step -> `wall_s` and `cpu_s` of the time it really ran."""
    hardware: dict[str, Any]
    versions: dict[str, str]
    config: dict[str, Any]


_UNITS = {
    **{m.key: (f"{m.title} {m.unit}", m.scale) for m in METRICS},
    "psnr": ("PSNR dB", 1.0),
    "psnr_own": ("PSNR by own mattes dB", 1.0),
    "psnr_foreground": ("PSNR of the foreground dB", 1.0),
}


def markdown(report: PaperReport) -> str:
    """Statements, then every table, ours beside the paper's."""
    blocks = [statements_table(report["statements"])]
    for part, rows in report["tables"].items():
        blocks += [f"## {PARTS[part]}", figures_table(rows)]
        if lines := notes(rows):
            blocks.append("\n".join(f"- {line}" for line in lines))
    return "\n\n".join(blocks)


def statements_table(statements: Sequence[Judged]) -> str:
    """A line per statement: what the paper says, its figures, the answers and ours."""
    rows = [(one["text"], one["paper"], answers(one), figures(one)) for one in statements]
    return table(("the paper says", "its figures", "here", "our figures"), rows, "---")


def answers(statement: Judged) -> str:
    """`holds`, or what each judge says where they differ."""
    verdicts = {judge: verdict for judge, verdict in statement["verdicts"].items() if verdict != NOT_RUN}
    if not verdicts:
        return NOT_RUN
    if len(set(verdicts.values())) == 1:
        return next(iter(verdicts.values()))
    return "; ".join(f"{verdict} ({JUDGE_NAMES[judge]})" for judge, verdict in verdicts.items())


def figures(statement: Judged) -> str:
    """Our figures, by judge."""
    return "; ".join(f"{JUDGE_NAMES[judge]}: {words}" for judge, words in statement["ours"].items())


def columns(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(judge, measure) of every column that has a figure, then ("paper", measure)."""
    judges = dict.fromkeys(judge for row in rows for judge in row["by"])
    ours = [(j, m) for j in judges for m in _UNITS if any(m in row["by"].get(j, {}) for row in rows)]
    return ours + [("paper", m) for m in _UNITS if any(m in row["paper"] for row in rows)]


def heading(judge: str, measure: str) -> str:
    """Name of a column."""
    return f"{JUDGE_NAMES.get(judge, PAPER)}: {_UNITS[measure][0]}"


def cells(row: Row, shown: Sequence[tuple[str, str]]) -> list[str]:
    """The figures of a row in the paper's units; "" for what is not known."""
    values = [(m, (row["paper"] if judge == "paper" else row["by"].get(judge, {})).get(m)) for judge, m in shown]
    return ["" if value is None else f"{value * _UNITS[measure][1]:.2f}" for measure, value in values]


def notes(rows: Sequence[Row]) -> list[str]:
    """What must be known about rows; for a mean over several seeds, the MSE of each."""
    lines = [f"{row['title']}: {row['note']}" for row in rows if row["note"]]
    for row in rows:
        each = {judge: seeds for judge, seeds in row.get("each", {}).items() if len(seeds) > 1}
        if each:
            every = {judge: ", ".join(f"{1e4 * mse:.1f}" for mse in seeds) for judge, seeds in each.items()}
            words = "; ".join(f"{JUDGE_NAMES[judge]} {errors}" for judge, errors in every.items())
            lines.append(f"{row['title']}, MSE of each seed: {words}")
    return lines


def figures_table(rows: Sequence[Row]) -> str:
    """One table as markdown."""
    shown = columns(rows)
    return table(["", *(heading(*column) for column in shown)], [[row["title"], *cells(row, shown)] for row in rows])
