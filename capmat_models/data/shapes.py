"""Procedural textures, rooms and subjects: what a few dozen cut-outs cannot teach.

Outlines are signed distances, so that an edge is soft by as many pixels as asked for. Hair is drawn point by point,
so that a strand may be thinner than a pixel. All pictures are squares of `side` pixels, float32 in 0..1.
"""

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.nn import functional as F

from capmat_models.data.filters import Plane, blurred


def texture(rng: Generator, side: int) -> Plane:
    """Draw a picture of one material, (3, side, side) in 0..1: plain, noise, stripes, checks, dots or a gradient."""
    kind = rng.integers(6)
    first, second = rng.random((2, 3, 1, 1), np.float32)
    if kind == 0:
        mix = np.zeros((1, side, side), np.float32)
    elif kind == 1:
        mix = noise(rng, side, int(rng.integers(2, 7)))
    else:
        along, across = _axes(rng, side)
        step = np.float32(2 * np.pi / rng.uniform(4, side / 2))
        sharp = np.float32(rng.uniform(1, 12))
        wave = {
            2: lambda: np.sin(along * step),
            3: lambda: np.sin(along * step) * np.sin(across * step),
            4: lambda: np.sin(along * step) + np.sin(across * step) - 1,
            5: lambda: along / side * 2,
        }[int(kind)]()
        mix = (1 / (1 + np.exp(-sharp * wave)))[None].astype(np.float32)
    picture = first + (second - first) * mix
    if rng.random() < 0.7:
        picture = picture + np.float32(rng.uniform(0, 0.15)) * (noise(rng, side, 6) - 0.5)
    return np.clip(picture, 0, 1)


def noise(rng: Generator, side: int, octaves: int) -> Plane:
    """Smooth noise, (1, side, side) in 0..1; the more octaves, the finer."""
    total = torch.zeros(1, 1, 2, 2)
    for octave in range(octaves):
        cells = min(side, 2 ** (octave + 1) + 1)
        grid = torch.from_numpy(rng.standard_normal((1, 1, cells, cells), np.float32))
        total = _enlarged(total, cells) + grid * 0.6**octave
    plane: Plane = _enlarged(total, side)[0].numpy()
    low, high = plane.min(), plane.max()
    return (plane - low) / max(high - low, np.float32(1e-6))


def _enlarged(x: torch.Tensor, side: int) -> torch.Tensor:
    return F.interpolate(x, (side, side), mode="bicubic", align_corners=False)


def shade(rng: Generator, side: int) -> Plane:
    """Light that changes slowly, around 1: (1, side, side)."""
    return 1 + np.float32(rng.uniform(0, 0.6)) * (noise(rng, side, 2) - np.float32(0.5))


def room(rng: Generator, side: int) -> Plane:
    """Walls, panels, the lines of a truss, checkerboards: (3, side, side), what stands in a stage."""
    picture = texture(rng, side) * shade(rng, side)
    for _ in range(int(rng.integers(0, 7))):
        top, left = rng.integers(0, side, 2)
        height, width = (side * 10 ** rng.uniform(-1.8, -0.1, 2)).astype(int) + 1
        area = (slice(None), slice(top, top + height), slice(left, left + width))
        picture[area] = texture(rng, side)[area] if rng.random() < 0.5 else rng.random((3, 1, 1), np.float32)
    if rng.random() < 0.3:
        lines = shape(rng, side)
        picture = picture + lines * (rng.random((3, 1, 1), np.float32) - picture)
    return picture


def shape(rng: Generator, side: int) -> Plane:
    """Draw the alpha of something, (1, side, side): a body with holes, limbs, rods, rings, hair, haze or cloth."""
    pha = np.zeros((1, side, side), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        pha = np.maximum(pha, _body(rng, side))
    if rng.random() < 0.3:
        pha = 1 - (1 - pha) * (1 - _fur(rng, pha))
    for probability, part in ((0.35, _rods), (0.2, _ring), (0.4, _hair), (0.15, _haze)):
        if rng.random() < probability:
            pha = 1 - (1 - pha) * (1 - part(rng, side))
    if rng.random() < 0.15:  # thin cloth: the threads of a weave, and less of everything
        pha = pha * np.float32(rng.uniform(0.3, 0.9)) * (0.7 + 0.3 * noise(rng, side, 6))
    return pha.astype(np.float32)


def _body(rng: Generator, side: int) -> Plane:
    """A smooth closed outline around a centre, perhaps with a hole."""
    y, x = _grid(side)
    cy, cx = rng.uniform(0.1, 0.9, 2) * side
    angle = np.arctan2(y - cy, x - cx)
    radius = side * rng.uniform(0.08, 0.45)
    outline = np.full_like(angle, radius)
    for wave in range(1, int(rng.integers(2, 9))):
        outline += np.float32(radius * rng.normal(0, 0.35) / wave) * np.cos(
            wave * angle + np.float32(rng.uniform(0, 6.3)), dtype=np.float32
        )
    stretch = np.float32(rng.uniform(0.5, 2))
    distance = np.hypot((x - cx) * stretch, (y - cy) / stretch)
    soft = _softness(rng)
    pha = np.clip((outline - distance) / soft + 0.5, 0, 1)
    if rng.random() < 0.3:
        hy, hx = cy + rng.normal(0, radius / 3), cx + rng.normal(0, radius / 3)
        hole = np.float32(radius * rng.uniform(0.1, 0.4))
        pha = pha * np.clip((np.hypot(x - hx, y - hy) - hole) / soft + 0.5, 0, 1)
    return pha[None].astype(np.float32)


def _rods(rng: Generator, side: int) -> Plane:
    """Limbs, sticks and strings: capsules from hardly visible to as thick as an arm."""
    y, x = _grid(side)
    pha = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(1, 7))):
        (ay, ax), (by, bx) = rng.uniform(-0.1, 1.1, (2, 2)) * side
        length = (by - ay) ** 2 + (bx - ax) ** 2 + 1e-6
        t = np.clip(((y - ay) * (by - ay) + (x - ax) * (bx - ax)) / length, 0, 1)
        distance = np.hypot(y - ay - t * (by - ay), x - ax - t * (bx - ax))
        thick = np.float32(side * 10 ** rng.uniform(-2.7, -1.1))
        pha = np.maximum(pha, np.clip((thick - distance) / _softness(rng) + 0.5, 0, 1))
    return pha[None].astype(np.float32)


