"""A subject that can be rendered exactly: coloured ellipsoids, seen by a ring of cameras.

Nothing is approximated but the pixel (averaged over 3x3 rays), so what a reconstruction misses is its own fault.
"""

import math

import cv2
import numpy as np

from storage.calibration.camera import Camera
from storage.export.scene import Cutout

SOLIDS = (  # centre in metres, half axes in metres, colour
    ((0.0, 0.0, 0.55), (0.22, 0.3, 0.5), (0.2, 0.45, 0.8)),
    ((0.05, 0.1, 1.15), (0.2, 0.18, 0.22), (0.85, 0.6, 0.3)),
)
BOX_CENTRE = (0.0, 0.0, 0.7)
BOX_SIZE = 1.6


def ring(count: int, width: int = 48, height: int = 64) -> list[Camera]:
    """Cameras at 2.4 m around the subject, at two heights; names run from C00."""
    cameras = []
    for index in range(count):
        angle = 2 * math.pi * (index + 0.3) / count
        eye = np.array([2.4 * math.cos(angle), 2.4 * math.sin(angle), (1.0, 1.6)[index % 2]])
        forward = np.array(BOX_CENTRE) - eye
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        K = np.array([[1.3 * height, 0, (width - 1) / 2], [0, 1.3 * height, (height - 1) / 2], [0, 0, 1]])
        cameras.append(Camera(f"C{index:02d}", width, height, K, np.zeros(5), R, -R @ eye))
    return cameras


def cutout(camera: Camera) -> Cutout:
    """What the camera sees, and its true matte."""
    total = np.zeros((4, camera.height, camera.width))
    row, column = np.mgrid[: camera.height, : camera.width]
    for dy in (-1 / 3, 0, 1 / 3):
        for dx in (-1 / 3, 0, 1 / 3):
            y = (row + dy - camera.K[1, 2]) / camera.K[1, 1]
            x = (column + dx - camera.K[0, 2] - camera.K[0, 1] * y) / camera.K[0, 0]
            if camera.dist.any():
                x, y = _unbent(camera, x, y)
            total += _trace(camera.centre(), np.stack([x, y, np.ones_like(x)], -1) @ camera.R)
    alpha = total[3] / 9
    return Cutout(camera, (total[:3] / np.maximum(total[3], 1)).astype(np.float32), alpha.astype(np.float32))


def _unbent(camera: Camera, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV's undoing of the lens; where it finds nothing that leads back to the pixel, a ray past the subject."""
    bent = np.stack([x.ravel(), y.ravel()], 1)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 300, 1e-12)
    plain = cv2.undistortPoints(bent[:, None], np.eye(3), camera.dist, None, None, None, criteria)[:, 0]
    plain = np.where(np.abs(plain) < 2, plain, 9.0)  # nan, too
    back = cv2.projectPoints(np.column_stack([plain, np.ones(len(plain))]), *np.zeros((2, 3)), np.eye(3), camera.dist)
    plain[np.abs(back[0][:, 0] - bent).max(1) > 1e-6] = 9
    return plain[:, 0].reshape(x.shape), plain[:, 1].reshape(x.shape)


def _trace(eye: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """First hit of every ray (H,W,3): (4,H,W) colour with a stripe pattern, and 1 where there is one."""
    nearest = np.full(ways.shape[:2], np.inf)
    seen = np.zeros((4, *ways.shape[:2]))
    for centre, half, colour in SOLIDS:
        o, d = (eye - np.array(centre)) / half, ways / np.array(half)
        a, b, c = (d**2).sum(-1), (d * o).sum(-1), (o**2).sum() - 1
        disc = b * b - a * c
        t = np.where(disc > 0, (-b - np.sqrt(np.maximum(disc, 0))) / a, np.inf)
        height = eye[2] + np.where(np.isfinite(t), t, 0) * ways[..., 2]
        shade = 0.75 + 0.25 * np.sin(12 * height)
        front = t < nearest
        seen = np.where(front, np.stack([*(c * shade for c in colour), np.ones_like(shade)]), seen)
        nearest = np.where(front, t, nearest)
    return seen
