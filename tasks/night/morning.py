"""The morning report: what needs a human, then what the night did, with one picture of every take.

`tasks.night.record.NightRecord` describes what it holds.
"""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from prefect.context import TaskRunContext

from storage.registry import Registry
from storage.session.cost import free_bytes
from storage.store.root import Root
from storage.takes.group import group_key
from storage.takes.take import Take
from tasks.matte.provenance import mended_plates
from tasks.night.look_back import look_back
from tasks.night.page import night_page, night_text
from tasks.night.record import LIGHTS, Attention, Forecast, NightRecord, NightTake, nights
from tasks.night.status import boxes_wait, labels_wait
from tasks.runtime.step import Record, retryable
from tasks.show.artifact import show_text, where_text
from tasks.show.figures import amount, counted, duration
from tasks.show.markdown import picture
from tasks.show.sheet import RGB, Row, comp_on_green, contact_sheet, fit_height, rgb8, to_jpeg

_NIGHTS_LEFT = 3  # time in which a person can bring another disk
_HEIGHT = 160  # of a picture, in pixels
_CELLS = 6  # side by side
_UI_BYTES = 200_000  # the UI loads all artifacts in full


def write_morning(store: str, night: NightRecord, started: float, plan: str = "") -> NightRecord:
    """Complete the record of a night, write it and its page into the store, and show it in the Prefect UI.

    Args:
        store: URL of the store.
        night: the record as the flow knows it, from `inbox` to `kept`, and without `bytes` of the takes.
        started: when the night began, in seconds since 1970.
        plan: name of the plan that the night followed; "" for none.

    Returns:
        The whole record, with where `html` and `json` lie.
    """
    root, ended = Root(store), time.time()
    forecast: Forecast = look_back(root, plan, ended) if plan else {}
    takes = [cast(NightTake, {**take, "bytes": _bytes(root, take["take"])}) for take in night["takes"]]
    free = free_bytes(root)
    whole: NightRecord = {
        **night,
        "night": time.strftime("%Y-%m-%d %H:%M", time.localtime(started)),
        "takes": takes,
        "forecast": forecast,
        "attention": [
            *_short(forecast),
            *_disk(free, takes),
            *stages_wait(night["stages"]),
            *changed_plates(root, takes),
            *_gates(root, _last_night(root)),
            *labels_wait(root),
            *boxes_wait({take["take"]: take.get("mined", 0) for take in takes}),
        ],
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 1),
        "free": free,
    }
    pictures = {take["take"]: take_picture(root, take["take"], take["runs"]) for take in takes}
    name = f"reports/night-{time.strftime('%Y-%m-%d-%H%M%S', time.localtime(started))}"
    root.write(f"{name}.html", night_page(whole, pictures).encode())
    # Written last: what is decided after the newest record is news to the next night.
    root.write(f"{name}.json", json.dumps(whole, indent=1).encode())
    if TaskRunContext.get() is not None:
        text = f"{_artifact(whole, pictures)}\n\n{where_text(root.at(f'{name}.html'))}"
        show_text("morning", _title(whole), text)
    return {**whole, "html": root.at(f"{name}.html"), "json": root.at(f"{name}.json")}


def take_picture(root: Root, name: str, runs: Sequence[str]) -> bytes:
    """A JPEG of a take's middle frame: the first camera's picture and all runs over green, then all other cameras.

    Their mattes are those of the student's run, else of the first.
    """
    take = Take.open(root, name)
    first, *others = take.cameras
    main = next((run for run in runs if run.startswith("student-")), runs[0] if runs else "")
    cells = [_cell(take, first, run) for run in ("", *runs)]
    cells += [_cell(take, camera, main) for camera in others]
    wide = min(len(cells), max(_CELLS, len(runs) + 1))
    rows = [cells[start : start + wide] for start in range(0, len(cells), wide)]
    rows[-1] += [(None, "")] * (wide - len(rows[-1]))
    drawn = [Row("", [cell for cell, _ in row], tuple(caption for _, caption in row)) for row in rows]
    return to_jpeg(contact_sheet(drawn, [""] * wide, cell_height=_HEIGHT), quality=80)


