"""The morning report as a page that opens anywhere, and as text."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tasks.night.record import NightRecord, NightTake
from tasks.show.figures import amount, counted, duration
from tasks.show.markdown import plain, table
from tasks.show.page import render

Item = tuple[str, str, str]
"""Where, what is the matter, and what to do; of a tile its label, figure and foot."""


class Need(NamedTuple):
    """What waits for a human."""

    light: str  # red or yellow
    where: str
    what: str
    fix: str
    command: str = ""
    link: str = ""


def night_page(night: NightRecord, pictures: Mapping[str, bytes]) -> str:
    """A complete HTML document.

    Args:
        night: the record.
        pictures: a JPEG per take.
    """
    return render(
        "night/page.html",
        title=f"Night of {night['night']}",
        facts=(night["inbox"] or night.get("session", ""), night["store"]),
        verdict=sentence(night),
        tiles=_tiles(night),
        needs=needs(night),
        next=next_command(night),
        left=left(night),
        takes=[
            (
                *_cells(take),
                _stage_link(night, take["take"]),
                _folder_link(take.get("exports", "")),
                ", ".join(take["runs"]),
            )
            for take in night["takes"]
        ],
        thinned=thinned(night),
        off=forecast(night),
        compared=_compared(night),
        pictures={take["take"]: pictures[take["take"]] for take in night["takes"]},
        kept=night["kept"],
    )


def sentence(night: NightRecord) -> str:
    """The night in one sentence."""
    done, waiting = len(night["takes"]), len(night["refused"])
    frames = sum(take["cameras"] * take["frames"] for take in night["takes"])
    first = f"{counted(done, 'take')} matted, {counted(frames, 'picture')}" if done else "No take was matted"
    second = f"; {counted(waiting, 'thing')} could not be done" if waiting else ""
    third = f"; {counted(len(night['left']), 'place')} left for another night" if night["left"] else ""
    return f"{first}{second}{third}."


def needs(night: NightRecord) -> list[Need]:
    """What needs a human: what is red comes first, and there what stopped work."""
    items = []
    for item in night["refused"]:
        where = f"take {item['take']} of {item['session']}" if item["take"] else item["session"]
        what = f"{item['where']}: {item['what']}" if item["where"] else item["what"]
        fix = f"{item['fix']} The next night does it."
        items.append(Need("red", f"{where}: {item['step']}", f"{what} ({item['error']}).", fix, "capmat nightly"))
    for note in night["attention"]:
        light, command, link = (note.get(key, "") for key in ("light", "command", "link"))
        items.append(Need(str(light or "yellow"), "", note["what"], note["fix"], str(command), str(link)))
    return sorted(items, key=lambda need: need.light != "red")


def next_command(night: NightRecord) -> str:
    """What to type next: the first command of what waits, else how to hand on the mattes of the night."""
    if command := next((need.command for need in needs(night) if need.command), ""):
        return command
    todo = [take["take"] for take in night["takes"] if not take.get("exports")]
    return f"capmat export {todo[0]} --out FOLDER" if todo else "capmat status"


def left(night: NightRecord) -> list[Item]:
    """What was left alone, and why; there is nothing to do."""
    return [(item["where"], item["why"], "") for item in night["left"]]


def thinned(night: NightRecord) -> list[str]:
    """A sentence per take of which the teacher saw less than the settings ask for."""
    lines = []
    for take in night["takes"]:
        seen, wanted = take["teacher"], take["teacher_wanted"]
        if seen != wanted:
            what = f"one frame in {seen}" if seen else "no frame"
            whole = f"instead of one in {wanted}" if wanted > 1 else "instead of all"
            lines.append(f"Take {take['take']}: the teacher saw {what} {whole}; the night was too short for more.")
    return lines


def forecast(night: NightRecord) -> str:
    """How right the forecast was, in one sentence; "" without a forecast."""
    if not (record := night["forecast"]):
        return ""
    whole = record["whole"]
    if whole["forecast"] is None:
        verbs = [part["verb"] for part in record["parts"] if part["forecast"] is None]
        return f"It took {duration(whole['real'])}; how long {' and '.join(verbs)} would take was not known before."
    off = whole["forecast"] / whole["real"] - 1
    part = "" if whole["share"] == 1 else " (for what was done of it)"
    return (
        f"The night was forecast to take {duration(whole['forecast'])}{part} and took {duration(whole['real'])}: "
        f"the forecast was off by {100 * off:+.0f} %."
    )


def night_text(night: NightRecord) -> str:
    """The night as markdown, without pictures."""
    lines = [f"# Night of {night['night']}", "", sentence(night), ""]
    waiting = [(need.where, need.what, need.fix) for need in needs(night)]
    for heading, items in (("Needs a human", waiting), ("Left for another night", left(night))):
        if items:
            bullets = [(": ".join(filter(None, (where, what))), fix) for where, what, fix in items]
            lines += [f"## {heading}", "", *(f"- {plain(text)} {plain(fix)}" for text, fix in bullets), ""]
    if night["takes"]:
        rows = [[plain(cell) for cell in _cells(take)] for take in night["takes"]]
        heads = ("take", "session", "cameras", "frames", "work", "store")
        lines += ["## Done", "", table(heads, rows, "---"), ""]
    lines += thinned(night)
    if off := forecast(night):
        compared = table(("part", "forecast", "truth", "off"), _compared(night), "---")
        lines += ["", "## Forecast and truth", "", off, "", compared, ""]
    if night["kept"]:
        lines += [f"Finished before: {plain(', '.join(night['kept']))}"]
    return "\n".join(lines)


def _tiles(night: NightRecord) -> list[Item]:
    """The few figures that matter: label, figure, and what stands below it."""
    frames = sum(take["cameras"] * take["frames"] for take in night["takes"])
    work = sum(take["seconds"] for take in night["takes"])
    free = "on S3" if night["free"] is None else f"{amount(night['free'])} free"
    return [
        ("Needs a human", str(len(needs(night))), "first below"),
        ("Takes done", str(len(night["takes"])), f"{len(night['kept'])} were finished before"),
        ("Pictures matted", str(frames), "frames of all cameras"),
        ("Wall time", duration(night["seconds"]), f"{duration(work)} of work"),
        ("Stored", amount(sum(take["bytes"] for take in night["takes"])), free),
    ]


def _stage_link(night: NightRecord, take: str) -> dict[str, str]:
    """The light of a take's stage check, and the page beside this one that says why."""
    record = next((look for look in night["stages"] if look["take"] == take and look.get("html")), None)
    return (
        {"text": record["light"], "href": record["html"].rpartition("/")[2]} if record else {"text": "", "href": ""}
    )


def _folder_link(folder: str) -> dict[str, str]:
    """A folder; a browser opens one of this machine."""
    return {"text": folder, "href": Path(folder).as_uri() if Path(folder).is_absolute() else ""}


def _compared(night: NightRecord) -> list[tuple[str, ...]]:
    """Verb, forecast, truth and how far off; a verb that was done in part is named with its share."""
    rows: list[tuple[str, ...]] = []
    for part in night["forecast"].get("parts", ()):
        verb = part["verb"] if part["share"] == 1 else f"{part['verb']} ({100 * part['share']:.0f} % of it)"
        known, real = part["forecast"], part["real"]
        off = f"{100 * (known / real - 1):+.0f} %" if known is not None and real else ""
        rows.append((verb, "not known" if known is None else duration(known), duration(real), off))
    return rows


def _cells(take: NightTake) -> tuple[str, ...]:
    numbers = (str(take["cameras"]), str(take["frames"]), duration(take["seconds"]), amount(take["bytes"]))
    return (take["take"], take["session"], *numbers)
