"""Base data: performers cut out by the renderer, and rooms to put behind them.

The paper trains on a large public matting set before it turns to a stage, and keeps four fifths of every batch
from it (Sec. 5.1). This is a small stand-in that can be given away: other people than those of the session, each
lit differently, and cluttered rooms that differ from a stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from storage.calibration.camera import Camera
from tasks.sim.body import shapes
from tasks.sim.cameras import look_at
from tasks.sim.performer import performer
from tasks.sim.render import beauty, matte, use_variant
from tasks.sim.sensor import lens, to_srgb, write_picture
from tasks.sim.stage import rgb

Progress = Callable[[str], None]


def render_base(
    out: Path,
    *,
    foregrounds: int = 40,
    backgrounds: int = 24,
    size: tuple[int, int] = (224, 288),
    spp: int = 24,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Render base data; pictures that exist are skipped.

    Writes foregrounds/NNNN.png (8-bit sRGB with straight alpha) and backgrounds/NNNN.jpg.

    Args:
        out: folder for both.
        foregrounds: how many performers.
        backgrounds: how many rooms.
        size: (width, height) in pixels.
        spp: samples per pixel; alpha gets eight times as many.
        seed: decides everything.
        progress: called with the name of every picture that is written.

    Returns:
        `out`.

    Raises:
        StoreError: the folder cannot be written to.
    """
    tell = progress or (lambda what: None)
    use_variant()
    for index in range(foregrounds):
        path = out / "foregrounds" / f"{index + 1:04d}.png"
        if not path.exists():
            write_picture(path, _cutout(seed, index, size, spp))
            tell(str(path))
    for index in range(backgrounds):
        path = out / "backgrounds" / f"{index + 1:04d}.jpg"
        if not path.exists():
            write_picture(path, _room(seed, index, size, spp))
            tell(str(path))
    return out


def _cutout(seed: int, index: int, size: tuple[int, int], spp: int) -> Any:
    """One performer alone: (H, W, 4) uint8."""
    import mitsuba as mi

    rng = np.random.default_rng([seed, 51, index])
    # Far from the seeds of the session's cast: base data shows nobody whom the stage records.
    person = 100_000 + 1000 * seed + index
    look, frame = performer(person), int(rng.integers(20))
    camera = _portrait(rng, size, look.height)
    lit = mi.load_dict({"type": "scene", **_light(rng), **shapes(look, frame, person)})
    covered = mi.load_dict({"type": "scene", **shapes(look, frame, person)})
    colour = lens(beauty(lit, camera, spp=spp, seed=index, alone=True))
    alpha = lens(matte(covered, camera, spp=8 * spp, seed=index))
    straight = to_srgb(_unmultiply(colour, alpha))
    return np.rint(np.concatenate([straight, alpha[..., None]], axis=-1).clip(0, 1) * 255).astype(np.uint8)


def _unmultiply(colour: Any, alpha: Any) -> Any:
    """Straight colour, carried a few pixels past the performer so that resizing blends no black in."""
    from scipy.ndimage import distance_transform_edt

    straight = colour / np.maximum(alpha, 0.03)[..., None]
    away, (rows, columns) = distance_transform_edt(alpha < 0.1, return_indices=True)
    return np.where(away[..., None] <= 4, straight[rows, columns], 0)


def _portrait(rng: np.random.Generator, size: tuple[int, int], height: float) -> Camera:
    """Whole body two times of three, else from the knees or the waist up."""
    shown = height * float(rng.choice([1.12, 1.12, 0.75, 0.5]))
    target = np.array([0.0, 0.0, height * 1.03 - shown / 2 + rng.normal(0, 0.02)])
    angle, distance = rng.uniform(0, 2 * math.pi), rng.uniform(2.2, 4.5)
    position = np.array([distance * math.cos(angle), distance * math.sin(angle), rng.uniform(0.6, 2.0)])
    focal = size[1] * math.dist(position, target) / shown * rng.uniform(0.9, 1.0)
    return look_at("base", size, position, target, focal, float(rng.normal(0, 0.03)))


def _light(rng: np.random.Generator) -> dict[str, Any]:
    """A few lamps all around and a tinted sky, so that faces are lit from any side and hair from behind."""
    import mitsuba as mi

    made: dict[str, Any] = {"sky": {"type": "constant", "radiance": rgb(rng.uniform(0.05, 0.35) * _tint(rng))}}
    for index in range(int(rng.integers(1, 5))):
        angle, z = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 3.2)
        half = rng.uniform(0.15, 0.6)
        made[f"lamp_{index}"] = {
            "type": "rectangle",
            "to_world": mi.ScalarTransform4f()
            .look_at(origin=[2.5 * math.cos(angle), 2.5 * math.sin(angle), z], target=[0, 0, 1.1], up=[0, 0, 1])
            .scale([half, half, 1]),
            "emitter": {"type": "area", "radiance": rgb(rng.uniform(1.0, 3.5) / half**2 * _tint(rng))},
        }
    return made


