"""What one camera recorded: numbered pictures or one video, found by a path template.

A template is the path with {camera} and {frame} left open ("takes/walk/{camera}/{frame:06d}.png"); without
{frame} it names a video, or one single picture. All matching is by number, so 7.png and 0007.png are the
same frame twice, and that is refused.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import FrameGap, ImageUnreadable, SessionError
from storage.frames import IMAGE_SUFFIXES, Header, read_header, read_image
from storage.video import VIDEO_SUFFIXES, read_video, read_video_header

_FIELD = re.compile(r"\{(camera|frame)(?::[^{}]*)?\}")


@dataclass(frozen=True)
class Recording:
    """The frames of one camera, not yet read.

    Attributes:
        camera: its name.
        files: picture file per frame number, in rising order; empty for a video.
        video: the video file, or None.
        frames: the frame numbers, rising.
    """

    camera: str
    files: dict[int, Path]
    video: Path | None
    frames: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.frames)

    def select(self, frames: tuple[int, ...]) -> "Recording":
        """The same recording, cut down to these frame numbers."""
        return Recording(self.camera, {n: self.files[n] for n in frames if n in self.files}, self.video, frames)

    def read(self, bits: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (frame number, (H, W, 3) integers) in order.

        Args:
            bits: the session's colour depth: 8 gives uint8, more gives uint16 with the signal in the low
                bits.

        Raises:
            ImageUnreadable: a picture cannot be read, has another depth, or values above white.
        """
        if self.video is not None:
            for number, image in self._video_frames():
                # ffmpeg scales deep video to the whole of 16 bits.
                low = image >> (16 - bits) if image.dtype == np.uint16 else image
                yield number, to_integers(low, bits, self._place(number))
            return
        for number in self.frames:
            with _placed(self._place(number)):
                image = read_image(self.files[number])
            yield number, to_integers(image, bits, self._place(number))

    def file(self, frame: int) -> Path:
        """The file that holds `frame`."""
        return self.video or self.files[frame]

    def headers(self) -> Iterator[tuple[str, Header]]:
        """Yield what every file says about itself, with the camera, frame and file for messages."""
        if self.video is not None:
            place = f"camera {self.camera}, {self.video}"
            yield place, _video_header(self.camera, self.video, self.video.stat().st_mtime_ns)[0]
            return
        for number in self.frames:
            with _placed(self._place(number)):
                header = read_header(self.files[number])
            yield self._place(number), header

    def manifest(self) -> str:
        """A hash of every file's name, size and time of change: equal means that nothing was touched."""
        paths = [self.video] if self.video else [self.files[n] for n in self.frames]
        parts = [f"{p.name} {(s := p.stat()).st_size} {s.st_mtime_ns}" for p in paths]
        return sha256("\n".join([*parts, *map(str, self.frames)]).encode()).hexdigest()

    def _place(self, frame: int) -> str:
        return f"camera {self.camera} frame {frame}, {self.file(frame)}"

    def _video_frames(self) -> Iterator[tuple[int, NDArray[Any]]]:
        with _placed(f"camera {self.camera}, {self.video}"):
            yield from read_video(self.video or Path(), self.frames)


def find_recordings(root: Path, template: str) -> dict[str, Recording]:
    """All cameras' recordings that the template matches, by camera name.

    Args:
        root: the session's folder.
        template: path below it, see the module.

    Raises:
        SessionError: the template lacks {camera}, or ends on a kind of file that is not known.
        FrameGap: one frame number is there twice.
        ImageUnreadable: a video cannot be decoded.
    """
    suffix = Path(template).suffix.lower()
    if "{camera" not in template:
        raise SessionError("the path has no {camera}", where=template, fix="Put {camera} where the cameras differ.")
    if suffix not in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
        raise SessionError(
            f"files ending on {suffix or 'nothing'} are not known",
            where=template,
            fix=f"Use one of {' '.join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))}.",
        )
    found: dict[str, dict[int, Path]] = {}
    for camera, number, path in _matches(root, template):
        files = found.setdefault(camera, {})
        if number in files:
            raise FrameGap(
                f"frame {number} is there twice: {files[number].name} and {path.name}",
                where=f"camera {camera}, {path}",
                fix="Remove one of the two.",
            )
        files[number] = path
    if suffix in VIDEO_SUFFIXES:
        return {camera: _video(camera, files[0]) for camera, files in found.items()}
    return {
        camera: Recording(camera, {n: files[n] for n in sorted(files)}, None, tuple(sorted(files)))
        for camera, files in found.items()
    }


