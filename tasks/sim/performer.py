"""Performers: who they are, drawn once from a seed. `tasks.sim.body` says how they stand at a frame.

A seed decides body, clothes, hair, pose and things held, so that base data can be as diverse as wanted and a
take shows the same person in every frame. Paper, Sec. 3: hair, dark clothes and thin things held are where
mattes fail, so all three are common here.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tasks.sim.hair import Hair
from tasks.sim.solid import Cloth

SKIN = ((0.62, 0.36, 0.25), (0.45, 0.24, 0.15), (0.28, 0.14, 0.085), (0.12, 0.06, 0.04), (0.70, 0.45, 0.34))
HAIR = ((0.012, 0.010, 0.009), (0.05, 0.025, 0.012), (0.16, 0.08, 0.03), (0.45, 0.30, 0.12), (0.4, 0.39, 0.38))
PROPS = ("none", "stick", "ball", "box", "hoop")
MORE_PROPS = ("bag", "racket", "plush")


@dataclass(frozen=True)
class Details:
    """What base data adds to a performer: a face, fingers, and clothes that change the outline.

    Attributes:
        head: size of the head relative to an adult's.
        eyes: linear RGB reflectance of the iris.
        lips: linear RGB reflectance.
        belly: how far it stands out, as a share of the height.
        coat: how far the hem of the top hangs below the pelvis, as a share of the height; 0 for none.
        hat: "", "cap", "brim" or "beanie".
        hat_cloth: cloth of hat and scarf.
        scarf: whether a scarf is worn.
        beard: whether a beard grows.
    """

    head: float
    eyes: tuple[float, float, float]
    lips: tuple[float, float, float]
    belly: float
    coat: float
    hat: str
    hat_cloth: Cloth
    scarf: bool
    beard: bool


@dataclass(frozen=True)
class Look:
    """Who the performer is and how they move.

    Attributes:
        height: metres, from sole to crown.
        girth: width relative to an average body.
        skin: linear RGB reflectance.
        top: cloth of the torso and sleeves.
        bottom: cloth of legs or skirt.
        shoes: cloth of the feet.
        sleeves: 0 bare arms, 1 short, 2 long.
        skirt: radius of the hem in metres; 0 for trousers.
        hair: style, colour and number of strands.
        prop: one of PROPS or MORE_PROPS.
        prop_cloth: what the prop is painted with.
        yaw: which way they face, in radians.
        pose: joint angles in radians; see `performer`.
        swing: how much each angle changes over a cycle of frames.
        phase: where in the cycle frame 0 is.
        details: None for the performers of a session.
    """

    height: float
    girth: float
    skin: tuple[float, float, float]
    top: Cloth
    bottom: Cloth
    shoes: Cloth
    sleeves: int
    skirt: float
    hair: Hair
    prop: str
    prop_cloth: Cloth
    yaw: float
    pose: tuple[float, ...]
    swing: tuple[float, ...]
    phase: float
    details: Details | None = None


def performer(seed: int, **chosen: Any) -> Look:
    """A random performer.

    Args:
        seed: decides everything that is not chosen.
        chosen: fields of `Look` to set instead of drawing them.
    """
    rng = np.random.default_rng([seed, 31])
    # Angles: for each leg forward, outward, knee; for each arm forward, outward, elbow; then lean and head turn.
    pose = np.array([0.0, 0.08, 0.1, 0.0, 0.08, 0.1, 0.1, 0.3, 0.3, 0.1, 0.3, 0.3, 0.0, 0.0])
    spread = np.array([0.25, 0.06, 0.2, 0.25, 0.06, 0.2, 0.6, 0.5, 0.6, 0.6, 0.5, 0.6, 0.08, 0.4])
    pose = pose + spread * rng.uniform(-1, 1, 14)
    pose[[2, 5, 8, 11]] = np.abs(pose[[2, 5, 8, 11]])
    pose[[7, 10]] = np.abs(pose[[7, 10]]) + 0.15
    style = str(rng.choice(["long", "bob", "curly", "short", "tail"]))
    look = Look(
        height=float(rng.uniform(1.55, 1.84)),
        girth=float(rng.uniform(0.86, 1.25)),
        skin=SKIN[rng.integers(len(SKIN))],
        top=_cloth(rng),
        bottom=_cloth(rng),
        shoes=Cloth(_dye(rng)),
        sleeves=int(rng.integers(3)),
        skirt=float(rng.uniform(0.22, 0.34)) if rng.random() < 0.35 else 0.0,
        hair=Hair(style, HAIR[rng.integers(len(HAIR))], int(rng.integers(1000, 1500))),
        prop=str(rng.choice(PROPS)),
        prop_cloth=Cloth(_dye(rng), _dye(rng), str(rng.choice(["plain", "stripes", "checks"])), 0.07),
        yaw=float(rng.uniform(0, 2 * math.pi)),
        pose=tuple(pose.tolist()),
        swing=tuple((0.35 * spread * rng.uniform(-1, 1, 14)).tolist()),
        phase=float(rng.uniform(0, 2 * math.pi)),
    )
    return replace(look, **chosen)


def guest(seed: int) -> Look:
    """A random performer of base data: any age and shape, with a face, standing, reaching or seated."""
    rng = np.random.default_rng([seed, 32])
    child, sits, reaches = (bool(rng.random() < share) for share in (0.2, 0.15, 0.2))
    hat = str(rng.choice(["", "", "", "cap", "brim", "beanie"]))
    styles = ("straight", "waves", "crop") if hat else ("straight", "waves", "afro", "crop", "bun", "curly", "tail")
    style, strands = str(rng.choice(styles)), int(rng.integers(3500, 6000))
    share = rng.random()
    light, dark = (np.array(SKIN[k]) for k in rng.choice(len(SKIN), 2, replace=False))
    skin = share * light + (1 - share) * dark
    drawn = performer(seed)
    pose = np.array(drawn.pose)
    pose[12] += rng.uniform(-0.15, 0.3)
    if sits:
        pose[[0, 3]], pose[[2, 5]] = rng.uniform(0.55, 0.8), rng.uniform(1.1, 1.7)
    if reaches:
        pose[[7, 10]] = rng.uniform(1.2, 2.9, 2)
    props = ("stool",) if sits else ("umbrella", *PROPS) if reaches else PROPS + MORE_PROPS
    details = Details(
        head=float(rng.uniform(1.25, 1.5) if child else rng.uniform(0.95, 1.1)),
        eyes=(0.02, 0.015, 0.01) if rng.random() < 0.6 else (0.08, 0.14, 0.2),
        lips=_triple(skin * [0.95, 0.5, 0.5]),
        belly=float(rng.uniform(0.02, 0.07)) if rng.random() < 0.3 else 0.0,
        coat=float(rng.uniform(0.08, 0.3)) if not sits and rng.random() < 0.3 else 0.0,
        hat=hat,
        hat_cloth=_cloth(rng, "bars", "print"),
        scarf=bool(rng.random() < 0.2),
        beard=not child and bool(rng.random() < 0.2),
    )
    return replace(
        drawn,
        height=float(rng.uniform(1.0, 1.4) if child else rng.uniform(1.5, 1.98)),
        girth=float(rng.uniform(0.8, 1.5)),
        skin=_triple(skin),
        top=_cloth(rng, "bars", "print"),
        bottom=_cloth(rng, "bars", "print"),
        skirt=0.0 if sits else drawn.skirt,
        hair=replace(drawn.hair, style=style, count=strands, thick=float(rng.uniform(0.25, 0.6))),
        prop=str(rng.choice(props)),
        pose=tuple(pose.tolist()),
        details=details,
    )


def _cloth(rng: np.random.Generator, *more: str) -> Cloth:
    first, second = (_dye(rng) for _ in range(2))
    pattern = str(rng.choice(["plain", "plain", "stripes", "checks", "dots", *more]))
    return Cloth(first, second, pattern, float(rng.uniform(0.06, 0.16)))


def _triple(colour: Any) -> tuple[float, float, float]:
    red, green, blue = np.clip(colour, 0.01, 0.8)
    return float(red), float(green), float(blue)


def _dye(rng: np.random.Generator) -> tuple[float, float, float]:
    """A cloth colour; a third of them nearly black or nearly white."""
    kind = rng.random()
    if kind < 0.2:
        value = rng.uniform(0.015, 0.05) * (1 + rng.normal(0, 0.1, 3))
    elif kind < 0.3:
        value = rng.uniform(0.6, 0.75) * np.ones(3)
    else:
        value = rng.uniform(0.03, 0.65, 3) ** rng.uniform(0.8, 1.6)
    return _triple(value)


_BLACK = Cloth((0.022, 0.022, 0.025))
_DARK_HAIR = (0.012, 0.010, 0.009)


def cast(name: str) -> Look:
    """Who performs in a take: three chosen performers, and a random one for any other name.

    "amber" is dark in front of dark panels, "birch" is bright, "cedar" wears a black skirt and the grey of the wall.
    """
    if name == "amber":
        return performer(
            5,
            height=1.76,
            girth=1.05,
            top=_BLACK,
            shoes=_BLACK,
            sleeves=2,
            skirt=0.0,
            prop="stick",
            yaw=0.4,
            bottom=Cloth((0.03, 0.035, 0.06), (0.012, 0.012, 0.02), "stripes", 0.12),
            hair=Hair("long", _DARK_HAIR, 1400),
        )
    if name == "birch":
        return performer(
            8,
            height=1.62,
            girth=0.95,
            sleeves=1,
            skirt=0.0,
            prop="box",
            yaw=2.2,
            top=Cloth((0.65, 0.12, 0.06), (0.7, 0.62, 0.5), "stripes", 0.11),
            bottom=Cloth((0.12, 0.25, 0.5)),
            hair=Hair("curly", (0.45, 0.30, 0.12), 1300),
        )
    if name == "cedar":
        return performer(
            12,
            height=1.70,
            girth=0.9,
            sleeves=2,
            skirt=0.31,
            prop="hoop",
            yaw=4.0,
            bottom=_BLACK,
            shoes=_BLACK,
            top=Cloth((0.34, 0.34, 0.34), (0.05, 0.05, 0.055), "checks", 0.13),
            hair=Hair("bob", _DARK_HAIR, 1300),
        )
    return performer(zlib.crc32(name.encode()))
