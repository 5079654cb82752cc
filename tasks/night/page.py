"""The morning report as a page that opens anywhere, and as text.

The layout of the data is described in `tasks.night.morning`.
"""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.show.figures import amount, duration
from tasks.show.page import document

Night = Mapping[str, Any]


def night_page(night: Night, pictures: Mapping[str, bytes]) -> str:
    """Render a night.

    Args:
        night: see `tasks.night.morning`.
        pictures: a JPEG per take.

    Returns:
        A complete HTML document, UTF-8.
    """
    title = f"Night of {_text(night['night'])}"
    sections = [
        ("human", "Needs a human", _items(needs(night))),
        ("left", "Left for another night", _items(left(night))),
        ("done", "Done", _table(night["takes"]) + "".join(f"<p>{_text(said)}</p>" for said in thinned(night))),
        ("forecast", "Forecast and truth", _forecast(night)),
        ("pictures", "One frame of each take", _pictures(night["takes"], pictures)),
        ("kept", "Finished before", f"<p>{_text(', '.join(night['kept']))}</p>" if night["kept"] else ""),
    ]
    filled = [(name, heading, body) for name, heading, body in sections if body]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, _ in filled)
    bodies = "".join(f'<section id="{n}"><h2>{heading}</h2>{body}</section>' for n, heading, body in filled)
    meta = "".join(f"<span>{_text(fact)}</span>" for fact in (night["inbox"], night["store"]))
    head = (
        f'<header><p class="meta">{meta}</p><h1>{title}</h1><p class="verdict">{_text(sentence(night))}</p>'
        f'<div class="tiles">{"".join(_tiles(night))}</div></header>'
    )
    return document(title, f"{head}<nav>{links}</nav>{bodies}")


def sentence(night: Night) -> str:
    """The night in one sentence."""
    done, waiting = len(night["takes"]), len(night["refused"])
    frames = sum(take["cameras"] * take["frames"] for take in night["takes"])
    first = f"{_count(done, 'take')} matted, {_count(frames, 'picture')}" if done else "No take was matted"
    second = f"; {_count(waiting, 'thing')} could not be done" if waiting else ""
    third = f"; {_count(len(night['left']), 'place')} left for another night" if night["left"] else ""
    return f"{first}{second}{third}."


def needs(night: Night) -> list[tuple[str, str, str]]:
    """What needs a human: place, what, and what to do. What stopped work comes first."""
    said = []
    for item in night["refused"]:
        place = f"take {item['take']} of {item['session']}" if item["take"] else item["session"]
        what = f"{item['where']}: {item['what']}" if item["where"] else item["what"]
        said.append((f"{place}: {item['step']}", f"{what} ({item['error']}).", item["fix"]))
    return said + [("", item["what"], item["fix"]) for item in night["attention"]]


def left(night: Night) -> list[tuple[str, str, str]]:
    """What was left alone: place, why, and nothing to do."""
    return [(item["where"], item["why"], "") for item in night["left"]]


def thinned(night: Night) -> list[str]:
    """What the teacher left out because the night was too short, take by take."""
    said = []
    for take in night["takes"]:
        seen, wanted = take["teacher"], take["teacher_wanted"]
        if seen != wanted:
            what = f"one frame in {seen}" if seen else "no frame"
            whole = f"instead of one in {wanted}" if wanted > 1 else "instead of all"
            said.append(f"Take {take['take']}: the teacher saw {what} {whole}; the night was too short for more.")
    return said


def forecast(night: Night) -> str:
    """How right the forecast was, in one sentence; "" where there was none to be had."""
    if not (found := night["forecast"]):
        return ""
    whole = found["whole"]
    if whole["forecast"] is None:
        verbs = [part["verb"] for part in found["parts"] if part["forecast"] is None]
        return f"It took {duration(whole['real'])}; how long {' and '.join(verbs)} would take was not known before."
    off = whole["forecast"] / whole["real"] - 1
    part = "" if whole["share"] == 1 else " (for what was done of it)"
    return (
        f"The night was forecast to take {duration(whole['forecast'])}{part} and took {duration(whole['real'])}: "
        f"the forecast was off by {100 * off:+.0f} %."
    )