def _cell(take: Take, camera: str, run: str) -> tuple[RGB | None, str]:
    """A camera's matted frame that is nearest to the middle, over green, and its caption; without a run as it is."""
    middle, matted = take.frames[len(take.frames) // 2], take.matted(run, camera) if run else take.frames
    if not matted:
        return None, f"{camera}: no matte"
    frame = min(matted, key=lambda f: abs(f - middle))
    preview = rgb8(take.read_preview(camera, frame))
    if not run:
        return preview, f"{camera}, frame {frame}"
    pha = rgb8(take.read_alpha(run, camera, frame))
    small = fit_height(pha, preview.shape[0])[:, : preview.shape[1], 0]
    who = " ".join(run.split("-")[:: max(1, run.count("-"))])
    return comp_on_green(preview[:, : small.shape[1]], small), f"{camera}, {who}"


def _bytes(root: Root, take: str) -> int:
    """Size of a take in the store, with all its mattes."""
    return sum(root.sizes(f"{group_key('take', take)}/").values())


def _disk(free: int | None, takes: Sequence[NightTake]) -> list[Attention]:
    added = sum(take["bytes"] for take in takes)
    if free is None or free >= _NIGHTS_LEFT * added:
        return []
    what = f"The store's disk has {amount(free)} left; this night added {amount(added)}."
    fix = "Free some space, or move the store, before the disk is full."
    return [{"what": what, "fix": fix, "light": "red", "command": "capmat gc"}]


def _short(forecast: Forecast) -> list[Attention]:
    if not forecast.get("late"):
        return []
    what = f"The night was too short by {duration(forecast['late'])} even without the teacher, as its plan says."
    fix = "Begin earlier, add workers, or set another [night] until."
    return [{"what": what, "fix": fix, "light": "yellow", "command": "capmat plan --check"}]


def stages_wait(looks: Sequence[Record]) -> list[Attention]:
    """What the stage checks of the night found: each red fault of a camera once, yellow ones once for all cameras."""
    items: list[Attention] = []
    for light in LIGHTS:
        faults: dict[tuple[str, ...], list[tuple[Record, Record]]] = {}
        for record in looks:
            for item in record.get(light, ()):
                camera = item["camera"] if light == "red" else ""
                faults.setdefault((record["session"], camera, item["kind"]), []).append((record, item))
        for (session, *_), cases in faults.items():
            record, item = cases[0]
            takes = ", ".join(dict.fromkeys(case["take"] for case, _ in cases))
            cameras = list(dict.fromkeys(case["camera"] for _, case in cases))
            more = f" and {len(cameras) - 1} more" if len(cameras) > 1 else ""
            what = f"Camera {cameras[0]}{more} of {session} is {light} (take {takes}): {item['what']}."
            link = record["html"].rpartition("/")[2]
            items.append({"what": what, "fix": item["advice"], "light": light, "link": link})
    return items


def changed_plates(root: Root, takes: Sequence[NightTake]) -> list[Attention]:
    """Takes whose plates had to be changed to lie under them."""
    items: list[Attention] = []
    for take in takes:
        if changes := mended_plates(Take.open(root, take["take"])):
            how = "; ".join(f"{camera} {words}" for camera, words in changes.items())
            what = f"Plates of take {take['take']} no longer fitted and were mended: {how}."
            fix = "Record the empty stage again before the next take."
            items.append({"what": what, "fix": fix, "light": "yellow"})
    return items


def _last_night(root: Root) -> str:
    """When the night before this one ended, as ISO time; a day ago for the first."""
    if newest := next(nights(root, []), None):
        return str(newest["ended"])
    return datetime.fromtimestamp(time.time() - 86400, UTC).isoformat(timespec="seconds")


def _gates(root: Root, since: str) -> list[Attention]:
    """What the gate decided since a time."""
    items: list[Attention] = []
    registry = Registry(root)
    for role in root.names("promotions"):
        for entry in registry.verdicts(role):
            if entry["time"] <= since:
                continue
            verdict = entry["verdict"]
            challenger = verdict["challenger"]
            made = verdict["decision"] == "PROMOTE"
            model = f"{challenger['name']} {challenger['version']}"
            what = f"The {role} {model} was {'promoted' if made else 'held back'}: "
            fix = "Look at its first mattes." if made else "Paint more, or look at the report of that round."
            said = "; ".join(verdict["reasons"])
            command = "" if made else "capmat scribble"
            items.append({"what": f"{what}{said}.", "fix": fix, "light": "yellow", "command": command})
    return items


def _title(night: NightRecord) -> str:
    """What came of a night, in the few words that the UI shows below the name of an artifact."""
    counts = {
        f"{len(night['refused'])} failed": night["refused"],
        f"{counted(len(night['takes']), 'take')} matted": True,
        f"{len(night['left'])} left for another night": night["left"],
    }
    return "; ".join(words for words, told in counts.items() if told)


def _artifact(night: NightRecord, pictures: Mapping[str, bytes]) -> str:
    """The report as markdown, with as many pictures as the UI bears."""
    parts, room = [night_text(night)], _UI_BYTES
    for take, jpeg in pictures.items():
        drawn = picture(take, jpeg)
        room -= len(drawn)
        if room < 0:
            return "\n\n".join([*parts, "The other pictures are in the page."])
        parts.append(drawn)
    return "\n\n".join(parts)


morning_task = retryable("morning report")(write_morning)
