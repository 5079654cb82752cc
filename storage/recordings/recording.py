"""What one camera recorded, whatever holds it: numbered pictures, a video, a raw stream, a part of an SMC file.

A template is the path with {camera} and {frame} left open ("takes/walk/{camera}/{frame:06d}.png"); without {frame} it
names a video, a raw stream, or one single picture. {camera:cam..} matches only cameras whose name fits the regular
expression. An SMC file holds all cameras and needs neither field. Frames are matched by number, so 7.png and 0007.png
are the same frame twice, and that is refused. Where {camera} and {frame} touch, the stated number of digits parts
them.
"""

import glob
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from capmat_errors import CapmatError, FrameGap, ImageUnreadable, SessionError
from storage.descriptor import RawSection, VideoSection
from storage.pictures.colour import Colour
from storage.pictures.files import IMAGE_SUFFIXES
from storage.pictures.header import Header
from storage.recordings.check import Frame, checked, located, manifest_of
from storage.recordings.clock import Clock
from storage.recordings.pictures import PictureFiles
from storage.recordings.raw import RAW_SUFFIXES, RawFiles, layout_of
from storage.recordings.smc import SMC_SUFFIX, smc_cameras
from storage.recordings.timecode import Timecode, timecode_after
from storage.recordings.video import VIDEO_SUFFIXES, VideoFile

_SUFFIXES = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES, *RAW_SUFFIXES, SMC_SUFFIX)
_FIELD = re.compile(r"\{(camera|frame)(?::((?:[^{}]|\{[^{}]*\})*))?\}")
_MOST_CHOICES = 3


class Source(Protocol):
    """How the frames of one kind of file are read."""

    def pictures(self, frames: Sequence[Frame], mosaic: bool) -> Iterator[NDArray[Any]]:
        """Yield the picture of every frame: (H, W, 3) RGB, or (H, W) of a mosaic.

        Raises:
            ImageUnreadable: a picture cannot be read.
        """

    def headers(self, frames: Sequence[Frame]) -> Iterator[tuple[str, Header]]:
        """Yield what every file says about itself, after the camera, frame and file for messages."""


