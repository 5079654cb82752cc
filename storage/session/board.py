"""How well a calibration explains pictures of a checkerboard: the lens of every camera, and the poses of all.

A lens is right if some pose of a flat, even board explains the picture of this camera alone. A pose is right if the
board that the other cameras see together falls where this camera sees it. That board is the flat, even one that best
fits the corners triangulated from their rays, so two cameras cannot agree on a bent one. A wrong pose bends the board
for all, so a camera without which the others agree much better is excluded from it.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CameraMissing
from storage.calibration.camera import Camera
from storage.session.corners import Boards, Corners, find_boards, open_boards

GOOD, POOR = 1.0, 3.0
"""Pixels: an error below the first is good, above the second poor."""
_OUTVOTED = 0.6  # share of the disagreement that may remain, at most, for a camera to be excluded
_Points = NDArray[np.float64]


class CameraCheck(NamedTuple):
    """What the board says about one camera.

    Attributes:
        frames: pictures that were searched.
        found: pictures in which the board was found.
        lens: rms distance in pixels from the corners to the board's best pose for each picture; nan without a board.
        stage: rms distance in pixels from the corners to those that the other cameras see; nan if no other does.
        trusted: whether the camera helps to determine where the corners are.
    """

    frames: int
    found: int
    lens: float
    stage: float
    trusted: bool


class BoardCheck(NamedTuple):
    """What the board says about a calibration.

    Attributes:
        cameras: by name, those that recorded the board.
        side: metres between neighbouring corners by the calibration; nan if no two cameras see them.
    """

    cameras: dict[str, CameraCheck]
    side: float


def check_boards(cameras: Mapping[str, Camera], root: Path, template: str, size: tuple[int, int]) -> BoardCheck:
    """Check a calibration against pictures of a board that stands still, or is filmed by synchronised cameras.

    Args:
        cameras: the calibration, by name.
        root: folder of the recordings.
        template: path below it, a video or pictures with {camera}, see `storage.recordings.recording`.
        size: inner corners per row, and rows.

    Raises:
        CalibrationError: no file fits the path, or no camera shows the board.
        CameraMissing: a camera recorded the board, but is not calibrated.
        CapmatError: a recording cannot be read, see `storage.session.corners`.
    """
    recordings = open_boards(root, template)
    if unknown := [name for name in recordings if name not in cameras]:
        raise CameraMissing(
            f"camera {unknown[0]} recorded a board, but is not calibrated; calibrated are {', '.join(cameras)}",
            where=str(root / template),
            fix="Remove its recording, or calibrate it.",
        )
    seen = find_boards(recordings, cameras, size)
    stage, trusted, side = stage_errors(cameras, seen)
    checks = {
        name: CameraCheck(
            len(recordings[name].frames),
            len(grids),
            lens_error(cameras[name], grids.values()),
            stage.get(name, math.nan),
            name in trusted,
        )
        for name, grids in seen.items()
    }
    return BoardCheck(checks, side)


def lens_error(camera: Camera, grids: Iterable[Corners]) -> float:
    """Rms distance in pixels from corners to the flat board whose pose fits each picture best; nan of no picture."""
    import cv2

    squares: list[_Points] = []
    for grid in grids:
        board, seen = _flat(grid), grid.reshape(-1, 2)
        fits = []
        # A plane has two poses that look alike; only when both are refined, the better one is known.
        for turn, shift in zip(
            *cv2.solvePnPGeneric(board, seen, camera.K, camera.dist, flags=cv2.SOLVEPNP_IPPE)[1:3], strict=True
        ):
            turn, shift = cv2.solvePnPRefineLM(board, seen, camera.K, camera.dist, turn, shift)
            projected = cv2.projectPoints(board, turn, shift, camera.K, camera.dist)[0].reshape(-1, 2)
            fits.append(((projected - seen) ** 2).sum(1))
        squares.append(min(fits, key=np.sum))
    return _rms(squares)


def stage_errors(cameras: Mapping[str, Camera], seen: Boards) -> tuple[dict[str, float], set[str], float]:
    """How far the corners that several cameras see lie apart.

    Args:
        cameras: the calibration, by name.
        seen: corners by camera and frame.

    Returns:
        Rms distance in pixels by camera, for cameras that see the board together with others; the trusted cameras;
        metres between neighbouring corners.
    """
    frames = sorted({frame for grids in seen.values() for frame in grids})
    together = [{name: grids[frame] for name, grids in seen.items() if frame in grids} for frame in frames]
    shared = [_one_order(cameras, grids) for grids in together if len(grids) > 1]
    trusted = _trusted(cameras, shared)
    squares: dict[str, list[_Points]] = {}
    sides: list[float] = []
    for grids in shared:
        judges = trusted & set(grids)
        for name, grid in grids.items():
            # Two cameras can only be compared with the board that they see together.
            others = judges - {name} if len(judges - {name}) > 1 else judges | {name}
            if len(others) > 1:
                board, _ = _board(cameras, {other: grids[other] for other in others})
                squares.setdefault(name, []).append(_apart(cameras[name], board, grid))
        if len(judges) > 1:
            sides.append(_board(cameras, {name: grids[name] for name in judges})[1])
    side = float(np.mean(sides)) if sides else math.nan
    return {name: _rms(of_camera) for name, of_camera in squares.items()}, trusted, side


def _one_order(cameras: Mapping[str, Camera], grids: dict[str, Corners]) -> dict[str, Corners]:
    """The corners in one order for all cameras, the order in which they agree best.

    A board looks the same when it is turned by 180 degrees, and a square one when it is turned by 90.
    """
    chosen: dict[str, Corners] = {}
    for _ in range(2):  # first against those before it, then against all
        for name, grid in grids.items():
            turned_grids = [np.rot90(grid, quarters) for quarters in range(4)]
            turns = [chosen | {name: turned} for turned in turned_grids if turned.shape == grid.shape]
            chosen = min(turns, key=lambda turn: _disagreement(cameras, [turn], turn))
    return chosen


def _trusted(cameras: Mapping[str, Camera], shared: list[dict[str, Corners]]) -> set[str]:
    """All cameras, except those without which the others agree much better."""
    names = {name for grids in shared for name in grids}
    now = _disagreement(cameras, shared, names)
    while len(names) > 2 and now > GOOD:
        rest = {name: _disagreement(cameras, shared, names - {name}) for name in sorted(names)}
        name = min(rest, key=rest.__getitem__)
        if rest[name] > _OUTVOTED * now:
            break
        names, now = names - {name}, rest[name]
    return names


def _disagreement(cameras: Mapping[str, Camera], shared: list[dict[str, Corners]], names: Iterable[str]) -> float:
    """Rms distance in pixels of corners from the board that these cameras see together; 0 where fewer than two do."""
    squares = []
    for grids in shared:
        held = {name: grids[name] for name in names if name in grids}
        if len(held) > 1:
            board, _ = _board(cameras, held)
            squares += [_apart(cameras[name], board, grid) for name, grid in held.items()]
    return _rms(squares) if squares else 0.0


def _board(cameras: Mapping[str, Camera], grids: Mapping[str, Corners]) -> tuple[_Points, float]:
    """(N, 3) metres: the flat board of even squares that fits what cameras see best, and the side of its squares.

    Turn, shift and scale by least squares: Umeyama, Least-squares estimation of transformation parameters between
    two point patterns, 1991, equations 40 to 42.
    """
    points = _triangulated(cameras, grids)
    flat = _flat(next(iter(grids.values())))
    flat -= flat.mean(0)
    middle = points.mean(0)
    left, strength, right = np.linalg.svd((points - middle).T @ flat)
    sense = np.array([1, 1, np.linalg.det(left) * np.linalg.det(right)])
    side = float((strength * sense).sum() / (flat**2).sum())
    return side * flat @ (left * sense @ right).T + middle, side


def _flat(grid: Corners) -> _Points:
    """(N, 3): the corners of a board whose squares have side 1."""
    rows, columns = np.indices(grid.shape[:2])
    return np.stack([columns.ravel(), rows.ravel(), np.zeros(columns.size)], axis=1).astype(np.float64)


def _triangulated(cameras: Mapping[str, Camera], grids: Mapping[str, Corners]) -> _Points:
    """(N, 3) metres: the points whose undistorted projections fit all cameras best (linear least squares)."""
    import cv2

    rows = []
    for name, grid in grids.items():
        camera = cameras[name]
        x, y = cv2.undistortPoints(grid.reshape(-1, 1, 2), camera.K, camera.dist).reshape(-1, 2).T
        view = np.hstack([camera.R, camera.t[:, None]])
        rows += [x[:, None] * view[2] - view[0], y[:, None] * view[2] - view[1]]
    points: _Points = np.linalg.svd(np.stack(rows, axis=1))[2][:, -1]
    depth = points[:, 3:]
    return points[:, :3] / np.where(np.abs(depth) < 1e-12, 1e-12, depth)


def _apart(camera: Camera, points: _Points, grid: Corners) -> _Points:
    """(N,) squared distances in pixels; infinite for points behind the camera."""
    squared = ((camera.project(points) - grid.reshape(-1, 2)) ** 2).sum(1)
    return np.where(np.isnan(squared), np.inf, squared)


def _rms(squares: list[_Points]) -> float:
    return float(np.sqrt(np.mean(np.concatenate(squares)))) if squares else math.nan
