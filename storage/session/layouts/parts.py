"""What the recognisers of folder layouts share: path templates found from examples, and what files say themselves.

A recogniser fills in `Found`: the fields of a session.toml that the folder answers, and those that it leaves open.
Nothing is guessed; what neither the layout nor a file says has to be stated by whoever knows it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capmat_errors import ImageUnreadable
from storage.pictures.files import IMAGE_SUFFIXES, read_header
from storage.pictures.header import Header
from storage.recordings.video import VIDEO_SUFFIXES

UNIT = ("calibration.unit", "calibration.scale")


@dataclass
class Found:
    """What a folder says about itself.

    Attributes:
        fields: values of session.toml by dotted name; "take" stands for "takes.<name>".
        open: what has to be stated: names of fields of which one is enough, and what they are.
        notes: what was taken for granted, and what the layout does not have.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    open: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ask(self, keys: tuple[str, ...] | str, what: str) -> None:
        """Leave a field open."""
        self.open.append(((keys,) if isinstance(keys, str) else keys, what))

    def ask_unit(self) -> None:
        """The calibration does not say what its numbers are."""
        self.ask(UNIT, "m, cm or mm; or calibration.scale, metres per unit of the calibration")

    def still(self) -> None:
        """The take is one frame."""
        self.fields["fps"] = 1.0
        self.notes.append("one frame per camera: fps = 1 has no meaning here")


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; hidden files left out, nothing if it is not there."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith(".")) if folder.is_dir() else []


def with_suffix(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files of some kinds in a folder, sorted."""
    return [path for path in visible(folder) if path.suffix.lower() in suffixes and path.is_file()]


def recordings_below(folder: Path) -> tuple[str, Path] | None:
    """What the cameras left in a folder: a file or a folder of numbered pictures each.

    Returns:
        The path template below `folder`, and the first file; None if there is nothing.
    """
    files = with_suffix(folder, (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    if files:
        return "{camera}" + files[0].suffix, files[0]
    for camera in visible(folder):
        if pictures := with_suffix(camera, IMAGE_SUFFIXES):
            return "{camera}/" + numbered(pictures[0], camera.name), pictures[0]
    return None


def numbered(file: Path, camera: str) -> str:
    """The template of a numbered picture's name: Cam01_rgb000003.jpg of Cam01 is {camera}_rgb{frame:06d}.jpg."""
    stem = file.stem
    before = "{camera}" if stem.startswith(camera) and stem != camera else ""
    rest = stem[len(camera) :] if before else stem
    digits = re.search(r"\d+$", rest)
    if not digits:
        return f"{before}{rest}{file.suffix}"
    return f"{before}{rest[: digits.start()]}{{frame:0{len(digits[0])}d}}{file.suffix}"


def describe_file(found: Found, file: Path) -> None:
    """Fill in colour (and for videos fps) as far as a take's first file says them."""
    if file.suffix.lower() in VIDEO_SUFFIXES:
        _describe_video(found, file)
    else:
        _describe_picture(found, read_header(file), file.suffix.lower())


def _describe_picture(found: Found, header: Header, suffix: str) -> None:
    fields = found.fields
    if header.dtype == "float16":
        fields |= {"colour.bits": 16, "colour.transfer": "linear", "colour.half": True}
        return
    if suffix in (".jpg", ".jpeg"):
        fields |= {"colour.bits": 8, "colour.transfer": "srgb"}
        found.notes.append("JPEG pictures are taken as sRGB, as JFIF has it")
        return
    if header.cfa:
        fields |= {"colour.cfa": header.cfa, "colour.transfer": "linear"}
    else:
        found.ask("colour.transfer", "linear, srgb or rec709: what the numbers of the pictures mean")
    if header.dtype == "uint8":
        fields["colour.bits"] = 8
        return
    if header.bits:
        fields["colour.bits"] = header.bits
    else:
        found.ask("colour.bits", "10, 12, 14 or 16: how many of the 16 carry signal")
    if header.black is None:
        found.ask("colour.black", "the number that stands for no light, 0 for pictures that were developed")
    else:
        fields["colour.black"] = header.black


def _describe_video(found: Found, file: Path) -> None:
    rate, frame = _first_frame(file)
    if rate:
        found.fields["fps"] = rate
    else:
        found.ask("fps", "frames per second")
    bits = max(part.bits for part in frame.format.components)
    found.fields["colour.bits"] = bits
    if bits == 8:
        found.fields["colour.transfer"] = "srgb"
        found.notes.append("8-bit videos are taken as sRGB, as players show them")
    else:
        found.ask("colour.transfer", "rec709, srgb or linear: what the numbers of the video mean")
    # As in `storage.recordings.video_colour`: these numbers say nothing, and motion JPEG names its range itself.
    unsaid = int(frame.colorspace) in (0, 2, 3) or (int(frame.color_range) == 0 and frame.format.name[:4] != "yuvj")
    if unsaid and not frame.format.is_rgb:
        found.ask("video.matrix", "bt601 or bt709; the videos do not say it, bt601 is usual below 720 rows")
        found.ask("video.range", "limited or full; the videos do not say it, limited is usual")


def _first_frame(file: Path) -> tuple[float, Any]:
    """Frames per second (0 if the file does not say), and the first frame of a video."""
    import av

    try:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            return float(stream.average_rate or 0), next(container.decode(stream))
    except (av.FFmpegError, IndexError, StopIteration) as error:
        raise ImageUnreadable(
            f"the video cannot be decoded ({error})", where=str(file), fix="Copy or export it again."
        ) from error


def pictures_of(folder: Path) -> Iterator[Path]:
    """Every picture below a folder, sorted."""
    if folder.is_dir():
        yield from (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES)
