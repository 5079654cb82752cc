"""Figures of one camera for a stage check, without judgement.

`missing` says what could not be measured, and why. Positions and lengths are in pixels of the full size.
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
from tasks.config import Reconstruction, StageLimits
from tasks.geometry.box import box_of
from tasks.stage.pictures import Floats, Pictures, band_rows

Mask = NDArray[np.bool_]

_WINDOW = 1024  # pixels along the side of the window in which focus is measured
_SINGLE = "the empty stage has a single frame; record ten"
_DARK = 0.22  # display-referred (sRGB, 0..1): about the darkest clothes
_FLAT = 0.02  # standard deviation of the surroundings, likewise, below which a dark place is flat
_SPECK = 1e-4  # share of the picture; smaller clipped spots are not lamps


@dataclass(frozen=True)
class Region:
    """A place outside the subject that differs from the plate.

    Attributes:
        x: of its middle.
        y: of its middle.
        share: of the picture.
        stays: whether it is the same in all frames; None if only one was read.
    """

    x: float
    y: float
    share: float
    stays: bool | None


@dataclass
class Measured:
    """What was measured of a camera. Masks and pictures are small ones, see `Pictures`.

    Attributes:
        size: (width, height) of the full size.
        fold: full-size pixels along the side of a small one.
        empty: how many frames of the empty stage were read.
        coarse: see `Pictures`; noise is then compared with the training alone.
        frames: numbers of the frames of the take.
        plate: (h, w, 3) uint8 sRGB.
        shot: the first frame of the take, likewise; None without one.
        noise: of the empty stage.
        noise_map: noise of the stored plate.
        noise_shot: of the take, outside the subject.
        bright: factor of every empty frame.
        lamps: where the plate is clipped, largest first.
        white: where the plate is clipped.
        dark: where the plate is dark and flat.
        around: the surroundings of the subject.
        settled: registration of the last empty frame on the first.
        moved: registration on the plate of every frame of the take that shows the stage, by number, rising.
        gains: of red, green and blue, take against plate.
        detail: finest detail of the take against that of the plate.
        change: (h, w) signed difference of every frame to the plate, of square roots.
        sigma: noise of `change`.
        matte: what may be the subject by this camera alone.
        subject: where the subject may be by all of them; None without a take.
        regions: places outside the subject that differ from the plate, largest first.
        outside: (h, w) of them.
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
    moved: dict[int, Registration] = field(default_factory=dict)
    gains: NDArray[np.float64] | None = None
    detail: float | None = None
    change: list[NDArray[np.float16]] = field(default_factory=list)
    sigma: float = 0.0
    subject: Mask | None = None
    regions: list[Region] = field(default_factory=list)
    outside: Mask | None = None
    missing: dict[str, str] = field(default_factory=dict)


def measure(pictures: Pictures, limits: StageLimits, around: Mask) -> Measured:
    """Measure a camera by itself; `find_changes` measures what needs all cameras.

    Args:
        pictures: of the camera.
        limits: how far a camera may move.
        around: (h, w) the surroundings of the subject.
    """
    plate, pixels = pictures.plate, pictures.plate[0].size
    out = Measured(
        pictures.size,
        pictures.fold,
        len(pictures.empty),
        pictures.coarse,
        pictures.frames,
        _shown(plate),
        clipped(plate),
        dark_places(encode_srgb(plate), _DARK, _FLAT) & around,
        around,
        [_scaled(lamp, pictures.fold) for lamp in find_lamps(plate, max(3, round(_SPECK * pixels)))],
        np.zeros(plate.shape[1:], bool),
    )
    out.noise_map = noise_of_map(*pictures.noise_map) if pictures.noise_map else None
    _empty_stage(out, pictures)
    if pictures.shots:
        _take(out, pictures, limits)
    else:
        for what in ("moved", "focus", "exposure", "glossy"):
            out.missing[what] = "no frame of a take was read"
    return out


def _empty_stage(out: Measured, pictures: Pictures) -> None:
    out.noise = measure_noise(pictures.bands) if pictures.bands else out.noise_map
    out.bright = brightness(pictures.empty)
    if out.coarse:
        out.missing["noise of the camera"] = "the recording has 8 bits, and their steps and codecs hide it"
    single = len(pictures.bands) == 1 or not (pictures.bands or pictures.noise_map)
    if out.noise is None:
        out.missing["noise"] = _SINGLE if single else "the pictures are too dark or too bright"
    if not pictures.empty:
        out.missing["flicker"] = "the store holds only the average of the empty frames; check the session instead"
    elif out.bright is None:
        out.missing["flicker"] = _SINGLE if single else "the pictures are too dark or too bright"
    if len(pictures.empty) > 1:
        first, last = pictures.empty[0], pictures.empty[-1]
        settled = register(_root(first), _root(last), ~clipped(first) & ~clipped(last))
        out.settled = settled and settled.enlarged(pictures.fold, pictures.size[::-1])


