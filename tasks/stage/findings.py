"""What the figures of a stage check mean: findings with a light, and what to do, in words.

A finding is yellow or red by the limits of the `[stage]` settings. Some of a camera can only be told by comparison
with the others: all are alike, and one that is not has something of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from capmat_models.stage.noise import Noise, times_noisier
from capmat_models.stage.registration import Registration
from storage.pictures.colour import encode_srgb
from tasks.config import Limits, Stage
from tasks.stage.measure import Measured

Light = Literal["green", "yellow", "red"]
DRIFT = ("moved", "focus", "exposure", "colour")
"""Kinds of findings that say that the plate does not fit the take."""
_COMPARED = 3  # cameras from which on one can be compared with the others
_TELL = 3  # places that are named


@dataclass(frozen=True)
class Finding:
    """One thing that is the matter with a camera.

    Attributes:
        kind: noise, flicker, lamp, dark, glossy, moved, focus, exposure or colour.
        light: yellow or red.
        what: what was found, with figures.
        advice: what to do.
        places: (x, y) in pixels of the full size, where it has places.
        figures: the same as numbers.
    """

    kind: str
    light: Light
    what: str
    advice: str
    places: tuple[tuple[int, int], ...]
    figures: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def judge(found: Mapping[str, Measured], settings: Stage, training: float) -> dict[str, list[Finding]]:
    """Judge all cameras of a stage.

    Args:
        found: what was measured, by camera.
        settings: the limits.
        training: `teacher.noise`, the largest deviation that models were trained with.

    Returns:
        Findings by camera, red ones first; an empty list for a green camera.
    """
    noises = {camera: one.noise for camera, one in found.items() if one.noise and not one.coarse}
    gains = {camera: one.gains for camera, one in found.items() if one.gains is not None}
    judged = {}
    for camera, one in found.items():
        said = [
            *_drift(one, settings),
            *_exposure(camera, gains, settings),
            *_noise(camera, one, noises, settings, training),
            *_flicker(one, settings),
            *_lamps(one, settings),
            *_glossy(one, settings),
            *_dark(one, settings),
        ]
        judged[camera] = sorted(said, key=lambda finding: finding.light != "red")
    return judged


def light_of(findings: Sequence[Finding]) -> Light:
    """The light of a camera."""
    return next((light for light in ("red", "yellow") if any(f.light == light for f in findings)), "green")


def _finding(
    kind: str, value: float, limits: Limits, what: str, advice: str, figures: Mapping[str, float],
    places: Sequence[tuple[float, float]] = (),
) -> Iterator[Finding]:  # fmt: skip
    if value < limits[0]:
        return
    light: Light = "red" if value >= limits[1] else "yellow"
    where = tuple((round(x), round(y)) for x, y in places)
    yield Finding(kind, light, what, advice, where, {name: round(float(v), 5) for name, v in figures.items()})


def _drift(one: Measured, settings: Stage) -> Iterator[Finding]:
    again = "Fasten it, record the empty stage again, and calibrate it anew if it does not go back."
    if one.moved:
        worst = max(one.moved, key=lambda there: there.farthest)
        yield from _finding(
            "moved", worst.farthest - 2 * worst.error, settings.shift,
            f"the camera moved since its plate: {_where(worst)}", again, _figures(worst),
        )  # fmt: skip
        first, last = one.moved[0], one.moved[-1]
        apart = float(np.hypot(last.x - first.x, last.y - first.y))
        yield from _finding(
            "moved", apart - 2 * (first.error + last.error), settings.shift,
            f"the camera moved within the take: {apart:.2g} px from frame {one.frames[0]} to {one.frames[-1]}",
            "Fasten it. No plate fits all frames of this take.", {"shift": apart},
        )  # fmt: skip
    if one.settled:
        yield from _finding(
            "moved", one.settled.farthest - 2 * one.settled.error, settings.shift,
            f"the camera moved while the empty stage was recorded: {_where(one.settled)}",
            "Fasten it and record the empty stage again.", _figures(one.settled),
        )  # fmt: skip
    if one.detail is not None:
        softer = one.detail < 1
        lack = 1 - (one.detail if softer else 1 / max(one.detail, 1e-6))
        which, other = ("take", "plate") if softer else ("plate", "take")
        yield from _finding(
            "focus", lack, settings.focus,
            f"the {which} is less sharp than the {other}: {100 * lack:.0f} % of the finest detail is lost",
            "Lock focus and aperture, and record the empty stage again with what the takes have.", {"lost": lack},
        )  # fmt: skip


def _exposure(camera: str, gains: Mapping[str, Any], settings: Stage) -> Iterator[Finding]:
    if camera not in gains:
        return
    mine = float(np.exp(np.mean(np.log(gains[camera]))))
    others = [float(np.exp(np.mean(np.log(gain)))) for name, gain in gains.items() if name != camera]
    common = float(np.median(others)) if len(others) + 1 >= _COMPARED else 1.0
    lock = "Lock exposure, gain and white balance for plates and takes, and record the empty stage again."
    own = mine / common - 1
    than = "than its plate" if common == 1 else "than its plate, against what the other cameras have in common"
    yield from _finding(
        "exposure", abs(own), settings.exposure,
        f"the take is {_percent(own)} {'brighter' if own > 0 else 'darker'} {than}", lock,
        {"gain": mine, "common": common},
    )  # fmt: skip
    twice = (2 * settings.exposure[0], 2 * settings.exposure[1])
    change = common - 1
    yield from _finding(
        "exposure", abs(change), twice,
        f"all cameras are about {_percent(change)} {'brighter' if change > 0 else 'darker'} than their plates",
        "Let the lamps warm up and do not dim them after the plates; record the empty stage again.",
        {"common": common},
    )  # fmt: skip
    tint = np.log(gains[camera]) - np.mean(np.log(gains[camera]))
    if common != 1:  # a coloured subject colours all cameras
        tint = tint - np.median([np.log(g) - np.mean(np.log(g)) for n, g in gains.items() if n != camera], axis=0)
    said = ", ".join(
        f"{name} {100 * value:+.1f} %" for name, value in zip(("red", "green", "blue"), tint, strict=True)
    )
    yield from _finding(
        "colour", float(np.ptp(tint)), settings.colour, f"the white balance is another than in the plate: {said}",
        lock,
        dict(zip(("red", "green", "blue"), map(float, tint), strict=True)),
    )  # fmt: skip


def _noise(
    camera: str, one: Measured, noises: Mapping[str, Noise], settings: Stage, training: float
) -> Iterator[Finding]:
    if one.noise is None:
        return
    others = [noise for name, noise in noises.items() if name != camera]
    if len(others) + 1 >= _COMPARED and not one.coarse:
        times = float(np.median([times_noisier(one.noise, other) for other in others]))
        yield from _finding(
            "noise", times, settings.noise, f"the camera is {times:.1f} times noisier than the others",
            "Compare gain, exposure time, aperture and sensor temperature with the others'.", {"times": times},
        )  # fmt: skip
    plate = one.noise_map or one.noise
    if one.noise_shot and not one.coarse:
        times = times_noisier(one.noise_shot, plate)
        yield from _finding(
            "noise", times, settings.noise, f"the take is {times:.1f} times noisier than the plate",
            "The gain was raised or the exposure shortened after the plate: record the empty stage again.",
            {"times": times},
        )  # fmt: skip
    level, worst = noisiest(one.noise)
    if training > 0:
        yield from _finding(
            "noise", worst / training, settings.training,
            f"noise reaches {worst:.3f} (display-referred, at level {level:.2f}); models learned up to {training:g}",
            "More light or less gain; else train with a teacher.noise of at least that.",
            {"worst": worst, "level": level},
        )  # fmt: skip


def noisiest(noise: Noise) -> tuple[float, float]:
    """The display-referred level at which a frame is noisiest, and the display-referred deviation there."""
    shown = encode_srgb(noise.levels + noise.spread) - encode_srgb(noise.levels - noise.spread)
    worst = int(np.argmax(shown))
    return float(encode_srgb(noise.levels[worst])), float(shown[worst]) / 2


def _flicker(one: Measured, settings: Stage) -> Iterator[Finding]:
    if one.bright is None:
        return
    apart = float(np.ptp(one.bright))
    yield from _finding(
        "flicker", apart, settings.flicker, f"the empty frames are up to {_percent(apart)} apart in brightness",
        "Let lamps warm up; use lamps without flicker, or a shutter that is a multiple of the mains period; "
        "switch automatic exposure off.", {"apart": apart},
    )  # fmt: skip


def _lamps(one: Measured, settings: Stage) -> Iterator[Finding]:
    share = float(one.white.mean())
    some = one.lamps[:_TELL]
    said = "; ".join(
        f"({lamp.x:.0f}, {lamp.y:.0f}), {lamp.box[2] - lamp.box[0]}x{lamp.box[3] - lamp.box[1]} px"
        + (f", bloom {lamp.bloom} px" if lamp.bloom > 3 * one.fold else "")
        for lamp in some
    )
    more = f" and {len(one.lamps) - _TELL} more" if len(one.lamps) > _TELL else ""
    bloom = max([lamp.bloom for lamp in one.lamps], default=0)
    yield from _finding(
        "lamp", share, settings.lamps, f"{_percent(share)} of the picture is clipped: {said}{more}",
        "Hair before it disappears. Turn the lamp out of view, or spread its light over a larger, dimmer area "
        "(frosted plexiglass, cloth); where it is a reflection of one, make the surface matt.",
        {"share": share, "count": len(one.lamps), "bloom": bloom}, [(lamp.x, lamp.y) for lamp in some],
    )  # fmt: skip


def _glossy(one: Measured, settings: Stage) -> Iterator[Finding]:
    for stays, regions in (
        (True, [region for region in one.regions if region.stays]),
        (False, [region for region in one.regions if not region.stays]),
    ):
        share = sum(region.share for region in regions)
        some = [region for region in regions[:_TELL] if region.share > 0.1 * regions[0].share]
        said = ", ".join(f"({region.x:.0f}, {region.y:.0f})" for region in some)
        if stays:
            what, advice = "is not as in the plate, in all frames alike", (
                "Something was moved or put there: take it away, or record the empty stage again. If nothing was, it "
                "mirrors the subject: carpet, or matt cloth over it."
            )  # fmt: skip
        else:
            what, advice = "changes with the subject", (
                "It mirrors the subject or moves: carpet on the floor, matt paint or cloth over metal and camera "
                "housings, frosted plexiglass before what cannot be covered. What is left needs scribbles."
            )  # fmt: skip
        yield from _finding(
            "glossy", share, settings.glossy, f"{_percent(share)} of the picture {what}: at {said}", advice,
            {"share": share}, [(region.x, region.y) for region in some],
        )  # fmt: skip


def _dark(one: Measured, settings: Stage) -> Iterator[Finding]:
    share = float(one.dark.sum() / max(1, one.around.sum()))
    yield from _finding(
        "dark", share, settings.dark, f"{_percent(share)} of the surroundings of the subject is dark and flat",
        "Dark clothes and dark hair vanish there. Hang lighter cloth of one even grey, or give it light of its own.",
        {"share": share},
    )  # fmt: skip


def _where(there: Registration) -> str:
    parts = [f"{there.x:+.2f} px right, {there.y:+.2f} px down"]
    if abs(there.turn) > 2e-4:
        parts.append(f"turned by {np.degrees(there.turn):.3f} degrees")
    if abs(there.scale) > 2e-4:
        parts.append(f"{100 * there.scale:+.2f} % in size")
    return f"{', '.join(parts)}; {there.farthest:.2f} px at the corner"


def _figures(there: Registration) -> dict[str, float]:
    return {"x": there.x, "y": there.y, "turn": there.turn, "scale": there.scale, "shift": there.farthest}


def _percent(share: float) -> str:
    return f"{100 * abs(share):.2g} %" if abs(share) < 0.1 else f"{100 * abs(share):.0f} %"
