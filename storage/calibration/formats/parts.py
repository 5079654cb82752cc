"""What the readers of calibration files share: opening, taking numbers out, naming cameras.

Every refusal names the file, and the camera where there is one. Readers return poses in the unit of their
file; `storage.calibration.formats.files` makes metres of them.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError, ConfigError
from storage.calibration.camera import Camera
from storage.store.root import checked_name

Floats = NDArray[np.float64]
_HUGE = 1e30  # squares of it still fit a float64
HALF = 0.5  # from formats that count pixel centres at half numbers to ours at whole numbers


class Calibration(NamedTuple):
    """What a file holds: cameras by name, and remarks for people, such as who was left out."""

    cameras: dict[str, Camera]
    notes: tuple[str, ...] = ()


def refused(what: str, path: Path, camera: str = "", fix: str = "Export the calibration again.") -> CalibrationError:
    """The error for a fault in a file, ready to be raised."""
    return CalibrationError(what, where=f"camera {camera}, {path}" if camera else str(path), fix=fix)


def file_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        CalibrationError: it is not there, or cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise refused("the calibration is no file", path, fix="Check the path of the calibration.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise refused("there is no calibration file", path, fix="Check the path of the calibration.") from error
    except OSError as error:
        raise refused(f"the calibration cannot be opened ({error.strerror})", path) from error


def file_text(path: Path) -> str:
    """All of a file, as UTF-8.

    Raises:
        CalibrationError: it is not there, cannot be read, or is no text.
    """
    try:
        return file_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused("the calibration is no text", path) from error


def numbers(value: Any, shape: tuple[int, ...], what: str, path: Path, camera: str = "") -> Floats:
    """A float64 array of this shape; -1 leaves a length open.

    Raises:
        CalibrationError: it is no number, not finite, huge, or of another shape.
    """
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(f"{what} is not made of numbers", path, camera) from error
    if array.ndim != len(shape) or any(n not in (-1, m) for n, m in zip(shape, array.shape, strict=True)):
        raise refused(f"{what} has shape {array.shape}, not {shape}", path, camera)
    if not (np.abs(array) < _HUGE).all():  # nan is not below it either
        raise refused(f"{what} holds a value that is not finite, or huge", path, camera)
    return array


def number(value: Any, what: str, path: Path, camera: str = "") -> float:
    """One finite number; see `numbers`."""
    return float(numbers(value, (), what, path, camera))


def pixels(value: Any, what: str, path: Path, camera: str = "") -> int:
    """A side of a picture: a whole number from 1 on, also where it is written as 1080.0.

    Raises:
        CalibrationError: it is something else.
    """
    side = number(value, what, path, camera)
    if side != int(side) or not 1 <= side <= 1_000_000:
        raise refused(f"{what} is {value}, which is no picture size", path, camera)
    return int(side)


def pinhole(fx: float, fy: float, cx: float, cy: float, skew: float = 0.0) -> Floats:
    """(3, 3) camera matrix, pixels."""
    return np.array([[fx, skew, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def distortion(value: Any, path: Path, camera: str) -> Floats:
    """OpenCV's k1, k2, p1, p2, k3 out of 0 to 14 coefficients in OpenCV's order.

    Raises:
        CalibrationError: a coefficient after the fifth is not 0; `Camera` holds no such lens.
    """
    given = numbers(np.ravel(value) if isinstance(value, np.ndarray) else value, (-1,), "distortion", path, camera)
    if np.any(given[5:]):
        raise refused(
            f"the distortion has {given.size} coefficients",
            path,
            camera,
            "Calibrate with the five-coefficient model k1, k2, p1, p2, k3.",
        )
    return np.pad(given[:5], (0, max(0, 5 - given.size)))


def axis_angle(vector: Floats) -> Floats:
    """(3,) rotation axis times angle in radians to a (3, 3) rotation."""
    import cv2

    return np.asarray(cv2.Rodrigues(vector.reshape(3, 1))[0], np.float64)


def built(
    camera: str, path: Path, size: tuple[int, int], K: Floats, dist: Floats, R: Floats, t: Floats
) -> tuple[str, Camera]:
    """A camera with its name, for `collected`.

    Args:
        camera: its name.
        path: the file, for the error.
        size: width and height; 0, 0 where the file does not say.
        K: (3, 3) pixels, centres at whole numbers.
        dist: (5,) OpenCV order.
        R: (3, 3) world to camera.
        t: (3,) world to camera, in the unit of the file.

    Raises:
        CalibrationError: the numbers make no camera.
    """
    try:
        return camera, Camera(camera, *size, K, dist, R, t)
    except CalibrationError as error:
        raise refused(error.what, path, camera, error.fix) from error


def collected(cameras: Iterable[tuple[str, Camera]], path: Path, notes: Sequence[str] = ()) -> Calibration:
    """Cameras by name.

    Raises:
        CalibrationError: there is none, one is there twice, or a name cannot be that of a camera.
    """
    found: dict[str, Camera] = {}
    for name, camera in cameras:
        try:
            checked_name("camera", name)
        except ConfigError as error:
            raise refused(error.what, path, fix=f"{error.fix} Rename it in the file.") from error
        if name in found:
            raise refused("the camera is there twice", path, name, "Keep one of the two.")
        found[name] = camera
    if not found:
        raise refused("the calibration lists no cameras", path)
    return Calibration(found, tuple(notes))


def names_of_pictures(files: Sequence[str], path: Path) -> list[str]:
    """Camera names for formats that only know pictures.

    A camera is called like its picture without the ending (`C01.png`). Where these are alike it is called like
    the folder (`C01/0000.png`).

    Raises:
        CalibrationError: neither tells the cameras apart.
    """
    parts = [PurePosixPath(file.replace("\\", "/")) for file in files]
    stems = [part.stem for part in parts]
    folders = [part.parent.name for part in parts]
    for names in (stems, folders):
        if len(set(names)) == len(names) and all(names):
            return names
    twice = next(name for name in stems if stems.count(name) > 1 or not name)
    raise refused("the camera is there twice", path, twice, "Keep one picture per camera.")