def _take(out: Measured, pictures: Pictures, limits: StageLimits) -> None:
    """Compare the frames of the take with the plate."""
    plate, shot = pictures.plate, pictures.shots[0]
    out.shot = _shown(shot)
    use = ~out.white & ~clipped(shot)
    out.gains = channel_gains(plate, shot, use)
    if out.gains is None:
        out.missing["exposure"] = "too little of the stage is lit without being clipped"
    looked = [register(_root(plate), _root(frame), ~out.white & ~clipped(frame)) for frame in pictures.shots]
    registered = [one if one and one.kind != "none" else None for one in looked]
    out.moved = {
        frame: one.enlarged(pictures.fold, pictures.size[::-1])
        for frame, one in zip(pictures.frames, registered, strict=True)
        if one is not None
    }
    if not all(registered):
        out.missing["moved"] = "the stage has too few edges that are lit, or the take shows another one"
    out.sigma = 0.005 if out.noise is None else max(1e-4, float(np.sqrt(out.noise.photon)) / 2 / pictures.fold)
    gains = np.ones(3) if out.gains is None else out.gains
    for frame, one in zip(pictures.shots, registered, strict=True):
        under = plate if one is None else lay_under(plate, one)
        out.change.append(signed_change(under * gains[:, None, None].astype(np.float32), frame).astype(np.float16))
    subject = may_be_subject(out.change[0].astype(np.float32), out.sigma, neighbourhood(out))
    out.matte = subject if pictures.matte is None else pictures.matte > 0.1
    if out.moved and next(iter(out.moved.values())).farthest >= limits.shift[0]:
        out.missing["focus"] = "the camera moved; record the empty stage again first"
    else:
        out.detail = _detail(out, pictures, registered[0], use & ~subject)
        if out.detail is None:
            out.missing["focus"] = "the stage has too little fine detail outside the subject"
    if len(pictures.shot_bands) > 1:
        still = np.all([~changed(change.astype(np.float32), out.sigma) for change in out.change], axis=0)
        rows = _full(still, pictures)[band_rows(pictures.size[1], pictures.fold)]
        out.noise_shot = measure_noise([pictures.shot_bands[0], pictures.shot_bands[-1]], rows)


def _detail(out: Measured, pictures: Pictures, registered: Registration | None, use: Mask) -> float | None:
    """Finest detail of the take against that of the plate, at full size."""
    if registered is None or pictures.shot_green is None:
        return None
    moved = registered.enlarged(pictures.fold, pictures.size[::-1])
    gain = 1.0 if out.gains is None else out.gains[1]
    rows, columns = _busiest(pictures.plate[1], use, _WINDOW // pictures.fold)
    large = tuple(slice(part.start * pictures.fold, part.stop * pictures.fold) for part in (rows, columns))
    # Resampling softens a little, so a plate that did not move is not resampled.
    plate = pictures.plate_green if moved.farthest < 0.1 else lay_under(pictures.plate_green, moved)
    return detail_ratio(
        plate[large] * np.float32(gain), pictures.shot_green[large], _full(use[rows, columns], pictures)
    )


def _busiest(plate: Floats, use: Mask, side: int) -> tuple[slice, slice]:
    """The square window of a picture (h, w) with most edges inside `use`."""
    edges = np.hypot(*np.gradient(plate)) * use
    tall, wide = (min(side, length) for length in plate.shape)
    parts = [
        (slice(y, y + tall), slice(x, x + wide))
        for y in range(0, plate.shape[0] - tall + 1, max(1, tall // 2))
        for x in range(0, plate.shape[1] - wide + 1, max(1, wide // 2))
    ]
    return max(parts, key=lambda part: float(edges[part].sum()))


def neighbourhood(one: Measured) -> int:
    """Side of the window, in small pixels, over which changes are averaged."""
    return max(3, one.plate.shape[0] // 60) | 1


def surroundings(camera: Camera, cameras: Mapping[str, Camera], settings: Reconstruction) -> Mask:
    """The rectangle around the subject's box in a picture (h, w); the whole picture if the box is unknown."""
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


def _root(light: Floats) -> Floats:
    """Green as square roots, in which noise has one level."""
    return np.sqrt(np.maximum(light[1], 0))


def _full(mask: Mask, pictures: Pictures) -> Mask:
    return np.asarray(mask.repeat(pictures.fold, axis=0).repeat(pictures.fold, axis=1))


def full_size(position: float, fold: int) -> float:
    """A row or column of a small picture in pixels of the full size."""
    return float(position * fold + (fold - 1) / 2)


def _scaled(lamp: Lamp, fold: int) -> Lamp:
    left, top, right, bottom = (side * fold for side in lamp.box)
    box = (left, top, right, bottom)
    return Lamp(full_size(lamp.x, fold), full_size(lamp.y, fold), lamp.area * fold * fold, box, lamp.bloom * fold)
