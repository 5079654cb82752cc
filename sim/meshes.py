"""Triangles for Mitsuba: performers with a colour per vertex, and the rods of truss and housings.

All rods of a kind are one mesh, because the vectorised renderer is several times faster on one big mesh than on
a hundred analytic cylinders.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.sim.solid import Array, Surface

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
