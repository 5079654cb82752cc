"""Rooms to put behind cut-out performers: cluttered, lit and exposed in many ways, and never the stage itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.sim.cameras import look_at
from tasks.sim.hair import Hair, strands
from tasks.sim.render import beauty
from tasks.sim.sensor import lens, to_srgb
from tasks.sim.solid import VERTEX_COLOUR, Cloth, Surface, mesh, rods_surface
from tasks.sim.stage import rgb

Scene = dict[str, Any]


def room(seed: int, index: int, size: tuple[int, int], spp: int) -> Any:
    """One cluttered room.

    Args:
        seed: of the base data.
        index: which room.
        size: (width, height) in pixels.
        spp: samples per pixel.

    Returns:
        (H, W, 3) uint8, sRGB.
    """
    import mitsuba as mi

    rng = np.random.default_rng([seed, 52, index])
    vivid = float(rng.choice([0.06, 0.15, 0.35]))
    wide, deep, high = rng.uniform(4, 8), rng.uniform(4, 8), rng.uniform(2.5, 4)
    scene: Scene = {"type": "scene"}
    scene["shell"] = _box([0, 0, high / 2], [wide / 2, deep / 2, high / 2], 0.0, _matter(rng, 2.0, vivid))
    scene["floor"] = {
        "type": "rectangle",
        "to_world": mi.ScalarTransform4f().translate([0, 0, 0.01]).scale([wide / 2, deep / 2, 1]),
        "bsdf": _matter(rng, 8.0, vivid),
    }
    for k in range(int(rng.integers(8, 26))):
        foot = np.array([rng.uniform(-0.45, 0.45) * wide, rng.uniform(-0.15, 0.48) * deep, 0.0])
        scene |= {f"{name}_{k}": made for name, made in _thing(rng, foot, high, vivid).items()}
    for k in range(int(rng.integers(1, 5))):
        middle = [rng.uniform(-0.4, 0.4) * wide, rng.uniform(-0.4, 0.4) * deep, high - 0.05 - 0.01 * k]
        pose = mi.ScalarTransform4f().translate(middle).rotate([1, 0, 0], 180)
        scene[f"lamp_{k}"] = _lamp(rng, pose.scale([rng.uniform(0.2, 0.7), rng.uniform(0.2, 0.7), 1]))
    position = np.array([rng.normal(0, 0.6), -0.46 * deep, rng.uniform(0.9, 1.8)])
    target = np.array([rng.normal(0, 0.8), 0.3 * deep, rng.uniform(0.6, 1.5)])
    camera = look_at("room", size, position, target, size[1] * rng.uniform(0.7, 1.5), float(rng.normal(0, 0.03)))
    light = lens(beauty(mi.load_dict(scene), camera, spp=spp, seed=index))
    # Exposed like a photograph: the middle of the picture lies at 14 to 35 % of white; in every third, far below.
    level = rng.uniform(0.02, 0.1) if index % 3 == 2 else rng.uniform(0.14, 0.35)
    return np.rint(to_srgb(light * level / max(float(np.median(light)), 1e-3)) * 255).astype(np.uint8)


def _thing(rng: np.random.Generator, foot: Any, high: float, vivid: float) -> Scene:
    """One thing that stands at a foot (3,), as entries of a scene."""
    import mitsuba as mi

    kind = rng.integers(8)
    if kind == 0:
        half = rng.uniform(0.1, 0.5, 3)
        return {"chest": _box([*foot[:2], half[2]], half, rng.uniform(0, 90), _matter(rng, 2.0, vivid))}
    if kind == 1:
        radius = rng.uniform(0.08, 0.4)
        middle = [*foot[:2], rng.uniform(radius, 1.6)]
        return {"ball": {"type": "sphere", "center": middle, "radius": radius, "bsdf": _matter(rng, 6.0, vivid)}}
    if kind == 2:
        bsdf = {"type": "twosided", "bsdf": _matter(rng, 4.0, vivid)}
        top = [*foot[:2], rng.uniform(0.4, high)]
        return {"post": {"type": "cylinder", "p0": foot, "p1": top, "radius": rng.uniform(0.02, 0.2), "bsdf": bsdf}}
    if kind == 3:  # a shelf, a picture or a screen: thin, upright and patterned
        flat = np.array([rng.uniform(0.2, 0.8), 0.02, rng.uniform(0.2, 0.9)])
        middle = [*foot[:2], rng.uniform(0.5, 1.8)]
        return {"board": _box(middle, flat, rng.uniform(-40, 40), _matter(rng, 5.0, vivid))}
    if kind == 4:  # a truss, upright or across
        upright = np.array([0, 0, high])
        level = foot * [1, 1, 0] + [0, 0, rng.uniform(0.8, high - 0.3)]
        ends = (foot, foot + upright) if rng.random() < 0.6 else (level - [3, 0.4, 0], level + [3, -0.4, 0])
        metal = {
            "type": "roughconductor",
            "material": "Al",
            "alpha": 0.3,
            "specular_reflectance": rng.uniform(0.1, 0.9),
        }
        return {"truss": mesh("truss", _truss(*ends, rng.uniform(0.12, 0.3)), metal)}
    if kind == 5:
        matt = {"type": "diffuse", "reflectance": VERTEX_COLOUR}
        return {"curtain": mesh("curtain", _curtain(rng, foot, high, vivid), matt)}
    if kind == 6:  # a lamp on a stand, in view
        middle = [*foot[:2], rng.uniform(0.8, 2.2)]
        post = {
            "type": "cylinder",
            "p0": foot,
            "p1": middle,
            "radius": 0.02,
            "bsdf": {"type": "twosided", "bsdf": _matter(rng, 4.0, vivid)},
        }
        pose = mi.ScalarTransform4f().look_at(origin=middle, target=[*rng.normal(0, 1, 2), 1.2], up=[0, 0, 1])
        return {"stand": post, "light": _lamp(rng, pose.scale([rng.uniform(0.04, 0.3), rng.uniform(0.1, 0.5), 1]))}
    leaves = Hair(
        str(rng.choice(["afro", "straight", "curly"])), _colour(rng, vivid) * [0.6, 1, 0.5], 900, rng.uniform(1, 3)
    )
    radius = rng.uniform(0.1, 0.35)
    middle = foot + [0, 0, rng.uniform(0.4, 1.6)]
    return {"plant": strands(leaves, middle, np.full(3, radius), np.zeros(3), int(rng.integers(1000)))}


def _truss(low: Any, high: Any, side: float) -> Surface:
    """Four chords and the zigzag between them."""
    along = (high - low) / np.linalg.norm(high - low)
    one = np.cross(along, [0.3, 0.9, 0.1])
    one /= np.linalg.norm(one)
    corners = [side / 2 * (x * one + y * np.cross(along, one)) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    steps = np.arange(0, np.linalg.norm(high - low), side)
    rods = [(low + corner, high + corner, 0.02) for corner in corners]
    for k, step in enumerate(steps[:-1]):
        for c in range(4):
            a, b = corners[(c + k) % 4], corners[(c + k + 1) % 4]
            rods.append((low + a + step * along, low + b + (step + side) * along, 0.009))
    return rods_surface(rods, sides=8)


def _curtain(rng: np.random.Generator, foot: Any, high: float, vivid: float) -> Surface:
    """A hanging cloth in folds."""
    wide, folds, turn = rng.uniform(0.5, 2.0), rng.uniform(8, 25), rng.uniform(-0.5, 0.5)
    x, z = np.meshgrid(np.linspace(-wide, wide, 160), np.linspace(0.02, high * rng.uniform(0.6, 0.98), 40))
    phase = folds * x + 0.6 * np.sin(2 * z + x)
    slope = 0.05 * folds * np.cos(phase)
    flat = np.stack([x, 0.05 * np.sin(phase), z], axis=-1).reshape(-1, 3)
    normals = np.stack([slope, -np.ones_like(x), 0 * x], axis=-1).reshape(-1, 3)
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    first = np.arange(39)[:, None] * 160 + np.arange(159)
    faces = np.concatenate(
        [np.stack([first, first + 1, first + 160], -1), np.stack([first + 1, first + 161, first + 160], -1)]
    )
    pattern = str(rng.choice(["plain", "plain", "stripes", "bars", "print"]))
    cloth = Cloth(tuple(_colour(rng, vivid)), tuple(_colour(rng, vivid)), pattern, rng.uniform(0.08, 0.4))
    unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return Surface(flat @ matrix + foot, faces.reshape(-1, 3), unit @ matrix, cloth.at(flat))


def _lamp(rng: np.random.Generator, pose: Any) -> Scene:
    return {
        "type": "rectangle",
        "to_world": pose,
        "emitter": {"type": "area", "radiance": rgb(rng.uniform(6, 16) * tint(rng))},
    }


def _box(centre: Any, half: Any, turn: float, bsdf: Scene) -> Scene:
    import mitsuba as mi

    pose = mi.ScalarTransform4f().translate([float(c) for c in centre]).rotate([0, 0, 1], float(turn))
    return {
        "type": "cube",
        "to_world": pose.scale([float(h) for h in half]),
        "bsdf": {"type": "twosided", "bsdf": bsdf},
    }


def _matter(rng: np.random.Generator, repeats: float, vivid: float) -> Scene:
    """A random material: matt, glossy, metal, checked, panelled or mottled."""
    import mitsuba as mi

    first, second = _colour(rng, vivid), _colour(rng, vivid)
    kind = rng.integers(8)
    if kind <= 2:  # checks, or panels of nearly one grey
        paint = {
            "type": "checkerboard",
            "color0": rgb(first),
            "color1": rgb(first * rng.uniform(0.8, 0.95) if kind == 2 else second),
            "to_uv": mi.ScalarTransform3f().scale([float(rng.integers(1, 5)) * repeats / 2, repeats]),
        }
        return {"type": "diffuse", "reflectance": paint}
    if kind <= 4:
        return {"type": "diffuse", "reflectance": _mottled(rng, first, second)}
    if kind == 5:
        return {"type": "roughplastic", "diffuse_reflectance": rgb(first), "alpha": float(rng.uniform(0.08, 0.3))}
    if kind == 6 and repeats > 2.0:
        return {"type": "roughconductor", "material": str(rng.choice(["Al", "Cu", "Au"])), "alpha": 0.3}
    return {"type": "diffuse", "reflectance": rgb(first)}


def _mottled(rng: np.random.Generator, first: Any, second: Any) -> Scene:
    """Stone, bark, print or wood: noise of several scales, drawn out by chance in one direction."""
    import mitsuba as mi
    from scipy.ndimage import gaussian_filter

    total = np.zeros((128, 128))
    drawn_out = rng.choice([1.0, 1.0, 8.0])
    for scale in (1.0, 3.0, 9.0):
        layer = gaussian_filter(rng.normal(size=total.shape), (scale * drawn_out, scale), mode="wrap")
        total += layer / layer.std() * scale**0.5
    share = 1 / (1 + np.exp(-rng.uniform(0.4, 3.0) * total))[..., None]
    picture = (share * first + (1 - share) * second).astype(np.float32)
    size = float(rng.integers(1, 4))
    return {
        "type": "bitmap",
        "bitmap": mi.Bitmap(picture),
        "raw": True,
        "to_uv": mi.ScalarTransform3f().scale([size, size]),
    }


def _colour(rng: np.random.Generator, vivid: float) -> Any:
    return np.clip(rng.uniform(0.03, 0.8) * tint(rng, vivid), 0, 0.9)


def tint(rng: np.random.Generator, strength: float = 0.12) -> Any:
    """Factors (3,) that colour a light or a material a little."""
    return np.clip(1 + rng.normal(0, strength, 3), 0.2, 1.2)
