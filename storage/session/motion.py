"""Do the cameras see the performer move at the same moments? A check from the pictures, for cameras without a clock.

How much a picture differs from the one before it rises and falls with the performer, for neighbouring cameras alike.
Each camera's curve is held against the mean of its neighbours' at every lag; the camera whose lag gains most is taken
for late or early, and the rest are judged again without its error.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from storage.calibration.camera import Camera
from storage.pictures.bayer import stored_planes
from storage.pictures.colour import Colour
from storage.recordings.recording import Recording
from storage.session.samples import thumbnail

_FRAMES = 600
"""Frames that are looked at, at most, from the middle of a take."""
_NEIGHBOURS = 4
_SURE = 0.95
Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Lag:
    """How late a camera runs.

    Attributes:
        frames: positive if it shows a movement later than its neighbours.
        confidence: 0..1, that this lag explains the pictures better than any other that is not next to it.
    """

    frames: int
    confidence: float


def check_motion(
    recordings: Mapping[str, Recording], cameras: Mapping[str, Camera], frames: Sequence[int], colour: Colour
) -> dict[str, Lag]:
    """How late every camera of a take runs, by its pictures.

    Args:
        recordings: by camera.
        cameras: the calibration, which says which cameras are neighbours.
        frames: the take's.
        colour: what the numbers mean.

    Returns:
        By camera; a confidence near 0 where little moves, or everything repeats.

    Raises:
        ImageUnreadable: a picture is broken.
    """
    start = max(0, (len(frames) - _FRAMES) // 2)
    chosen = tuple(frames[start : start + _FRAMES])
    centres = {id: cameras[id].centre() for id in recordings}
    near = {
        id: sorted(
            (other for other in centres if other != id), key=lambda o: float(np.linalg.norm(centres[o] - here))
        )
        for id, here in centres.items()
    }
    curves = {id: motion_energy(recording.select(chosen), colour) for id, recording in recordings.items()}
    return find_lags(curves, {id: others[:_NEIGHBOURS] for id, others in near.items()})


def motion_energy(recording: Recording, colour: Colour) -> Curve:
    """(frames - 1): root of the mean difference between neighbouring pictures, which are reduced to thumbnails."""
    small = []
    for _, picture in recording.read(colour):
        planes = stored_planes(picture)
        step = max(1, planes.shape[2] // 400)
        small.append(thumbnail(colour.display(planes[:, ::step, ::step]).transpose(1, 2, 0)))
    return np.sqrt([np.abs(after - before).mean(dtype=np.float64) for before, after in pairwise(small)])


def find_lags(curves: Mapping[str, Curve], neighbours: Mapping[str, Sequence[str]]) -> dict[str, Lag]:
    """How late each curve is, against the mean of its neighbours'.

    Args:
        curves: as long as each other, by camera.
        neighbours: of each camera, the nearest first.
    """
    length = min(map(len, curves.values()), default=0)
    most = length // 3
    lags = {id: Lag(0, 0.0) for id in curves}
    if len(curves) < 2 or most < 2:
        return lags
    shift = dict.fromkeys(curves, 0)
    for _ in curves:
        found = {
            id: _best(_moved(curves[id], shift[id]), _mean(curves, shift, neighbours[id]), most) for id in curves
        }
        lags = {id: Lag(lag.frames + shift[id], lag.confidence) for id, (lag, _) in found.items()}
        off = [id for id, (lag, _) in found.items() if lag.frames and lag.confidence >= _SURE]
        if not off:
            break
        # A late camera also spoils the judgement of its neighbours, but gains more than any of these by its lag.
        worst = max(off, key=lambda id: found[id][1])
        shift[worst] += found[worst][0].frames
    return lags


def describe_lags(lags: Mapping[str, Lag], offsets: Mapping[str, int]) -> list[str]:
    """One line for every camera that is late or early, with the offset to set, and one for the rest."""
    lines, unsure = [], [id for id, lag in lags.items() if lag.confidence < _SURE]
    for id, lag in lags.items():
        if lag.frames and lag.confidence >= _SURE:
            count = f"{abs(lag.frames)} frame{'s' if abs(lag.frames) > 1 else ''}"
            lines.append(
                f"camera {id} runs about {count} {'late' if lag.frames > 0 else 'early'} by its motion "
                f"(confidence {lag.confidence:.2f}); set offset = {{{id} = {offsets.get(id, 0) - lag.frames}}} if so"
            )
    if unsure:
        lines.append(f"the motion does not tell whether {', '.join(unsure)} run late")
    if not lines:
        lines.append("all cameras see the motion at the same frames")
    return lines


def _mean(curves: Mapping[str, Curve], shift: Mapping[str, int], cameras: Sequence[str]) -> Curve:
    curves = {id: _moved(curves[id], shift[id]) for id in cameras}
    scaled = [(curve - np.nanmean(curve)) / (np.nanstd(curve) + 1e-12) for curve in curves.values()]
    return np.asarray(np.nanmean(scaled, axis=0))


def _moved(curve: Curve, late: int) -> Curve:
    """The curve without its lag; nan where it then says nothing."""
    out = np.full_like(curve, np.nan)
    if late >= 0:
        out[: len(curve) - late] = curve[late:]
    else:
        out[-late:] = curve[:late]
    return out


def _best(curve: Curve, reference: Curve, most: int) -> tuple[Lag, float]:
    """The lag at which a curve fits best, and how much its correlation gains by it."""
    fits = {late: _correlation(_moved(curve, late), reference) for late in range(-most, most + 1)}
    best = max(fits, key=lambda late: fits[late])
    second = max(fit for late, fit in fits.items() if abs(late - best) > 1)
    known = reference[np.isfinite(reference)]
    # Neighbouring frames are alike, so they count as fewer (Bartlett).
    alike = min(0.9, max(0.0, _correlation(known[1:], known[:-1])))
    count = (len(known) - abs(best)) * (1 - alike) / (1 + alike)
    if count <= 4:
        return Lag(best, 0.0), 0.0
    apart = (math.atanh(min(fits[best], 0.999)) - math.atanh(max(-0.999, second))) * math.sqrt((count - 3) / 2)
    return Lag(best, max(0.0, math.erf(apart / math.sqrt(2)))), fits[best] - fits[0]


def _correlation(one: Curve, other: Curve) -> float:
    both = np.isfinite(one) & np.isfinite(other)
    a, b = one[both] - one[both].mean(), other[both] - other[both].mean()
    spread = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / spread if spread > 1e-12 else 0.0
