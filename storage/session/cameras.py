"""Which cameras recorded a take and the empty stage, and which frames all of them have."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from capmat_errors import CameraMissing, CapmatError, FrameGap, PlateMissing, SessionError
from storage.calibration.camera import Camera
from storage.descriptor import Session
from storage.recordings.recording import Recording, expected_file, find_recordings, misnamed
from storage.session.numbers import check_numbers
from storage.session.sync import in_step

_LISTED = 5  # gaps of a clock that a row names


@dataclass(frozen=True)
class CameraRow:
    """One camera of one take, filled in as far as it could be read.

    Attributes:
        first: first frame number that will be stored.
        last: last one.
        count: how many of the take's frames the camera has.
        gaps: which ones it lacks, "12, 20-31", or "".
        width: pixels.
        height: pixels.
        dtype: of the numbers in the files.
        source: kind of file, "png".
        clock: what says when its frames were taken, or "".
        rate: frames per second by it; 0 if unknown.
        start: when its first frame was taken, in the clock's own words.
        dropped: frames that are missing by the clock, "4-5", or "".
        jitter: the longest distance of a frame from where it was due, in seconds.
        plate: frames of the empty stage; 0 without a plate.
        distance: how badly the plate explains the background, 0..0.15 (`storage.session.samples.plate_distance`).
        owner: the camera whose plate fits clearly better, or "".
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
    clock: str = ""
    rate: float = 0.0
    start: str = ""
    dropped: str = ""
    jitter: float = 0.0
    plate: int = 0
    distance: float | None = None
    owner: str = ""
    raw: int = 0
    encoded: int = 0
    seconds: float = 0.0
    measured: int = 0


@contextmanager
def gathered(problems: list[CapmatError], subject: str = "") -> Iterator[None]:
    """Add a refusal to the list instead of stopping at it; `subject` names the take or plate before the camera."""
    try:
        yield
    except CapmatError as error:
        problems.append(_about(error, subject))


def find_take(session: Session, name: str, problems: list[CapmatError]) -> tuple[dict[str, Recording], set[str]]:
    """Find the recordings of a take, without the cameras that it leaves out.

    Returns:
        Recordings by camera, and the names of all cameras that recorded, also of broken recordings and of cameras
        that the take leaves out.
    """
    section = session.takes[name]
    recordings, broken = _find(session, section.path, f"take {name}", problems)
    if not recordings and not broken:
        return {}, set()
    problems += [error for camera, error in broken.items() if camera not in section.without]
    kept = {camera: recordings[camera] for camera in sorted(recordings) if camera not in section.without}
    for camera, by in section.offset.items():
        if camera in kept:
            kept[camera] = replace(kept[camera], shift=by)
    return in_step(session, name, kept, problems), {*recordings, *broken}


def find_plates(session: Session, cameras: Mapping[str, Camera], problems: list[CapmatError]) -> dict[str, Recording]:
    """The recordings of the empty stage, by camera; if the stage has any, every calibrated camera needs one."""
    if session.plates is None:
        return {}
    recordings, broken = _find(session, session.plates.path, "plate of", problems, required=False)
    problems += broken.values()
    left_out = set.intersection(*({*take.without} for take in session.takes.values()))
    for camera in cameras:
        if camera not in recordings and camera not in broken and camera not in left_out:
            file = str(session.folder / session.plates.path).replace("{camera}", camera)
            problems.append(
                PlateMissing(
                    "the camera did not record the empty stage",
                    where=f"plate of camera {camera}, {file}",
                    fix="Record it, or correct [plates] path.",
                )
            )
    return {camera: recordings[camera] for camera in sorted(cameras) if camera in recordings}


def same_cameras(
    session: Session, take: str, recorded: Iterable[str], cameras: Mapping[str, Camera], problems: list[CapmatError]
) -> None:
    """Every camera must be calibrated and recorded, unless the take leaves it out."""
    section, recorded = session.takes[take], {*recorded}
    path = str(session.folder / section.path)

    def refuse(camera: str, what: str, fix: str) -> None:
        where = f"take {take} camera {camera}, {path.replace('{camera}', camera)}"
        problems.append(CameraMissing(what, where=where, fix=fix))

    for camera in {**dict.fromkeys(section.without), **section.offset}:
        if camera not in recorded and camera not in cameras:
            known = ", ".join(sorted({*cameras, *recorded}))
            refuse(camera, f"without or offset names an unknown camera; known are {known}", "Check the name.")
    for camera in cameras:
        if camera not in recorded and camera not in section.without:
            fix = f'Copy its recording there, or set without = ["{camera}"] for this take.'
            refuse(camera, "the camera is calibrated but was not recorded", fix)
    for camera in sorted(recorded):
        if camera not in cameras and camera not in section.without:
            fix = f'Calibrate it, or set without = ["{camera}"] for this take.'
            refuse(camera, "the camera was recorded but is not calibrated", fix)