@dataclass(frozen=True)
class Recording:
    """The frames of one camera, not yet read.

    Attributes:
        camera: its name.
        files: the file that holds a frame, by the camera's own frame number, rising.
        source: reads them.
        shift: what is added to the camera's own numbers to give the stage's; None where the session says nothing,
            which the manifest tells from a shift of 0. Messages name a frame as its file does.
        clock: when the frames were taken; None where no file says it.
        placed: the camera's own number by the stage's, rising, where the clock and not the count says which is which.
    """

    camera: str
    files: dict[int, Path]
    source: Source
    shift: int | None = None
    clock: Clock | None = field(default=None, compare=False)
    placed: dict[int, int] | None = None

    @property
    def frames(self) -> tuple[int, ...]:
        """The frame numbers, rising from 0; frames that were recorded before the stage's first are skipped."""
        if self.placed is not None:
            return tuple(self.placed)
        return tuple(number for own in self.files if (number := own + (self.shift or 0)) >= 0)

    def select(self, frames: tuple[int, ...]) -> "Recording":
        """The same recording, cut down to these frame numbers."""
        own = {frame: self._number(frame) for frame in frames}
        placed = None if self.placed is None else own
        return replace(self, files={number: self.files[number] for number in own.values()}, placed=placed)

    def read(self, colour: Colour) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (frame number, picture) in order.

        Args:
            colour: what the numbers mean. Pictures are (H, W, 3) RGB, or the mosaic (H, W) if it has a cfa, of
                the type `colour.dtype`, with the signal in the low bits.

        Raises:
            ImageUnreadable: a picture cannot be read, has another depth, or values above white.
        """
        frames = self.select(self.frames)._own()
        pictures = self.source.pictures(frames, bool(colour.cfa))
        for number, frame in zip(self.frames, frames, strict=True):
            with located(frame.where):
                picture = next(pictures)
            yield number, checked(picture, colour, frame.where)

    def headers(self) -> Iterator[tuple[str, Header]]:
        """Yield what every file says about itself, after the camera, frame and file for messages."""
        return self.source.headers(self._own())

    def file(self, frame: int) -> Path:
        """The file that holds `frame`."""
        return self.files[self._number(frame)]

    def manifest(self) -> str:
        """A hash of every file's name, size and time of change, and of the frame numbers."""
        own = manifest_of([*dict.fromkeys(self.files.values())], [*self.files])
        if self.placed is not None:
            return sha256(f"{own} {[*self.placed]}".encode()).hexdigest()
        return own if self.shift is None else sha256(f"{own} {self.shift}".encode()).hexdigest()

    def timecode(self, fps: float) -> Timecode | None:
        """Time code of the first of `frames`; None where no file says one.

        Raises:
            ValueError: no clock at this rate shows it.
        """
        if self.clock is None or not self.clock.timecode or not self.frames:
            return None
        index = self.clock.numbers.index(self._number(self.frames[0]))
        return timecode_after(self.clock.timecode, int(self.clock.slots()[index]), fps)

    def _number(self, frame: int) -> int:
        """The camera's own number of a frame."""
        return frame - (self.shift or 0) if self.placed is None else self.placed[frame]

    def _own(self) -> list[Frame]:
        return [Frame(own, path, f"camera {self.camera} frame {own}, {path}") for own, path in self.files.items()]


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
        cameras = smc_cameras(root / template).items()
        return {name: Recording(name, dict.fromkeys(own, root / template), source) for name, (source, own) in cameras}
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
            with located(f"camera {camera}, {next(iter(files.values()))}"):
                recordings[camera] = _opened(camera, dict(sorted(files.items())), template, raw, video)
        except ImageUnreadable as error:
            faults[camera] = error
    if broken is None and faults:
        raise next(iter(faults.values()))
    return recordings


def misnamed(root: Path, template: str) -> Path | None:
    """The first file that would fit the template if a number stood in place of {frame}; None if no file would."""
    stem = template[: -len(Path(template).suffix)]
    pattern = re.compile(re.sub(r"(?<=\(\?P<frame>)\\d[^)]*", "[^/]+", _regex(stem)) + r"\.\w+", re.IGNORECASE)
    files = sorted(root.glob(_glob(stem))) if "{frame" in stem else []
    return next((file for file in files if pattern.fullmatch(file.relative_to(root).as_posix())), None)


def recorded_timecode(recordings: Iterable[Recording], fps: float) -> str:
    """Timecode of the first selected frame, "HH:MM:SS:FF", ";" before FF if it is drop-frame.

    It is "" if no camera's file says one, or if cameras differ.

    Raises:
        ValueError: a file says one that no clock at this rate shows.
    """
    codes = {code for one in recordings if (code := one.timecode(fps))}
    return str(codes.pop()) if len(codes) == 1 else ""


def expected_file(root: Path, template: str, camera: str, frame: int) -> Path:
    """The path at which a frame should have been."""
    texts = {"camera": lambda _: camera, "frame": lambda form: format(frame, form or "")}
    return root / _FIELD.sub(lambda field: texts[field[1]](field[2]), template)


def _opened(
    camera: str, files: dict[int, Path], template: str, raw: RawSection | None, video: VideoSection | None
) -> Recording:
    """The recording in a camera's files; a file that holds all frames has the number 0."""
    suffix, stream = Path(template).suffix.lower(), "{frame" not in template
    if suffix in VIDEO_SUFFIXES:
        movie = VideoFile(video)
        clock = movie.clock(files[0])
        return Recording(camera, dict.fromkeys(clock.numbers, files[0]), movie, clock=clock)
    if suffix not in RAW_SUFFIXES:
        return Recording(camera, files, PictureFiles())
    layout = layout_of(raw, template)
    if stream:
        count = layout.count(files[0].stat().st_size, str(files[0]))
        files = dict.fromkeys(range(count), files[0])
    return Recording(camera, files, RawFiles(layout, stream))


