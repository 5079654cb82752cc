"""Video files, decoded in order.

Seeking in compressed video costs a whole group of pictures and lands wrong in damaged files, and the frame count in
the header is a guess. So frames are counted and read by decoding from the start. Decoders conceal damage by default;
here they report it, and a stream that ends before its container says so is refused. imageio can do neither
(docs/decisions/0008-where-imageio-is-used.md).
"""

import math
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.descriptor import VideoSection
from storage.pictures.header import Header, check_upright
from storage.recordings.check import Frame, located
from storage.recordings.clock import Clock
from storage.recordings.video_colour import colours_of, meaning_of, picture_of

_ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
_REORDERED = 32  # frames that any codec may store in another order than it shows them
_FORMATS = "avi,matroska,mov,mxf"  # FFmpeg's names; the first bytes of the file choose
VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".mxf", ".m4v", ".webm")


@dataclass(frozen=True)
class VideoFile:
    """A `storage.recordings.recording.Source` whose frames count from 0.

    Attributes:
        stated: what the session says about videos that do not say it themselves.
    """

    stated: VideoSection | None

    def clock(self, path: Path) -> Clock:
        """When its frames are shown; they are counted by decoding.

        Raises:
            ImageUnreadable: it cannot be decoded to its end, or does not say what its numbers mean.
        """
        return _counted(path, self.stated, path.stat().st_mtime_ns)[1]

    def pictures(self, frames: Sequence[Frame], mosaic: bool) -> Iterator[NDArray[Any]]:
        """Decode the frames."""
        for _, picture in read_video(frames[0].path, [frame.number for frame in frames], self.stated):
            yield picture

    def headers(self, frames: Sequence[Frame]) -> Iterator[tuple[str, Header]]:
        """Yield what the stream says about itself."""
        for frame in frames[:1]:
            with located(frame.where):
                header, _ = _counted(frame.path, self.stated, frame.path.stat().st_mtime_ns)
            yield frame.where, header


def read_video_header(path: Path, stated: VideoSection | None = None) -> tuple[Header, Clock]:
    """Picture size and type, and the times of the frames that can really be decoded.

    Args:
        path: the file.
        stated: what its numbers mean, where it does not say so itself.

    Raises:
        ImageUnreadable: the file is not a video, is damaged, holds no frame, or does not say what its numbers mean.
    """
    shown, header, flags = list[int | None](), None, ()
    for frame in _decoded(path):
        before, flags = flags, _flags(frame)
        if flags != before:
            first, header = header, _header(frame, stated, str(path))
            if first not in (None, header):
                raise ImageUnreadable(
                    f"frame {len(shown)} says another size or other colours than the frames before it",
                    where=str(path),
                    fix="Export it again as one video, or split it there.",
                )
        shown.append(frame.pts)
    if header is None:
        raise ImageUnreadable("the video holds no frame", where=str(path), fix="Copy or export it again.")
    return header, _spoken(path, shown)


