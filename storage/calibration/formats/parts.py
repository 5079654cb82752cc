"""What readers and writers of calibration files share: opening files, taking numbers out, naming cameras.

Every refusal names the file, and the camera where it concerns one. Readers return poses in the unit of their file;
`storage.calibration.formats.files` converts them to metres.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError, ConfigError
from storage.calibration.camera import Camera
from storage.store.root import checked_name

Floats = NDArray[np.float64]
_HUGE = 1e30  # squares of it still fit a float64
HALF = 0.5  # for formats whose pixel centres lie at half numbers; ours lie at whole numbers


class Calibration(NamedTuple):
    """What a file holds: cameras by name, notes for people, such as which camera was left out, and the pictures.

    `pictures` is for formats that list pictures: the path of each camera's picture, as the file has it.
    """

    cameras: dict[str, Camera]
    notes: tuple[str, ...] = ()
    pictures: Mapping[str, str] = MappingProxyType({})


_MOST_BYTES = 2**30  # COLMAP's also hold points


def refused(what: str, path: Path, camera: str = "", fix: str = "Export the calibration again.") -> CalibrationError:
    """Return the error for a fault in a file, to be raised by the caller."""
    return CalibrationError(what, where=f"camera {camera}, {path}" if camera else str(path), fix=fix)


def file_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        CalibrationError: it is missing, or cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise refused("the calibration is not a file", path, fix="Check the path of the calibration.")
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise refused(f"the calibration has {size} bytes", path)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise refused("the calibration file is missing", path, fix="Check the path of the calibration.") from error
    except OSError as error:
        raise refused(f"the calibration cannot be opened ({error.strerror})", path) from error


def file_text(path: Path) -> str:
    """Return the content of a UTF-8 file.

    Raises:
        CalibrationError: it is missing, cannot be read, or is not text.
    """
    try:
        return file_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused("the calibration is not a text file", path) from error


def parsed_json(text: str, path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        CalibrationError: it is not JSON, or an object of it has a key twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for key in found if sum(key == other for other, _ in pairs) > 1)
            raise refused(f"{twice} is listed twice", path, fix="Keep one of the two.")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except CalibrationError:
        raise
    except (ValueError, RecursionError) as error:
        raise refused(f"the file is not JSON ({error})", path) from error


def numbers(value: Any, shape: tuple[int, ...], what: str, path: Path, camera: str = "") -> Floats:
    """Return a float64 array of this shape; -1 leaves a length open.

    Raises:
        CalibrationError: a value is not a number, not finite or huge, or the shape is another one.
    """
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(f"{what} is not made of numbers", path, camera) from error
    if array.ndim != len(shape) or any(n not in (-1, m) for n, m in zip(shape, array.shape, strict=True)):
        raise refused(f"{what} has shape {array.shape}, not {shape}", path, camera)
    if not (np.abs(array) < _HUGE).all():  # this refuses nan too
        raise refused(f"{what} holds a value that is not finite, or huge", path, camera)
    return array


def number(value: Any, what: str, path: Path, camera: str = "") -> float:
    """Return one finite number; see `numbers`."""
    return float(numbers(value, (), what, path, camera))


def pixels(value: Any, what: str, path: Path, camera: str = "") -> int:
    """Return a side of a picture: a whole number from 1 to a million, also where it is written as 1080.0.

    Raises:
        CalibrationError: it is something else.
    """
    side = number(value, what, path, camera)
    if side != int(side) or not 1 <= side <= 1_000_000:
        raise refused(f"{what} is {value}, not a number of pixels", path, camera)
    return int(side)


def pinhole(fx: float, fy: float, cx: float, cy: float, skew: float = 0.0) -> Floats:
    """Return the (3, 3) camera matrix, in pixels."""
    return np.array([[fx, skew, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def distortion(value: Any, path: Path, camera: str) -> Floats:
    """Return OpenCV's (5,) k1, k2, p1, p2, k3 from 0 to 14 coefficients in OpenCV's order.

    Raises:
        CalibrationError: a coefficient after the fifth is not 0; `Camera` holds no such lens.
    """
    given = numbers(np.ravel(value) if isinstance(value, np.ndarray) else value, (-1,), "distortion", path, camera)
    if np.any(given[5:]):
        fix = "Calibrate with the five-coefficient model k1, k2, p1, p2, k3."
        raise refused(f"the distortion has {given.size} coefficients", path, camera, fix)
    return np.pad(given[:5], (0, max(0, 5 - given.size)))


def axis_angle(vector: Floats) -> Floats:
    """Return the (3, 3) rotation of a (3,) axis times angle in radians."""
    import cv2

    return np.asarray(cv2.Rodrigues(vector.reshape(3, 1))[0], np.float64)


def built(
    camera: str, path: Path, size: tuple[int, int], K: Floats, dist: Floats, R: Floats, t: Floats
) -> tuple[str, Camera]:
    """Return a name and its `Camera`, for `collected`.

    Args:
        camera: its name.
        path: the file, for the error.
        size: width and height; 0, 0 where the file does not say.
        K: (3, 3) pixels, pixel centres at whole numbers.
        dist: (5,) OpenCV order.
        R: (3, 3) world to camera.
        t: (3,) world to camera, in the unit of the file.

    Raises:
        CalibrationError: `Camera` refuses the numbers.
    """
    try:
        return camera, Camera(camera, *size, K, dist, R, t)
    except CalibrationError as error:
        raise refused(error.what, path, camera, error.fix) from error


def collected(cameras: Iterable[tuple[str, Camera]], path: Path, notes: Sequence[str] = ()) -> Calibration:
    """Return the cameras by name, with notes.

    Raises:
        CalibrationError: the list is empty, a name occurs twice, or a name cannot be that of a camera.
    """
    by_name: dict[str, Camera] = {}
    for name, camera in cameras:
        try:
            checked_name("camera", name)
        except ConfigError as error:
            raise refused(error.what, path, fix=f"{error.fix} Rename it in the file.") from error
        if name in by_name:
            raise refused("the camera is listed twice", path, name, "Keep one of the two.")
        by_name[name] = camera
    if not by_name:
        raise refused("the calibration lists no cameras", path)
    return Calibration(by_name, tuple(notes))


def names_of_pictures(files: Sequence[str], path: Path) -> list[str]:
    """Return camera names for formats that only list pictures.

    Where every picture lies in a folder of its own, cameras have the names of the folders (`C01/0000.png`). Otherwise
    a camera has the name of its picture without the ending (`C01.png`).

    Raises:
        CalibrationError: neither is different for every camera.
    """
    parts = [PurePosixPath(file.replace("\\", "/")) for file in files]
    stems = [part.stem for part in parts]
    folders = [part.parent.name for part in parts]
    for names in (folders, stems) if len(files) > 1 else (stems,):
        if len(set(names)) == len(names) and all(names):
            return names
    twice = next(name for name in stems if stems.count(name) > 1 or not name)
    raise refused("the camera is listed twice", path, twice, "Keep one picture per camera.")


def check_plain(camera: Camera, program: str) -> None:
    """Refuse a camera that most programs cannot represent.

    Raises:
        CalibrationError: the picture size is unknown, or K has a skew.
    """
    if not camera.width:
        fix = "Take a calibration that holds sizes, or the camera of an ingested take."
        raise refused(f"the picture size is not known, which {program} needs", Path(program), camera.id, fix)
    if abs(camera.K[0, 1]) > 1e-9 * camera.K[0, 0]:
        fix = "Calibrate without skew."
        raise refused(f"K has a skew, which {program} cannot represent", Path(program), camera.id, fix)
