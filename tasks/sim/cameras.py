"""The ring of calibrated cameras around the stage; they have no distortion.

World z is up. Mitsuba counts pixel corners, not centres, which is half a pixel further, and turns its camera half a
circle about the viewing axis. `mitsuba_sensor` alone deals with both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.calibration.camera import Camera

Array = NDArray[np.float64]

STAGE_RADIUS = 2.625  # metres: the paper's stage has a diameter of 5.25 m (Sec. 5.1)
TARGET_HEIGHT = 1.0


def calibration(cameras: list[Camera]) -> dict[str, Any]:
    """The whole of calibration.json for these cameras."""
    return {
        "units": "m",
        "convention": "opencv, world to camera, pixel centres at integers",
        "world": "z up, origin on the floor at the stage axis",
        "cameras": {camera.id: camera.to_json() for camera in cameras},
    }


def look_at(
    id: str,
    size: tuple[int, int],
    position: Array,
    target: Array,
    focal: float,
    roll: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Camera:
    """A camera at `position` that looks at `target`.

    Args:
        id: name of the camera.
        size: (width, height) in pixels.
        position: (3,) metres.
        target: (3,) metres.
        focal: focal length in pixels.
        roll: turn about the viewing axis in radians.
        shift: principal point relative to the middle of the image, in pixels.
    """
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = math.cos(roll), math.sin(roll)
    R = np.stack([c * right + s * down, c * down - s * right, forward])
    width, height = size
    K = np.array(
        [[focal, 0.0, (width - 1) / 2 + shift[0]], [0.0, focal, (height - 1) / 2 + shift[1]], [0.0, 0.0, 1.0]]
    )
    return Camera(id, width, height, K, np.zeros(5), R, -R @ position)


def ring(count: int, size: tuple[int, int], seed: int = 0) -> list[Camera]:
    """Cameras spread evenly around the stage at three heights, each a little different, as real ones are.

    Args:
        count: how many; names run from C01.
        size: (width, height) in pixels.
        seed: decides roll, focal length, aim and principal point of every camera.
    """
    rng = np.random.default_rng([seed, 11])
    heights = (1.15, 1.75, 0.65)
    cameras = []
    for index in range(count):
        angle = 2 * math.pi * (index + 0.5) / count + rng.normal(0, 0.02)
        z = heights[index % len(heights)] + rng.normal(0, 0.03)
        radius = STAGE_RADIUS - 0.17
        position = np.array([radius * math.cos(angle), radius * math.sin(angle), z])
        target = np.array([*rng.normal(0, 0.02, 2), TARGET_HEIGHT - 0.02 + rng.normal(0, 0.01)])
        focal = 1.04 * size[1] * (1 + rng.normal(0, 0.015))
        shift = (float(rng.normal(0, 0.008)) * -size[0], float(rng.normal(0, 0.006)) * -size[1])
        roll = float(rng.normal(0, 0.015))
        cameras.append(look_at(f"C{index + 1:02d}", size, position, target, focal, roll, shift))
    return cameras


def mitsuba_sensor(camera: Camera, *, spp: int) -> Any:
    """The same camera as a loaded Mitsuba sensor, with a box filter so that neighbours share no samples."""
    import mitsuba as mi

    pose = np.eye(4)
    pose[:3, :3] = camera.R.T @ np.diag([-1.0, -1.0, 1.0])
    pose[:3, 3] = camera.centre()
    # Half a pixel: Mitsuba's middle of the image is width / 2, ours is (width - 1) / 2. Its offsets count the other
    # way round, from the principal point to the middle.
    offset_x = 0.5 - (camera.K[0, 2] + 0.5) / camera.width
    offset_y = 0.5 - (camera.K[1, 2] + 0.5) / camera.height
    return mi.load_dict(
        {
            "type": "perspective",
            "fov_axis": "x",
            "fov": math.degrees(2 * math.atan(camera.width / (2 * camera.K[0, 0]))),
            "principal_point_offset_x": offset_x,
            "principal_point_offset_y": offset_y,
            "near_clip": 0.02,
            "far_clip": 100.0,
            "to_world": mi.ScalarTransform4f(pose.tolist()),
            "film": {
                "type": "hdrfilm",
                "width": camera.width,
                "height": camera.height,
                "pixel_format": "rgba",
                "rfilter": {"type": "box"},
            },
            "sampler": {"type": "multijitter", "sample_count": spp},
        }
    )
