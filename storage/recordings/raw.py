"""Recordings of headerless files: one per frame, or a stream of all frames.

Only the section [raw] of the session says what lies in them, so the size of every file must agree with it, and the
first and the last picture must look like pictures in the stated packing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable, SessionError
from storage.descriptor import RawSection
from storage.pictures.header import Header
from storage.recordings.check import Frame
from storage.recordings.raw_pixels import FORMATS, PixelFormat, other_packing, packed_bytes, unpack

RAW_SUFFIXES = (".raw", ".bin")
_MOST_FRAMES = 2**22  # an hour at 1000 frames per second


@dataclass(frozen=True)
class Layout:
    """Where the frames lie in a file, and how the numbers of a frame lie in its rows.

    Attributes:
        raw: the session's section.
        form: the pixel format that it names.
    """

    raw: RawSection
    form: PixelFormat

    @property
    def row_length(self) -> int:
        """Bytes of one row without its padding."""
        if self.form.packing:
            return packed_bytes(self.raw.width, self.form.packing)
        return self.raw.width * self.form.channels * (1 if self.form.bits == 8 else 2)

    @property
    def frame_length(self) -> int:
        """Bytes of one frame's rows with their padding, without what stands before and behind the frame."""
        return self.raw.height * (self.raw.row_bytes or self.row_length)

    @property
    def header(self) -> Header:
        """What the section says about every picture."""
        bits, dtype = self.form.bits, "uint8" if self.form.bits == 8 else "uint16"
        packed = bits if bits % 8 else 0
        return Header(self.raw.width, self.raw.height, self.form.channels, dtype, packed, self.form.cfa)

    def count(self, size: int, where: str) -> int:
        """Frames in a file of `size` bytes.

        Raises:
            ImageUnreadable: the size is not that of a whole number of frames, at least one.
        """
        count, rest = divmod(size - self.raw.header_bytes, self._pitch)
        if rest or count < 1:
            raise ImageUnreadable(
                f"the file has {size} bytes; {self.raw.pixel_format} of {self.raw.width}x{self.raw.height} pixels "
                f"makes {self.raw.header_bytes} and {self._pitch} per frame, which leaves {rest}",
                where=where,
                fix="Correct [raw], or copy the file again.",
            )
        if count > _MOST_FRAMES:
            what = f"the file has {size} bytes: {count} frames of {self.raw.width}x{self.raw.height} pixels"
            raise ImageUnreadable(what, where=where, fix="Correct [raw], or copy the file again.")
        return count

    def offset(self, index: int) -> int:
        """Bytes before the rows of a file's `index`-th frame."""
        return self.raw.header_bytes + index * self._pitch + self.raw.frame_header_bytes

    def rows(self, data: bytes) -> bytes:
        """A frame's rows without their padding; `data` has `frame_length` bytes."""
        if not self.raw.row_bytes or self.raw.row_bytes == self.row_length:
            return data
        return np.frombuffer(data, np.uint8).reshape(-1, self.raw.row_bytes)[:, : self.row_length].tobytes()

    def picture(self, rows: bytes) -> NDArray[Any]:
        """(H, W) or (H, W, 3) of a frame's rows without padding, uint8 or uint16."""
        shape = (self.raw.height, self.raw.width, *[3] * (self.form.channels == 3))
        if self.form.packing:
            return unpack(rows, shape, self.form.packing)
        numbers = np.frombuffer(rows, np.uint8 if self.form.bits == 8 else "<u2")
        return numbers.astype(self.header.dtype, copy=False).reshape(shape)

    @property
    def _pitch(self) -> int:
        """Bytes from one frame to the next."""
        return self.raw.frame_header_bytes + self.frame_length + self.raw.trailer_bytes


@dataclass(frozen=True)
class RawFiles:
    """A `storage.recordings.recording.Source` of files that only the session describes.

    Attributes:
        layout: of the files.
        stream: whether one file holds all frames.
    """

    layout: Layout
    stream: bool

    def pictures(self, frames: Sequence[Frame], mosaic: bool) -> Iterator[NDArray[Any]]:
        """Read every frame's rows."""
        return (self.layout.picture(self._rows(frame)) for frame in frames)

    def headers(self, frames: Sequence[Frame]) -> Iterator[tuple[str, Header]]:
        """Yield per file what the session says about it; its size must agree, and its content with the packing."""
        for frame in {frame.path: frame for frame in reversed(frames)}.values():
            count = self.layout.count(frame.path.stat().st_size, frame.where)
            if count > 1 and not self.stream:
                what = f"the file holds {count} frames"
                raise ImageUnreadable(what, where=frame.where, fix="Correct [raw] height.")
            if frame in (frames[0], frames[-1]):
                self._check_packing(frame)
            yield frame.where, self.layout.header

    def _rows(self, frame: Frame) -> bytes:
        try:
            with frame.path.open("rb") as file:
                file.seek(self.layout.offset(frame.number if self.stream else 0))
                data = file.read(self.layout.frame_length)
        except OSError as error:
            raise ImageUnreadable(
                f"the file cannot be read ({error.strerror})", where=frame.where, fix="Check the path."
            ) from error
        if len(data) != self.layout.frame_length:
            raise ImageUnreadable("the picture is cut off", where=frame.where, fix="Copy the file again.")
        return self.layout.rows(data)

    def _check_packing(self, frame: Frame) -> None:
        raw, form = self.layout.raw, self.layout.form
        if form.packing and (looks := other_packing(self._rows(frame), raw.width, form.packing)):
            names = {other.packing: name for name, other in FORMATS.items() if other.cfa == form.cfa}
            raise ImageUnreadable(
                f"the picture looks like {names[looks]}, not {raw.pixel_format}",
                where=frame.where,
                fix="Correct [raw] pixel_format.",
            )


def layout_of(raw: RawSection | None, template: str) -> Layout:
    """The session's section with its pixel format; `template` is where the session names the files, for errors.

    Raises:
        SessionError: the section is missing, its pixel format is not known, rows are shorter than their pixels, or
            packed rows have odd lengths.
    """
    if raw is None:
        raise SessionError(
            "raw files do not say what is in them",
            where=template,
            fix='Add [raw] with width, height and pixel_format, such as "BayerRG12p".',
        )
    form = FORMATS.get(raw.pixel_format)
    if form is None:
        near = [name for name in FORMATS if name[:7].lower() == raw.pixel_format[:7].lower()] or list(FORMATS)
        raise SessionError(
            f"the pixel format {raw.pixel_format!r} is not known", where="[raw]", fix=f"Use one of {', '.join(near)}."
        )
    layout = Layout(raw, form)
    if raw.row_bytes and raw.row_bytes < layout.row_length:
        raise SessionError(
            f"row_bytes is {raw.row_bytes}, a row needs {layout.row_length}", where="[raw]", fix="Correct it."
        )
    if form.packing and raw.width % 2:
        raise SessionError(
            f"packed rows of {raw.width} pixels end inside a group of two",
            where="[raw]",
            fix="Give the sensor's even width.",
        )
    return layout
