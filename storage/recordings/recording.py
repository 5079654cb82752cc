"""What one camera recorded, whatever holds it: numbered pictures, a video, a raw stream, a part of an SMC file.

A template is the path with {camera} and {frame} left open ("takes/walk/{camera}/{frame:06d}.png"); without {frame} it
names a video, a raw stream, or one single picture. {camera:cam..} matches only cameras whose name fits the regular
expression. An SMC file holds all cameras and needs neither field. Frames are matched by number, so 7.png and 0007.png
are the same frame twice, and that is refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from capmat_errors import CapmatError, FrameGap, ImageUnreadable, SessionError
from storage.descriptor import RawSection, VideoSection
from storage.pictures.colour import Colour
from storage.pictures.files import IMAGE_SUFFIXES
from storage.pictures.header import Header
from storage.recordings.pictures import PictureFiles
from storage.recordings.raw import RAW_SUFFIXES, open_raw
from storage.recordings.smc import SMC_SUFFIX, open_smc
from storage.recordings.video import VIDEO_SUFFIXES
from storage.recordings.video_file import open_video

_SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, *RAW_SUFFIXES, SMC_SUFFIX)
_FIELD = re.compile(r"\{(camera|frame)(?::([^{}]*))?\}")


class Recording(Protocol):
    """The frames of one camera, not yet read."""

    @property
    def camera(self) -> str:
        """Its name."""

    @property
    def frames(self) -> tuple[int, ...]:
        """The frame numbers, rising."""

    def select(self, frames: tuple[int, ...]) -> "Recording":
        """The same recording, cut down to these frame numbers."""

    def read(self, colour: Colour) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (frame number, picture) in order.

        Args:
            colour: what the numbers mean. Pictures are (H, W, 3) RGB, or the mosaic (H, W) if it has a cfa, of
                the type `colour.dtype`, with the signal in the low bits.

        Raises:
            ImageUnreadable: a picture cannot be read, has another depth, or values above white.
        """

    def headers(self) -> Iterator[tuple[str, Header]]:
        """Yield what every file says about itself, after the camera, frame and file for messages."""

    def file(self, frame: int) -> Path:
        """The file that holds `frame`."""

    def manifest(self) -> str:
        """A hash of every file's name, size and time of change, and of the frame numbers."""


@dataclass(frozen=True)
class Shifted:
    """A `Recording` with the stage's frame numbers; messages still name the frame as its file does.

    Attributes:
        own: the recording with the camera's own numbers.
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
        """Frame numbers from 0 on; frames that were recorded before the stage's first are skipped."""
        return tuple(frame + self.by for frame in self.own.frames if frame + self.by >= 0)

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
        """A hash of the recording's own manifest and of the shift."""
        return sha256(f"{self.own.manifest()} {self.by}".encode()).hexdigest()


def find_recordings(
    root: Path,
    template: str,
    raw: RawSection | None = None,
    video: VideoSection | None = None,
    broken: dict[str, CapmatError] | None = None,
) -> dict[str, Recording]:
    """All cameras' recordings that the template matches, by camera name.

    Args:
        root: the session's folder.
        template: path below it, see the module.
        raw: layout of headerless files.
        video: what unflagged videos mean.
        broken: receives the fault of every camera that has one, so that the others can be checked; None to raise.

    Raises:
        SessionError: the template is absolute, lacks {camera}, or names an unknown kind of file.
        FrameGap: two files have the same frame number.
        ImageUnreadable: a video cannot be decoded, or a raw stream does not hold a whole number of frames.
    """
    suffix = Path(template).suffix.lower()
    if Path(template).is_absolute():
        fix = "Give it below the session's root, and set root to the folder."
        raise SessionError("the path is absolute", where=template, fix=fix)
    if suffix == SMC_SUFFIX:
        return dict(open_smc(root / template))
    if "{camera" not in template:
        raise SessionError("the path has no {camera}", where=template, fix="Put {camera} where the cameras differ.")
    if suffix not in _SUFFIXES:
        raise SessionError(
            f"files ending on {suffix or 'nothing'} are not known",
            where=template,
            fix=f"Use one of {' '.join(_SUFFIXES)}.",
        )
    files_of: dict[str, dict[int, Path]] = {}
    faults: dict[str, CapmatError] = {} if broken is None else broken
    for camera, number, path in _matches(root, template):
        files = files_of.setdefault(camera, {})
        if number in files and camera not in faults:
            faults[camera] = FrameGap(
                f"frame {number} is there twice: {files[number].name} and {path.name}",
                where=f"camera {camera}, {path}",
                fix="Remove one of the two.",
            )
        files[number] = path
    recordings: dict[str, Recording] = {}
    for camera, files in files_of.items():
        if camera in faults:
            continue
        try:
            if suffix in VIDEO_SUFFIXES:
                recordings[camera] = open_video(camera, files[0], video)
            elif suffix in RAW_SUFFIXES:
                recordings[camera] = open_raw(camera, files, "{frame" not in template, raw, template)
            else:
                recordings[camera] = PictureFiles(camera, dict(sorted(files.items())))
        except ImageUnreadable as error:
            faults[camera] = error
    if broken is None and faults:
        raise next(iter(faults.values()))
    return recordings


def expected_file(root: Path, template: str, camera: str, frame: int) -> Path:
    """The path at which a frame should have been."""
    return root / re.sub(r"\{camera:[^{}]*\}", "{camera}", template).format(camera=camera, frame=frame)


def _matches(root: Path, template: str) -> list[tuple[str, int, Path]]:
    """(camera, number, file) for all files that fit, then for pictures of another format that repeat a frame."""
    stem, suffix = template[: -len(Path(template).suffix)], Path(template).suffix
    suffixes = tuple(dict.fromkeys((suffix, *IMAGE_SUFFIXES))) if "{frame" in template else (suffix,)
    try:
        pattern = re.compile(_regex(stem) + "(?:" + "|".join(map(re.escape, suffixes)) + ")", re.IGNORECASE)
    except re.error as error:
        raise SessionError(
            f"the camera's pattern is not a regular expression ({error})", where=template, fix="Correct it."
        ) from error
    files = []
    for path in sorted(root.glob(_FIELD.sub("*", stem) + ".*")):
        match = pattern.fullmatch(path.relative_to(root).as_posix())
        if match and path.is_file():
            files.append((match["camera"], int(match.groupdict().get("frame") or 0), path))
    own = [item for item in files if item[2].suffix.lower() == suffix.lower()]
    numbers = {item[:2] for item in own}
    return own + [item for item in files if item[2].suffix.lower() != suffix.lower() and item[:2] in numbers]


def _regex(stem: str) -> str:
    """The template as a regular expression; a field that comes again must read the same."""
    parts, at, seen = [], 0, set()
    for field in _FIELD.finditer(stem):
        parts.append(re.escape(stem[at : field.start()]))
        name, at = field[1], field.end()
        if name in seen:
            parts.append(f"(?P={name})")
        else:
            parts.append(f"(?P<{name}>" + ((field[2] or r"[^/]+") if name == "camera" else r"\d+") + ")")
            seen.add(name)
    return "".join([*parts, re.escape(stem[at:])])
