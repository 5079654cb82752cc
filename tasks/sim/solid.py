"""Bodies as signed distances: round bones, ellipsoids, boxes and skirts that melt into one another, then a mesh.

A distance field is the shortest way to a body whose joints do not show. The nearest part decides the colour of a
vertex, so a stripe or a sleeve needs no texture coordinates. Rods and bodies become Mitsuba shapes here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cloth:
    """Reflectance of a part: two linear RGB colours and how they alternate.

    Attributes:
        colour: linear RGB reflectance 0..1.
        second: the other colour of the pattern.
        pattern: "plain", "stripes" (rings by height), "bars" (upright), "checks", "dots" or "print" (winding spots).
        pitch: period of the pattern in metres.
    """

    colour: tuple[float, float, float]
    second: tuple[float, float, float] = (0.5, 0.5, 0.5)
    pattern: str = "plain"
    pitch: float = 0.08

    def at(self, points: Array) -> Array:
        """Reflectance (N, 3) at points (N, 3)."""
        if self.pattern == "plain":
            on = np.zeros(len(points), bool)
        elif self.pattern == "stripes":
            on = (points[:, 2] / self.pitch) % 1 < 0.5
        elif self.pattern == "checks":
            on = (np.floor(points / self.pitch).sum(axis=1) % 2) < 1
        elif self.pattern == "bars":
            on = (points[:, :2].sum(axis=1) / self.pitch) % 1 < 0.5
        elif self.pattern == "print":
            angle = 2 * np.pi * points / self.pitch
            on = (np.sin(angle) * np.cos(np.roll(angle, 1, axis=1))).sum(axis=1) > 0.3
        else:
            cell = points / self.pitch - np.floor(points / self.pitch) - 0.5
            on = np.linalg.norm(cell, axis=1) < 0.36
        return np.where(on[:, None], self.second, self.colour)


@dataclass(frozen=True)
class Part:
    """One piece of a body.

    Attributes:
        kind: "bone" (from a to b, radius ra to rb), "ellipsoid" (centre a, radii b), "box" (centre a, half sizes b)
            or "skirt" (waist a, hem b, radius ra to rb, pleated).
        a: (3,) metres.
        b: (3,) metres.
        ra: radius at a.
        rb: radius at b.
        cloth: what it is covered with.
        turn: turn about the vertical in radians, for ellipsoids and boxes.
        blend: how far it melts into its neighbours, metres; 0 for a thing that is held.
    """

    kind: str
    a: Array
    b: Array
    cloth: Cloth
    ra: float = 0.0
    rb: float = 0.0
    turn: float = 0.0
    blend: float = 0.025

    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner of a box that holds the part."""
        if self.kind in ("bone", "skirt"):
            reach = max(self.ra, self.rb) * 1.15
            return np.minimum(self.a, self.b) - reach, np.maximum(self.a, self.b) + reach
        reach = float(np.linalg.norm(self.b)) if self.kind == "box" else float(self.b.max())
        return self.a - reach, self.a + reach

    def distance(self, p: Array) -> Array:
        """Signed distance in metres from points (..., 3); negative inside. Exact only near the surface."""
        if self.kind == "bone":
            along = self.b - self.a
            h = np.clip((p - self.a) @ along / max(float(along @ along), 1e-9), 0, 1)
            return np.linalg.norm(p - self.a - h[..., None] * along, axis=-1) - (self.ra + (self.rb - self.ra) * h)
        if self.kind == "skirt":
            return self._skirt(p)
        c, s = np.cos(self.turn), np.sin(self.turn)
        q = p - self.a
        q = np.stack([c * q[..., 0] + s * q[..., 1], -s * q[..., 0] + c * q[..., 1], q[..., 2]], axis=-1)
        if self.kind == "box":
            d = np.abs(q) - self.b
            return np.linalg.norm(np.maximum(d, 0), axis=-1) + np.minimum(d.max(axis=-1), 0)
        k0 = np.linalg.norm(q / self.b, axis=-1)
        k1 = np.linalg.norm(q / self.b**2, axis=-1)
        return k0 * (k0 - 1) / np.maximum(k1, 1e-6)

    def _skirt(self, p: Array) -> Array:
        axis = self.b - self.a
        h = (p - self.a) @ axis / float(axis @ axis)
        q = p - self.a - h[..., None] * axis
        rho = np.hypot(q[..., 0], q[..., 1])
        pleats = 1 + 0.07 * np.clip(h, 0, 1) * np.cos(9 * np.arctan2(q[..., 1], q[..., 0]))
        wall = rho - (self.ra + (self.rb - self.ra) * np.sqrt(np.clip(h, 0, 1))) * pleats
        ends = (np.abs(h - 0.5) - 0.5) * float(np.linalg.norm(axis))
        return np.maximum(wall * 0.8, ends)


@dataclass(frozen=True)
class Surface:
    """A triangle mesh with a colour per vertex.

    Attributes:
        vertices: (N, 3) metres.
        faces: (M, 3) indices, counter-clockwise from outside.
        normals: (N, 3) outward unit vectors.
        colours: (N, 3) linear RGB reflectance.
    """

    vertices: Array
    faces: NDArray[np.int64]
    normals: Array
    colours: Array = field(repr=False)