def read_video(
    path: Path, frames: Sequence[int], stated: VideoSection | None = None
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (frame number, picture) for the wanted numbers, counted from 0, in rising order.

    Pictures are (H, W, 3) RGB, or (H, W) of a grey stream; uint8, or uint16 with the signal in the low bits for more
    than 8 bits.

    Raises:
        ImageUnreadable: the video is damaged or ends before a wanted frame.
    """
    wanted = iter(sorted(frames))
    goal = next(wanted, None)
    for number, frame in enumerate(_decoded(path)):
        if goal is None:
            return
        if number == goal:
            yield number, picture_of(frame, meaning_of(frame, stated, str(path)))
            goal = next(wanted, None)
    if goal is not None:
        raise ImageUnreadable(
            f"the video ends before frame {goal}",
            where=str(path),
            fix="Set last= in the session, or copy the file again.",
        )


def _flags(frame: Any) -> tuple[Any, ...]:
    colours = (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc)
    return (frame.width, frame.height, frame.format.name, *map(int, colours))


def _header(frame: Any, stated: VideoSection | None, where: str) -> Header:
    meaning = meaning_of(frame, stated, where)
    deep = meaning.bits > 8
    return Header(
        frame.width,
        frame.height,
        1 if meaning.kind == "grey" else 3,
        "uint16" if deep else "uint8",
        meaning.bits if deep and meaning.bits < 16 else 0,
        declared=colours_of(frame, where),
    )


def opened_video(path: Path) -> Any:
    """The container, by PyAV; never a playlist, which leads to other files, or a picture."""
    import av

    return av.open(str(path), container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"})


def _spoken(path: Path, shown: list[int | None]) -> Clock:
    """The clock of a video whose frames have these stamps, in the order in which they are shown.

    AVI stamps chunks and not frames, so with B-frames it is not known which frames lie before an empty chunk. Where
    two frames share a chunk (XviD), stamps are out of order, and only the gaps between the chunks count.
    """
    times = [time for time in shown if time is not None]
    with opened_video(path) as container:
        stream = _only_video(path, container)
        rates = tuple(rate for rate in (stream.average_rate, stream.guessed_rate) if rate)
        parts = (stream, *container.streams, container)
        # Matroska writes its names in capitals.
        said = (str(text) for part in parts for name, text in part.metadata.items() if name.lower() == "timecode")
        code, tick, exact = next(filter(None, said), ""), stream.time_base or Fraction(1), True
        if container.format.name == "avi":
            exact = not stream.codec_context.has_b_frames
        if len(times) < len(shown) or (np.diff(times) <= 0).any():
            chunks = [packet.dts for packet in container.demux(stream) if packet.size and packet.dts is not None]
            gaps = np.maximum(np.diff(chunks, prepend=chunks[0] - 1 if chunks else 0) - 1, 0)
            lost = np.cumsum(gaps)[np.arange(len(shown)) * len(chunks) // len(shown)] if chunks else 0
            times, exact = (np.arange(len(shown)) + lost).tolist(), False
            tick = 1 / rates[0] if rates else Fraction(1)
    return Clock("stamps", tuple(range(len(times))), np.array(times, np.int64), tick, rates, code, exact=exact)


@lru_cache(maxsize=512)
def _counted(path: Path, stated: VideoSection | None, changed: int) -> tuple[Header, Clock]:
    """The header and the times of all frames; these are decoded, so once per process and version of the file."""
    return read_video_header(path, stated)


def _decoded(path: Path) -> Iterator[Any]:
    import av

    try:
        with opened_video(path) as container:
            stream = _only_video(path, container)
            if stream.codec_context is None:
                raise ImageUnreadable("the video's codec is not known", where=str(path), fix="Export it again.")
            _check_scan(path, stream)
            stream.codec_context.thread_type = "AUTO"
            stream.codec_context.options = {"err_detect": "explode+crccheck+bitstream+buffer"}
            packets, end, tail = 0, 0.0, deque[float](maxlen=_REORDERED)
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise _damaged(path, "a packet is cut off")
                # In AVI the stamp of a chunk is its number, also after empty ones, which are not packets.
                stamped = packet.dts + 1 if container.format.name == "avi" and packet.dts is not None else 0
                packets = max(packets + (packet.size > 0), stamped)
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise _damaged(path, f"the frame at {frame.time} s")
                    check_upright(_orientation(frame), str(path), "video")
                    if frame.interlaced_frame:
                        raise _interlaced(path)
                    tail.append(float(frame.time or 0))
                    end = tail[-1] + float((frame.duration or 0) * (frame.time_base or 0))
                    yield frame
            _check_end(path, container, stream, packets, [*tail][-1 - stream.codec_context.reorder_depth :], end)
    except FileNotFoundError as error:
        raise ImageUnreadable("the file does not exist", where=str(path), fix="Check the path.") from error
    except av.FFmpegError as error:
        raise _damaged(path, error.strerror) from error
    except UnicodeDecodeError as error:
        raise _damaged(path, "its texts are not UTF-8") from error


def _only_video(path: Path, container: Any) -> Any:
    """The one stream of moving pictures; a cover is none."""
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise ImageUnreadable("the file holds no video", where=str(path), fix="Check the path.")
    if len(streams) > 1:
        what = f"the file holds {len(streams)} videos, and a camera has one"
        raise ImageUnreadable(what, where=str(path), fix="Export each as a file of its own, with a camera's name.")
    return streams[0]


def _orientation(frame: Any) -> int:
    """The display matrix of a frame as an orientation of EXIF; 9 for another angle than a quarter turn.

    The matrix moves a pixel to x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12, 6.2.2).
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 1
    a, b, _, c, d = struct.unpack_from("<5i", bytes(matrix))
    return _ORIENTATIONS.get(tuple((n > 0) - (n < 0) for n in (a, b, c, d)), 9)


