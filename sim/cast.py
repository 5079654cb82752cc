"""Who performs in the sample's takes."""

from __future__ import annotations

import zlib

from tasks.sim.hair import Hair
from tasks.sim.performer import Look, performer
from tasks.sim.solid import Cloth

_BLACK = Cloth((0.022, 0.022, 0.025))
_DARK_HAIR = (0.012, 0.010, 0.009)


def cast(name: str) -> Look:
    """Who performs in a take: three chosen performers, and a random one for any other name.

    "amber" is dark before dark panels, "birch" is bright, "cedar" wears a black skirt and the grey of the wall.
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
