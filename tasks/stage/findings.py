"""What the figures of a stage check mean: findings with a light, and what to do, in words.

A finding is yellow or red by the limits of the `[stage]` settings. Noise and exposure are also compared with the
other cameras, because the cameras of a stage are alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from capmat_models.stage.noise import Noise, times_noisier
from capmat_models.stage.registration import Registration
from storage.pictures.colour import encode_srgb
from tasks.config import Limits, StageLimits
from tasks.stage.measure import Measured

Light = Literal["green", "yellow", "red"]
DRIFT = ("moved", "focus", "exposure", "colour")
"""Kinds of findings that mean that the plate does not fit the take."""
TITLES = {
    **{"moved": "camera moved", "focus": "focus", "exposure": "exposure", "colour": "white balance"},
    **{"changed": "things moved", "glossy": "reflections", "lamp": "lamps", "dark": "dark areas"},
    **{"noise": "noise", "flicker": "flicker"},
}
"""Kinds of findings in words, those that spoil most first."""
_COMPARED = 3  # cameras that a comparison needs
_TELL = 3  # places that a finding names


@dataclass(frozen=True)
class Finding:
    """One fault of a camera.

    Attributes:
        kind: one of `TITLES`.
        light: yellow or red.
        what: the fault, with figures.
        advice: what to do.
        places: (x, y) in pixels of the full size, of faults that have places.
        figures: those of `what` as numbers.
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


def judge(measured: Mapping[str, Measured], limits: StageLimits, training: float) -> dict[str, list[Finding]]:
    """Judge all cameras of a stage.

    Args:
        measured: figures, by camera.
        limits: from which figure on a finding is yellow or red.
        training: `teacher.noise`, the largest deviation that models were trained with.

    Returns:
        Findings by camera, red ones first; an empty list for a green camera.
    """
    noises = {camera: one.noise for camera, one in measured.items() if one.noise and not one.coarse}
    gains = {camera: one.gains for camera, one in measured.items() if one.gains is not None}
    judged = {}
    for camera, one in measured.items():
        findings = [
            *_drift(one, limits),
            *_exposure(camera, gains, limits),
            *_noise(camera, one, noises, limits, training),
            *_flicker(one, limits),
            *_lamps(one, limits),
            *_changes(one, limits),
            *_dark(one, limits),
        ]
        judged[camera] = sorted(findings, key=lambda finding: finding.light != "red")
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


def _drift(one: Measured, limits: StageLimits) -> Iterator[Finding]:
    again = "Fasten it, record the empty stage again, and calibrate it anew if it does not go back."
    if one.moved:
        worst = max(one.moved.values(), key=lambda one: one.farthest)
        yield from _finding(
            "moved", worst.farthest - 2 * worst.error, limits.shift,
            f"the camera moved since its plate: {worst}", again, _figures(worst),
        )  # fmt: skip
        frames = list(one.moved)
        first, last = one.moved[frames[0]], one.moved[frames[-1]]
        apart = float(np.hypot(last.x - first.x, last.y - first.y))
        yield from _finding(
            "moved", apart - 2 * (first.error + last.error), limits.shift,
            f"the camera moved within the take: {apart:.2g} px from frame {frames[0]} to {frames[-1]}",
            "Fasten it. No plate fits all frames of this take.", {"shift": apart},
        )  # fmt: skip
    if one.settled:
        yield from _finding(
            "moved", one.settled.farthest - 2 * one.settled.error, limits.shift,
            f"the camera moved while the empty stage was recorded: {one.settled}",
            "Fasten it and record the empty stage again.", _figures(one.settled),
        )  # fmt: skip
    if one.detail is not None:
        softer = one.detail < 1
        lack = 1 - (one.detail if softer else 1 / max(one.detail, 1e-6))
        which, other = ("take", "plate") if softer else ("plate", "take")
        yield from _finding(
            "focus", lack, limits.focus,
            f"the {which} is less sharp than the {other}: {100 * lack:.0f} % of the finest detail is lost",
            "Lock focus and aperture, and record the empty stage again as the takes are recorded.", {"lost": lack},
        )  # fmt: skip


def _exposure(camera: str, gains: Mapping[str, Any], limits: StageLimits) -> Iterator[Finding]:
    if camera not in gains:
        return
    mine = float(np.exp(np.mean(np.log(gains[camera]))))
    others = [float(np.exp(np.mean(np.log(gain)))) for name, gain in gains.items() if name != camera]
    common = float(np.median(others)) if len(others) + 1 >= _COMPARED else 1.0
    lock = "Lock exposure, gain and white balance for plates and takes, and record the empty stage again."
    own = mine / common - 1
    than = "than its plate" if common == 1 else "than its plate, compared with the other cameras"
    yield from _finding(
        "exposure", abs(own), limits.exposure,
        f"the take is {_percent(own)} {'brighter' if own > 0 else 'darker'} {than}", lock,
        {"gain": mine, "common": common},
    )  # fmt: skip
    twice = (2 * limits.exposure[0], 2 * limits.exposure[1])
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
    shifts = ", ".join(
        f"{name} {100 * value:+.1f} %" for name, value in zip(("red", "green", "blue"), tint, strict=True)
    )
    yield from _finding(
        "colour", float(np.ptp(tint)), limits.colour, f"the white balance differs from the plate's: {shifts}",
        lock,
        dict(zip(("red", "green", "blue"), map(float, tint), strict=True)),
    )  # fmt: skip