def expected_file(root: Path, template: str, camera: str, frame: int) -> Path:
    """The path at which a frame should have been."""
    return root / template.format(camera=camera, frame=frame)


def check_depth(dtype: str, bits: int, where: str) -> None:
    """Refuse pictures whose type does not fit the session's depth.

    Raises:
        ImageUnreadable: 8-bit pictures in a session of more, deep ones in one of 8, EXR in one of not 16.
    """
    if dtype == "float32" and bits != 16:
        raise ImageUnreadable(
            f"an EXR picture in a session of {bits} bits",
            where=where,
            fix='Set [colour] bits=16 transfer="linear" black=0.',
        )
    if dtype != "float32" and dtype != ("uint8" if bits == 8 else "uint16"):
        raise ImageUnreadable(
            f"the picture has {np.dtype(dtype).itemsize * 8} bits per channel, the session says {bits}",
            where=where,
            fix="Correct [colour] bits, or export the pictures again.",
        )


def check_colour(header: Header, bits: int, where: str) -> None:
    """Refuse grey pictures, pictures with alpha, and those of another depth, by their header."""
    check_depth(header.dtype, bits, where)
    if header.channels != 3:
        has = "no colour" if header.channels < 3 else "an alpha channel"
        raise ImageUnreadable(f"the picture has {has}", where=where, fix="Export it as plain RGB.")


def to_integers(image: NDArray[Any], bits: int, where: str) -> NDArray[Any]:
    """Bring a picture to the integers of the session's colour, or refuse it.

    Floats (EXR) are scene-linear with 1.0 as white and become 16-bit integers; what lies outside 0..1 is
    clipped, as a display would.

    Raises:
        ImageUnreadable: depth and session disagree, or a value lies above white.
    """
    check_depth(str(image.dtype), bits, where)
    if image.dtype == np.float32:
        return np.rint(np.clip(image, 0, 1) * 65535).astype(np.uint16)
    white = 2**bits - 1
    if bits not in (8, 16) and (top := int(image.max())) > white:
        raise ImageUnreadable(
            f"the picture holds {top}, above white ({white} at {bits} bits)",
            where=where,
            fix="Correct [colour] bits, or export with the signal in the low bits.",
        )
    return image


def _video(camera: str, path: Path) -> Recording:
    _, count = _video_header(camera, path, path.stat().st_mtime_ns)
    return Recording(camera, {}, path, tuple(range(count)))


@lru_cache(maxsize=512)
def _video_header(camera: str, path: Path, changed: int) -> tuple[Header, int]:
    """Counting means decoding, so it is done once per process and version of the file."""
    with _placed(f"camera {camera}, {path}"):
        return read_video_header(path)


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Name the camera and frame in errors of the readers, which know only the file."""
    try:
        yield
    except ImageUnreadable as error:
        raise ImageUnreadable(error.what, where=place, fix=error.fix) from error


def _matches(root: Path, template: str) -> Iterator[tuple[str, int, Path]]:
    """(camera, number, file) for everything that fits, whatever its picture suffix: twins must be seen."""
    stem, suffix = template[: -len(Path(template).suffix)], Path(template).suffix
    twins = IMAGE_SUFFIXES if "{frame" in template else (suffix,)
    pattern = re.compile(_regex(stem) + "(?:" + "|".join(map(re.escape, twins)) + ")", re.IGNORECASE)
    own: list[tuple[str, int, Path]] = []
    other: list[tuple[str, int, Path]] = []
    for path in sorted(root.glob(_FIELD.sub("*", stem) + ".*")):
        hit = pattern.fullmatch(path.relative_to(root).as_posix())
        if hit and path.is_file():
            number = int(hit.groupdict().get("frame") or 0)
            (own if path.suffix.lower() == suffix.lower() else other).append((hit["camera"], number, path))
    yield from own
    if twins == (suffix,):
        return
    mine = {(camera, number) for camera, number, _ in own}
    yield from (item for item in other if item[:2] in mine)


def _regex(stem: str) -> str:
    """The template as a regular expression; a field that comes again must read the same."""
    parts, at, seen = [], 0, set()
    for field in _FIELD.finditer(stem):
        parts.append(re.escape(stem[at : field.start()]))
        name, at = field[1], field.end()
        if name in seen:
            parts.append(f"(?P={name})")
        else:
            parts.append(f"(?P<{name}>" + (r"[^/]+" if name == "camera" else r"\d+") + ")")
            seen.add(name)
    return "".join([*parts, re.escape(stem[at:])])