def _check_end(path: Path, container: Any, stream: Any, packets: int, tail: list[float], end: float) -> None:
    """Refuse a file that has fewer packets, or is shorter, than its header promises: it was cut off.

    Packets are compared and not frames, because AVI files of MPEG-4 count packets that hold no frame. Matroska says
    only the seconds.
    """
    missing = max(0, stream.frames - packets)
    if not stream.frames and (rate := _rate(stream)) and (promised := _seconds(container, stream)):
        # The last frame to be shown is not the last of the file: some that are shown before it may be cut off.
        cut = round((tail[-1] - tail[0]) * rate) + 1 - len(tail) if tail else 0
        missing = max(round((promised - end) * rate), cut)
    if missing > 0:
        raise _damaged(path, f"its header promises {missing} more frames at the end")


def _check_scan(path: Path, stream: Any) -> None:
    """Refuse what the stream declares before a frame is decoded: alpha, fields, and pixels that are not square."""
    if stream.metadata.get("alpha_mode", "0") != "0":  # of WebM, whose alpha is a stream that decoders leave out
        raise ImageUnreadable("the video has an alpha channel", where=str(path), fix="Export it without alpha.")
    if stream.codec_context.field_order > 1:  # 0 is unknown, 1 progressive
        raise _interlaced(path)
    for aspect in (stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio):
        # Some writers round the shape of the picture, and are a fraction of a pixel off.
        if aspect and abs(aspect - 1) * stream.width >= 1:
            raise ImageUnreadable(
                f"the video's pixels are not square, {aspect.numerator}:{aspect.denominator} (width to height)",
                where=str(path),
                fix="Export it with square pixels (scaled, sample aspect ratio 1:1), and calibrate that.",
            )


def _interlaced(path: Path) -> ImageUnreadable:
    return ImageUnreadable(
        "the video is interlaced: the two fields of a picture are of different moments",
        where=str(path),
        fix="Record progressively, or deinterlace it into whole frames first.",
    )


def _rate(stream: Any) -> float:
    """Frames per second, the average or else what FFmpeg guesses; 0 if neither is known."""
    rates = (float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate is not None)
    return next((rate for rate in rates if math.isfinite(rate) and rate > 0), 0.0)


def _seconds(container: Any, stream: Any) -> float:
    """The duration that the file states, in seconds; 0 if it states no finite number."""
    alone = container.duration is not None and len(container.streams) == 1
    seconds = container.duration / 1e6 if alone else 0.0
    if duration := stream.metadata.get("DURATION"):
        hours, minutes, rest = duration.split(":")
        seconds = 3600 * int(hours) + 60 * int(minutes) + float(rest)
    return seconds if math.isfinite(seconds) else 0.0


def _damaged(path: Path, reason: str | None) -> ImageUnreadable:
    return ImageUnreadable(f"the video is damaged ({reason})", where=str(path), fix="Copy or export it again.")
