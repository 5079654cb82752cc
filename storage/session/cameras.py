"""Which cameras recorded a take, and which frames all of them have."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from capmat_errors import CameraMissing, CapmatError, FrameGap, SessionError
from storage.calibration.camera import Camera
from storage.descriptor import Session
from storage.recordings.recording import Recording, Shifted, expected_file, find_recordings


@dataclass
class CameraRow:
    """One camera of one take, filled in as far as it could be read.

    Attributes:
        first: first frame number that will be stored.
        last: last one.
        count: how many are there of those.
        gaps: which are missing, "12, 20-31"; "" if none.
        width: pixels.
        height: pixels.
        dtype: of the numbers in the files.
        source: kind of file, "png".
        plate: frames of the empty stage; 0 if there is none.
        distance: how badly the plate explains the background, 0..0.15 (`plate_check.plate_distance`).
        owner: the camera whose plate fits clearly better; "" if its own does.
        raw: bytes of pixels, before compression.
        encoded: bytes that a frame takes in the store, as measured.
        seconds: to decode and encode a frame on one core, as measured.
        measured: frames that were measured.
    """

    first: int = 0
    last: int = 0
    count: int = 0
    gaps: str = ""
    width: int = 0
    height: int = 0
    dtype: str = ""
    source: str = ""
    plate: int = 0
    distance: float | None = None
    owner: str = ""
    raw: int = 0
    encoded: int = 0
    seconds: float = 0.0
    measured: int = 0


@contextmanager
def gathered(problems: list[CapmatError], what: str = "") -> Iterator[None]:
    """Put a refusal on the list instead of stopping at it; `what` names the take or plate before the camera."""
    try:
        yield
    except CapmatError as error:
        problems.append(named(error, what))


def named(error: CapmatError, what: str) -> CapmatError:
    """The same error, with the take or plate put before the camera."""
    return type(error)(error.what, where=f"{what} {error.where}".strip(), fix=error.fix)


def ranges(numbers: Sequence[int], step: int = 1) -> str:
    """Rising numbers as "12, 20-31"; neighbours are `step` apart."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + step:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def find_take(session: Session, name: str, problems: list[CapmatError]) -> tuple[dict[str, Recording], set[str]]:
    """Find the recordings of a take, but for the cameras that it is `without`.

    Returns:
        Recordings by camera, and the names of all cameras that left something, broken or left out.
    """
    section = session.takes[name]
    broken: dict[str, CapmatError] = {}
    found: dict[str, Recording] = {}
    with gathered(problems, f"take {name}"):
        found = find_recordings(session.folder, section.path, session.raw, session.video, broken)
        if not found and not broken:
            # The name of the take is put in front on the way out.
            raise SessionError(
                "no recording was found",
                where=str(session.folder / section.path),
                fix="Correct the take's path, or copy the recordings there.",
            )
    there = {*found, *broken}
    problems += [named(error, f"take {name}") for camera, error in broken.items() if camera not in section.without]
    kept = {camera: found[camera] for camera in sorted(found) if camera not in section.without}
    for camera, by in section.offset.items():
        if camera in kept:
            kept[camera] = Shifted(kept[camera], by)
    return kept, there


def same_cameras(
    session: Session, take: str, there: Iterable[str], cameras: Mapping[str, Camera], problems: list[CapmatError]
) -> None:
    """Every camera is calibrated and recorded, unless the take says that it is without it."""
    section, there = session.takes[take], {*there}
    path = str(session.folder / section.path)

    def refuse(camera: str, what: str, fix: str) -> None:
        where = f"take {take} camera {camera}, {path.replace('{camera}', camera)}"
        problems.append(CameraMissing(what, where=where, fix=fix))

    for camera in {**dict.fromkeys(section.without), **section.offset}:
        if camera not in there and camera not in cameras:
            known = ", ".join(sorted({*cameras, *there}))
            refuse(camera, f"without or offset names a camera that is not there; there is {known}", "Check the name.")
    for camera in cameras:
        if camera not in there and camera not in section.without:
            fix = f'Copy its recording there, or set without = ["{camera}"] for this take.'
            refuse(camera, "the camera is calibrated but was not recorded", fix)
    for camera in sorted(there):
        if camera not in cameras and camera not in section.without:
            fix = f'Calibrate it, or set without = ["{camera}"] for this take.'
            refuse(camera, "the camera was recorded but is not calibrated", fix)


def select(
    session: Session, name: str, found: Mapping[str, Recording], problems: list[CapmatError]
) -> tuple[tuple[int, ...], dict[str, Recording], dict[str, CameraRow]]:
    """Cut every camera down to the chosen frames.

    Returns:
        The frame numbers, what every camera has of them, and a row for every camera, which names its gaps.
    """
    section = session.takes[name]
    numbers = [number for recording in found.values() for number in recording.frames]
    if not numbers:
        return (), {}, {}
    first = section.first if section.first is not None else min(numbers)
    last = section.last if section.last is not None else max(numbers)
    frames = tuple(range(first, last + 1, section.step))
    chosen, rows = {}, {}
    for camera, recording in found.items():
        has = sorted({*frames}.intersection(recording.frames))
        missing = sorted({*frames}.difference(has))
        source = recording.file(recording.frames[0]).suffix.lstrip(".").lower() if recording.frames else ""
        rows[camera] = CameraRow(
            first=has[0] if has else 0,
            last=has[-1] if has else 0,
            count=len(has),
            gaps=ranges(missing, section.step),
            source=source,
        )
        if missing:
            others = sum(missing[0] in other.frames for other in found.values())
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            problems.append(
                FrameGap(
                    f"frame {missing[0]}{more} is missing; {others} of {len(found)} cameras have it",
                    where=f"take {name} camera {camera} frame {missing[0]}, "
                    f"{_missing_file(session, name, recording, missing[0])}",
                    fix=f"Copy it again, or set first=, last= and step= of the take{_common(found, frames)}.",
                )
            )
        if has:
            chosen[camera] = recording.select(tuple(has))
    return frames, chosen, rows


def _missing_file(session: Session, name: str, recording: Recording, frame: int) -> Path:
    """Where the frame should have been: in the one file that holds all, or in one of its own."""
    files = {recording.file(recording.frames[0]), recording.file(recording.frames[-1])} if recording.frames else set()
    section = session.takes[name]
    if "{frame" not in section.path and files:
        return files.pop()
    own = frame - section.offset.get(recording.camera, 0)
    return expected_file(session.folder, section.path, recording.camera, own)


def _common(found: Mapping[str, Recording], frames: Iterable[int]) -> str:
    """The frames that all cameras have, if that is one run without gaps."""
    common = sorted({*frames}.intersection(*(recording.frames for recording in found.values())))
    text = ranges(common)
    return f" (all cameras have {text})" if common and "," not in text else ""