def select(
    session: Session, name: str, recordings: Mapping[str, Recording], problems: list[CapmatError]
) -> tuple[tuple[int, ...], dict[str, Recording], dict[str, CameraRow]]:
    """Cut every camera down to the chosen frames.

    Returns:
        The frame numbers, what every camera has of them, and a row for every camera, which names its gaps.
    """
    section = session.takes[name]
    numbers = [number for recording in recordings.values() for number in recording.frames]
    if not numbers:
        return (), {}, {}
    # Where clocks place the frames, the take does without those that a camera lacks; else it lacks none.
    placed = any(recording.placed is not None for recording in recordings.values())
    ends = [recording.frames for recording in recordings.values() if recording.frames]
    first = max(own[0] for own in ends) if placed else min(numbers)
    last = min(own[-1] for own in ends) if placed else max(numbers)
    first = section.first if section.first is not None else first
    last = section.last if section.last is not None else last
    frames = tuple[int, ...]()
    with gathered(problems):
        check_numbers(session, name, recordings, first, last)
        frames = tuple(range(first, last + 1, section.step))
    common = {*frames}.intersection(*ends) if placed else {*frames}
    if placed and not common:
        what = "no frame is of a moment at which all cameras recorded"
        problems.append(
            FrameGap(what, where=f"take {name}", fix="Leave the cameras out that recorded at other times.")
        )
    chosen, rows = dict[str, Recording](), dict[str, CameraRow]()
    if not common:
        return (), chosen, rows
    for camera, recording in recordings.items():
        starts = f"take {name} camera {camera} ", f"take {name} camera {camera},"
        missing = sorted({*frames}.difference(recording.frames))
        has = sorted(common.intersection(recording.frames))
        rows[camera] = CameraRow(
            first=has[0] if has else 0,
            last=has[-1] if has else 0,
            count=len(has),
            gaps=_ranges(missing, section.step),
            source=recording.file(recording.frames[0]).suffix.lstrip(".").lower() if recording.frames else "",
            **_clock(recording, _ranges(missing, section.step) if placed else None),
        )
        # A camera whose clock was refused lacks frames only because these are counted.
        refused = any(problem.where.startswith(starts) for problem in problems)
        if missing and not placed and not refused:
            others = sum(missing[0] in other.frames for other in recordings.values())
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            problems.append(
                FrameGap(
                    f"frame {missing[0]}{more} is missing; {others} of {len(recordings)} cameras have it",
                    where=f"take {name} camera {camera} frame {missing[0]}, "
                    f"{_missing_file(session, name, recording, missing[0])}",
                    fix=f"Copy it again, or set first=, last= and step= of the take{_common(recordings, frames)}.",
                )
            )
        if has:
            chosen[camera] = recording.select(tuple(has))
    return tuple(sorted(common)), chosen, rows


def _clock(recording: Recording, gaps: str | None) -> dict[str, Any]:
    """The fields of a row that its clock fills; `gaps` is given where the clock places the frames."""
    if (clock := recording.clock) is None:
        return {}
    start = clock.timecode or (str(clock.numbers[0]) if clock.kind == "names" else f"{clock.seconds(0):.3f} s")
    if gaps is None:
        # Counted frames have no gaps, but the clock says where some were dropped.
        first = clock.numbers[0] + (recording.shift or 0)
        lost = [(first + a + 1, first + b - 1) for a, b in pairwise(clock.slots().tolist()) if b - a > 1]
        gaps = ", ".join(f"{low}-{high}" if low < high else f"{low}" for low, high in lost[:_LISTED])
        gaps += f" and {len(lost) - _LISTED} more" if len(lost) > _LISTED else ""
    return {"clock": clock.kind, "rate": clock.rate, "start": start, "dropped": gaps, "jitter": clock.jitter}


def _find(
    session: Session, path: str, subject: str, problems: list[CapmatError], *, required: bool = True
) -> tuple[dict[str, Recording], dict[str, CapmatError]]:
    """Recordings by camera, and the faults of the broken ones, which name the subject."""
    broken: dict[str, CapmatError] = {}
    recordings: dict[str, Recording] = {}
    with gathered(problems, subject):
        recordings = find_recordings(session.folder, path, session.raw, session.video, broken)
        if required and not recordings and not broken:
            file, ending = misnamed(session.folder, path), Path(path).suffix
            if file and file.suffix.lower() != ending.lower():
                what = f"no recording ends on {ending}; this file ends on {file.suffix}"
                raise SessionError(what, where=str(file), fix="Correct the ending in the path.")
            if file:
                what = "the name has something else than a whole number where the path has {frame}"
                fix = "Name the files by numbers: 0, 1, 2, or times without points and colons; or correct the path."
                raise SessionError(what, where=str(file), fix=fix)
            raise SessionError(
                "no recording was found",
                where=str(session.folder / path),
                fix="Correct the take's path, or copy the recordings there.",
            )
    return recordings, {camera: _about(error, subject) for camera, error in broken.items()}


def _about(error: CapmatError, subject: str) -> CapmatError:
    """The same error, with the take or plate named before the camera."""
    return type(error)(error.what, where=f"{subject} {error.where}".strip(), fix=error.fix)


def _ranges(numbers: Sequence[int], step: int = 1) -> str:
    """Rising numbers as "12, 20-31"; neighbours are `step` apart."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + step:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def _missing_file(session: Session, name: str, recording: Recording, frame: int) -> Path:
    """Where the frame should have been: in the one file that holds all, or in a file of its own."""
    section = session.takes[name]
    if "{frame" not in section.path and recording.frames:
        return recording.file(recording.frames[0])
    own = frame - section.offset.get(recording.camera, 0)
    return expected_file(session.folder, section.path, recording.camera, own)


def _common(recordings: Mapping[str, Recording], frames: Iterable[int]) -> str:
    """The frames that all cameras have, if these are one run without gaps."""
    common = sorted({*frames}.intersection(*(recording.frames for recording in recordings.values())))
    text = _ranges(common)
    return f" (all cameras have {text})" if common and "," not in text else ""
