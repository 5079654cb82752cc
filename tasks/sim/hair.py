"""Hair as single strands: what a matte is judged by.

Strands are B-splines a fraction of a pixel wide, so their alpha is truly fractional and comes out of the renderer
instead of being blurred on. They are handed over as short straight pieces: Mitsuba's own `bsplinecurve` ends the
process on some rays that graze a strand (3.9.1, vectorised variant, segmentation fault in secondary rays).
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.sim.solid import Array


@dataclass(frozen=True)
class Hair:
    """A hairstyle.

    Attributes:
        style: a key of `_STYLES`; "beard" grows on the chin, the others on the scalp.
        colour: linear RGB reflectance.
        count: number of strands.
        thick: thickness of a strand; 1 is about 2 mm at the root.
    """

    style: str
    colour: tuple[float, float, float]
    count: int
    thick: float = 1.0


# Length and curl in metres; how much a strand falls, stands off the head at its root, and is combed back.
_STYLES = {
    "short": (0.055, 0.1, 0.008, 1.0, 0.0),
    "bob": (0.26, 0.75, 0.012, 1.0, 0.0),
    "long": (0.46, 0.8, 0.018, 1.0, 0.0),
    "curly": (0.15, 0.15, 0.035, 1.0, 0.0),
    "tail": (0.16, 0.3, 0.006, 1.0, 0.0),
    "straight": (0.44, 1.2, 0.005, 0.3, 0.5),
    "waves": (0.38, 0.8, 0.03, 0.4, 0.4),
    "afro": (0.11, 0.0, 0.02, 1.0, 0.0),
    "crop": (0.035, 0.2, 0.004, 0.5, 0.4),
    "bun": (0.13, 0.3, 0.004, 0.3, 0.0),
    "beard": (0.07, 0.5, 0.012, 0.6, -0.2),
}


def strands(hair: Hair, head: Array, radii: Array, face: Array, seed: int = 0) -> Any:
    """The hair of one head as a loaded Mitsuba shape.

    Args:
        hair: the hairstyle.
        head: (3,) centre of the head in metres.
        radii: (3,) half axes of the head.
        face: (3,) unit vector that the face looks along; no hair grows there.
        seed: decides the single strands.
    """
    import mitsuba as mi

    curves = spline(grow(hair, head, radii, face, seed))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hair.txt"
        one = 4 * "%.5f " + "\n"
        path.write_text((curves.shape[1] * one + "\n") * len(curves) % tuple(curves.ravel()))
        return mi.load_dict(
            {
                "type": "linearcurve",
                "filename": str(path),
                "bsdf": {
                    "type": "principled",
                    "base_color": {"type": "rgb", "value": list(hair.colour)},
                    "roughness": 0.4,
                    "specular": 0.4,
                },
            }
        )


def grow(hair: Hair, head: Array, radii: Array, face: Array, seed: int = 0) -> Array:
    """Control points (count, points, 4): x, y, z and radius in metres."""
    rng = np.random.default_rng([seed, 41])
    points = 9
    normals = rng.normal(size=(hair.count * 4, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    length_, fall, curl_, lift, back = _STYLES[hair.style]
    if hair.style == "beard":
        skin = (normals @ face > 0.2) & (normals[:, 2] < -0.35)
    else:  # the scalp: not the face, not below the ears
        skin = (normals @ face < 0.35 + 0.5 * np.clip(normals[:, 2], 0, 1)) & (normals[:, 2] > -0.25)
    normals = normals[skin][: hair.count]
    count = len(normals)
    roots = head + normals * radii * 0.97
    length = length_ * rng.uniform(0.55, 1.1, count)[:, None]
    stray = rng.random(count)[:, None] < 0.12
    weight = np.where(stray, 0.25 if lift == 1 else 0.7 * fall, fall)
    tied = hair.style in ("tail", "bun")
    tie = knot(head, radii, face) if hair.style == "bun" else head - face * radii[1] * 1.25 + [0, 0, 0.3 * radii[2]]
    curve = np.empty((count, points, 4))
    at = roots.copy()
    heading = lift * normals + 0.25 * rng.normal(size=normals.shape)
    wave = rng.uniform(0, 2 * np.pi, (count, 3))
    for k in range(points):
        curl = curl_ * np.sin(wave + 2.1 * k) * (k / points) ** 0.7
        curve[:, k, :3] = at + curl
        curve[:, k, 3] = np.where(stray[:, 0], 0.0006, 0.0011) * hair.thick * (1 - 0.6 * k / points)
        pull = np.array([0, 0, -1.0]) - back * face
        if tied:
            toward = tie - at
            toward = 3 * toward / np.linalg.norm(toward, axis=1, keepdims=True)
            pull = np.where(k < 4 or hair.style == "bun", toward, pull)
        heading = heading + weight * 0.9 * pull
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        at = at + heading * length / (points - 1) * (1.6 if tied else 1.0)
        # Hair lies on the head instead of passing through it.
        inside = (at - head) / (radii * 1.06)
        depth = np.linalg.norm(inside, axis=1, keepdims=True)
        at = np.where(depth < 1, head + inside / np.maximum(depth, 1e-6) * radii * 1.06, at)
    return curve


def knot(head: Array, radii: Array, face: Array) -> Array:
    """Middle (3,) of the knot of a bun."""
    return head - face * radii[1] * 0.75 + [0, 0, 0.95 * radii[2]]


def spline(controls: Array, pieces: int = 2) -> Array:
    """Points on uniform cubic B-splines.

    Args:
        controls: (count, points, 4) control points, four at least.
        pieces: straight pieces per span.

    Returns:
        (count, pieces * (points - 3) + 1, 4).
    """
    spans = controls.shape[1] - 3
    at = np.linspace(0, spans, pieces * spans + 1)
    first = np.minimum(at.astype(int), spans - 1)
    u = at - first
    weights = np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3]) / 6
    return sum(weights[k][None, :, None] * controls[:, first + k] for k in range(4))
