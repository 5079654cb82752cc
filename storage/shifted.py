"""A recording whose frame numbers are another camera's plus a constant: recorders do not always start together."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from storage.pictures.colour import Colour
from storage.pictures.header import Header
from storage.recordings.recording import Recording


@dataclass(frozen=True)
class Shifted:
    """A `Recording` as the stage counts; messages still name the frame as its file does.

    Attributes:
        own: the recording as the camera counted.
        by: what is added to its frame numbers.
    """

    own: Recording
    by: int

    @property
    def camera(self) -> str:
        """The camera's name."""
        return self.own.camera

    @property
    def frames(self) -> tuple[int, ...]:
        """Frame numbers from 0 on; what was recorded before the stage's first frame is passed over."""
        return tuple(frame + self.by for frame in self.own.frames if frame + self.by >= 0)

    def __len__(self) -> int:
        return len(self.frames)

    def select(self, frames: tuple[int, ...]) -> "Shifted":
        """The same recording, cut down to these frame numbers."""
        return Shifted(self.own.select(tuple(frame - self.by for frame in frames)), self.by)

    def read(self, colour: Colour) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (frame number, picture) in order, see `Recording.read`."""
        inside = self.own.select(tuple(frame - self.by for frame in self.frames))
        for frame, picture in inside.read(colour):
            yield frame + self.by, picture

    def headers(self) -> Iterator[tuple[str, Header]]:
        """What every file says about itself, see `Recording.headers`."""
        return self.own.headers()

    def file(self, frame: int) -> Path:
        """The file that holds `frame`."""
        return self.own.file(frame - self.by)

    def manifest(self) -> str:
        """As the recording's own, and another one for every shift."""
        return sha256(f"{self.own.manifest()} {self.by}".encode()).hexdigest()
