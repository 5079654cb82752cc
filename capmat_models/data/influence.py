"""dB(F) of Eq. 2: how the stage changes because somebody stands in it (paper, section 3).

Every function takes the empty stage (3, S, S) and gives it back as it looks now; the subject is `pha` (1, S, S) and
`fgr` (3, S, S), all float32 in 0..1, display-referred. Light is not simulated: each effect has the look, the
place and the strength of the real one, drawn at random, which is what a network has to see through.
"""

import numpy as np
from numpy.random import Generator

from capmat_models.data.filters import Plane, blurred, warped
from capmat_models.data.shapes import noise


def cast_shadows(rng: Generator, stage: Plane, pha: Plane, deepest: float) -> Plane:
    """One shadow or two of the subject somewhere else, each taking 5 % to `deepest` of the light, sharp or soft."""
    side = stage.shape[-1]
    for _ in range(int(rng.integers(1, 3))):
        scale, offset = rng.uniform(0.6, 1.6, 2), rng.uniform(-0.35, 0.35, 2) * side
        moved = warped(pha, tuple(scale), rng.uniform(-0.4, 0.4), tuple(offset))
        dark = blurred(moved, rng.uniform(0.004, 0.07) * side)
        stage = stage * (1 - np.float32(rng.uniform(0.05, max(0.05, deepest))) * dark)
    return stage


def contact_shadow(rng: Generator, stage: Plane, pha: Plane, deepest: float) -> Plane:
    """Darkness close around the subject, where it keeps the light off: the soft shadow at the feet; as deep."""
    near = blurred(pha, rng.uniform(0.01, 0.05) * stage.shape[-1])
    return stage * (1 - np.float32(rng.uniform(0.05, max(0.05, deepest))) * near)


def cut_off(rng: Generator, pha: Plane) -> Plane:
    """The subject without what is below a row in the lower half of it: it stands broadly on the floor."""
    rows = np.flatnonzero(pha[0].max(1) > 0.5)
    if len(rows) < 8:
        return pha
    floor = int(rng.integers(rows[len(rows) // 2], rows[-1] + 1))
    return np.where(np.arange(pha.shape[1])[None, :, None] > floor, np.float32(0), pha)


def reflection(rng: Generator, stage: Plane, pha: Plane, fgr: Plane) -> Plane:
    """The subject upside down below its lowest point, fading, in a floor between satin and a mirror."""
    rows = np.flatnonzero(pha[0].max(1) > 0.5)
    if len(rows) == 0:
        return stage
    side = stage.shape[-1]
    # a floor that lies a little lower also serves subjects that the frame cuts off
    floor = min(int(rows[-1]), int(side * rng.uniform(0.5, 1))) - int(rng.integers(0, 4))
    count = min(side - 1 - floor, floor)
    if count <= 2:
        return stage
    stage = stage.copy()
    above, under = slice(floor, floor - count, -1), slice(floor + 1, floor + 1 + count)
    fade = np.linspace(1, rng.uniform(0, 0.8), count, dtype=np.float32)[None, :, None]
    strength = np.float32(0.03 + 0.72 * rng.uniform() ** 0.7)  # more strong ones, which are the hard ones
    much = blurred(pha[:, above], rng.uniform(0.3, 3)) * fade * strength
    stage[:, under] += much * (fgr[:, above] - stage[:, under])
    return stage


def colour_bleed(rng: Generator, stage: Plane, pha: Plane, fgr: Plane) -> Plane:
    """The subject's colours on what is near."""
    reach = rng.uniform(0.03, 0.15) * stage.shape[-1]
    colour, much = blurred(pha * fgr, reach), blurred(pha, reach)
    tint = colour / much.clip(1e-3)
    share = np.float32(rng.uniform(0.02, 0.2))
    return stage + share * much * (tint - stage)


def other_light(rng: Generator, stage: Plane) -> Plane:
    """Another exposure by up to 6 %, another colour by up to 2 %, and a slow change across the frame by up to 3 %."""
    gain = 1 + rng.uniform(-0.06, 0.06) + rng.uniform(-0.02, 0.02, (3, 1, 1))
    slow = 1 + rng.uniform(0, 0.06) * (noise(rng, stage.shape[-1], 1) - np.float32(0.5))
    light: Plane = (gain * slow).astype(np.float32)
    return stage * light
