"""session.toml: one file that says where the recordings of a day lie and what their numbers mean.

Every field documents itself. Unknown keys are refused, because a misspelt one would silently change a day of
recordings.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from capmat_errors import CapmatError, ConfigError, SessionError, did_you_mean, listed, together
from storage.pictures.colour import Colour
from storage.store.toml import Mistake, mistakes, parse_toml

Format = Literal[
    "capmat",
    "opencv-xml",
    "easyvolcap",
    "actorshq",
    "colmap",
    "nerfstudio",
    "metashape",
    "caliscope",
    "pose2sim",
    "llff",
    "smc",
]
_MOST_BYTES = 2**24
# 100 letters: file systems allow 255 for the names of files that are made of this one and more
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ColourSection(_Frozen):
    """What the numbers in the pictures mean, for takes and plates alike."""

    bits: int = Field(ge=8, le=16)
    """Bits that carry signal, in the low bits of the numbers. 12 for a 12-bit camera in 16-bit files."""
    transfer: Literal["linear", "srgb", "rec709"]
    """"linear" for sensor data, "srgb" for pictures that look right on a display, "rec709" for camera video."""
    black: int = Field(default=0, ge=0)
    """The number that stands for no light, from the camera's manual or a picture with the lens capped."""
    half: bool = False
    """The pictures are EXR: 16-bit floats with 1.0 as white. Needs bits = 16, transfer = "linear"."""
    cfa: Literal["", "RGGB", "GRBG", "GBRG", "BGGR"] = ""
    """Order of the colours in the 2x2 block of a Bayer mosaic, first row first; leave empty for RGB pictures."""
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """White balance: factors of linear red, green and blue, applied on reading."""
    matrix: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]] | None = None
    """Rows of the matrix from the camera's linear colours to Rec. 709; leave out if they are Rec. 709 already."""

    def colour(self) -> Colour:
        """The same as a `Colour`; raises ConfigError for values that contradict each other."""
        return Colour(self.bits, self.transfer, self.black, self.half, self.cfa, self.gains, self.matrix)


class CalibrationSection(_Frozen):
    """Where the camera calibration lies."""

    format: Format
    """"capmat": one JSON for all cameras. "opencv-xml": one cv2.FileStorage file per camera. More: docs/ingest.md."""
    path: str
    """Path below the root; a folder for "easyvolcap" and "colmap", with {camera} for "opencv-xml"."""
    unit: Literal["m", "cm", "mm"] = "m"
    """Unit of the positions; the format "capmat" states it itself."""
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Metres per unit of the file, for reconstructions without a unit, such as COLMAP's."""

    @property
    def has_unit(self) -> bool:
        """Whether somebody stated what a length means; if not, lengths are in the file's own unit."""
        return self.format == "capmat" or bool(self.model_fields_set & {"unit", "scale"})


class PlatesSection(_Frozen):
    """Recordings of the empty stage, from which each camera's clean plate is averaged."""

    path: str
    """Path template with {camera}; with {frame:04d} for pictures, without for a video or a single picture."""


class RawSection(_Frozen):
    """Layout of files without a header of their own (.raw, .bin)."""

    width: int = Field(ge=1)
    """Pixels per row."""
    height: int = Field(ge=1)
    """Rows."""
    pixel_format: str
    """Its name in the camera's software: "BayerRG12p", "BayerRG12Packed"; all names in docs/ingest.md."""
    header_bytes: int = Field(default=0, ge=0)
    """Bytes at the start of every file."""
    frame_header_bytes: int = Field(default=0, ge=0)
    """Bytes before every frame."""
    row_bytes: int = Field(default=0, ge=0)
    """Bytes from one row to the next if rows are padded; 0 for rows without gaps."""
    trailer_bytes: int = Field(default=0, ge=0)
    """Bytes after every frame, such as chunk data."""


class VideoSection(_Frozen):
    """What videos do not say about themselves; a video that says it must agree."""

    matrix: Literal["bt601", "bt709"]
    """Matrix between YCbCr and RGB: "bt709" is usual from 720 rows on, "bt601" below."""
    range: Literal["limited", "full"]
    """Whether black and white are 16 and 235 ("limited", usual) or 0 and 255, at 8 bits."""


class SyncSection(_Frozen):
    """Which frames of the cameras belong together, where their clocks and the count of their frames disagree."""

    by: Literal["timecode", "timestamp", "count"] | None = None
    """"timecode" or "timestamp" let the clocks decide, "count" ignores them; leave out to have both agree."""
    times: str = ""
    """Path of a CSV file with the time of every frame, with {camera} if each has its own; others are recognised."""


