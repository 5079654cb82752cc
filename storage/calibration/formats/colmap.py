"""COLMAP's sparse models, as text or binary: `cameras` (lenses) and `images` (poses).

The file's own traps: quaternions start with w; the centre of the first pixel is (0.5, 0.5); several images may
share a lens; text files hold two lines per image, of which the second may be empty. World to camera, OpenCV axes,
no unit. Layouts are those of COLMAP's documentation of its output format.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from storage.calibration.camera import Camera
from storage.calibration.formats.parts import (
    HALF,
    Calibration,
    Floats,
    built,
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


def read_colmap(folder: Path) -> Calibration:
    """Read the folder of a sparse model; the binary files where there are both kinds.

    A camera is named after its image, see `names_of_pictures`.

    Raises:
        CalibrationError: a file is missing, broken or cut off, a lens model is not one of `Camera`'s, or the
            numbers make no camera.
    """
    if (folder / "cameras.bin").is_file():
        path, lenses = folder / "images.bin", dict(_binary_lenses(folder / "cameras.bin"))
        images = list(_binary_images(path))
    else:
        path, lenses = folder / "images.txt", _text_lenses(folder / "cameras.txt")
        images = list(_text_images(path))
    names = names_of_pictures([image.name for image in images], path)
    return collected([_camera(n, image, lenses, path) for n, image in zip(names, images, strict=True)], path)


def _camera(name: str, image: _Image, lenses: Mapping[int, _Lens], path: Path) -> tuple[str, Camera]:
    if image.lens not in lenses:
        raise refused(f"its lens {image.lens} is not in the cameras file", path, name)
    model, size, params = lenses[image.lens]
    if model not in _KNOWN:
        fix = f"Undistort the pictures, or calibrate with one of {', '.join(_KNOWN)}."
        raise refused(f"the lens model {model} is not supported", path, name, fix)
    one = model in _ONE_FOCAL
    fx, fy, cx, cy = params[[0, 0, 1, 2]] if one else params[:4]
    bent = params[3:] if one else params[4:]
    norm = np.linalg.norm(image.quaternion)
    if abs(norm - 1) > 1e-2:
        raise refused(f"the quaternion has length {norm:.3g}, not 1", path, name)
    K = pinhole(fx, fy, cx - HALF, cy - HALF)
    turn = _rotation(image.quaternion / norm)
    return built(name, path, size, K, distortion(bent, path, name), turn, image.shift)


def _rotation(quaternion: Floats) -> Floats:
    w, axis = quaternion[0], quaternion[1:]
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return (w * w - axis @ axis) * np.eye(3) + 2 * np.outer(axis, axis) + 2 * w * cross


def _text_lines(path: Path) -> list[str]:
    return [line.strip() for line in file_text(path).splitlines() if not line.startswith("#")]


def _text_lenses(path: Path) -> dict[int, _Lens]:
    lenses: dict[int, _Lens] = {}
    for line in filter(None, _text_lines(path)):
        id, model, width, height, *params = [*line.split(), "", "", ""][: max(4, len(line.split()))]
        key = pixels(id, "the number of a lens", path)
        if key in lenses:
            raise refused(f"lens {key} is there twice", path)
        where = f"with lens {key}"
        size = (pixels(width, "width", path, where), pixels(height, "height", path, where))
        lenses[key] = _Lens(model, size, numbers(params, (_COUNTS.get(model, -1),), "the lens", path, where))
    return lenses


def _text_images(path: Path) -> Iterator[_Image]:
    lines = _text_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    for line, points in zip(lines[::2], [*lines[1::2], ""], strict=False):
        words = line.split(maxsplit=9)
        if len(words) < 10 or len(points.split()) % 3:
            raise refused(f"there are not two lines per image at {line[:40]!r}", path)
        pose = numbers(words[1:8], (7,), "the pose", path, words[9])
        yield _Image(words[9], pose[:4], pose[4:], pixels(words[8], "the number of its lens", path, words[9]))


class _Cursor:
    """A binary file, read from front to back."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, file_bytes(path), 0

    def take(self, form: str) -> tuple[int | float, ...]:
        """The next numbers, little-endian."""
        form = f"<{form}"
        if self.at + struct.calcsize(form) > len(self.data):
            raise self.cut_off()
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values

    def word(self) -> str:
        """The next text, up to its closing zero."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise self.cut_off()
        text, self.at = self.data[self.at : end], end + 1
        return text.decode("utf-8", "replace")

    def skip(self, count: int) -> None:
        """Pass over so many bytes."""
        if self.at + count > len(self.data):
            raise self.cut_off()
        self.at += count

    def finish(self) -> None:
        """Refuse what follows after the last entry."""
        if self.at != len(self.data):
            raise refused("the file is longer than it says", self.path)

    def cut_off(self) -> Exception:
        """The error for a file that ends too soon."""
        return refused("the file is cut off", self.path, fix="Copy it again.")


def _binary_lenses(path: Path) -> Iterator[tuple[int, _Lens]]:
    file = _Cursor(path)
    seen = set()
    for _ in range(int(file.take("Q")[0])):
        id, model, width, height = (int(n) for n in file.take("IiQQ"))
        where = f"with lens {id}"
        if not 0 <= model < len(_MODELS):
            raise refused(f"the lens model number {model} is not supported", path, where)
        if id in seen:
            raise refused(f"lens {id} is there twice", path)
        seen.add(id)
        name, count = _MODELS[model]
        size = (pixels(width, "width", path, where), pixels(height, "height", path, where))
        yield id, _Lens(name, size, numbers(file.take(f"{count}d"), (count,), "the lens", path, where))
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
