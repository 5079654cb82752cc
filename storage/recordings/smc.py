"""SMC, the HDF5 files of DNA-Rendering: all cameras and frames of a take in one file, as JPEG bytes.

The groups `Camera_5mp` and `Camera_12mp` hold `<number>/color/<frame>` with the bytes of a picture. A camera is named
by its number with two digits, as in the same file's `Camera_Parameter`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.colour import Colour
from storage.pictures.header import Header
from storage.pictures.jpeg import check_recorded, jpeg_header, read_jpeg
from storage.recordings.check import checked, manifest_of

SMC_SUFFIX = ".smc"
_GROUPS = ("Camera_5mp", "Camera_12mp")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class SmcCamera:
    """A `storage.recordings.recording.Recording` inside an SMC file.

    Attributes:
        camera: its name.
        path: the file.
        group: where the camera's pictures lie in it.
        frames: the frame numbers, rising.
    """

    camera: str
    path: Path
    group: str
    frames: tuple[int, ...]

    def select(self, frames: tuple[int, ...]) -> "SmcCamera":
        """The same recording, cut down to these frame numbers."""
        return SmcCamera(self.camera, self.path, self.group, frames)

    def read(self, colour: Colour) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (frame number, picture) in order; see `storage.recordings.recording.Recording.read`."""
        for number, data in self._pictures():
            with _located(where := self._where(number)):
                picture = read_jpeg(data)
            yield number, checked(picture, colour, where)

    def headers(self) -> Iterator[tuple[str, Header]]:
        """Yield what every picture says about itself, after the camera, frame and file for messages."""
        for number, data in self._pictures():
            with _located(where := self._where(number)):
                header = jpeg_header(data)
                check_recorded(data, where)
            yield where, header

    def file(self, frame: int) -> Path:
        """The SMC file."""
        return self.path

    def manifest(self) -> str:
        """A hash of the file; see `storage.recordings.check.manifest_of`."""
        return manifest_of([self.path], self.frames)

    def _pictures(self) -> Iterator[tuple[int, bytes]]:
        """The bytes of every picture; the file is closed again before they are yielded."""
        for number in self.frames:
            with opened(self.path, self._where(number)) as file:
                data = np.asarray(file[f"{self.group}/{number}"][()])
                if data.dtype != np.uint8:
                    raise ValueError(f"the picture is {data.dtype}, not bytes")
            yield number, data.tobytes()

    def _where(self, frame: int) -> str:
        return f"camera {self.camera} frame {frame}, {self.path}"


def open_smc(path: Path) -> dict[str, SmcCamera]:
    """All cameras of an SMC file, by name.

    Raises:
        ImageUnreadable: the file is not HDF5, is damaged, or holds no pictures.
    """
    if not path.is_file():
        return {}
    cameras = {}
    with opened(path, str(path)) as file:
        for group in _GROUPS:
            for number in file.get(group, ()):
                pictures = f"{group}/{number}/color"
                if _NUMBER.fullmatch(number) and pictures in file:
                    frames = sorted(int(frame) for frame in file[pictures] if _NUMBER.fullmatch(frame))
                    camera = f"{int(number):02d}"
                    cameras[camera] = SmcCamera(camera, path, pictures, tuple(frames))
    if not any(recorded.frames for recorded in cameras.values()):
        raise ImageUnreadable(
            "the SMC file holds no colour pictures", where=str(path), fix="Name the main file, not its annotations."
        )
    return dict(sorted(cameras.items()))


@contextmanager
def opened(path: Path, where: str) -> Iterator[Any]:
    """The HDF5 file, open for reading.

    Raises:
        ImageUnreadable: the file is not HDF5, is damaged, or lacks what is asked of it.
    """
    import h5py

    with _located(where), h5py.File(path, "r") as file:  # type: ignore[attr-defined]
        yield file


@contextmanager
def _located(where: str) -> Iterator[None]:
    """Name the camera and frame in errors of HDF5 and of the decoder."""
    try:
        yield
    except ImageUnreadable:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ImageUnreadable(
            f"the SMC file is damaged or cut off ({reason})", where=where, fix="Copy it again."
        ) from error
