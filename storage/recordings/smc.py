"""SMC, the HDF5 files of DNA-Rendering: all cameras and frames of a take in one file, as JPEG bytes.

The groups `Camera_5mp` and `Camera_12mp` hold `<number>/color/<frame>` with the bytes of a picture. A camera is named
by its number with two digits, as in the same file's `Camera_Parameter`.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.header import Header, check_upright
from storage.pictures.jpeg import check_recorded, jpeg_header, read_jpeg
from storage.recordings.check import Frame, located

SMC_SUFFIX = ".smc"
_GROUPS = ("Camera_5mp", "Camera_12mp")
_NUMBER = re.compile(r"[0-9]{1,15}")
_MOST_BYTES = 2**27  # of a JPEG


@dataclass(frozen=True)
class SmcGroup:
    """A `storage.recordings.recording.Source` inside an SMC file.

    Attributes:
        group: where a camera's pictures lie in it.
    """

    group: str

    def pictures(self, frames: Sequence[Frame], mosaic: bool) -> Iterator[NDArray[Any]]:
        """Decode every frame's JPEG."""
        for frame in frames:
            data = self._bytes(frame)
            with _located(frame.where):
                picture = read_jpeg(data)
            yield picture

    def headers(self, frames: Sequence[Frame]) -> Iterator[tuple[str, Header]]:
        """Yield what every picture says about itself."""
        for frame in frames:
            data = self._bytes(frame)
            with _located(frame.where), located(frame.where):
                header = jpeg_header(data)
                check_upright(header.orientation, frame.where)
                check_recorded(data, frame.where)
            yield frame.where, header

    def _bytes(self, frame: Frame) -> bytes:
        with opened(frame.path, frame.where) as file:
            data = numbers_in(file, f"{self.group}/{frame.number}", _MOST_BYTES)
            if data.dtype != np.uint8:
                raise ValueError(f"the picture is {data.dtype}, not bytes")
        return data.tobytes()


def smc_cameras(path: Path) -> dict[str, tuple[SmcGroup, list[int]]]:
    """All cameras of an SMC file by name, each with its rising frame numbers.

    Raises:
        ImageUnreadable: the file is not HDF5, is damaged, or holds no pictures.
    """
    if not path.is_file():
        return {}
    cameras = {}
    with opened(path, str(path)) as file:
        for group in _GROUPS:
            for number in node(file, group) or ():
                pictures = f"{group}/{number}/color"
                if _NUMBER.fullmatch(number) and (inside := node(file, pictures)) is not None:
                    frames = sorted(int(frame) for frame in inside if _NUMBER.fullmatch(frame))
                    cameras[f"{int(number):02d}"] = SmcGroup(pictures), frames
    if not any(frames for _, frames in cameras.values()):
        raise ImageUnreadable(
            "the SMC file holds no colour pictures", where=str(path), fix="Name the main file, not its annotations."
        )
    return dict(sorted(cameras.items()))


def node(file: Any, key: str) -> Any:
    """A group or dataset that lies in this file; None if it does not exist.

    Raises:
        ValueError: a link leads to it, which may name any other file.
    """
    import h5py

    for part in key.split("/"):
        kind = file.get(part, getclass=True, getlink=True) if isinstance(file, h5py.Group) else None  # type: ignore[attr-defined]
        if kind is None:
            return None
        if kind is not h5py.HardLink:  # type: ignore[attr-defined]
            raise ValueError(f"{part} of {key} is a link")
        file = file[part]
    return file


def numbers_in(file: Any, key: str, most: int) -> NDArray[Any]:
    """The numbers of a dataset that lies in this file.

    Args:
        file: an open HDF5 file.
        key: of the dataset.
        most: bytes that it may have; a few bytes can claim any size.

    Raises:
        KeyError: it does not exist.
        ValueError: it is a link or a group, lies in other files, or is larger.
    """
    import h5py

    if (found := node(file, key)) is None:
        raise KeyError(f"{key} is missing")
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:  # type: ignore[attr-defined]
        raise ValueError(f"{key} does not hold its numbers")
    if found.nbytes > most:
        raise ValueError(f"{key} says that it has {found.nbytes} bytes")
    return np.asarray(found[()])


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
