"""Video files, decoded in order.

Seeking in compressed video costs a whole group of pictures and lands wrong in damaged files, and the frame
count in the header is a guess; so frames are counted and read by decoding from the start.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.descriptor import VideoSection
from storage.frames import Header

VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".mxf", ".m4v", ".webm")


def read_video_header(path: Path, said: VideoSection | None = None) -> tuple[Header, int]:
    """Picture size and type, and the number of frames that can really be decoded.

    Raises:
        ImageUnreadable: the file is no video, is damaged, or holds no frame.
    """
    count, header = 0, None
    for frame in _decoded(path):
        if header is None:
            deep = _deep(frame)
            header = Header(frame.width, frame.height, 3, "uint16" if deep else "uint8")
        count += 1
    if header is None:
        raise ImageUnreadable("the video holds no frame", where=str(path), fix="Copy or export it again.")
    return header, count


def read_video(
    path: Path, frames: Sequence[int], said: VideoSection | None = None
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (frame number, (H, W, 3) RGB) for the wanted numbers, counted from 0, in rising order.

    8-bit video gives uint8; deeper video gives uint16 with the signal in the low bits.

    Raises:
        ImageUnreadable: the video is damaged or ends before a wanted frame.
    """
    wanted = iter(sorted(frames))
    goal = next(wanted, None)
    for number, frame in enumerate(_decoded(path)):
        if goal is None:
            return
        if number == goal:
            deep = _deep(frame)
            image = frame.to_ndarray(format="rgb48le" if deep else "rgb24")
            # ffmpeg scales deep video to the whole of 16 bits.
            yield number, image >> (16 - deep) if deep else image
            goal = next(wanted, None)
    if goal is not None:
        raise ImageUnreadable(
            f"the video ends before frame {goal}",
            where=str(path),
            fix="Set last= in the session, or copy the file again.",
        )


def _decoded(path: Path) -> Iterator[Any]:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ImageUnreadable("the file holds no video", where=str(path), fix="Check the path.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield from container.decode(stream)
    except FileNotFoundError as error:
        raise ImageUnreadable("there is no such file", where=str(path), fix="Check the path.") from error
    except av.FFmpegError as error:
        raise ImageUnreadable(
            f"the video is damaged ({error.strerror})", where=str(path), fix="Copy or export it again."
        ) from error


def _deep(frame: Any) -> int:
    bits = max(part.bits for part in frame.format.components)
    return bits if bits > 8 else 0
