"""Figures of one camera for a stage check: all maths on its pictures, no judgement.

What cannot be measured is left out, and `missing` says why. Positions and lengths are in pixels of the full size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CapmatError
from capmat_models.stage.change import changed, may_be_subject, signed_change
from capmat_models.stage.light import Lamp, channel_gains, clipped, dark_places, find_lamps
from capmat_models.stage.noise import Noise, brightness, measure_noise, noise_of_map
from capmat_models.stage.registration import Registration, detail_ratio, lay_under, register
from storage.calibration.camera import Camera
from storage.pictures.colour import encode_srgb
from tasks.config import Reconstruction, Stage
from tasks.geometry.box import box_of
from tasks.stage.look import Look, band_rows

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_WINDOW = 1024  # pixels along a side, in which focus is measured
_SINGLE = "there is a single frame of the empty stage; record ten"
_SPECK = 1e-4  # of the picture: smaller is no lamp


@dataclass(frozen=True)
class Region:
    """A place outside the subject that is not as in the plate.

    Attributes:
        x: of its middle.
        y: of its middle.
        share: of the picture.
        stays: whether it is the same in all frames that were looked at; None if there was but one.
    """

    x: float
    y: float
    share: float
    stays: bool | None


@dataclass
class Measured:
    """What was measured of a camera. Masks and pictures are small ones, see `Look`.

    Attributes:
        size: (width, height) of the full size.
        fold: full-size pixels along the side of a small one.
        empty: how many frames of the empty stage were looked at.
        coarse: see `Look`; noise is then compared with nothing but the training.
        frames: numbers of the frames of the take.
        plate: (h, w, 3) uint8 sRGB.
        shot: the first frame of the take, likewise; None without one.
        noise: of the empty stage.
        noise_map: what the store knows of the plate's noise.
        noise_shot: of the take, outside the subject.
        bright: factor of every empty frame.
        lamps: where the plate is clipped, largest first.
        white: where.
        dark: where the plate is dark and flat.
        around: the surroundings of the subject.
        settled: how the last empty frame lies on the first.
        moved: how the first frame of the take lies on the plate, and the last.
        gains: of red, green and blue, take against plate.
        detail: finest detail of the take against that of the plate.
        change: (h, w) signed difference of first and last frame to the plate, of square roots.
        sigma: noise of that.
        matte: what may be the subject by this camera alone.
        subject: where the subject may be by all of them; None without a take.
        regions: places outside the subject that are not as in the plate, largest first.
        outside: where they are.
        missing: what was not measured, and why.
    """

    size: tuple[int, int]
    fold: int
    empty: int
    coarse: bool
    frames: tuple[int, ...]
    plate: NDArray[np.uint8]
    white: Mask
    dark: Mask
    around: Mask
    lamps: list[Lamp]
    matte: Mask
    shot: NDArray[np.uint8] | None = None
    noise: Noise | None = None
    noise_map: Noise | None = None
    noise_shot: Noise | None = None
    bright: NDArray[np.float64] | None = None
    settled: Registration | None = None
    moved: list[Registration] = field(default_factory=list)
    gains: NDArray[np.float64] | None = None
    detail: float | None = None
    change: list[NDArray[np.float16]] = field(default_factory=list)
    sigma: float = 0.0
    subject: Mask | None = None
    regions: list[Region] = field(default_factory=list)
    outside: Mask | None = None
    missing: dict[str, str] = field(default_factory=dict)


def measure(look: Look, settings: Stage, around: Mask) -> Measured:
    """Measure a camera by itself; what takes all cameras is `find_changes`.

    Args:
        look: its pictures.
        settings: levels of what is dark; how far a camera may move.
        around: (h, w) the surroundings of the subject.
    """
    plate, pixels = look.plate, look.plate[0].size
    out = Measured(
        look.size,
        look.fold,
        len(look.empty),
        look.coarse,
        look.frames,
        _shown(plate),
        clipped(plate),
        dark_places(encode_srgb(plate), settings.dark_level, settings.dark_contrast) & around,
        around,
        [_scaled(lamp, look.fold) for lamp in find_lamps(plate, max(3, round(_SPECK * pixels)))],
        np.zeros(plate.shape[1:], bool),
    )
    out.noise_map = noise_of_map(*look.noise_map) if look.noise_map else None
    _empty_stage(out, look)
    if look.shots:
        _take(out, look, settings)
    else:
        for what in ("moved", "focus", "exposure", "glossy"):
            out.missing[what] = "no frame of a take was looked at"
    return out


def _empty_stage(out: Measured, look: Look) -> None:
    out.noise = measure_noise(look.bands) if look.bands else out.noise_map
    out.bright = brightness(look.empty)
    if out.coarse:
        out.missing["noise of the camera"] = "the recording has 8 bits, whose steps and codecs hide it"
    single = len(look.bands) == 1 or not (look.bands or look.noise_map)
    if out.noise is None:
        out.missing["noise"] = _SINGLE if single else "the pictures are too dark or too bright"
    if not look.empty:
        out.missing["flicker"] = "the store keeps the average of the empty frames alone; give the session"
    elif out.bright is None:
        out.missing["flicker"] = _SINGLE if single else "the pictures are too dark or too bright"
    if len(look.empty) > 1:
        first, last = look.empty[0], look.empty[-1]
        found = register(first[1], last[1], ~clipped(first) & ~clipped(last))
        out.settled = found and _enlarged(found, look.fold)


def _take(out: Measured, look: Look, settings: Stage) -> None:
    """Compare the frames of the take with the plate."""
    plate, shot = look.plate, look.shots[0]
    out.shot = _shown(shot)
    use = ~out.white & ~clipped(shot)
    out.gains = channel_gains(plate, shot, use)
    if out.gains is None:
        out.missing["exposure"] = "too little of the stage is lit and not clipped"
    found = [register(plate[1], frame[1], ~out.white & ~clipped(frame)) for frame in look.shots]
    out.moved = [_enlarged(one, look.fold) for one in found if one is not None]
    if not all(found):
        out.missing["moved"] = "the stage has too little that is lit and has edges"
    out.sigma = 0.005 if out.noise is None else max(1e-4, float(np.sqrt(out.noise.photon)) / 2 / look.fold)
    gains = np.ones(3) if out.gains is None else out.gains
    for frame, there in zip(look.shots, found, strict=True):
        under = plate if there is None else lay_under(plate, there)
        out.change.append(signed_change(under * gains[:, None, None].astype(np.float32), frame).astype(np.float16))
    subject = may_be_subject(out.change[0].astype(np.float32), out.sigma, neighbourhood(out))
    out.matte = subject if look.matte is None else look.matte > 0.1
    if out.moved and out.moved[0].farthest >= settings.shift[0]:
        out.missing["focus"] = "the camera moved; record the empty stage again first"
    else:
        out.detail = _detail(out, look, found[0], use & ~subject)
        if out.detail is None:
            out.missing["focus"] = "the stage has too little fine detail outside the subject"
    if len(look.shot_bands) > 1:
        still = np.all([~changed(change.astype(np.float32), out.sigma) for change in out.change], axis=0)
        rows = _full(still, look)[band_rows(look.size[1], look.fold)]
        out.noise_shot = measure_noise([look.shot_bands[0], look.shot_bands[-1]], rows)


def _detail(out: Measured, look: Look, found: Registration | None, use: Mask) -> float | None:
    """Focus, at full size."""
    if found is None or look.shot_green is None:
        return None
    there = _enlarged(found, look.fold)
    gain = 1.0 if out.gains is None else out.gains[1]
    rows, columns = _busiest(look.plate[1], use, _WINDOW // look.fold)
    large = tuple(slice(part.start * look.fold, part.stop * look.fold) for part in (rows, columns))
    # Resampling softens a little, so what lies still is left as it is.
    plate = look.plate_green if there.farthest < 0.1 else lay_under(look.plate_green, there)
    return detail_ratio(plate[large] * np.float32(gain), look.shot_green[large], _full(use[rows, columns], look))


def _busiest(plate: Floats, use: Mask, side: int) -> tuple[slice, slice]:
    """The window of a picture (h, w) with most edges where `use` is: a large picture need not be seen as a whole."""
    edges = np.hypot(*np.gradient(plate)) * use
    tall, wide = (min(side, length) for length in plate.shape)
    parts = [
        (slice(y, y + tall), slice(x, x + wide))
        for y in range(0, plate.shape[0] - tall + 1, max(1, tall // 2))
        for x in range(0, plate.shape[1] - wide + 1, max(1, wide // 2))
    ]
    return max(parts, key=lambda part: float(edges[part].sum()))


def neighbourhood(one: Measured) -> int:
    """Of the neighbourhood in which a change is looked at, in small pixels."""
    return max(3, one.plate.shape[0] // 60) | 1


def surroundings(camera: Camera, cameras: Mapping[str, Camera], settings: Reconstruction) -> Mask:
    """The rectangle around the subject's box in a picture: (h, w); the whole picture where that is not known."""
    whole = np.ones((camera.height, camera.width), bool)
    try:
        centre, size = box_of(cameras.values(), settings)
    except CapmatError:
        return whole
    corners = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) * size / 2 + centre
    pixels = camera.project(corners)
    if not np.isfinite(pixels).all():
        return whole
    left, top = np.clip(np.floor(pixels.min(axis=0)), 0, None).astype(int)
    right, bottom = np.ceil(pixels.max(axis=0)).astype(int)
    inside = np.zeros_like(whole)
    inside[top : max(bottom, 0), left : max(right, 0)] = True
    return inside if inside.any() else whole


def _shown(light: Floats) -> NDArray[np.uint8]:
    return np.rint(encode_srgb(light.transpose(1, 2, 0)) * 255).astype(np.uint8)


def _full(mask: Mask, look: Look) -> Mask:
    return np.asarray(mask.repeat(look.fold, axis=0).repeat(look.fold, axis=1))


def full_size(at: float, fold: int) -> float:
    """A place in a small picture as one in the full size."""
    return float(at * fold + (fold - 1) / 2)


def _scaled(lamp: Lamp, fold: int) -> Lamp:
    left, top, right, bottom = (side * fold for side in lamp.box)
    box = (left, top, right, bottom)
    return Lamp(full_size(lamp.x, fold), full_size(lamp.y, fold), lamp.area * fold * fold, box, lamp.bloom * fold)


def _enlarged(found: Registration, fold: int) -> Registration:
    return Registration(
        found.x * fold, found.y * fold, found.turn, found.scale, found.farthest * fold, found.error * fold
    )