def night_text(night: Night) -> str:
    """The night as markdown, without pictures."""
    lines = [f"# Night of {night['night']}", "", sentence(night), ""]
    for heading, items in (("Needs a human", needs(night)), ("Left for another night", left(night))):
        if items:
            lines += [f"## {heading}", ""]
            lines += [
                f"- {_plain(': '.join(filter(None, (place, what))))} {_plain(fix)}" for place, what, fix in items
            ]
            lines.append("")
    if night["takes"]:
        lines += ["## Done", "", "| take | session | cameras | frames | work | store |", "|---|---|---|---|---|---|"]
        lines += [f"| {' | '.join(_plain(cell) for cell in _cells(take))} |" for take in night["takes"]]
        lines.append("")
    lines += thinned(night)
    if said := forecast(night):
        lines += ["", "## Forecast and truth", "", said, "", "| part | forecast | truth | off |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in _compared(night)]
        lines.append("")
    if night["kept"]:
        lines += [f"Finished before: {_plain(', '.join(night['kept']))}"]
    return "\n".join(lines)


def _tiles(night: Night) -> list[str]:
    frames = sum(take["cameras"] * take["frames"] for take in night["takes"])
    stored = sum(take["bytes"] for take in night["takes"])
    free = "on S3" if night["free"] is None else f"{amount(night['free'])} free"
    tiles = [
        ("Needs a human", str(len(needs(night))), "first below"),
        ("Takes done", str(len(night["takes"])), f"{len(night['kept'])} were finished before"),
        ("Pictures matted", str(frames), "frames of all cameras"),
        ("Wall time", duration(night["seconds"]), f"{duration(sum(t['seconds'] for t in night['takes']))} of work"),
        ("Stored", amount(stored), free),
    ]
    return [
        f'<div class="tile"><h3>{label}</h3><p class="figure"><b>{_text(figure)}</b></p>'
        f'<p class="foot">{_text(foot)}</p></div>'
        for label, figure, foot in tiles
    ]


def _items(items: Sequence[tuple[str, str, str]]) -> str:
    """A list of places, each with what is the matter and in bold what to do."""
    lines = []
    for place, what, fix in items:
        head = f"<h3>{_text(place)}</h3>" if place else ""
        lines.append(f"<li>{head}{_text(what)}{f' <b>{_text(fix)}</b>' if fix else ''}</li>")
    return f'<ul class="notes">{"".join(lines)}</ul>' if lines else ""


def _table(takes: Sequence[Night]) -> str:
    if not takes:
        return ""
    heads = ("take", "session", "cameras", "frames", "work", "store", "runs")
    top = "".join(
        f'<th scope="col"{" class=name" if h in ("take", "session", "runs") else ""}>{h}</th>' for h in heads
    )
    rows = []
    for take in takes:
        name, session, *rest = _cells(take)
        cells = "".join(f"<td>{_text(cell)}</td>" for cell in rest)
        cells += f'<td class="name">{_text(", ".join(take["runs"]))}</td>'
        rows.append(f'<tr><th scope="row">{_text(name)}</th><td class="name">{_text(session)}</td>{cells}</tr>')
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _forecast(night: Night) -> str:
    if not (said := forecast(night)):
        return ""
    top = "".join(f'<th scope="col">{head}</th>' for head in ("part", "forecast", "truth", "off"))
    rows = "".join(
        f'<tr><th scope="row">{_text(verb)}</th>' + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>"
        for verb, *cells in _compared(night)
    )
    table = f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f"<p>{_text(said)}</p>{table}"


def _compared(night: Night) -> list[tuple[str, ...]]:
    """Verb, forecast, truth and how far off; a verb that was done in part is named with its share."""
    rows: list[tuple[str, ...]] = []
    for part in night["forecast"]["parts"]:
        done = "" if part["share"] == 1 else f" ({100 * part['share']:.0f} % of it)"
        known, real = part["forecast"], part["real"]
        said = ("not known", duration(real), "") if known is None else (
            duration(known), duration(real), f"{100 * (known / real - 1):+.0f} %" if real else "")  # fmt: skip
        rows.append((part["verb"] + done, *said))
    return rows


def _cells(take: Night) -> tuple[str, ...]:
    numbers = (str(take["cameras"]), str(take["frames"]), duration(take["seconds"]), amount(take["bytes"]))
    return (take["take"], take["session"], *numbers)


def _pictures(takes: Sequence[Night], pictures: Mapping[str, bytes]) -> str:
    figures = []
    for take in takes:
        data = base64.b64encode(pictures[take["take"]]).decode("ascii")
        name = _text(take["take"])
        picture = f'<img alt="take {name}" src="data:image/jpeg;base64,{data}">'
        figures.append(f"<figure>{picture}<figcaption>{name}</figcaption></figure>")
    return "".join(figures)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _plain(text: str) -> str:
    """Text that markdown takes for nothing but text."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(text.split()))


def _text(text: object) -> str:
    return html.escape(" ".join(str(text).split()))
