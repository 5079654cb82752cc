"""Base data after Eq. 2 of the paper, I = a F + (1 - a) (B + dB(F)) + e, with every term of section 3 on or off.

A network that never saw a shadow calls it subject, and one that never saw a dark subject on a dark wall leaves holes
in it. `Composites` draws subjects (cut-outs, and shapes that nobody had to cut out), what is behind them (pictures,
procedural rooms, or the plates of the very stage), and what happens between them. All of it comes from one
generator of random numbers, so a training that draws with (seed, iteration) can be repeated and resumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from capmat_models.data import camera, influence
from capmat_models.data.base import BaseData, Sample
from capmat_models.data.filters import Plane, resized, warped
from capmat_models.data.shapes import noise, room, shade, shape, texture


@dataclass(frozen=True)
class Difficulty:
    """How often each term of Eq. 2 occurs, as a probability, and how strong it may be. 0 switches a term off.

    Quotations are from the paper.
    """

    pairs: float = 0.5
    """Samples that are no composites but pictures of a stage with somebody in it, where the base data have such."""
    empty: float = 0.08
    """Samples without a subject; a shadow from outside the frame may fall into them."""
    procedural: float = 0.35
    """Subjects made of shapes, hair, rods and cloth instead of cut-outs."""
    camouflage: float = 0.15
    """Subjects in the colours of what is behind them ("dark objects against similarly dark backgrounds", Fig. 3)."""
    dark: float = 0.25
    """Subjects that are nearly black (Fig. 3)."""
    bright: float = 0.12
    """Subjects that are nearly white: the same fault at the other end, fair hair before a lit wall."""
    retexture: float = 0.35
    """Cut-outs of another material or colour."""
    picture: float = 0.5
    """Backgrounds that are pictures of the base data; the others are procedural."""
    dark_stage: float = 0.33
    """Backgrounds with little light."""
    bright_stage: float = 0.15
    """Backgrounds that are nearly white."""
    lamps: float = 0.25
    """Backgrounds with lamps that clip, and their glow (the 46 lights of section 3, in view of the cameras)."""
    cast_shadow: float = 0.5
    """"Shadows cast by the subject" (section 3), away from it."""
    shadow_depth: float = 0.35
    """Largest share of the light that a shadow takes away. After deeper ones, dark clothes pass for shadow."""
    contact_shadow: float = 0.3
    """Soft shadow close to the subject (section 3), as at its feet."""
    reflection: float = 0.8
    """A mirror image in the floor ("reflective materials", section 3). Most are faint or outside of the sample."""
    bleed: float = 0.3
    """"Color bleed" of the subject onto what is near (section 3)."""
    exposure: float = 0.5
    """Light that changed since the plate: in exposure, in colour, slowly across the frame (section 3)."""
    move: float = 0.4
    """A camera that moved since the plate was recorded."""
    move_px: float = 0.8
    """By how many pixels, at most, in each direction."""
    blur: float = 0.3
    """Both pictures out of focus."""
    curve: float = 0.5
    """Both pictures with another gain and tone curve, most of them darker."""
    noise: float = 0.9
    """"Sensor noise", e of Eq. 2: of read-out and photons, with or without correlation between pixels, clipped."""
    noise_level: float = 0.05
    """Its largest standard deviation."""
    jpeg: float = 0.2
    """Both pictures compressed, as most recordings are."""


_TEXTURE = 0.7  # share of the materials that are drawn; the others are pictures of the base data


@dataclass(frozen=True)
class StagePlate:
    """The empty stage as one camera saw it.

    Attributes:
        bgr: (3, H, W) float32 in 0..1, display-referred; anything that has a shape and can be sliced.
        noise: (3, h, w) float32, the standard deviation of one frame on a coarse grid over the same picture.
    """

    bgr: Any
    noise: Plane

    def window(self, rng: Generator, crop: int) -> tuple[Plane, Plane]:
        """A square part at 0.7 to 1.6 times its scale, perhaps mirrored: plate and noise, (3, crop, crop) each."""
        height, width = self.bgr.shape[1:]
        side = int(min(height, width, crop * rng.uniform(0.7, 1.6)))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        rows, columns = self.noise.shape[1:]
        y, x = top * rows // height, left * columns // width
        grid = self.noise[:, y : y + max(1, side * rows // height), x : x + max(1, side * columns // width)]
        bgr = resized(np.asarray(self.bgr[:, top : top + side, left : left + side]), crop)
        flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
        return bgr[..., flip], resized(grid, crop)[..., flip]


class Composites:
    """Draws samples of training.

    Args:
        base: cut-outs and pictures.
        how: how often, and how much.
        plates: of the stage that is trained for.
        plate_share: share of the samples whose background is one of `plates`.
    """

    def __init__(
        self,
        base: BaseData,
        how: Difficulty = Difficulty(),  # noqa: B008 (frozen)
        plates: Sequence[StagePlate] = (),
        plate_share: float = 0.5,
    ) -> None:
        self.base, self.how, self.plates = base, how, plates
        self.plate_share = plate_share if len(plates) else 0.0

    def sample(self, rng: Generator, crop: int) -> Sample:
        """Draw one composite.

        Args:
            rng: where all draws come from.
            crop: side of the square sample in pixels.

        Returns:
            `src`, `bgr`, `fgr` (3, crop, crop) and `pha` (1, crop, crop), float32 in 0..1, display-referred. `src`
            and `bgr` are what a camera delivers; `fgr` is free of noise, and 0 where `pha` is 0.
        """
        how = self.how
        if len(self.base.pairs) and rng.random() < how.pairs:
            return self._delivered(rng, *self._recorded(rng, crop), None)
        bgr, sigma = self._background(rng, crop)
        pha, fgr = self._subject(rng, crop, bgr)
        mirror = rng.random() < how.reflection
        if mirror and rng.random() < 0.5:
            pha = influence.cut_off(rng, pha)
        behind = self._changed(rng, bgr, pha, fgr, mirror)
        if rng.random() < how.empty:
            pha = np.zeros_like(pha)
        return self._delivered(rng, pha * fgr + (1 - pha) * behind, bgr, pha, fgr, sigma)

    def _recorded(self, rng: Generator, crop: int) -> tuple[Plane, Plane, Plane, Plane]:
        """A window of a pair, with a plate that aged: `src`, `bgr`, `pha` and `fgr`, sides of `crop`."""
        how = self.how
        src, bgr, pha = self.base.pair(rng, crop)
        fgr: Plane = ((src - (1 - pha) * bgr) / np.maximum(pha, 1 / 512)).astype(np.float32)
        if rng.random() < how.move:
            bgr = warped(bgr, offset=tuple(rng.uniform(-how.move_px, how.move_px, 2)), padding="border")
        if rng.random() < how.exposure:
            bgr = influence.other_light(rng, bgr)
        return src, bgr, pha, _clipped(fgr)

    def _delivered(
        self, rng: Generator, src: Plane, bgr: Plane, pha: Plane, fgr: Plane, sigma: Plane | None
    ) -> Sample:
        """The sample as a camera delivers it; `sigma` is the noise of the stage where that is known."""
        how = self.how
        if rng.random() < how.blur:
            src, bgr = camera.defocused(rng, src, bgr)
        if sigma is None and rng.random() < how.curve:
            src, bgr = camera.other_camera(rng, src, bgr)
        if rng.random() < how.noise:
            if sigma is None:
                src, bgr = camera.sensor_noise(rng, src, bgr, how.noise_level)
            else:
                src = camera.stage_noise(rng, src, sigma)
        if rng.random() < how.jpeg:
            src, bgr = camera.compressed(rng, src, bgr)
        fgr = np.where(pha > 0, fgr, np.float32(0))
        return {name: _clipped(x) for name, x in {"src": src, "bgr": bgr, "pha": pha, "fgr": fgr}.items()}

    def _background(self, rng: Generator, crop: int) -> tuple[Plane, Plane | None]:
        """The empty stage (3, crop, crop), and its noise where it is known."""
        how = self.how
        if rng.random() < self.plate_share:
            return self.plates[int(rng.integers(len(self.plates)))].window(rng, crop)
        picture = self.base.background(rng, crop) if rng.random() < how.picture else room(rng, crop)
        light = rng.random()
        if light < how.dark_stage:
            picture = picture ** np.float32(rng.uniform(1, 2)) * np.float32(rng.uniform(0.03, 0.5))
        elif light < how.dark_stage + how.bright_stage:
            picture = 1 - (1 - picture) * np.float32(rng.uniform(0.05, 0.5))
        if rng.random() < how.lamps:
            picture = _lit(rng, picture)
        return _clipped(picture), None

    def _subject(self, rng: Generator, crop: int, behind: Plane) -> tuple[Plane, Plane]:
        """Alpha (1, crop, crop) and colour (3, crop, crop), not premultiplied."""
        how = self.how
        if rng.random() < how.procedural:
            pha = shape(rng, crop)
            fgr = self._material(rng, crop) * shade(rng, crop)
            for _ in range(int(rng.integers(0, 3))):
                fgr = np.where(noise(rng, crop, 3) > rng.uniform(0.4, 0.7), self._material(rng, crop), fgr)
        else:
            pha, fgr = self.base.cut_out(rng, crop)
            if rng.random() < how.retexture:
                light = fgr.mean(0, keepdims=True)
                light = light / max(float(light.max()), 0.05)
                fgr = self._material(rng, crop) * light ** np.float32(rng.uniform(0.3, 1.2))
        dressed = rng.random()
        if dressed < how.camouflage / 2:
            elsewhere = np.roll(behind, rng.integers(-crop // 3, crop // 3, 2), (1, 2))
            fgr = fgr + np.float32(rng.uniform(0.3, 1)) * (elsewhere * np.float32(rng.uniform(0.8, 1.2)) - fgr)
        elif dressed < how.camouflage:  # its own texture, in about the mean colour of what it hides
            gap = (pha * (behind - fgr)).mean((1, 2), keepdims=True) / max(float(pha.mean()), 1e-6)
            fgr = fgr + gap * np.float32(rng.uniform(0.7, 1.1))
        elif dressed < how.camouflage + how.dark:
            fgr = fgr * np.float32(rng.uniform(0.02, 0.3))
        elif dressed < how.camouflage + how.dark + how.bright:
            fgr = 1 - (1 - fgr) * np.float32(rng.uniform(0.05, 0.5))
        return pha, _clipped(fgr)

    def _material(self, rng: Generator, crop: int) -> Plane:
        """What a subject may be made of: a texture, or any picture."""
        return texture(rng, crop) if rng.random() < _TEXTURE else self.base.background(rng, crop)

    def _changed(self, rng: Generator, bgr: Plane, pha: Plane, fgr: Plane, mirror: bool) -> Plane:
        """B + dB(F): the stage as it looks with the subject in it."""
        how, stage = self.how, bgr
        if rng.random() < how.move:
            stage = warped(stage, offset=tuple(rng.uniform(-how.move_px, how.move_px, 2)), padding="border")
        if rng.random() < how.cast_shadow:
            stage = influence.cast_shadows(rng, stage, pha, how.shadow_depth)
        if rng.random() < how.contact_shadow:
            stage = influence.contact_shadow(rng, stage, pha, how.shadow_depth)
        if mirror:
            stage = influence.reflection(rng, stage, pha, fgr)
        if rng.random() < how.bleed:
            stage = influence.colour_bleed(rng, stage, pha, fgr)
        if rng.random() < how.exposure:
            stage = influence.other_light(rng, stage)
        return _clipped(stage)


def _lit(rng: Generator, picture: Plane) -> Plane:
    """Up to three lamps with their glow; brighter than white in the middle."""
    crop = picture.shape[-1]
    y, x = np.mgrid[:crop, :crop].astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        cy, cx = rng.uniform(0, crop, 2).astype(np.float32)
        radius = np.float32(crop * rng.uniform(0.01, 0.12))
        away = np.hypot(y - cy, (x - cx) * np.float32(rng.uniform(0.3, 1))) / radius
        lamp = 2.5 / (1 + np.maximum(away - 1, 0) ** 2 * np.float32(rng.uniform(0.5, 8))) * (away < 30)
        picture = picture + lamp * (1 - rng.uniform(0, 0.3) * rng.random((3, 1, 1))).astype(np.float32)
    return picture


def _clipped(picture: Plane) -> Plane:
    return np.clip(picture, 0, 1).astype(np.float32, copy=False)
