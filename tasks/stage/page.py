"""The report of a stage check as one HTML page: per camera its light, its pictures with the findings, and advice."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tasks.show.page import render
from tasks.show.sheet import RGB, Row, contact_sheet, error_picture, fit_height, to_jpeg
from tasks.stage.findings import TITLES
from tasks.stage.measure import Measured

_HEIGHT = 300
_SHEET = 200
_WHITE, _DARK, _OUTSIDE, _SUBJECT = (255, 128, 20), (40, 110, 255), (255, 0, 220), (60, 220, 90)
_ARROW = 20  # times as long as the shift
_KEY = (
    ("#ff8014", "clipped"),
    ("#286eff", "dark and flat"),
    ("#ff00dc", "not as in the plate, outside the subject"),
    ("#3cdc5a", "where the subject may be"),
)
_CHANGES = ("changed", "glossy")
_FIGURES = {
    # figure: (in words, factor, unit)
    "clipped": ("clipped area", 100, "%"),
    "empty_frames": ("frames of the empty stage", 1, ""),
    "noise_worst": ("largest noise of a frame, as displayed", 100, "%"),
    "noise_worst_at": ("brightness at which it is largest, as displayed", 100, "%"),
    "noise_map_worst": ("largest noise of the plate, as displayed", 100, "%"),
    "read_noise": ("noise without light, of linear light", 100, "%"),
    "full_well": ("full well", 1, "electrons"),
    "flicker": ("brightness between empty frames", 100, "%"),
    "shift": ("shift of the camera", 1, "px"),
    "shift_error": ("uncertainty of the shift", 1, "px"),
    "gain_red": ("red, of the plate's", 100, "%"),
    "gain_green": ("green, of the plate's", 100, "%"),
    "gain_blue": ("blue, of the plate's", 100, "%"),
    "detail": ("finest detail, of the plate's", 100, "%"),
    "dark": ("dark and flat around the subject", 100, "%"),
    "glossy": ("changed beside the subject", 100, "%"),
}
_WORDS = {"red": "must be mended", "yellow": "will cost mattes", "green": "fit"}  # the worst first


def stage_page(report: Mapping[str, Any], measured: Mapping[str, Measured]) -> str:
    """A complete HTML document, UTF-8.

    Args:
        report: see `tasks.stage.check`.
        measured: what was measured, by camera.
    """
    where = f"stage {report['stage']}" + (f", take {report['take']}" if report["take"] else "")
    lights = [camera["light"] for camera in report["cameras"].values()]
    cells = {camera: {kind: _cell(kind, one) for kind in TITLES} for camera, one in report["cameras"].items()}
    shown = [kind for kind in TITLES if any(own[kind] for own in cells.values())]
    return render(
        "stage/page.html",
        title=f"Stage check: {where}",
        facts=(f"session {report['session']}" if report["session"] else "", where),
        verdict=verdict(report),
        lights=[(light, lights.count(light), meaning) for light, meaning in _WORDS.items()],
        notes=report["notes"],
        kinds=TITLES,
        shown=shown,
        unseen=[title for kind, title in TITLES.items() if kind not in shown],
        cells=cells,
        key=_KEY,
        cameras=[_camera(camera, one, measured[camera]) for camera, one in _worst_first(report)],
    )


def _worst_first(report: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(report["cameras"].items(), key=lambda item: list(_WORDS).index(item[1]["light"]))


def verdict(report: Mapping[str, Any]) -> str:
    """The report in one sentence."""
    cameras = report["cameras"]
    parts = []
    for light in ("red", "yellow"):
        names = [camera for camera, one in cameras.items() if one["light"] == light]
        if names:
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            parts.append(f"{light}: {', '.join(names[:8])}{more}")
    return f"{'; '.join(parts)}." if parts else f"All {len(cameras)} cameras are fit."


def stage_sheet(report: Mapping[str, Any], measured: Mapping[str, Measured]) -> bytes:
    """A JPEG of eight cameras at most, those with red findings first."""
    rows = []
    for camera, one in _worst_first(report)[:8]:
        kinds = dict.fromkeys(TITLES.get(finding["kind"], finding["kind"]) for finding in one["findings"])
        rows.append(_row(camera, measured[camera], one["findings"], (", ".join(kinds),), _SHEET))
    return to_jpeg(contact_sheet(rows, ["empty stage", "take", "difference"], cell_height=_SHEET))


def _camera(name: str, one: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    """What the page shows of a camera."""
    row = _row("", measured, one["findings"], (), _HEIGHT)
    columns = ["empty stage", f"take, frame {measured.frames[0]}" if measured.frames else "take", "difference"]
    if measured.shot is None:
        row, columns = Row("", row.pictures[:1]), columns[:1]
    return {
        "name": name,
        "light": one["light"],
        "sheet": to_jpeg(contact_sheet([row], columns, cell_height=_HEIGHT), 82),
        "findings": one["findings"],
        "missing": one["missing"],
        "figures": [(words, f"{value * factor:.3g} {unit}".strip()) for key, value in one["figures"].items()
                    for words, factor, unit in [_FIGURES.get(key, (key, 1, ""))]],
    }  # fmt: skip


def _cell(kind: str, one: Mapping[str, Any]) -> str:
    """The worst light of a kind of findings; "?" if it could not be measured, "" if nothing was found."""
    lights = [finding["light"] for finding in one["findings"] if finding["kind"] == kind]
    absent = "?" if ("glossy" if kind in _CHANGES else kind) in one["missing"] else ""
    return str(min(lights, key=list(_WORDS).index, default=absent))


def _row(
    label: str, one: Measured, findings: Sequence[Mapping[str, Any]], captions: tuple[str, ...], height: int
) -> Row:
    plate = _over(_over(one.plate, one.dark, _DARK, 0.45), _rim(one.white), _WHITE, 1.0)
    lamps, changes = (
        [p for f in findings if f["kind"] in kinds for p in f["places"]] for kinds in (("lamp",), _CHANGES)
    )
    scale = height / one.plate.shape[0]
    drawn: list[RGB | None] = [_numbered(fit_height(plate, height), lamps, scale / one.fold, _WHITE)]
    if one.shot is None:
        return Row(label, [*drawn, None, None], captions)
    shot = one.shot
    if one.subject is not None and one.outside is not None:
        shot = _over(_over(shot, _rim(one.subject), _SUBJECT, 0.7), one.outside, _OUTSIDE, 0.8)
    canvas = _numbered(fit_height(shot, height), changes, scale / one.fold, _OUTSIDE)
    if one.moved and any(finding["kind"] == "moved" for finding in findings):
        first = next(iter(one.moved.values()))
        canvas = _arrow(canvas, first.x * scale / one.fold, first.y * scale / one.fold)
    change = np.clip(0.5 + one.change[0].astype(np.float32), 0, 1)
    return Row(label, [*drawn, canvas, error_picture(change, np.full_like(change, 0.5))], captions)


def _over(picture: RGB, mask: NDArray[np.bool_], colour: tuple[int, int, int], strength: float) -> RGB:
    out = picture.copy()
    out[mask] = np.rint((1 - strength) * picture[mask] + strength * np.array(colour))
    return out


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask that have a neighbour outside of it."""
    wide = np.pad(mask, 1)
    return np.asarray(mask & ~(wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]))