def _ring(rng: Generator, side: int) -> Plane:
    y, x = _grid(side)
    cy, cx = rng.uniform(0.2, 0.8, 2) * side
    radius, thick = side * rng.uniform(0.08, 0.4), side * 10 ** rng.uniform(-2.6, -1.5)
    stretch = rng.uniform(0.4, 1)
    distance = np.abs(np.hypot((y - cy) / stretch, x - cx) - radius) * stretch
    return np.clip((thick - distance) / _softness(rng) + 0.5, 0, 1)[None].astype(np.float32)


def _hair(rng: Generator, side: int) -> Plane:
    """Hundreds of strands that leave a spot in about one direction."""
    strands = int(rng.integers(60, 500))
    root = rng.uniform(0.15, 0.85, 2) * side + rng.normal(0, side * rng.uniform(0.03, 0.2), (strands, 2))
    heading = rng.uniform(0, 2 * np.pi) + rng.normal(0, rng.uniform(0.15, 1.2), strands)
    return _strands(rng, root, heading, side * rng.uniform(0.08, 0.4), side)


def _fur(rng: Generator, pha: Plane) -> Plane:
    """Short strands that leave the outline of a body, outwards."""
    side = pha.shape[-1]
    root = np.argwhere((pha[0] > 0.2) & (pha[0] < 0.8)).astype(np.float64)
    if len(root) == 0:
        return np.zeros_like(pha)
    root = root[rng.integers(len(root), size=int(rng.integers(200, 1500)))]
    down, right = np.gradient(blurred(pha, side / 40)[0])
    y, x = root.astype(int).T
    heading = np.arctan2(-down[y, x], -right[y, x]) + rng.normal(0, rng.uniform(0.2, 0.8), len(root))
    return _strands(rng, root, heading + rng.normal(0, 0.5), side * 10 ** rng.uniform(-1.9, -0.9), side)


def _strands(
    rng: Generator, root: NDArray[np.float64], heading: NDArray[np.float64], length: float, side: int
) -> Plane:
    """Strands that begin at `root` (K, 2), go towards `heading` (K,) radians, curl, get thinner and end."""
    strands, points = len(root), max(12, round(1.5 * length))
    curl = rng.normal(0, rng.uniform(0, 3), (strands, 1)) + rng.normal(0, 1)
    t = np.linspace(0, 1, points)[None]
    turn = heading[:, None] + curl * t
    step = length * rng.uniform(0.4, 1, (strands, 1)) / points
    y = root[:, :1] + np.cumsum(np.sin(turn) * step, 1)
    x = root[:, 1:] + np.cumsum(np.cos(turn) * step, 1)
    weight = step * rng.uniform(0.3, 1.4) * (1.2 - t)
    density = _splat(y, x, weight, side)
    return (1 - np.exp(-density))[None].astype(np.float32)


def _splat(y: NDArray[np.float64], x: NDArray[np.float64], weight: NDArray[np.float64], side: int) -> Plane:
    """Spread weights over the four pixels around each point; (side, side)."""
    fy, fx = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    dy, dx = y - fy, x - fx
    inside = (fy >= 0) & (fx >= 0) & (fy < side - 1) & (fx < side - 1)
    base = (fy * side + fx)[inside]
    w, dy, dx = weight[inside], dy[inside], dx[inside]
    index = np.concatenate([base, base + 1, base + side, base + side + 1])
    parts = np.concatenate([w * (1 - dy) * (1 - dx), w * (1 - dy) * dx, w * dy * (1 - dx), w * dy * dx])
    return np.bincount(index, parts, side * side).reshape(side, side).astype(np.float32)


def _haze(rng: Generator, side: int) -> Plane:
    """Motion blur, smoke, out of focus: a soft cloud that is nowhere opaque."""
    y, x = _grid(side)
    cy, cx = rng.uniform(0.1, 0.9, 2) * side
    size = side * rng.uniform(0.05, 0.3)
    cloud = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2))
    return (cloud * rng.uniform(0.2, 0.9) * noise(rng, side, 4)[0])[None].astype(np.float32)


def _softness(rng: Generator) -> np.float32:
    """Width of an edge in pixels: mostly sharp, sometimes out of focus."""
    return np.float32(1.0 if rng.random() < 0.6 else 10 ** rng.uniform(0, 1))


def _grid(side: int) -> tuple[Plane, Plane]:
    line = np.arange(side, dtype=np.float32)
    return np.broadcast_to(line[:, None], (side, side)), np.broadcast_to(line[None], (side, side))


def _axes(rng: Generator, side: int) -> tuple[Plane, Plane]:
    y, x = _grid(side)
    angle = rng.uniform(0, np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    y, x = y - side / 2, x - side / 2
    return c * x + s * y, c * y - s * x