def _noise(
    camera: str, one: Measured, noises: Mapping[str, Noise], limits: StageLimits, training: float
) -> Iterator[Finding]:
    if one.noise is None:
        return
    others = [noise for name, noise in noises.items() if name != camera]
    if len(others) + 1 >= _COMPARED and not one.coarse:
        times = float(np.median([times_noisier(one.noise, other) for other in others]))
        yield from _finding(
            "noise", times, limits.noise, f"the camera is {times:.1f} times noisier than the others",
            "Compare gain, exposure time, aperture and sensor temperature with the others'.", {"times": times},
        )  # fmt: skip
    plate = one.noise_map or one.noise
    if one.noise_shot and not one.coarse:
        times = times_noisier(one.noise_shot, plate)
        yield from _finding(
            "noise", times, limits.noise, f"the take is {times:.1f} times noisier than the plate",
            "The gain was raised or the exposure shortened after the plate: record the empty stage again.",
            {"times": times},
        )  # fmt: skip
    level, worst = noisiest(one.noise)
    if training > 0:
        yield from _finding(
            "noise", worst / training, limits.training,
            f"noise reaches {worst:.3f} (display-referred, at level {level:.2f}); training went up to {training:g}",
            "Use more light or less gain, or train with a teacher.noise of at least that.",
            {"worst": worst, "level": level},
        )  # fmt: skip


def noisiest(noise: Noise) -> tuple[float, float]:
    """The display-referred level at which a frame is noisiest, and the display-referred deviation there."""
    shown = encode_srgb(noise.levels + noise.spread) - encode_srgb(noise.levels - noise.spread)
    worst = int(np.argmax(shown))
    return float(encode_srgb(noise.levels[worst])), float(shown[worst]) / 2


def _flicker(one: Measured, limits: StageLimits) -> Iterator[Finding]:
    if one.bright is None:
        return
    apart = float(np.ptp(one.bright))
    yield from _finding(
        "flicker", apart, limits.flicker, f"the empty frames differ by up to {_percent(apart)} in brightness",
        "Let lamps warm up; use lamps without flicker, or a shutter that is a multiple of the mains period; "
        "switch automatic exposure off.", {"apart": apart},
    )  # fmt: skip


def _lamps(one: Measured, limits: StageLimits) -> Iterator[Finding]:
    share = float(one.white.mean())
    some = one.lamps[:_TELL]
    listed = "; ".join(
        f"({lamp.x:.0f}, {lamp.y:.0f}), {lamp.box[2] - lamp.box[0]}x{lamp.box[3] - lamp.box[1]} px"
        + (f", bloom {lamp.bloom} px" if lamp.bloom > 3 * one.fold else "")
        for lamp in some
    )
    more = f" and {len(one.lamps) - _TELL} more" if len(one.lamps) > _TELL else ""
    bloom = max([lamp.bloom for lamp in one.lamps], default=0)
    what = f"lamps, or what mirrors them, clip {_percent(share)} of the picture"
    yield from _finding(
        "lamp", share, limits.lamps, f"{what}: {listed}{more}",
        "Hair in front of it disappears. Turn the lamp out of view, or spread its light over a larger, dimmer area "
        "(frosted plexiglass, cloth). If it is a reflection of a lamp, make the surface matt.",
        {"share": share, "count": len(one.lamps), "bloom": bloom}, [(lamp.x, lamp.y) for lamp in some],
    )  # fmt: skip


def _changes(one: Measured, limits: StageLimits) -> Iterator[Finding]:
    """What differs from the plate beside the subject; only what changes within the take is called a reflection."""
    again = "remove it, or record the empty stage again"
    for stays, kind, what, advice in (
        (True, "changed", "differs from the plate, in all frames alike",
         f"Something was moved or put there: {again}. If nothing was, it mirrors the subject: cover it with carpet "
         "or matt cloth."),
        (None, "changed", "differs from the plate",
         f"One frame cannot tell why. If something was moved or put there, {again}. If not, it mirrors the subject: "
         "cover it with carpet or matt cloth."),
        (False, "glossy", "changes with the subject",
         "It mirrors the subject or moves. Use carpet on the floor, matt paint or cloth over metal and camera "
         "housings, frosted plexiglass in front of the rest. Draw scribbles where it stays."),
    ):  # fmt: skip
        regions = [region for region in one.regions if region.stays is stays]
        share = sum(region.share for region in regions)
        some = [region for region in regions[:_TELL] if region.share > 0.1 * regions[0].share]
        listed = ", ".join(f"({region.x:.0f}, {region.y:.0f})" for region in some)
        yield from _finding(
            kind, share, limits.glossy, f"{_percent(share)} of the picture {what}: at {listed}", advice,
            {"share": share}, [(region.x, region.y) for region in some],
        )  # fmt: skip


def _dark(one: Measured, limits: StageLimits) -> Iterator[Finding]:
    share = float(one.dark.sum() / max(1, one.around.sum()))
    yield from _finding(
        "dark", share, limits.dark, f"{_percent(share)} of the surroundings of the subject is dark and flat",
        "Dark clothes and dark hair vanish there. Hang lighter cloth of one even grey, or light it separately.",
        {"share": share},
    )  # fmt: skip


def _figures(moved: Registration) -> dict[str, float]:
    return {"x": moved.x, "y": moved.y, "turn": moved.turn, "scale": moved.scale, "shift": moved.farthest}


def _percent(share: float) -> str:
    return f"{100 * abs(share):.2g} %" if abs(share) < 0.1 else f"{100 * abs(share):.0f} %"
