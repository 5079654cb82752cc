"""Base data: performers cut out by the renderer, and rooms to put behind them.

The paper trains on a large public matting set before it turns to a stage, and keeps four fifths of every batch
from it (Sec. 5.1). This is a small stand-in that can be given away: other people than those of the session, each
lit differently, and cluttered rooms that differ from a stage.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from storage.calibration.camera import Camera
from tasks.sim.body import shapes, skeleton
from tasks.sim.cameras import look_at, ring
from tasks.sim.performer import Look, guest
from tasks.sim.render import beauty, matte, use_variant
from tasks.sim.rooms import room, tint
from tasks.sim.sensor import eight_bits, lens, to_srgb, write_picture
from tasks.sim.solid import Cloth
from tasks.sim.stage import coated, rgb, stage

Progress = Callable[[str], None]
_PHOTO = 903  # among the pairs; far from those that anybody trains on
RIM = 4  # pixels that are kept around a performer


def render_base(
    out: Path,
    *,
    foregrounds: int = 60,
    backgrounds: int = 40,
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
        size: (width, height) in pixels; a performer is cut out of it with a rim of 4 pixels.
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
            write_picture(path, room(seed, index, size, spp))
            tell(str(path))
    return out


def render_pairs(
    out: Path,
    *,
    count: int = 40,
    size: tuple[int, int] = (224, 288),
    spp: int = 16,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Render people on stages: what no composite has, shadows and mirror images that are right; existing ones stay.

    Writes pairs/NNNN_src.jpg, NNNN_bgr.jpg and NNNN_pha.png. Three people stand on each stage, one after the other.
    Panels, floor, cameras and people differ from those of every session.

    Args:
        out: folder of base data.
        count: how many pairs.
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
    for index in range(count):
        paths = [out / "pairs" / f"{index + 1:04d}_{name}" for name in ("bgr.jpg", "pha.png", "src.jpg")]
        if not paths[-1].exists():
            pictures = (_plate(seed, index // 3, size, spp), *_performed(seed, index, size, spp))
            for path, picture in zip(paths, pictures, strict=True):
                write_picture(path, eight_bits(picture))
            tell(str(paths[-1]))
    return out


def render_photo(
    out: Path, *, size: tuple[int, int] = (1200, 1600), spp: int = 32, seed: int = 0, progress: Progress | None = None
) -> Path:
    """Render a pair at the size of a photograph, to try one picture with: subject.jpg and empty.jpg; existing stay.

    Args:
        out: folder of both.
        size: (width, height) in pixels.
        spp: samples per pixel.
        seed: decides everything.
        progress: called with the name of the picture with the subject.

    Returns:
        `out`.

    Raises:
        StoreError: the folder cannot be written to.
    """
    use_variant()
    if not (out / "subject.jpg").exists():
        pictures = (_plate(seed, _PHOTO // 3, size, spp), _performed(seed, _PHOTO, size, spp, voxel=0.005)[1])
        for name, picture in zip(("empty.jpg", "subject.jpg"), pictures, strict=True):
            write_picture(out / name, eight_bits(picture))
        if progress:
            progress(str(out / "subject.jpg"))
    return out


def _plate_view(seed: int, number: int, size: tuple[int, int]) -> tuple[dict[str, Any], Camera, int]:
    """A stage that no session has, a camera on it, its floor or a head, and the sampler's seed."""
    rng = np.random.default_rng([seed, 53, number])
    sampler = 200_000 + 1000 * seed + number
    rig = ring(12, size, sampler)
    grey, coat, rough = rng.uniform(0.04, 0.35), rng.uniform(0.03, 0.35), rng.uniform(0.03, 0.13)
    floor = coated(grey, coat, (rough, rough))
    eye = rig[int(rng.integers(len(rig)))]
    aim = np.array([*rng.normal(0, 0.05, 2), rng.choice([1.0, 0.35, 1.45], p=[0.5, 0.3, 0.2])])
    focal = float(eye.K[0, 0] * (1.0 if aim[2] == 1.0 else rng.uniform(1.4, 2.2)))
    camera = look_at("pair", size, eye.centre(), aim, focal, float(rng.normal(0, 0.015)))
    return stage(rig, sampler, dark=rng.uniform(0.1, 0.7), floor=floor), camera, sampler


@functools.lru_cache(1)
def _plate(seed: int, number: int, size: tuple[int, int], spp: int) -> Any:
    """One empty stage: (H, W, 3) display-referred 0..1."""
    import mitsuba as mi

    around, camera, sampler = _plate_view(seed, number, size)
    return to_srgb(lens(beauty(mi.load_dict({"type": "scene", **around}), camera, spp=spp, seed=sampler)))