class TakeSection(_Frozen):
    """One take: several cameras with the same frame numbers."""

    path: str
    """Path template with {camera}; with {frame:04d} for pictures, without for a video (counted from 0)."""
    first: int | None = Field(default=None, ge=0)
    """First frame number to take in; leave out for the first that was recorded."""
    last: int | None = Field(default=None, ge=0)
    """Last frame number to take in; set it when cameras stopped at different times."""
    step: int = Field(default=1, ge=1)
    """Take in every step-th frame; set it also for recordings whose numbers go up in steps."""
    without: tuple[str, ...] = ()
    """Cameras that failed; this take does without them, although they are calibrated or recorded."""
    offset: dict[str, int] = {}
    """Frames to add to a camera's numbers; -2 for a recorder that started two frames before the others."""
    timecode: str = Field(default="", pattern=r"^(\d\d:\d\d:\d\d[:;]\d\d\d?)?$")
    """Timecode of the first frame taken in, HH:MM:SS:FF; HH:MM:SS;FF if it is drop-frame."""

    @model_validator(mode="after")
    def _in_order(self) -> "TakeSection":
        if self.first is not None and self.last is not None and self.last < self.first:
            raise ValueError(f"last={self.last} lies before first={self.first}")
        return self


class BenchmarkSection(_Frozen):
    """Frames of one take that were annotated by hand, by which models are measured."""

    take: str
    """The take they come from."""
    trimaps: str
    """Path template with {camera} and {frame:04d}: grey pictures of 0, 128 (unknown) and 255."""


class Session(_Frozen):
    """One recorded day."""

    name: _Name
    """Name of the day or session."""
    stage: _Name
    """Name of the stage set-up, to which plates belong. Give a new one when cameras or lights were moved."""
    root: str = "."
    """Folder that all paths start from; relative to this file, or absolute."""
    fps: float = Field(gt=0, allow_inf_nan=False)
    """Frames per second of the takes."""
    colour: ColourSection
    """What the numbers in the pictures mean."""
    calibration: CalibrationSection
    """Where the camera calibration lies."""
    plates: PlatesSection | None = None
    """Where the recordings of the empty stage lie; without them, only networks without a plate can run."""
    takes: dict[_Name, TakeSection] = Field(min_length=1)
    """The takes, by name."""
    sync: SyncSection | None = None
    """Which frames belong together where clocks and counts disagree; leave out to have such recordings refused."""
    raw: RawSection | None = None
    """Layout of headerless files; leave out if takes and plates have headers."""
    video: VideoSection | None = None
    """What the numbers of videos mean that do not say it; leave out if all do."""
    benchmark: BenchmarkSection | None = None
    """Frames annotated by hand; leave out without a benchmark."""
    source: str = ""
    """The file that was read; filled in on reading."""

    @property
    def folder(self) -> Path:
        """The root as an absolute path."""
        return (Path(self.source).parent / self.root).absolute()

    def check_takes(self, names: Iterable[str], setting: str) -> None:
        """Raise a ConfigError if one of the takes that a setting names is not in the session."""
        for name in names:
            if name not in self.takes:
                what = f"the session has no take {name}; it has {listed(self.takes)}"
                raise ConfigError(
                    what, where=setting, fix=did_you_mean(name, self.takes) or "Name takes of the session."
                )

    @model_validator(mode="after")
    def _timecodes_exist(self) -> "Session":
        for name, take in self.takes.items():
            parts = [int(part) for part in take.timecode.replace(";", ":").split(":") if part]
            if parts and any(part >= end for part, end in zip(parts, (24, 60, 60, self.fps), strict=True)):
                raise ValueError(f"takes.{name} timecode {take.timecode} is impossible at fps = {self.fps:g}")
        return self

    @model_validator(mode="after")
    def _benchmark_take_exists(self) -> "Session":
        if self.benchmark and self.benchmark.take not in self.takes:
            raise ValueError(f"[benchmark] take {self.benchmark.take!r} is not one of {', '.join(self.takes)}")
        return self


def _refused(mistake: Mistake) -> SessionError:
    fix = f"Did you mean {' or '.join(mistake.near)}?" if mistake.near else ""
    return SessionError(f"{mistake.key or 'session'}: {mistake.what}", fix=fix)


def read_session(path: str | Path) -> Session:
    """Read a session descriptor.

    Args:
        path: the toml file, or the folder that holds session.toml.

    Raises:
        SessionError: the file is missing or not TOML, or fields are unknown, missing or out of range; it names all.
    """
    file = Path(path).absolute()
    fix = "Give the path of a session.toml, in the command or as `session` in capmat.toml."
    if file.is_dir():
        file = file / "session.toml"
        fix = "Write one: `capmat session FOLDER` does it for a folder in a known layout."
    where = str(file)
    if file.exists() and not file.is_file():
        raise SessionError("the session is not a file", where=where, fix=fix)
    if file.exists() and (size := file.stat().st_size) > _MOST_BYTES:
        raise SessionError(f"the session has {size} bytes", where=where, fix=fix)
    try:
        data = parse_toml(file.read_text(encoding="utf-8-sig"))
        session = Session.model_validate({**data, "source": where})
        session.colour.colour()
    except OSError as error:
        raise SessionError(f"the session cannot be opened ({error.strerror})", where=where, fix=fix) from error
    except ValidationError as error:
        found = [_refused(mistake) for mistake in mistakes(error, Session)]
        raise together(SessionError, found, where, "docs/ingest.md describes the fields.") from error
    except CapmatError as error:
        raise SessionError(error.what, where=where, fix=error.fix) from error
    except ValueError as error:
        raise SessionError(f"the session is not TOML ({error})", where=where, fix="Correct that line.") from error
    return session
