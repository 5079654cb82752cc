"""Where a checkerboard's inner corners lie in pictures.

Boards on a stage are small and seen at a slant. The finders miss squares of a few pixels, and boards in very large
pictures. So every picture is resized to one size for the search, and the corners are scaled back.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError, CapmatError, FrameGap, SizeMismatch
from storage.calibration.camera import Camera
from storage.descriptor import VideoSection
from storage.pictures.colour import Colour
from storage.pictures.header import Header
from storage.recordings.recording import Recording, find_recordings

Corners = NDArray[np.float64]
"""(rows, columns, 2) pixels x, y; rows follow columns clockwise, as seen from the board's front."""
Boards = dict[str, dict[int, Corners]]
"""Corners by camera and frame; only frames in which the board was found."""
FRAMES = 5
"""Frames of a recording that are searched, spread over it."""
_SIDE = 1400  # longer side of the picture in which boards are searched
# Colour does not matter here, so any meaning will do that the video does not contradict.
_MEANINGS = (
    None,
    VideoSection(matrix="bt601", range="limited"),
    VideoSection(matrix="bt709", range="limited"),
    VideoSection(matrix="bt601", range="full"),
    VideoSection(matrix="bt709", range="full"),
)


def open_boards(root: Path, template: str) -> dict[str, Recording]:
    """The recordings of the board by camera, cut down to the frames that are searched, the same for all.

    Raises:
        CalibrationError: no file fits the path.
        FrameGap: the recordings have no frame in common.
        CapmatError: as `storage.recordings.recording.find_recordings`.
    """
    recordings: dict[str, Recording] = {}
    faults: dict[str, CapmatError] = {}
    for meaning in _MEANINGS:
        broken: dict[str, CapmatError] = {}
        recordings = find_recordings(root, template, video=meaning, broken=broken) | recordings
        faults = {name: faults.get(name, error) for name, error in broken.items() if name not in recordings}
        if not faults:
            break
    if faults:
        raise next(iter(faults.values()))
    if not recordings:
        raise CalibrationError("no recording of a board fits", where=str(root / template), fix="Check the path.")
    common = sorted(set.intersection(*(set(recording.frames) for recording in recordings.values())))
    if not common:
        raise FrameGap(
            "the recordings of the board have no frame in common",
            where=str(root / template),
            fix="Number the pictures of all cameras alike.",
        )
    indices = np.unique(np.linspace(0, len(common) - 1, FRAMES).round().astype(int))
    frames = tuple(common[index] for index in indices)
    return {name: recording.select(frames) for name, recording in sorted(recordings.items())}


def find_boards(recordings: Mapping[str, Recording], cameras: Mapping[str, Camera], size: tuple[int, int]) -> Boards:
    """Find the board in every frame of every recording.

    Args:
        recordings: from `open_boards`.
        cameras: calibration by name; its size, if it states one, must be that of the pictures.
        size: inner corners per row, and rows.

    Raises:
        CalibrationError: no picture shows the board.
        SizeMismatch: a picture does not have the size that was calibrated.
        ImageUnreadable: a picture cannot be read.
    """
    seen: Boards = {}
    for name, recording in recordings.items():
        grids = ((frame, _corners(grey, size)) for frame, grey in _greys(recording, cameras[name]))
        seen[name] = {frame: corners for frame, corners in grids if corners is not None}
    if not any(seen.values()):
        name, recording = next(iter(recordings.items()))
        raise CalibrationError(
            f"no board of {size[0]}x{size[1]} inner corners is found in any camera",
            where=f"camera {name}, {recording.file(recording.frames[0])}",
            fix="Count the corners where four squares meet; show the board whole, larger, with a white border.",
        )
    return seen


def _greys(recording: Recording, camera: Camera) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(frame, (H, W) grey of 8 bits)."""
    import cv2

    for where, header in recording.headers():
        if camera.width and (header.width, header.height) != (camera.width, camera.height):
            raise SizeMismatch(
                f"the picture is {header.width}x{header.height}, the calibration {camera.width}x{camera.height}",
                where=where,
                fix="Take pictures of the board at the size that was calibrated.",
            )
    for frame, picture in recording.read(_colour(header)):
        grey: NDArray[Any] = picture.astype(np.float32)
        # The blur removes the pattern of a Bayer mosaic.
        grey = grey.mean(2) if grey.ndim == 3 else cv2.GaussianBlur(grey, (3, 3), 0)
        white = 255.0 if picture.dtype == np.uint8 else max(float(np.percentile(grey, 99)), 1e-6)
        yield frame, np.clip(grey * (255 / white), 0, 255).astype(np.uint8)


def _colour(header: Header) -> Colour:
    """A colour under which the picture can be read; only the contrast of neighbours matters."""
    half = header.dtype == "float16"
    bits = header.bits or (8 if header.dtype == "uint8" else 16)
    return Colour(bits, "linear", header.black or 0, half, header.cfa or ("RGGB" if header.channels == 1 else ""))


def _corners(grey: NDArray[np.uint8], size: tuple[int, int]) -> Corners | None:
    import cv2

    scale = _SIDE / max(grey.shape)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=interpolation)
    whole, points = cv2.findChessboardCornersSB(resized, size, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    if not whole:
        whole, points = cv2.findChessboardCorners(resized, size)
        if not whole:
            return None
        points = _refined(resized, points.reshape(size[1], size[0], 2))
    factor = np.array(grey.shape[::-1]) / resized.shape[::-1]
    return _clockwise((points.reshape(size[1], size[0], 2).astype(np.float64) + 0.5) * factor - 0.5)


def _refined(grey: NDArray[Any], grid: NDArray[Any]) -> NDArray[Any]:
    """Corners to fractions of a pixel, from half a square around each; on small boards less is much worse."""
    import cv2

    nearest = min(float(np.linalg.norm(np.diff(grid, axis=axis), axis=2).min()) for axis in (0, 1))
    around = max(1, int(nearest / 2))
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 40, 1e-3)
    return cv2.cornerSubPix(grey, grid.reshape(-1, 1, 2), (around, around), (-1, -1), until)


def _clockwise(grid: Corners) -> Corners:
    """The grid with its rows reversed if they do not follow the columns clockwise."""
    across, down = grid[0, -1] - grid[0, 0], grid[-1, 0] - grid[0, 0]
    return grid if across[0] * down[1] > across[1] * down[0] else grid[::-1].copy()
