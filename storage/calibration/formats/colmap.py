"""COLMAP's sparse models: `cameras` (lenses) and `images` (poses), read as text or binary and written as text.

The file's own traps: quaternions start with w; the centre of the first pixel is (0.5, 0.5); several images may
share a lens; text files hold two lines per image, of which the second may be empty. World to camera, OpenCV axes, no
unit. The layouts are those of COLMAP's documentation of its output format.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from storage.calibration.camera import Camera
from storage.calibration.formats.parts import (
    HALF,
    Calibration,
    Floats,
    built,
    check_plain,
    collected,
    distortion,
    file_bytes,
    file_text,
    names_of_pictures,
    numbers,
    pinhole,
    pixels,
    refused,
)

# name and count of parameters, in the order of the binary's model numbers
_MODELS = (
    ("SIMPLE_PINHOLE", 3),
    ("PINHOLE", 4),
    ("SIMPLE_RADIAL", 4),
    ("RADIAL", 5),
    ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12),
    ("FOV", 5),
    ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5),
    ("THIN_PRISM_FISHEYE", 12),
)
_COUNTS = dict(_MODELS)
_ONE_FOCAL = ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
_KNOWN = (*_ONE_FOCAL, "PINHOLE", "OPENCV", "FULL_OPENCV")


class _Lens(NamedTuple):
    model: str
    size: tuple[int, int]
    params: Floats


class _Image(NamedTuple):
    name: str
    quaternion: Floats
    shift: Floats
    lens: int


_Row = tuple[int, str, Any, Any, Any]
"""Number, model, width, height and parameters of a lens, not checked yet."""


def read_colmap(folder: Path) -> Calibration:
    """Read the folder of a sparse model; the binary files where both kinds exist.

    A camera is named after its image, see `names_of_pictures`.

    Raises:
        CalibrationError: a file is missing, broken or cut off, or `Camera` cannot represent a lens or pose.
    """
    if (folder / "cameras.bin").is_file():
        path, lenses = folder / "images.bin", _lenses(_binary_lenses, folder / "cameras.bin")
        images = list(_binary_images(path))
    else:
        path, lenses = folder / "images.txt", _lenses(_text_lenses, folder / "cameras.txt")
        images = list(_text_images(path))
    names = names_of_pictures([image.name for image in images], path)
    rig = collected([_camera(n, image, lenses, path) for n, image in zip(names, images, strict=True)], path)
    return rig._replace(pictures={name: image.name for name, image in zip(names, images, strict=True)})


def _camera(name: str, image: _Image, lenses: Mapping[int, _Lens], path: Path) -> tuple[str, Camera]:
    if image.lens not in lenses:
        raise refused(f"its lens {image.lens} is not in the cameras file", path, name)
    model, size, params = lenses[image.lens]
    if model not in _KNOWN:
        fix = f"Undistort the pictures, or calibrate with one of {', '.join(_KNOWN)}."
        raise refused(f"the lens model {model} is not supported", path, name, fix)
    one = model in _ONE_FOCAL
    fx, fy, cx, cy = params[[0, 0, 1, 2]] if one else params[:4]
    dist = distortion(params[3:] if one else params[4:], path, name)
    norm = np.linalg.norm(image.quaternion)
    if abs(norm - 1) > 1e-2:
        raise refused(f"the quaternion has length {norm:.3g}, not 1", path, name)
    K = pinhole(fx, fy, cx - HALF, cy - HALF)
    return built(name, path, size, K, dist, _rotation(image.quaternion / norm), image.shift)


def _rotation(quaternion: Floats) -> Floats:
    w, axis = quaternion[0], quaternion[1:]
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return (w * w - axis @ axis) * np.eye(3) + 2 * np.outer(axis, axis) + 2 * w * cross


def _lenses(read: Callable[[Path], Iterable[_Row]], path: Path) -> dict[int, _Lens]:
    lenses: dict[int, _Lens] = {}
    for id, model, width, height, params in read(path):
        if id in lenses:
            raise refused(f"lens {id} is listed twice", path)
        where = f"with lens {id}"
        size = (pixels(width, "width", path, where), pixels(height, "height", path, where))
        lenses[id] = _Lens(model, size, numbers(params, (_COUNTS.get(model, -1),), "the lens", path, where))
    return lenses


def _text_lines(path: Path) -> list[str]:
    return [line.strip() for line in file_text(path).splitlines() if not line.startswith("#")]


def _text_lenses(path: Path) -> Iterator[_Row]:
    for line in filter(None, _text_lines(path)):
        id, model, width, height, *params = [*line.split(), "", "", ""][: max(4, len(line.split()))]
        yield pixels(id, "the number of a lens", path), model, width, height, params


def _text_images(path: Path) -> Iterator[_Image]:
    lines = _text_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    for line, points in zip(lines[::2], [*lines[1::2], ""], strict=False):
        words = line.split(maxsplit=9)
        if len(words) < 10 or len(points.split()) % 3:
            raise refused(f"expected two lines per image at {line[:40]!r}", path)
        pose = numbers(words[1:8], (7,), "the pose", path, words[9])
        yield _Image(words[9], pose[:4], pose[4:], pixels(words[8], "the number of its lens", path, words[9]))


class _Cursor:
    """A binary file, read from front to back."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, file_bytes(path), 0

    def take(self, form: str) -> tuple[int | float, ...]:
        """Return the next little-endian numbers."""
        start = self.at
        self.skip(struct.calcsize(f"<{form}"))
        return struct.unpack_from(f"<{form}", self.data, start)

    def word(self) -> str:
        """Return the next text, up to its closing zero."""
        start, end = self.at, self.data.find(b"\0", self.at)
        self.skip(end + 1 - start if end >= 0 else len(self.data) + 1)
        return self.data[start:end].decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        """Move on by `count` bytes.

        Raises:
            CalibrationError: the file ends before.
        """
        if self.at + count > len(self.data):
            raise refused("the file is cut off", self.path, fix="Copy it again.")
        self.at += count

    def finish(self) -> None:
        """Refuse bytes after the last entry."""
        if self.at != len(self.data):
            raise refused("the file is longer than its header says", self.path)


