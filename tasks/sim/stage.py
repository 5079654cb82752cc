"""The empty stage: panelled wall, truss, lamps, camera housings and a polished floor.

Everything that makes Eq. 2 of the paper hard is here on purpose. The floor mirrors the performer and takes
their shadow, the truss and the housings glint, lamps stand in view and clip, and some wall panels are as dark as dark
clothes, so hair and trousers vanish in front of them (paper, Sec. 3).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from storage.calibration.camera import Camera
from tasks.sim.cameras import STAGE_RADIUS
from tasks.sim.solid import VERTEX_COLOUR, Rod, Surface, mesh, rods_surface

Scene = dict[str, Any]

WALL_RADIUS = STAGE_RADIUS + 0.12
WALL_HEIGHT = 3.5
LAMP_COLUMNS = 8
LAMP_HEIGHTS = (0.95, 2.45)
LAMP_RADIANCE = 11.0  # exposes mid grey at about a quarter of white, so every lamp clips


def stage(cameras: list[Camera], seed: int = 0, *, dark: float = 0.36, floor: Scene | None = None) -> Scene:
    """The empty stage as entries of a Mitsuba scene.

    Args:
        cameras: where to put housings.
        seed: decides which panels are dark and how grey the others are.
        dark: share of panels that are dark.
        floor: its material; see `coated`.
    """
    rng = np.random.default_rng([seed, 21])
    metal = {"type": "roughconductor", "material": "Al", "alpha": 0.35, "specular_reflectance": 0.5}
    black = {"type": "roughplastic", "alpha": 0.12, "diffuse_reflectance": rgb([0.03, 0.03, 0.035])}
    return {**_room(rng, dark, floor or coated()), **truss(metal), **lamps(), **housings(cameras, black)}


def lamps() -> Scene:
    """The lamps alone: two rings of bright panels that face the axis.

    All panels are one emitter. Mitsuba orders emitters by where they lie in memory, so with several of them a
    plate and a take would follow different paths even from the same seed.
    """
    vertices, normals = [], []
    for row, z in enumerate(LAMP_HEIGHTS):
        for column in range(LAMP_COLUMNS):
            angle = 2 * math.pi * (column + 0.18 + 0.5 * row) / LAMP_COLUMNS
            middle = np.array([*around(angle, STAGE_RADIUS - 0.06), z])
            inward = np.array([0.0, 0.0, 1.1]) - middle
            inward /= np.linalg.norm(inward)
            right = np.cross(inward, [0.0, 0.0, 1.0])
            right /= np.linalg.norm(right)
            up = np.cross(right, inward)
            for x, y in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
                vertices.append(middle + 0.25 * x * right + 0.36 * y * up)
                normals.append(inward)
    quads = 4 * np.arange(len(vertices) // 4)[:, None]
    faces = np.concatenate([quads + [0, 2, 1], quads + [1, 2, 3]])
    points = np.array(vertices)
    panels = Surface(points, faces, np.array(normals), np.full_like(points, 0.5))
    # One radiance for all: a radiance that varies over a mesh is not sampled, only hit by chance.
    glow = {"type": "area", "radiance": rgb(LAMP_RADIANCE * np.array([1.0, 0.97, 0.92]))}
    return {"lamps": mesh("lamps", panels, {"type": "diffuse"}, emitter=glow)}


def coated(grey: float = 0.17, coat: float = 0.16, rough: tuple[float, float] = (0.06, 0.055)) -> Scene:
    """A coated floor: soft shadows from its diffuse part, the mirrored performer from the coat.

    Args:
        grey: reflectance of the diffuse part.
        coat: share of the light that the coat reflects.
        rough: how far diffuse part and coat spread a mirror image; below 0.1 one sees who stands there.
    """
    tint = np.array([1.0, 0.165 / 0.17, 0.16 / 0.17])
    return {
        "type": "blendbsdf",
        "weight": coat,
        "a": {"type": "roughplastic", "alpha": rough[0], "diffuse_reflectance": rgb(grey * tint)},
        "b": {"type": "roughconductor", "alpha": rough[1], "specular_reflectance": rgb([0.85, 0.85, 0.85])},
    }


def _room(rng: np.random.Generator, dark: float, floor: Scene) -> Scene:
    import mitsuba as mi

    return {
        "wall": wall(rng, dark=dark),
        "ceiling": {
            "type": "disk",
            "to_world": mi.ScalarTransform4f().translate([0, 0, WALL_HEIGHT]).scale(WALL_RADIUS),
            "bsdf": {"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": rgb([0.05, 0.05, 0.055])}},
        },
        "floor": {
            "type": "disk",
            "to_world": mi.ScalarTransform4f().scale(WALL_RADIUS),
            "bsdf": floor,
        },
    }


def wall(rng: np.random.Generator, *, dark: float = 0.36, height: float = WALL_HEIGHT) -> Any:
    """The wall: panels with seams.

    Args:
        rng: decides which panels are dark and how grey the others are.
        dark: share of panels that are.
        height: metres.
    """
    return mesh("wall", _panels(rng, dark, height), {"type": "diffuse", "reflectance": VERTEX_COLOUR})


def _panels(rng: np.random.Generator, dark: float, height: float) -> Surface:
    across, up, seam = 22, 4, 0.035
    vertices, normals, colours = [], [], []
    for row in range(up):
        for column in range(across):
            grey = rng.uniform(0.02, 0.05) if rng.random() < dark else rng.uniform(0.26, 0.42)
            colour = grey * (1 + rng.normal(0, 0.02, 3))
            # A panel is four flat strips of cells in width, so that the wall is round; its seams are darker.
            for u0, u1 in ((0, seam), (seam, 0.35), (0.35, 0.68), (0.68, 1)):
                for v0, v1 in ((0, seam), (seam, 1)):
                    angles = [2 * math.pi * (column + u) / across for u in (u0, u1)]
                    heights = [height * (row + v) / up for v in (v0, v1)]
                    for z, angle in [(z, angle) for z in heights for angle in angles]:
                        x, y = around(angle, 1.0)
                        vertices.append([WALL_RADIUS * x, WALL_RADIUS * y, z])
                        normals.append([-x, -y, 0.0])
                        colours.append(colour * (0.4 if u0 == 0 or v0 == 0 else 1.0))
    quads = 4 * np.arange(len(vertices) // 4)[:, None]
    faces = np.concatenate([quads + [0, 2, 1], quads + [1, 2, 3]])
    return Surface(np.array(vertices), faces, np.array(normals), np.array(colours))


def truss(metal: Scene) -> Scene:
    """The rods that hold everything, made of some BSDF."""
    radius = STAGE_RADIUS
    rods: list[Rod] = []
    for index in range(12):
        for side in (-0.045, 0.045):
            x, y = around(2 * math.pi * index / 12 + side, radius)
            rods.append((np.array([x, y, 0.0]), np.array([x, y, WALL_HEIGHT]), 0.022))
    for z in (0.12, 1.45, 2.05, 2.95):
        for index in range(24):
            a, b = (np.array([*around(2 * math.pi * k / 24, radius), z]) for k in (index, index + 1))
            rods.append((a, b, 0.018))
    return {"truss": mesh("truss", rods_surface(rods), metal)}


def housings(cameras: list[Camera], black: Scene) -> Scene:
    """The cameras themselves, made of some BSDF."""
    rods: list[Rod] = []
    for camera in cameras:
        forward, eye = camera.R[2], camera.centre()
        # The opening of the lens is the camera's own centre, so everything solid stays behind it.
        rods.append((eye - 0.06 * forward, eye - 0.015 * forward, 0.028))
        rods.append((eye - 0.2 * forward, eye - 0.06 * forward, 0.055))
    return {"housings": mesh("housings", rods_surface(rods, sides=8), black)} if rods else {}


def around(angle: float, radius: float) -> tuple[float, float]:
    """A point at an angle about the stage's axis."""
    return radius * math.cos(angle), radius * math.sin(angle)


def rgb(value: Any) -> dict[str, Any]:
    """A colour as Mitsuba reads it."""
    return {"type": "rgb", "value": [float(v) for v in value]}
