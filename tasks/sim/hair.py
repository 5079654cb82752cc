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
        style: "short", "bob", "long", "curly" or "tail".
        colour: linear RGB reflectance.
        count: number of strands.
    """

    style: str
    colour: tuple[float, float, float]
    count: int


_LENGTH = {"short": 0.055, "bob": 0.26, "long": 0.46, "curly": 0.15, "tail": 0.16}
_WEIGHT = {"short": 0.1, "bob": 0.75, "long": 0.8, "curly": 0.15, "tail": 0.3}
_CURL = {"short": 0.008, "bob": 0.012, "long": 0.018, "curly": 0.035, "tail": 0.006}


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
        with path.open("w") as file:
            for curve in curves:
                np.savetxt(file, curve, fmt="%.5f")
                file.write("\n")
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
    # The scalp: not the face, not below the ears.
    scalp = (normals @ face < 0.35 + 0.5 * np.clip(normals[:, 2], 0, 1)) & (normals[:, 2] > -0.25)
    normals = normals[scalp][: hair.count]
    count = len(normals)
    roots = head + normals * radii * 0.97
    length = _LENGTH[hair.style] * rng.uniform(0.55, 1.1, count)[:, None]
    stray = rng.random(count)[:, None] < 0.12
    weight = np.where(stray, 0.25, _WEIGHT[hair.style])
    tie = head - face * radii[1] * 1.25 + np.array([0, 0, 0.3 * radii[2]])
    curve = np.empty((count, points, 4))
    at = roots.copy()
    heading = normals + 0.25 * rng.normal(size=normals.shape)
    wave = rng.uniform(0, 2 * np.pi, (count, 3))
    for k in range(points):
        curl = _CURL[hair.style] * np.sin(wave + 2.1 * k) * (k / points) ** 0.7
        curve[:, k, :3] = at + curl
        curve[:, k, 3] = np.where(stray[:, 0], 0.0006, 0.0011) * (1 - 0.6 * k / points)
        pull = np.array([0, 0, -1.0])
        if hair.style == "tail":
            toward = tie - at
            pull = np.where(k < 4, 3 * toward / np.linalg.norm(toward, axis=1, keepdims=True), pull)
        heading = heading + weight * 0.9 * pull
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        at = at + heading * length / (points - 1) * (1.6 if hair.style == "tail" else 1.0)
        # Hair lies on the head instead of passing through it.
        inside = (at - head) / (radii * 1.06)
        depth = np.linalg.norm(inside, axis=1, keepdims=True)
        at = np.where(depth < 1, head + inside / np.maximum(depth, 1e-6) * radii * 1.06, at)
    return curve


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