def _binary_lenses(path: Path) -> Iterator[_Row]:
    file = _Cursor(path)
    for _ in range(int(file.take("Q")[0])):
        id, model, width, height = (int(n) for n in file.take("IiQQ"))
        if not 0 <= model < len(_MODELS):
            raise refused(f"the lens model number {model} is not supported", path, f"with lens {id}")
        name, count = _MODELS[model]
        yield id, name, width, height, file.take(f"{count}d")
    file.finish()


def _binary_images(path: Path) -> Iterator[_Image]:
    file = _Cursor(path)
    for _ in range(int(file.take("Q")[0])):
        _, *pose, lens = file.take("I7dI")
        name = file.word()
        file.skip(24 * int(file.take("Q")[0]))
        values = numbers(pose, (7,), "the pose", path, name)
        yield _Image(name, values[:4], values[4:], int(lens))
    file.finish()


def colmap_files(cameras: Mapping[str, Camera]) -> dict[str, str]:
    """Return the texts of `cameras.txt`, `images.txt` and `points3D.txt`, by file name.

    Every camera has its own lens: the first of PINHOLE, OPENCV and FULL_OPENCV that can represent it. Images are
    called `<camera>.png`, and `points3D.txt` is empty.

    Raises:
        CalibrationError: a camera's picture size is unknown, or its K has a skew.
    """
    lenses = ["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS\n"]
    images = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points (none here)\n"]
    for id, (name, camera) in enumerate(cameras.items(), 1):
        check_plain(camera, "COLMAP")
        lenses.append(_line(id, *_model(camera)))
        images.append(_line(id, *_quaternion(camera.R), *camera.t, id, f"{name}.png") + "\n")
    return {"cameras.txt": "".join(lenses), "images.txt": "".join(images), "points3D.txt": "# none\n"}


def _line(*words: object) -> str:
    return " ".join(repr(float(w)) if isinstance(w, float) else str(w) for w in words) + "\n"


def _model(camera: Camera) -> tuple[str | int | float, ...]:
    k1, k2, p1, p2, k3 = camera.dist.tolist()
    K = camera.K
    size_and_lens = (camera.width, camera.height, K[0, 0], K[1, 1], K[0, 2] + HALF, K[1, 2] + HALF)
    if k3:
        return "FULL_OPENCV", *size_and_lens, k1, k2, p1, p2, k3, 0.0, 0.0, 0.0
    return ("OPENCV", *size_and_lens, k1, k2, p1, p2) if camera.dist.any() else ("PINHOLE", *size_and_lens)


def _quaternion(R: Floats) -> list[float]:
    """Return w, x, y, z of a rotation: the strongest eigenvector of Bar-Itzhack's matrix, exact at every angle."""
    symmetric = R + R.T - np.trace(R) * np.eye(3)
    axis = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    matrix = np.block([[np.array([[np.trace(R)]]), axis[None]], [axis[:, None], symmetric]]) / 3
    q: Floats = np.linalg.eigh(matrix)[1][:, -1]
    return [float(x) for x in (q if q[0] >= 0 else -q)]