def _performed(seed: int, index: int, size: tuple[int, int], spp: int, voxel: float = 0.013) -> tuple[Any, Any]:
    """Alpha (H, W) and picture (H, W, 3), display-referred 0..1, of a person; paths are the plate's own."""
    import mitsuba as mi

    rng = np.random.default_rng([seed, 54, index])
    around, camera, sampler = _plate_view(seed, index // 3, size)
    person = 300_000 + 1000 * seed + index  # in no session, and no cut-out
    look, frame = guest(person), int(rng.integers(20))
    greys = [Cloth(_grey(rng), _grey(rng), pattern, 0.12) for pattern in ("plain", "checks")]
    if rng.random() < 0.4:  # in the colours of the wall
        look = replace(look, bottom=greys[0], shoes=greys[0], top=greys[int(rng.integers(2))])
    full, covered = (
        mi.load_dict({"type": "scene", **scene, **shapes(look, frame, person, voxel=voxel)}) for scene in (around, {})
    )
    pha = lens(matte(covered, camera, spp=8 * spp, seed=sampler)).clip(0, 1)
    return pha, to_srgb(lens(beauty(full, camera, spp=spp, seed=sampler)))


def _grey(rng: np.random.Generator) -> tuple[float, float, float]:
    grey = float(rng.uniform(0.012, 0.05) if rng.random() < 0.6 else rng.uniform(0.2, 0.42))
    return grey, grey, grey * 1.03


def _cutout(seed: int, index: int, size: tuple[int, int], spp: int) -> Any:
    """One performer alone, as tightly cropped as the rim allows: (H, W, 4) uint8."""
    import mitsuba as mi

    rng = np.random.default_rng([seed, 51, index])
    # Far from the seeds of the session's cast: base data shows nobody whom the stage records.
    person = 100_000 + 1000 * seed + index
    look, frame = guest(person), int(rng.integers(20))
    camera, pixel = _portrait(rng, size, look, skeleton(look, frame))
    bodies = (shapes(look, frame, person, voxel=min(max(pixel, 0.005), 0.008)) for _ in range(2))
    lit, covered = (mi.load_dict({"type": "scene", **lamps, **next(bodies)}) for lamps in (_light(rng), {}))
    colour = lens(beauty(lit, camera, spp=spp, seed=index, alone=True))
    alpha = lens(matte(covered, camera, spp=8 * spp, seed=index))
    straight = to_srgb(_unmultiply(colour, alpha))
    picture = eight_bits(np.concatenate([straight, alpha[..., None]], axis=-1))
    rows, columns = np.nonzero(picture[..., 3])
    top, left = max(rows.min() - RIM, 0), max(columns.min() - RIM, 0)
    return picture[top : rows.max() + RIM + 1, left : columns.max() + RIM + 1]


def _unmultiply(colour: Any, alpha: Any) -> Any:
    """Straight colour, carried a few pixels past the performer so that resizing blends no black in."""
    from scipy.ndimage import distance_transform_edt

    straight = colour / np.maximum(alpha, 0.03)[..., None]
    away, (rows, columns) = distance_transform_edt(alpha < 0.1, return_indices=True)
    return np.where(away[..., None] <= RIM, straight[rows, columns], 0)


def _portrait(
    rng: np.random.Generator, size: tuple[int, int], look: Look, at: dict[str, Any]
) -> tuple[Camera, float]:
    """The whole body, or a part that fills the frame, and how many metres a pixel shows."""
    top = float(at["head"][2]) + 0.09 * look.height
    reach = max(top, *(float(at[f"{side}_palm"][2]) + 0.1 for side in "lr"))
    part = str(rng.choice(["whole", "knees", "waist", "head", "hand"], p=[0.4, 0.12, 0.15, 0.22, 0.11]))
    share = {"whole": 1.12 * reach, "knees": 0.75 * reach, "waist": 0.5 * reach, "head": 0.32 * top, "hand": 0.3}
    shown = share[part]
    middle = {"head": at["head"] - [0, 0, 0.02 * top], "hand": at["r_palm"]}
    target = middle.get(part, np.array([0.0, 0.0, reach * 1.03 - shown / 2 + rng.normal(0, 0.02)]))
    # Faces are seen from the front two times of three, and a hand from its own side of the body.
    front = at["face"] if rng.random() < 0.67 else -at["face"]
    towards = at["r_palm"] - at["pelvis"] if part == "hand" else front
    angle, distance = math.atan2(towards[1], towards[0]) + rng.normal(0, 0.6), rng.uniform(2.2, 4.5)
    position = np.array([distance * math.cos(angle), distance * math.sin(angle), rng.uniform(0.6, 2.0)])
    focal = size[1] * math.dist(position, target) / shown * rng.uniform(0.9, 1.0)
    return look_at("base", size, position, target, focal, float(rng.normal(0, 0.03))), shown / size[1]


def _light(rng: np.random.Generator) -> dict[str, Any]:
    """A few lamps all around and a tinted sky, so that faces are lit from any side and hair from behind."""
    import mitsuba as mi

    made: dict[str, Any] = {"sky": {"type": "constant", "radiance": rgb(rng.uniform(0.05, 0.35) * tint(rng))}}
    for index in range(int(rng.integers(1, 5))):
        angle, z = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 3.2)
        half = rng.uniform(0.15, 0.6)
        made[f"lamp_{index}"] = {
            "type": "rectangle",
            "to_world": mi.ScalarTransform4f()
            .look_at(origin=[2.5 * math.cos(angle), 2.5 * math.sin(angle), z], target=[0, 0, 1.1], up=[0, 0, 1])
            .scale([half, half, 1]),
            "emitter": {"type": "area", "radiance": rgb(rng.uniform(1.0, 3.5) / half**2 * tint(rng))},
        }
    return made
