"""The report of `capmat paper` as a page that opens anywhere."""

from collections.abc import Mapping

from tasks.report.paper.pictures import CAPTIONS
from tasks.report.paper.preset import PARTS
from tasks.report.paper.statements import FAILS, HOLDS
from tasks.report.paper.text import PaperReport, answers, cells, columns, figures, heading, notes
from tasks.show.figures import dotted
from tasks.show.page import render


def paper_page(report: PaperReport, charts: Mapping[str, str], strips: Mapping[str, bytes]) -> str:
    """A complete HTML document, UTF-8.

    Args:
        report: the figures.
        charts: part -> SVG document.
        strips: part -> JPEG.
    """
    parts = []
    for part, rows in report["tables"].items():
        shown = columns(rows)
        values = {
            "heads": ["", *(heading(*column) for column in shown)],
            "rows": [[row["title"], *cells(row, shown)] for row in rows],
            "notes": notes(rows),
            "chart": charts.get(part, "").encode(),
            "strip": strips.get(part),
            "caption": CAPTIONS.get(part, ""),
        }
        parts.append((part, PARTS[part], values))
    statements = [
        (one["text"], one["paper"], answers(one), figures(one), FAILS in answers(one)) for one in report["statements"]
    ]
    facts = {"Hardware": report["hardware"], "Versions": report["versions"], "Config": report["config"]}
    return render(
        "report/paper/page.html",
        title=report["title"],
        facts=(report["created"], report["command"]),
        verdict=sentence(report),
        statements=statements,
        parts=parts,
        seconds=[(step, took["cpu_s"], took["wall_s"]) for step, took in report["seconds"].items()],
        facts_of_run=[(name, dotted(value)) for name, value in facts.items()],
    )


def sentence(report: PaperReport) -> str:
    """How many statements hold, in one sentence."""
    verdicts = [answers(one) for one in report["statements"]]
    holding, failing = verdicts.count(HOLDS), verdicts.count(FAILS)
    differ = sum(" (" in verdict for verdict in verdicts)
    words = [f"{holding} of {len(verdicts)} statements hold here", f"{failing} do not"]
    words += [f"on {differ} the judges differ"] if differ else []
    words += [f"{rest} were not run"] if (rest := len(verdicts) - holding - failing - differ) else []
    return ", ".join(words) + "."
