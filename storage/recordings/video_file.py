"""One camera's recording as a video file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from storage.descriptor import VideoSection
from storage.pictures.colour import Colour
from storage.pictures.header import Header
from storage.recordings.check import checked, located, manifest_of
from storage.recordings.timecode import timecode_after
from storage.recordings.video import read_timecode, read_video, read_video_header


@dataclass(frozen=True)
class VideoFile:
    """A `storage.recordings.recording.Recording` whose frames count from 0.

    Attributes:
        camera: its name.
        path: the video.
        frames: the frame numbers, rising.
        stated: what the session says about videos that do not say it themselves.
    """

    camera: str
    path: Path
    frames: tuple[int, ...]
    stated: VideoSection | None = None

    def select(self, frames: tuple[int, ...]) -> "VideoFile":
        """The same recording, cut down to these frame numbers."""
        return VideoFile(self.camera, self.path, frames, self.stated)

    def read(self, colour: Colour) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (frame number, picture) in order; see `storage.recordings.recording.Recording.read`."""
        with located(f"camera {self.camera}, {self.path}"):
            for number, picture in read_video(self.path, self.frames, self.stated):
                yield number, checked(picture, colour, f"camera {self.camera} frame {number}, {self.path}")

    def headers(self) -> Iterator[tuple[str, Header]]:
        """Yield what the stream says about itself, after the camera and file for messages."""
        yield f"camera {self.camera}, {self.path}", _header(self.camera, self.path, self.stated)[0]

    def file(self, frame: int) -> Path:
        """The video."""
        return self.path

    def manifest(self) -> str:
        """A hash of the file; see `storage.recordings.check.manifest_of`."""
        return manifest_of([self.path], self.frames)


def open_video(camera: str, path: Path, stated: VideoSection | None) -> VideoFile:
    """The whole of a video, its frames counted by decoding.

    Raises:
        ImageUnreadable: the video cannot be decoded to its end, or does not say what its numbers mean.
    """
    return VideoFile(camera, path, tuple(range(_header(camera, path, stated)[1])), stated)


def recorded_timecode(recordings: Iterable[Any], fps: float) -> str:
    """Timecode of the first selected frame, "HH:MM:SS:FF", as the videos among `recordings` say it.

    It is "" if no video says one, if cameras differ, or if it drops numbers (written with ";").
    """
    videos = [r for r in recordings if isinstance(r, VideoFile) and r.frames]
    starts = {read_timecode(video.path) for video in videos}
    if len(starts) != 1 or ";" in (start := starts.pop()):
        return ""
    return ":".join(f"{part:02d}" for part in timecode_after(start, videos[0].frames[0], fps) or ())


def _header(camera: str, path: Path, stated: VideoSection | None) -> tuple[Header, int]:
    with located(f"camera {camera}, {path}"):
        return _counted(path, stated, path.stat().st_mtime_ns)


@lru_cache(maxsize=512)
def _counted(path: Path, stated: VideoSection | None, changed: int) -> tuple[Header, int]:
    """The header and the number of frames; all frames are decoded, so once per process and version of the file."""
    return read_video_header(path, stated)
