"""Pictures of a checkerboard as known cameras see it."""

from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from storage.calibration.camera import Camera

CORNERS = (8, 6)
SIDE = 0.1  # metres of a square
WIDTH, HEIGHT = 800, 600
_FINE = 24  # pixels of the printed board per square


def camera(name: str, around: float, up: float = 40, focal: float = 800) -> Camera:
    """One that looks from 2 m at the board's middle, which is the world's, `around` and `up` in degrees."""
    a, u = np.radians([around, up])
    centre = 2 * np.array([np.cos(a) * np.cos(u), np.sin(a) * np.cos(u), np.sin(u)])
    forward = -centre / np.linalg.norm(centre)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[focal, 0, WIDTH / 2 - 0.5], [0, focal, HEIGHT / 2 - 0.5], [0, 0, 1]])
    return Camera(name, WIDTH, HEIGHT, K, np.zeros(5), R, -R @ centre)


def stage() -> dict[str, Camera]:
    """Three cameras, spread so widely that the finder starts at different ends of the board."""
    return {name: camera(name, around) for name, around in (("C01", 0), ("C02", 110), ("C03", 200))}


def turned(view: Camera, degrees: float) -> Camera:
    """The camera turned about its own upright axis."""
    turn = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    return Camera(view.id, view.width, view.height, view.K, view.dist, turn @ view.R, turn @ view.t)


def picture(view: Camera) -> np.ndarray:
    """(H, W, 3) uint8: the board on the floor, with a white border, before grey."""
    columns, rows = CORNERS[0] + 1, CORNERS[1] + 1
    squares = np.indices((rows + 2, columns + 2)).sum(0) % 2 * 255
    squares[[0, -1]] = squares[:, [0, -1]] = 255
    board = np.kron(squares, np.ones((_FINE, _FINE))).astype(np.uint8)
    # From pixels of the printed board to metres on the floor; the floor's x y as seen from above.
    step = SIDE / _FINE
    x0, y0 = -(columns + 2) / 2 * SIDE + step / 2, (rows + 2) / 2 * SIDE - step / 2
    floor = np.array([[step, 0, x0], [0, -step, y0], [0, 0, 1]])
    see = view.K @ np.stack([view.R[:, 0], view.R[:, 1], view.t], axis=1) @ floor
    # Three times as fine, then averaged, as pixels do.
    fine = np.array([[3, 0, 1], [0, 3, 1], [0, 0, 1.0]]) @ see
    size = (3 * view.width, 3 * view.height)
    big = cv2.warpPerspective(
        board, fine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=110
    )
    grey = cv2.resize(big, (view.width, view.height), interpolation=cv2.INTER_AREA)
    return np.repeat(grey[..., None], 3, axis=2)


def write_boards(folder: Path, cameras: dict[str, Camera]) -> None:
    """A picture per camera: folder/C01.png."""
    for name, view in cameras.items():
        cv2.imwrite(str(folder / f"{name}.png"), picture(view))
