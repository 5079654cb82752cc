"""What the recognisers of folder layouts share: path templates made from examples, and what files say themselves.

A recogniser fills in a `Draft`: the fields of a session.toml that the folder answers, and those that it leaves open.
Nothing is guessed; the user states what neither the layout nor a file says.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capmat_errors import ImageUnreadable
from storage.pictures.declared import stated
from storage.pictures.files import IMAGE_SUFFIXES, read_header
from storage.pictures.header import Header
from storage.recordings.video import VIDEO_SUFFIXES, opened_video
from storage.recordings.video_colour import UNSPECIFIED


@dataclass
class Draft:
    """A session.toml as far as a folder answers it.

    Attributes:
        fields: values of session.toml by dotted name; "take" stands for "takes.<name>".
        open: what the user must state: names of fields, of which one suffices, and what they mean.
        notes: what was assumed, and what the layout does not have.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    open: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ask(self, keys: tuple[str, ...] | str, what: str) -> None:
        """Leave a field open."""
        self.open.append(((keys,) if isinstance(keys, str) else keys, what))

    def jpeg(self) -> None:
        """The pictures are JPEG."""
        self.fields |= {"colour.bits": 8, "colour.transfer": "srgb"}
        self.notes.append("JPEG pictures are read as sRGB, as JFIF says")

    def still(self) -> None:
        """The take is one frame, so the frame rate does not matter."""
        self.fields["fps"] = 1.0
        self.notes.append("every camera has one frame, so fps = 1 means nothing")


def draft_of(form: str, calibration: str, take: str = "") -> Draft:
    """A draft that names the calibration, whose unit it leaves open, and the take."""
    draft = Draft({"calibration.format": form, "calibration.path": calibration})
    if take:
        draft.fields["take.path"] = take
    unit = "m, cm or mm; or calibration.scale, metres per unit of the calibration"
    draft.ask(("calibration.unit", "calibration.scale"), unit)
    return draft


def visible(folder: Path) -> list[Path]:
    """The entries of a folder, sorted, without hidden files; [] if it does not exist."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith(".")) if folder.is_dir() else []


def with_suffix(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files of a folder that have one of the suffixes, sorted."""
    return [path for path in visible(folder) if path.suffix.lower() in suffixes and path.is_file()]


def recordings_below(folder: Path) -> tuple[str, Path] | None:
    """The recordings in a folder: a file, or a folder of numbered pictures, for each camera.

    Returns:
        The path template below `folder`, and the first file; None if the folder holds neither.
    """
    files = with_suffix(folder, (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    if files:
        return "{camera}" + files[0].suffix, files[0]
    first = {path.name: files[0] for path in visible(folder) if (files := with_suffix(path, IMAGE_SUFFIXES))}
    return ("{camera}/" + numbered(first), next(iter(first.values()))) if first else None


def numbered(first: Mapping[str, Path]) -> str:
    """The template of numbered pictures: Cam01_rgb000003.jpg of Cam01 is {camera}_rgb{frame:06d}.jpg.

    Args:
        first: the first picture of every camera. Cameras may be called by a number, too: 000000.jpg of 00 is frame 0.
    """
    stems = {file.stem for file in first.values()}
    named = all(file.stem.startswith(camera) and file.stem != camera for camera, file in first.items())
    named = named and (len(stems) > 1 or not all(map(str.isdigit, (*stems, *first))))
    camera, file = next(iter(first.items()))
    stem, before = file.stem, "{camera}" if named else ""
    rest = stem[len(camera) :] if before else stem
    digits = re.search(r"\d+$", rest)
    if not digits:
        return f"{before}{rest}{file.suffix}"
    return f"{before}{rest[: digits.start()]}{{frame:0{len(digits[0])}d}}{file.suffix}"


def describe_file(draft: Draft, file: Path) -> None:
    """Fill in colour (and for videos fps) as far as a take's first file says them."""
    if file.suffix.lower() in VIDEO_SUFFIXES:
        _describe_video(draft, file)
    else:
        _describe_picture(draft, read_header(file), file.suffix.lower())


def _describe_picture(draft: Draft, header: Header, suffix: str) -> None:
    fields = draft.fields
    said = stated(header.declared) if header.declared and not header.cfa else None
    if said and said.matrix:
        fields["colour.matrix"] = [list(row) for row in said.matrix]
    if header.dtype == "float16":
        fields |= {"colour.bits": 16, "colour.transfer": "linear", "colour.half": True}
        return
    if suffix in (".jpg", ".jpeg") and not said:
        draft.jpeg()
        return
    if said:
        fields["colour.transfer"] = said.transfer
    elif header.cfa:
        fields |= {"colour.cfa": header.cfa, "colour.transfer": "linear"}
    else:
        draft.ask("colour.transfer", "linear, srgb or rec709: what the numbers of the pictures mean")
    if header.dtype == "uint8":
        fields["colour.bits"] = 8
        return
    if header.bits:
        fields["colour.bits"] = header.bits
    else:
        draft.ask("colour.bits", "10, 12, 14 or 16: how many of the 16 carry signal")
    if header.black is None:
        draft.ask("colour.black", "the number that stands for no light, 0 for pictures that were developed")
    else:
        fields["colour.black"] = header.black


def _describe_video(draft: Draft, file: Path) -> None:
    rate, frame = _first_frame(file)
    if rate:
        draft.fields["fps"] = rate
    else:
        draft.ask("fps", "frames per second")
    bits = max(part.bits for part in frame.format.components)
    draft.fields["colour.bits"] = bits
    if bits == 8:
        draft.fields["colour.transfer"] = "srgb"
        draft.notes.append("8-bit videos are read as sRGB, as players show them")
    else:
        draft.ask("colour.transfer", "rec709, srgb or linear: what the numbers of the video mean")
    # As in `storage.recordings.video_colour`: the pixel formats of motion JPEG name their range.
    no_range = int(frame.color_range) == 0 and frame.format.name[:4] != "yuvj"
    if (int(frame.colorspace) in UNSPECIFIED or no_range) and not frame.format.is_rgb:
        draft.ask("video.matrix", "bt601 or bt709; the videos do not say it, bt601 is usual below 720 rows")
        draft.ask("video.range", "limited or full; the videos do not say it, limited is usual")


def _first_frame(file: Path) -> tuple[float, Any]:
    """Frames per second (0 if the file does not say), and the first frame of a video."""
    import av

    try:
        with opened_video(file) as container:
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