def _room(seed: int, index: int, size: tuple[int, int], spp: int) -> Any:
    """One cluttered room: (H, W, 3) uint8."""
    import mitsuba as mi

    rng = np.random.default_rng([seed, 52, index])
    wide, deep, high = rng.uniform(4, 8), rng.uniform(4, 8), rng.uniform(2.5, 4)
    scene: dict[str, Any] = {"type": "scene"}
    scene["shell"] = _box([0, 0, high / 2], [wide / 2, deep / 2, high / 2], 0.0, _matter(rng, 2.0))
    scene["floor"] = {
        "type": "rectangle",
        "to_world": mi.ScalarTransform4f().translate([0, 0, 0.01]).scale([wide / 2, deep / 2, 1]),
        "bsdf": _matter(rng, 8.0),
    }
    for k in range(int(rng.integers(8, 26))):
        foot = [rng.uniform(-0.45, 0.45) * wide, rng.uniform(-0.15, 0.48) * deep, 0.0]
        scene[f"thing_{k}"] = _thing(rng, foot, high)
    for k in range(int(rng.integers(1, 5))):
        scene[f"lamp_{k}"] = {
            "type": "rectangle",
            "to_world": mi.ScalarTransform4f()
            .translate([rng.uniform(-0.4, 0.4) * wide, rng.uniform(-0.4, 0.4) * deep, high - 0.05 - 0.01 * k])
            .rotate([1, 0, 0], 180)
            .scale([rng.uniform(0.2, 0.7), rng.uniform(0.2, 0.7), 1]),
            "emitter": {"type": "area", "radiance": rgb(rng.uniform(6, 16) * _tint(rng))},
        }
    position = np.array([rng.normal(0, 0.6), -0.46 * deep, rng.uniform(0.9, 1.8)])
    target = np.array([rng.normal(0, 0.8), 0.3 * deep, rng.uniform(0.6, 1.5)])
    camera = look_at("room", size, position, target, size[1] * rng.uniform(0.7, 1.5), float(rng.normal(0, 0.03)))
    light = lens(beauty(mi.load_dict(scene), camera, spp=spp, seed=index))
    # Exposed like a photograph: the middle of the picture lies at a fifth to two fifths of white.
    light *= rng.uniform(0.14, 0.35) / max(float(np.median(light)), 1e-3)
    return np.rint(to_srgb(light) * 255).astype(np.uint8)


def _thing(rng: np.random.Generator, foot: list[float], high: float) -> dict[str, Any]:
    kind = rng.integers(4)
    if kind == 0:
        half = rng.uniform(0.1, 0.5, 3)
        return _box([foot[0], foot[1], half[2]], half, rng.uniform(0, 90), _matter(rng, 2.0))
    if kind == 1:
        radius = rng.uniform(0.08, 0.4)
        return {
            "type": "sphere",
            "center": [*foot[:2], rng.uniform(radius, 1.6)],
            "radius": radius,
            "bsdf": _matter(rng, 6.0),
        }
    if kind == 2:
        return {
            "type": "cylinder",
            "p0": foot,
            "p1": [*foot[:2], rng.uniform(0.4, high)],
            "radius": rng.uniform(0.02, 0.2),
            "bsdf": {"type": "twosided", "bsdf": _matter(rng, 4.0)},
        }
    # A shelf, a picture or a screen: thin, upright and patterned.
    flat = np.array([rng.uniform(0.2, 0.8), 0.02, rng.uniform(0.2, 0.9)])
    return _box([foot[0], foot[1], rng.uniform(0.5, 1.8)], flat, rng.uniform(-40, 40), _matter(rng, 5.0))


def _box(centre: Any, half: Any, turn: float, bsdf: dict[str, Any]) -> dict[str, Any]:
    import mitsuba as mi

    pose = mi.ScalarTransform4f().translate([float(c) for c in centre]).rotate([0, 0, 1], float(turn))
    two = bsdf if bsdf["type"] == "twosided" else {"type": "twosided", "bsdf": bsdf}
    return {"type": "cube", "to_world": pose.scale([float(h) for h in half]), "bsdf": two}


def _matter(rng: np.random.Generator, repeats: float) -> dict[str, Any]:
    """A random material: matt, glossy, metal or checked."""
    import mitsuba as mi

    colour = rgb(rng.uniform(0.03, 0.8) * _tint(rng, 0.35))
    kind = rng.integers(5)
    if kind <= 1:
        paint: dict[str, Any] = {
            "type": "checkerboard",
            "color0": colour,
            "color1": rgb(rng.uniform(0.03, 0.8) * _tint(rng, 0.35)),
            "to_uv": mi.ScalarTransform3f().scale([float(rng.integers(1, 5)) * repeats / 2, repeats]),
        }
        return {"type": "diffuse", "reflectance": paint}
    if kind == 2:
        return {"type": "roughplastic", "diffuse_reflectance": colour, "alpha": float(rng.uniform(0.08, 0.3))}
    if kind == 3 and repeats > 2.0:
        return {"type": "roughconductor", "material": str(rng.choice(["Al", "Cu", "Au"])), "alpha": 0.3}
    return {"type": "diffuse", "reflectance": colour}


def _tint(rng: np.random.Generator, strength: float = 0.12) -> Any:
    return np.clip(1 + rng.normal(0, strength, 3), 0.2, 1.2)
