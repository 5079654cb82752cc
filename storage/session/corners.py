"""Where a checkerboard's inner corners lie in pictures.

Boards on a stage are small and seen at a slant. They are found in a picture brought to one size, since the finders
miss squares of a few pixels as well as very large pictures, and then placed in the picture as it was recorded.
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
Seen = dict[str, dict[int, Corners]]
"""Corners by camera and frame; only frames in which the board was found."""
FRAMES = 5
"""Frames of a recording that are looked at, spread over it."""
_SIDE = 1400  # longer side of the picture in which boards are looked for
# Colour does not matter here, so a video may mean whatever it does not contradict.
_MEANINGS = (
    None,
    VideoSection(matrix="bt601", range="limited"),
    VideoSection(matrix="bt709", range="limited"),
    VideoSection(matrix="bt601", range="full"),
    VideoSection(matrix="bt709", range="full"),
)


def open_boards(root: Path, template: str) -> dict[str, Recording]:
    """The recordings of the board by camera, cut down to the frames that are looked at, the same for all.

    Raises:
        CalibrationError: nothing fits the path.
        FrameGap: the recordings have no frame in common.
        CapmatError: as `storage.recordings.recording.find_recordings`.
    """
    found: dict[str, Recording] = {}
    faults: dict[str, CapmatError] = {}
    for meaning in _MEANINGS:
        first, faults = faults, {}
        there = find_recordings(root, template, video=meaning, broken=faults)
        found |= {name: recording for name, recording in there.items() if name not in found}
        faults = {name: first.get(name, error) for name, error in faults.items() if name not in found}
        if not faults:
            break
    if faults:
        raise next(iter(faults.values()))
    if not found:
        raise CalibrationError("no recording of a board fits", where=str(root / template), fix="Check the path.")
    common = sorted(set.intersection(*(set(recording.frames) for recording in found.values())))
    if not common:
        raise FrameGap(
            "the recordings of the board have no frame in common",
            where=str(root / template),
            fix="Number the pictures alike in all cameras.",
        )
    places = np.unique(np.linspace(0, len(common) - 1, FRAMES).round().astype(int))
    frames = tuple(common[place] for place in places)
    return {name: recording.select(frames) for name, recording in sorted(found.items())}


def find_boards(recordings: Mapping[str, Recording], cameras: Mapping[str, Camera], size: tuple[int, int]) -> Seen:
    """Find the board in every frame of every recording.

    Args:
        recordings: from `open_boards`.
        cameras: calibration by name; those that know their size must have the pictures'.
        size: inner corners per row, and rows.

    Raises:
        CalibrationError: there is no board in any picture.
        SizeMismatch: a picture has not the size that was calibrated.
        ImageUnreadable: a picture cannot be read.
    """
    seen: Seen = {}
    for name, recording in recordings.items():
        found = ((frame, _corners(grey, size)) for frame, grey in _greys(recording, cameras[name]))
        seen[name] = {frame: corners for frame, corners in found if corners is not None}
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
                f"the picture is {header.width}x{header.height}, calibrated is {camera.width}x{camera.height}",
                where=where,
                fix="Take pictures of the board at the size that was calibrated.",
            )
    for frame, picture in recording.read(_colour(header)):
        grey: NDArray[Any] = picture.astype(np.float32)
        # The blur takes the pattern out of a Bayer mosaic.
        grey = grey.mean(2) if grey.ndim == 3 else cv2.GaussianBlur(grey, (3, 3), 0)
        white = 255.0 if picture.dtype == np.uint8 else max(float(np.percentile(grey, 99)), 1e-6)
        yield frame, np.clip(grey * (255 / white), 0, 255).astype(np.uint8)


def _colour(header: Header) -> Colour:
    """Anything under which the picture may be read: its numbers are only compared with their neighbours."""
    half = header.dtype == "float16"
    bits = header.bits or (8 if header.dtype == "uint8" else 16)
    return Colour(bits, "linear", header.black or 0, half, header.cfa or ("RGGB" if header.channels == 1 else ""))


def _corners(grey: NDArray[np.uint8], size: tuple[int, int]) -> Corners | None:
    import cv2

    scale = _SIDE / max(grey.shape)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    even = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=way)
    found, points = cv2.findChessboardCornersSB(even, size, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    if not found:
        found, points = cv2.findChessboardCorners(even, size)
        if not found:
            return None
        points = _refined(even, points.reshape(size[1], size[0], 2))
    factor = np.array(grey.shape[::-1]) / even.shape[::-1]
    return _clockwise((points.reshape(size[1], size[0], 2).astype(np.float64) + 0.5) * factor - 0.5)


def _refined(grey: NDArray[Any], grid: NDArray[Any]) -> NDArray[Any]:
    """Corners between pixels. Half a square around tells most: on small boards less is several times worse."""
    import cv2

    nearest = min(float(np.linalg.norm(np.diff(grid, axis=axis), axis=2).min()) for axis in (0, 1))
    around = max(1, int(nearest / 2))
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 40, 1e-3)
    return cv2.cornerSubPix(grey, grid.reshape(-1, 1, 2), (around, around), (-1, -1), until)


def _clockwise(grid: Corners) -> Corners:
    """Rows turned over if they run the other way round: a board that is no mirror has one sense."""
    across, down = grid[0, -1] - grid[0, 0], grid[-1, 0] - grid[0, 0]
    return grid if across[0] * down[1] > across[1] * down[0] else grid[::-1].copy()
