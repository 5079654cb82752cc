"""Recordings of one picture file per frame."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from storage.pictures.files import check_source, read_header, read_image, read_mosaic
from storage.pictures.header import Header
from storage.recordings.check import Frame, located


@dataclass(frozen=True)
class PictureFiles:
    """A `storage.recordings.recording.Source` of pictures that say themselves what they are."""

    def pictures(self, frames: Sequence[Frame], mosaic: bool) -> Iterator[NDArray[Any]]:
        """Read every frame's file."""
        read = read_mosaic if mosaic else read_image
        return (read(frame.path) for frame in frames)

    def headers(self, frames: Sequence[Frame]) -> Iterator[tuple[str, Header]]:
        """Yield the header of every file."""
        for frame in frames:
            with located(frame.where):
                header = read_header(frame.path)
                check_source(frame.path)
            yield frame.where, header
