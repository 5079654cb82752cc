"""A comparison of models as a page that opens anywhere, and as markdown.

The data is that of `tasks.validate.report`.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.show.figures import MISSING, Metric
from tasks.show.page import ERROR_KEY, OPEN_UP_TO, document

Found = Mapping[str, Any]
TITLES = {"supervisor": "against the supervisor", "truth": "against the known truth"}


def markdown(found: Found, metrics: Sequence[Metric]) -> str:
    """A table per benchmark and column: each model's means with their intervals, and the time of a frame."""
    parts = []
    for name, columns in found["scores"].items():
        for column, rows in columns.items():
            there = _there(rows, metrics)
            parts.append(f"**{name}** {TITLES[column]}, {_count(rows)}")
            parts.append(
                "\n".join(
                    [
                        "| | " + " | ".join(f"{m.title} {m.unit}" for m in there) + " | ms/frame | hull % |",
                        "|---|" + "---:|" * (len(there) + 2),
                        *(
                            f"| {row} | "
                            + " | ".join(_cell(means, metric) for metric in there)
                            + f" | {found['latency'][name][row]['ms']:.1f} | {hull_text(found, name, row)} |"
                            for row, means in rows.items()
                        ),
                    ]
                )
            )
        parts.append(f"{_timed(found['latency'][name])} {_fit(found['hull'][name])}".strip())
    return "\n\n".join([*parts, _how_sure(found)])


def render_validation(
    found: Found, metrics: Sequence[Metric], charts: Mapping[str, str], sheets: Mapping[str, bytes]
) -> str:
    """A complete HTML document.

    Args:
        found: see `tasks.validate.report.write_validation`.
        metrics: what to print, in this order, where it was measured.
        charts: SVG documents by `benchmark column`.
        sheets: JPEG files by `benchmark row`.
    """
    sections = []
    for name, columns in found["scores"].items():
        body = "".join(_column(found, name, column, metrics, charts) for column in columns)
        figures = "".join(
            f'<figure><img alt="{_text(row)}" src="{_data("jpeg", sheets[f"{name} {row}"])}">'
            f"<figcaption>{_text(row)}: its worst, median and best picture. {ERROR_KEY}</figcaption></figure>"
            for row in found["models"]
        )
        sections.append(f'<section id="{_text(name)}"><h2>{_text(name)}</h2>{body}{figures}</section>')
    facts = "".join(f"<span>{_text(fact)}</span>" for fact in (found["created"], found["store"]))
    head = (
        f'<header><p class="meta">{facts}</p><h1>Models on benchmarks</h1>'
        f'<p class="verdict">{_text(_first(found))}</p></header>'
    )
    return document("Models on benchmarks", f"{head}{''.join(sections)}<p class=foot>{_text(_how_sure(found))}</p>")


def _column(found: Found, name: str, column: str, metrics: Sequence[Metric], charts: Mapping[str, str]) -> str:
    rows, there = found["scores"][name][column], _there(found["scores"][name][column], metrics)
    head = "".join(f'<th scope="col">{m.title}<small>{m.unit}</small></th>' for m in there)
    lines = "".join(
        f'<tr><th scope="row">{_text(row)}</th>'
        + "".join(f"<td>{_text(_cell(means, metric))}</td>" for metric in there)
        + f"<td>{found['latency'][name][row]['ms']:.1f}</td><td>{hull_text(found, name, row)}</td></tr>"
        for row, means in rows.items()
    )
    chart = _data("svg+xml", charts[f"{name} {column}"].encode())
    return (
        f"<h3>{TITLES[column]}, {_count(rows)}{_by(found, name) if column == 'supervisor' else ''}</h3>"
        f'<div class="scroll"><table><thead><tr><td></td>{head}<th scope="col">ms/frame</th>'
        '<th scope="col">hull<small>%</small></th></tr></thead>'
        f'<tbody>{lines}</tbody></table></div><p class="foot">{_text(_timed(found["latency"][name]))} '
        f"{_text(_fit(found['hull'][name]))}</p>"
        f'<figure><img alt="means and intervals" src="{chart}"></figure>{_pictures(found, name, column)}'
    )


def _pictures(found: Found, name: str, column: str) -> str:
    """MSE of every picture, the hardest first."""
    each = found["per_image"][name][column]
    first = next(iter(each.values()))
    order = sorted(first, key=lambda picture: -max(scores[picture]["mse"] for scores in each.values()))
    head = "".join(f'<th scope="col">{_text(row)}</th>' for row in each)
    lines = "".join(
        f'<tr><th scope="row">{_text(picture)}</th>'
        + "".join(f"<td>{1e4 * scores[picture]['mse']:.2f}</td>" for scores in each.values())
        + "</tr>"
        for picture in order
    )
    opened = " open" if len(order) <= OPEN_UP_TO else ""
    return (
        f"<details{opened}><summary>MSE of every picture, 10⁻⁴</summary>"
        f'<div class="scroll"><table class="images"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div></details>"
    )


def hull_text(found: Found, name: str, row: str) -> str:
    """The hull score of a row in per cent, or a dash."""
    score = found["hull"][name].get(row, {}).get("score")
    return MISSING if score is None else f"{100 * score:.2f}"


def _fit(hull: Found) -> str:
    """What the hull scores are, and why some are missing."""
    if not hull:
        return ""
    said = "Hull: share of the silhouettes that the other cameras' mattes of the same frame contradict."
    return " ".join([said, *(f"{row} has none: {one['absent']}." for row, one in hull.items() if "absent" in one)])


def _there(rows: Found, metrics: Sequence[Metric]) -> list[Metric]:
    return [metric for metric in metrics if any(metric.key in means for means in rows.values())]


def _cell(means: Found, metric: Metric) -> str:
    if metric.key not in means:
        return MISSING
    one = means[metric.key]
    text = f"{one['mean'] * metric.scale:.2f}"
    if one["interval"]:
        low, high = (edge * metric.scale for edge in one["interval"])
        text += f" ({low:.2f}–{high:.2f})"
    return text


def _count(rows: Found) -> str:
    pictures = max((one["pictures"] for means in rows.values() for one in means.values()), default=0)
    return f"{pictures} picture{'' if pictures == 1 else 's'}"


def _by(found: Found, name: str) -> str:
    return f" ({_text(', '.join(found['benchmarks'][name]['supervisors']))})"


def _timed(latency: Found) -> str:
    """What the times were measured on: once, if all are alike."""
    said = {
        f"{one['size'][1]}x{one['size'][0]}, {one['hardware']}"
        + (f", {one['threads']} thread{'' if one['threads'] == 1 else 's'}" if one["device"] == "cpu" else "")
        for one in latency.values()
    }
    return f"Time of a frame: median of warm runs, without reading and writing; {'; '.join(sorted(said))}."


def _how_sure(found: Found) -> str:
    alone = any(
        one["interval"] is None
        for columns in found["scores"].values()
        for rows in columns.values()
        for means in rows.values()
        for one in means.values()
    )
    share = f"{100 * found['level']:.0f} %"
    said = f"In brackets: {share} bootstrap intervals of the means over pictures. Lower is better everywhere."
    return said + (" One picture alone has no interval: it says nothing about others." if alone else "")


def _first(found: Found) -> str:
    """Who comes first where, in a sentence per benchmark."""
    said = []
    for name, columns in found["scores"].items():
        for column, rows in columns.items():
            best = min(rows, key=lambda row: rows[row]["mse"]["mean"])
            said.append(f"{name}, {TITLES[column]}: {best} has the lowest MSE.")
    return " ".join(said)


def _data(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _text(value: object) -> str:
    return html.escape(str(value))
