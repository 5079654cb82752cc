"""Rendering: which Mitsuba variant, which buffers, how path noise is removed, and the true alpha.

`llvm_ad_rgb` is used where it works (five times faster) and `scalar_rgb` everywhere else; pictures agree up to
path noise. Noise goes by non-local means, guided by albedo, normal and depth. Everything is linear until
`tasks.sim.sensor`.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.calibration.camera import Camera
from tasks.sim.cameras import mitsuba_sensor

Image = NDArray[np.float32]

CLAMP = 4.0  # times sensor white; brighter lamps only feed fireflies
_RADIUS = 4
_STRENGTH = 0.7
_TINY = 0.02


def clean(passes: Image, features: Image) -> Image:
    """Mean of the passes with path noise averaged away.

    Args:
        passes: (P, H, W, 3) linear pictures of the same view with independent noise.
        features: (H, W, 7) albedo RGB, normal XYZ, depth in metres.

    Returns:
        (H, W, 3) float32, linear.
    """
    passes = _without_fireflies(np.minimum(passes, CLAMP))
    albedo = features[..., :3] + _TINY
    light = passes / albedo
    mean = light.mean(axis=0)
    noise = _box(light.var(axis=0, ddof=1) / len(light), 2) if len(light) > 1 else np.zeros_like(mean)
    guide = np.concatenate(
        [features[..., :3] / 0.06, features[..., 3:6] / 0.12, np.log1p(features[..., 6:7]) / 0.02], axis=-1
    )
    total = np.zeros_like(mean)
    weights = np.zeros(mean.shape[:2] + (1,), np.float32)
    for dy in range(-_RADIUS, _RADIUS + 1):
        for dx in range(-_RADIUS, _RADIUS + 1):
            near, spread, buffers = (_shift(a, dy, dx) for a in (mean, noise, guide))
            both = noise + spread
            apart = ((mean - near) ** 2 - both) / (1e-6 + _STRENGTH**2 * both)
            colour = _box(apart.mean(axis=-1, keepdims=True), 1)
            surface = ((guide - buffers) ** 2).sum(axis=-1, keepdims=True)
            weight = np.exp(-np.maximum(colour, 0) - 0.5 * surface - (dy * dy + dx * dx) / (2 * 3.0**2))
            total += weight * near
            weights += weight
    return (total / weights * albedo).astype(np.float32)


def _without_fireflies(passes: Image) -> Image:
    """Passes in which a pixel that is far above the other passes is set to their median."""
    if len(passes) < 3:
        return passes
    middle = np.median(passes, axis=0)
    wild = passes.mean(axis=-1) > 3 * middle.mean(axis=-1) + 0.05
    return np.where(wild[..., None], middle, passes)


def _shift(image: Image, dy: int, dx: int) -> Image:
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) + dy, 0, height - 1)
    columns = np.clip(np.arange(width) + dx, 0, width - 1)
    return image[rows[:, None], columns[None, :]]


def _box(image: Image, radius: int) -> Image:
    from scipy.ndimage import uniform_filter

    return uniform_filter(image, size=(2 * radius + 1, 2 * radius + 1, 1), mode="nearest")


PASSES = 4  # independent passes: their spread tells the denoiser how noisy each pixel is
_DEPTH = 5  # bounces: enough for floor to truss to clothes, and colour bleed
_PROBE = """
import mitsuba as mi
mi.set_variant("llvm_ad_rgb")
mi.render(mi.load_dict(mi.cornell_box()), spp=1).numpy()
"""


@functools.cache
def use_variant() -> str:
    """Choose the Mitsuba variant once per process; MITSUBA_VARIANT overrides.

    The vectorised variant is tried in a process of its own, because an LLVM that is too old ends the process
    instead of raising. DRJIT_LIBLLVM_PATH names another LLVM than the first found.

    Returns:
        The variant in use.
    """
    import mitsuba as mi

    chosen = os.environ.get("MITSUBA_VARIANT")
    if not chosen:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=False, timeout=120)
        chosen = "llvm_ad_rgb" if probe.returncode == 0 else "scalar_rgb"
        os.environ["MITSUBA_VARIANT"] = chosen
    mi.set_variant(chosen)
    return chosen


def beauty(scene: Any, camera: Camera, *, spp: int, seed: int, alone: bool = False) -> Image:
    """Linear picture of a scene, cleaned of path noise.

    Args:
        scene: a loaded Mitsuba scene.
        camera: where to look from.
        spp: samples per pixel, shared between the passes.
        seed: of the sampler; the same seed gives the same picture.
        alone: hide emitters from view; uncovered pixels are black.

    Returns:
        (H, W, 3) float32, linear, 1 = sensor white; lamps are above 1.
    """
    import mitsuba as mi

    light = mi.load_dict({"type": "path", "max_depth": _DEPTH, "hide_emitters": alone})
    buffers = mi.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal,depth:depth"})

    def layers(integrator: Any, samples: int, number: int) -> Image:
        sensor = mitsuba_sensor(camera, spp=samples)
        made = mi.render(scene, sensor=sensor, integrator=integrator, spp=samples, seed=mi.UInt32(number))
        return np.array(made, np.float32)

    passes = [layers(light, max(1, spp // PASSES), seed * PASSES + k)[..., :3] for k in range(PASSES)]
    return clean(np.stack(passes), features=layers(buffers, min(spp, 16), seed * PASSES)[..., -7:])


def matte(scene: Any, camera: Camera, *, spp: int, seed: int) -> Image:
    """Coverage of everything in a scene: the true alpha.

    Only first hits are traced, so many samples are cheap.

    Args:
        scene: a loaded Mitsuba scene of the performer alone.
        camera: where to look from.
        spp: samples per pixel.
        seed: of the sampler.

    Returns:
        (H, W) float32 0..1.
    """
    import mitsuba as mi

    sensor = mitsuba_sensor(camera, spp=spp)
    depth = mi.load_dict({"type": "depth"})
    layers = mi.render(scene, sensor=sensor, integrator=depth, spp=spp, seed=mi.UInt32(seed))
    return np.clip(np.array(layers, np.float32)[..., -1], 0, 1)
