"""One camera's recording as headerless files: one per frame, or a stream of all frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable, SessionError
from storage.descriptor import RawSection
from storage.pictures.colour import Colour
from storage.pictures.header import Header
from storage.recordings.check import checked, manifest_of
from storage.recordings.raw_pixels import (
    FORMATS,
    PACKINGS,
    Packing,
    PixelFormat,
    frame_count,
    frame_length,
    frame_place,
    picture_of,
    pixel_format,
    raw_header,
    rows_of,
    unpack,
)

# Measured over 13,500 scenes of every brightness, contrast and noise: read in the right packing, a picture is never
# more than 1.03 times as rough as in a wrong one.
_CLEARLY, _SLACK = 1.5, 0.02
_ROWS = 256


def other_packing(rows: bytes, width: int, stated: Packing) -> Packing | None:
    """The packing that a picture looks to be in, if it is clearly another than stated.

    Args:
        rows: a packed picture whose rows have no gaps.
        width: pixels per row, even.
        stated: what the session says.
    """
    length = width // 2 * 3
    count = len(rows) // length
    first = max(0, count - _ROWS) // 4 * 2
    band = rows[first * length : (first + min(count // 2 * 2, _ROWS)) * length]
    shape = (len(band) // length, width)
    rough = {packing: _roughness(unpack(band, shape, packing)) for packing in PACKINGS}
    best = min(PACKINGS, key=rough.__getitem__)
    return best if rough[stated] > _CLEARLY * rough[best] + _SLACK else None


def _roughness(mosaic: NDArray[np.uint16]) -> float:
    """1 less the correlation of neighbours of one colour, at the worst of the block's four places; 0..2."""
    alike = []
    for y in (0, 1):
        for x in (0, 1):
            plane = mosaic[y::2, x::2].astype(np.float32)
            alike.append(_correlation(plane[:, 1:], plane[:, :-1]) + _correlation(plane[1:], plane[:-1]))
    return 1 - min(alike) / 2


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.size < 2:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).mean() * (b * b).mean()))
    return float((a * b).mean()) / scale if scale > 0 else 0.0


RAW_SUFFIXES = (".raw", ".bin")


@dataclass(frozen=True)
class RawFiles:
    """A `storage.recordings.recording.Recording` of files that only the session describes.

    Attributes:
        camera: its name.
        places: per frame number, in rising order, the file and the frame's place in it, from 0.
        raw: the files' layout.
        form: its pixel format.
        stream: whether one file holds all frames.
    """

    camera: str
    places: dict[int, tuple[Path, int]]
    raw: RawSection
    form: PixelFormat
    stream: bool

    @property
    def frames(self) -> tuple[int, ...]:
        """The frame numbers, rising."""
        return tuple(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def select(self, frames: tuple[int, ...]) -> "RawFiles":
        """The same recording, cut down to these frame numbers."""
        return RawFiles(self.camera, {n: self.places[n] for n in frames}, self.raw, self.form, self.stream)

    def read(self, colour: Colour) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (frame number, picture) in order; see `storage.recordings.recording.Recording.read`."""
        for number in self.places:
            yield number, checked(picture_of(self._rows(number), self.raw, self.form), colour, self._place(number))

    def headers(self) -> Iterator[tuple[str, Header]]:
        """Yield per file what the session says of it; its size must agree, and its content with the packing."""
        for number in {path: number for number, (path, _) in reversed(self.places.items())}.values():
            path = self.file(number)
            count = frame_count(self.raw, self.form, path.stat().st_size, self._place(number))
            if count > 1 and not self.stream:
                raise ImageUnreadable(
                    f"the file holds {count} frames", where=self._place(number), fix="Correct [raw] height."
                )
            if number in (self.frames[0], self.frames[-1]):
                self._check_packing(number)
            yield self._place(number), raw_header(self.raw, self.form)

    def file(self, frame: int) -> Path:
        """The file that holds `frame`."""
        return self.places[frame][0]

    def manifest(self) -> str:
        """A hash of the files; see `storage.recordings.check.manifest_of`."""
        return manifest_of(list(dict.fromkeys(path for path, _ in self.places.values())), self.frames)

    def _rows(self, number: int) -> bytes:
        path, index = self.places[number]
        wanted = frame_length(self.raw, self.form)
        try:
            with path.open("rb") as file:
                file.seek(frame_place(self.raw, self.form, index))
                data = file.read(wanted)
        except OSError as error:
            raise ImageUnreadable(
                f"the file cannot be read ({error.strerror})", where=self._place(number), fix="Check the path."
            ) from error
        if len(data) != wanted:
            raise ImageUnreadable("the picture is cut off", where=self._place(number), fix="Copy the file again.")
        return rows_of(data, self.raw, self.form)

    def _check_packing(self, number: int) -> None:
        stated = self.form.packing
        if stated and (looks := other_packing(self._rows(number), self.raw.width, stated)):
            names = {other.packing: name for name, other in FORMATS.items() if other.cfa == self.form.cfa}
            raise ImageUnreadable(
                f"the picture looks like {names[looks]}, not {self.raw.pixel_format}",
                where=self._place(number),
                fix="Correct [raw] pixel_format.",
            )

    def _place(self, frame: int) -> str:
        return f"camera {self.camera} frame {frame}, {self.file(frame)}"


def open_raw(camera: str, files: dict[int, Path], stream: bool, raw: RawSection | None, template: str) -> RawFiles:
    """A camera's raw files.

    Args:
        camera: its name.
        files: by frame number; of a stream the one file as 0.
        stream: whether the file holds all frames.
        raw: the session's section.
        template: where the session names the files, for errors.

    Raises:
        SessionError: there is no such section, or one that cannot be.
        ImageUnreadable: a stream's size is not that of whole frames.
    """
    if raw is None:
        raise SessionError(
            "raw files do not say what is in them",
            where=template,
            fix='Add [raw] with width, height and pixel_format, such as "BayerRG12p".',
        )
    form = pixel_format(raw)
    if not stream:
        return RawFiles(camera, {number: (files[number], 0) for number in sorted(files)}, raw, form, stream)
    path = files[0]
    count = frame_count(raw, form, path.stat().st_size, f"camera {camera}, {path}")
    return RawFiles(camera, {number: (path, number) for number in range(count)}, raw, form, stream)