def _matches(root: Path, template: str) -> list[tuple[str, int, Path]]:
    """(camera, number, file) for all files that fit, then for pictures of another format that repeat a frame."""
    stem, suffix = template[: -len(Path(template).suffix)], Path(template).suffix
    suffixes = tuple(dict.fromkeys((suffix, *IMAGE_SUFFIXES))) if "{frame" in template else (suffix,)
    try:
        pattern = re.compile(_regex(stem) + "(?:" + "|".join(map(re.escape, suffixes)) + ")", re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise SessionError(
            f"the camera's pattern is not a regular expression ({error})", where=template, fix="Correct it."
        ) from error
    files = []
    for path in sorted(root.glob(_glob(stem))):
        match = pattern.fullmatch(path.relative_to(root).as_posix())
        # A hidden name is no camera's; macOS writes ._C01.mp4 beside C01.mp4 on disks of other systems.
        if match and not match["camera"].startswith(".") and path.is_file():
            files.append((match["camera"], int(match.groupdict().get("frame") or 0), path))
    own = [item for item in files if item[2].suffix.lower() == suffix.lower()]
    numbers = {item[:2] for item in own}
    return own + [item for item in files if item[2].suffix.lower() != suffix.lower() and item[:2] in numbers]


def _glob(stem: str) -> str:
    return re.sub(r"\*+", "*", _FIELD.sub("*", glob.escape(stem))) + ".*"


def _regex(stem: str) -> str:
    """The template as a regular expression; a field that comes again must read the same.

    Raises:
        SessionError: camera and frame touch without a stated number of digits, or a frame's format is not a number's.
    """
    stem = Path(stem).as_posix()  # without ./ and //, which no path of a file has
    parts, at, seen, open_camera = [], 0, set(), False
    fields = list(_FIELD.finditer(stem))
    for part, after in zip(fields, [*fields[1:], None], strict=True):
        parts.append(re.escape(stem[at : part.start()]))
        name, form, touched = part[1], part[2] or "", at == part.start() and open_camera
        at, open_camera = part.end(), False
        if name in seen:
            parts.append(f"(?P={name})")
            continue
        seen.add(name)
        pattern = form or r"[^/]+"
        if name == "camera":
            open_camera = not form
            _check_pattern(form, stem)
        else:
            pattern = r"\d+"
            if not (digits := re.fullmatch(r"0?(\d*)d?", form)):
                fix = "Write it as {frame:04d}."
                raise SessionError(f"{part[0]} is not a frame's number", where=stem, fix=fix)
            if touched or (after and after.start() == at and "camera" not in seen and not after[2]):
                if not digits[1]:
                    fix = "State the digits of a frame's number, as in {frame:04d}."
                    raise SessionError("it is unknown where {camera} ends and {frame} begins", where=stem, fix=fix)
                pattern = rf"\d{{{digits[1]}}}"
        parts.append(f"(?P<{name}>{pattern})")
    return "".join([*parts, re.escape(stem[at:])])


def _check_pattern(form: str, stem: str) -> None:
    """Refuse a regular expression that may try for ever; a session comes with its recordings, from anybody."""
    plain = re.sub(r"\\.|\[\^?\]?(?:\\.|[^]\\])*\]", "x", form)
    choices = re.findall(r"(?<!\()[*+?]|\{\d*,\d*\}", re.sub(r"([*+?}])[?+]", r"\1", plain))
    groups = [group for group in plain.split("(") if "|" in group]
    if re.search(r"\)[*+?{]|\(\?[^:]", plain) or len(choices) + len(groups) > _MOST_CHOICES:
        what = f"the camera's pattern {form!r} may take for ever"
        fix = f"Repeat no group, and use at most {_MOST_CHOICES} of * + ? and groups with |."
        raise SessionError(what, where=stem, fix=fix)
