"""One camera's recording as numbered picture files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from storage.pictures.colour import Colour
from storage.pictures.files import check_source, read_header, read_image, read_mosaic
from storage.pictures.header import Header
from storage.recordings.check import checked, located, manifest_of


@dataclass(frozen=True)
class PictureFiles:
    """A `storage.recordings.recording.Recording` of one file per frame.

    Attributes:
        camera: its name.
        files: picture file per frame number, in rising order.
    """

    camera: str
    files: dict[int, Path]

    @property
    def frames(self) -> tuple[int, ...]:
        """The frame numbers, rising."""
        return tuple(self.files)

    def select(self, frames: tuple[int, ...]) -> "PictureFiles":
        """The same recording, cut down to these frame numbers."""
        return PictureFiles(self.camera, {number: self.files[number] for number in frames})

    def read(self, colour: Colour) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (frame number, picture) in order; see `storage.recordings.recording.Recording.read`."""
        read = read_mosaic if colour.cfa else read_image
        for number, path in self.files.items():
            with located(self._where(number)):
                picture = read(path)
            yield number, checked(picture, colour, self._where(number))

    def headers(self) -> Iterator[tuple[str, Header]]:
        """Yield what every file says about itself, after the camera, frame and file for messages."""
        for number, path in self.files.items():
            with located(self._where(number)):
                header = read_header(path)
                check_source(path)
            yield self._where(number), header

    def file(self, frame: int) -> Path:
        """The file that holds `frame`."""
        return self.files[frame]

    def manifest(self) -> str:
        """A hash of the files; see `storage.recordings.check.manifest_of`."""
        return manifest_of(list(self.files.values()), self.frames)

    def _where(self, frame: int) -> str:
        return f"camera {self.camera} frame {frame}, {self.files[frame]}"