def surface(parts: list[Part], *, voxel: float = 0.013) -> Surface:
    """The skin around parts, melted together where they touch.

    Args:
        parts: at least one.
        voxel: grid step in metres; details below about two steps are lost.
    """
    from skimage.measure import marching_cubes

    corners = [part.bounds() for part in parts]
    margin = 4 * voxel
    low = np.min([c[0] for c in corners], axis=0) - margin
    high = np.max([c[1] for c in corners], axis=0) + margin
    counts = np.ceil((high - low) / voxel).astype(int) + 1
    grid = np.full(counts, 1.0)
    for part, (a, b) in zip(parts, corners, strict=True):
        # Only the part's neighbourhood is visited: elsewhere its distance could not win.
        reach = 0.06
        first = np.maximum(((a - reach - low) / voxel).astype(int), 0)
        last = np.minimum(((b + reach - low) / voxel).astype(int) + 2, counts)
        window = tuple(slice(int(i), int(j)) for i, j in zip(first, last, strict=True))
        axes = [low[k] + voxel * np.arange(first[k], last[k]) for k in range(3)]
        inside = part.distance(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
        grid[window] = _melt(grid[window], inside, part.blend)
    vertices, faces, normals, _ = marching_cubes(grid, 0.0, spacing=(voxel,) * 3, gradient_direction="ascent")
    vertices = vertices.astype(np.float64) + low
    return Surface(vertices, faces[:, ::-1].astype(np.int64), -normals.astype(np.float64), _paint(parts, vertices))


def _melt(one: Array, two: Array, width: float) -> Array:
    if width <= 0:
        return np.minimum(one, two)
    h = np.maximum(width - np.abs(one - two), 0) / width
    return np.minimum(one, two) - h * h * width / 4


def _paint(parts: list[Part], vertices: Array) -> Array:
    nearest = np.full(len(vertices), np.inf)
    colours = np.zeros((len(vertices), 3))
    for part in parts:
        d = part.distance(vertices)
        closer = d < nearest
        nearest[closer] = d[closer]
        colours[closer] = part.cloth.at(vertices[closer])
    return colours


VERTEX_COLOUR = {"type": "mesh_attribute", "name": "vertex_color"}  # a texture for any BSDF of `mesh`

Rod = tuple[Array, Array, float]  # from, to, radius, in metres


def rods_surface(rods: list[Rod], sides: int = 14) -> Surface:
    """Closed round rods as one surface.

    Args:
        rods: start (3,), end (3,) and radius of each, in metres.
        sides: corners of the cross-section.
    """
    vertices, normals, faces = [], [], []
    turn = 2 * np.pi * np.arange(sides) / sides
    start = 0
    for a, b, radius in rods:
        along = (b - a) / np.linalg.norm(b - a)
        across = np.cross(along, [1.0, 0.0, 0.0] if abs(along[0]) < 0.8 else [0.0, 1.0, 0.0])
        across /= np.linalg.norm(across)
        out = np.cos(turn)[:, None] * across + np.sin(turn)[:, None] * np.cross(along, across)
        i, j = np.arange(sides), (np.arange(sides) + 1) % sides
        # Side wall with round normals, then both lids with their own vertices and flat normals.
        vertices += [a + radius * out, b + radius * out, a + radius * out, b + radius * out]
        normals += [out, out, np.tile(-along, (sides, 1)), np.tile(along, (sides, 1))]
        wall = np.concatenate([np.stack([i, j, sides + i], 1), np.stack([j, sides + j, sides + i], 1)])
        fan = np.arange(1, sides - 1)
        low = 2 * sides + np.stack([np.zeros_like(fan), fan + 1, fan], 1)
        high = 3 * sides + np.stack([np.zeros_like(fan), fan, fan + 1], 1)
        faces.append(start + np.concatenate([wall, low, high]))
        start += 4 * sides
    points = np.concatenate(vertices)
    return Surface(points, np.concatenate(faces), np.concatenate(normals), np.full_like(points, 0.5))


def mesh(name: str, skin: Surface, bsdf: dict[str, Any], emitter: dict[str, Any] | None = None) -> Any:
    """A surface as a Mitsuba shape.

    Args:
        name: shown in Mitsuba's messages.
        skin: the triangles.
        bsdf: what it is made of; may read the mesh attribute "vertex_color".
        emitter: how it shines, if it does, to the side of its normals.
    """
    import mitsuba as mi

    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict({"type": "twosided", "bsdf": bsdf})
    if emitter:
        properties["emitter"] = mi.load_dict(emitter)
    shape = mi.Mesh(name, len(skin.vertices), len(skin.faces), has_vertex_normals=True, props=properties)
    shape.add_attribute("vertex_color", 3, [0.0] * (3 * len(skin.vertices)))
    values = mi.traverse(shape)
    values["vertex_positions"] = skin.vertices.astype(np.float32).ravel()
    values["vertex_normals"] = skin.normals.astype(np.float32).ravel()
    values["faces"] = skin.faces.astype(np.uint32).ravel()
    values["vertex_color"] = skin.colours.astype(np.float32).ravel()
    values.update()
    return shape
