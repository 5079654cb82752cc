"""Which cameras recorded a take, and which frames all of them have."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from capmat_errors import CameraMissing, CapmatError, FrameGap, SessionError
from storage.calibration.camera import Camera
from storage.descriptor import Session
from storage.plan_row import CameraRow, gathered, named, ranges
from storage.recordings.recording import Recording, Shifted, expected_file, find_recordings


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