def _numbered(picture: RGB, places: Sequence[Sequence[float]], scale: float, colour: tuple[int, int, int]) -> RGB:
    """The picture with a number at every place; places are in pixels of the full size."""
    canvas = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for number, (x, y) in enumerate(places, 1):
        at = (x * scale, y * scale)
        draw.ellipse([at[0] - 8, at[1] - 8, at[0] + 8, at[1] + 8], outline=colour, fill=(20, 20, 20))
        draw.text(at, str(number), fill=(255, 255, 255), font=font, anchor="mm")
    return np.asarray(canvas)


def _arrow(picture: RGB, x: float, y: float) -> RGB:
    """The picture with the shift as an arrow from its middle, twenty times as long."""
    canvas = Image.fromarray(picture)
    middle = (picture.shape[1] / 2, picture.shape[0] / 2)
    longest = 0.45 * min(picture.shape[:2])
    length = max(float(np.hypot(x, y)) * _ARROW, 1e-6)
    stretch = _ARROW * min(1.0, longest / length)
    end = (middle[0] + stretch * x, middle[1] + stretch * y)
    draw = ImageDraw.Draw(canvas)
    draw.line([middle, end], fill=(255, 40, 40), width=3)
    draw.ellipse([end[0] - 5, end[1] - 5, end[0] + 5, end[1] + 5], fill=(255, 40, 40))
    return np.asarray(canvas)
