"""The report of `capmat paper` as a page that opens anywhere; the data is that of `tasks.report.paper.write`."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.report.paper.pictures import CAPTIONS
from tasks.report.paper.preset import PARTS
from tasks.report.paper.statements import FAILS, HOLDS
from tasks.report.paper.tables import Row
from tasks.report.paper.text import answers, cells, columns, figures, heading, notes
from tasks.report.tables import settings_list
from tasks.show.figures import duration
from tasks.show.page import document


def paper_page(report: Mapping[str, Any], charts: Mapping[str, str], strips: Mapping[str, bytes]) -> str:
    """Render the report.

    Args:
        report: see `tasks.report.paper.write`.
        charts: part -> SVG document.
        strips: part -> JPEG.

    Returns:
        A complete HTML document, UTF-8.
    """
    title = _text(report["title"])
    sections = [("statements", "What the paper says, and whether it holds here", _statements(report["statements"]))]
    for part, rows in report["tables"].items():
        sections.append((part, PARTS[part], _rows(rows) + _chart(part, charts) + _strip(part, strips)))
    facts = "".join(f"<div><h3>{name.title()}</h3>{settings_list(report[name])}</div>"
                    for name in ("hardware", "versions", "config"))  # fmt: skip
    sections += [
        ("time", "Seconds, as they were when a step really ran", _seconds(report["seconds"])),
        ("facts", "How it was run", f'<div class="cards facts">{facts}</div>'),
    ]
    links = "".join(f'<a href="#{name}">{_text(head)}</a>' for name, head, _ in sections)
    bodies = "".join(f'<section id="{n}"><h2>{_text(h)}</h2>{body}</section>' for n, h, body in sections)
    meta = "".join(f"<span>{_text(fact)}</span>" for fact in (report["created"], report["command"]))
    head = (
        f'<header><p class="meta">{meta}</p><h1>{title}</h1><p class="verdict">{_text(sentence(report))}</p></header>'
    )
    return document(title, f"{head}<nav>{links}</nav>{bodies}")


def sentence(report: Mapping[str, Any]) -> str:
    """How many statements hold, in one sentence."""
    said = [answers(one) for one in report["statements"]]
    holding, failing = said.count(HOLDS), said.count(FAILS)
    differ = sum(" (" in one for one in said)
    words = [f"{holding} of {len(said)} statements hold here", f"{failing} do not"]
    words += [f"on {differ} the judges differ"] if differ else []
    words += [f"{rest} were not run"] if (rest := len(said) - holding - failing - differ) else []
    return ", ".join(words) + "."


def _statements(statements: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_text(one["text"])}</th><td class="name paper">{_text(one["paper"])}</td>'
        f'<td class="name{" worse" if FAILS in answers(one) else ""}"><b>{_text(answers(one))}</b></td>'
        f'<td class="name">{_text(figures(one))}</td></tr>'
        for one in statements
    )
    return _table(("the paper says", "its figures", "here", "our figures"), rows, "words left") + (
        '<p class="foot">Order and sign, never absolute values: other networks, another stage. MSE in 1e-4.</p>'
    )


def _rows(rows: Sequence[Row]) -> str:
    shown = columns(rows)
    body = "".join(
        f'<tr><th scope="row">{_text(row["title"])}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells(row, shown))
        + "</tr>"
        for row in rows
    )
    said = "".join(f"<li>{_text(note)}</li>" for note in notes(rows))
    return _table(("", *(heading(*column) for column in shown)), body) + (
        f'<ul class="foot">{said}</ul>' if said else ""
    )


def _seconds(seconds: Mapping[str, Mapping[str, float]]) -> str:
    body = "".join(
        f'<tr><th scope="row">{_text(step)}</th>'
        f"<td>{duration(took['cpu_s'])}</td><td>{duration(took['wall_s'])}</td></tr>"
        for step, took in seconds.items()
    )
    total = (sum(took[key] for took in seconds.values()) for key in ("cpu_s", "wall_s"))
    last = "".join(f"<td><b>{duration(value)}</b></td>" for value in total)
    return _table(("step", "processor", "clock"), f'{body}<tr><th scope="row">all</th>{last}</tr>')


def _table(heads: Sequence[str], rows: str, kind: str = "words") -> str:
    top = "".join(f'<th scope="col">{_text(head)}</th>' for head in heads)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _chart(part: str, charts: Mapping[str, str]) -> str:
    return f"<figure>{_embedded(part, 'svg+xml', charts[part].encode())}</figure>" if part in charts else ""


def _strip(part: str, strips: Mapping[str, bytes]) -> str:
    if part not in strips:
        return ""
    picture = _embedded(part, "jpeg", strips[part])
    return f"<figure>{picture}<figcaption>{_text(CAPTIONS[part])}</figcaption></figure>"


def _embedded(name: str, kind: str, data: bytes) -> str:
    return f'<img alt="{name}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'


def _text(text: object) -> str:
    return html.escape(" ".join(str(text).split()))
