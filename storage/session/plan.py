"""Is this session fit to be taken in? Everything is looked at before anything is written.

`plan_session` finds the recordings, reads every header, decodes the first, middle and last picture of every
camera, and compares each plate with its take. It goes on after a fault, so that one look finds them all; each is
one sentence that names the take, the camera, the frame and the file. `check_session` refuses at the first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from capmat_errors import CapmatError, SessionError
from storage.calibration.camera import Camera
from storage.calibration.formats.files import open_calibration
from storage.descriptor import Session
from storage.pictures.header import Header
from storage.recordings.recording import Recording, find_recordings
from storage.session.cameras import CameraRow, find_take, gathered, same_cameras, select
from storage.session.samples import check_headers, find_plates, fitted, look_at_plate, look_at_take
from storage.store.root import checked_name


@dataclass(frozen=True)
class TakePlan:
    """One take as it will be stored.

    Attributes:
        name: the take's name.
        frames: frame numbers, the same for every camera.
        recordings: by camera; those that were found fit.
        bytes: size of the pixels, before compression.
        rows: what was found, for every camera of which anything was.
    """

    name: str
    frames: tuple[int, ...]
    recordings: dict[str, Recording]
    bytes: int
    rows: dict[str, CameraRow]


@dataclass(frozen=True)
class SessionPlan:
    """What an ingest of a session would do, and what keeps it from being done.

    Attributes:
        session: the descriptor.
        cameras: calibration by camera, with picture sizes filled in.
        takes: by name.
        plates: recordings of the empty stage, by camera; empty for a stage without.
        trimaps: files annotated for the benchmark, by (camera, frame).
        problems: why it must not be taken in, in the order of finding; empty if it is fit.
        plate_seconds: to decode all pictures of the empty stage on one core, as measured.
    """

    session: Session
    cameras: dict[str, Camera] = field(default_factory=dict)
    takes: dict[str, TakePlan] = field(default_factory=dict)
    plates: dict[str, Recording] = field(default_factory=dict)
    trimaps: dict[tuple[str, int], Path] = field(default_factory=dict)
    problems: list[CapmatError] = field(default_factory=list)
    plate_seconds: float = 0.0


def check_session(session: Session, only: str | None = None, *, decode: bool = True) -> SessionPlan:
    """Look at everything that a session refers to. Writes nothing.

    Args:
        session: the descriptor.
        only: look at this take alone, and at the plates.
        decode: decode a few pictures of every camera; without it, find files and read their headers.

    Raises:
        SessionError: the folder, a path template or the colour section is wrong.
        CalibrationError: a calibration is missing, broken, or for pictures of another size.
        CameraMissing: a camera is calibrated but not recorded, or recorded but not calibrated.
        FrameGap: a frame is missing in a camera, or is there twice.
        ImageUnreadable: a file is no whole picture of the session's depth.
        SizeMismatch: one camera's pictures differ in size.
        PlateMissing: a camera has no recording of the empty stage.
        PlateMismatch: a plate belongs to another camera.
    """
    return _sound(plan_session(session, only, decode=decode))


def check_stage(session: Session, *, decode: bool = True) -> SessionPlan:
    """As `check_session` for cameras and plates alone; takes are looked at only where there are no plates.

    There the takes say which cameras there are and how large their pictures; one that is fit is enough.
    """
    if session.plates is not None:
        return _sound(plan_session(session, "", decode=decode))
    plan = plan_session(session, decode=decode)
    if not plan.problems:
        return plan
    fit = [found for name in session.takes if not (found := plan_session(session, name, decode=decode)).problems]
    if not fit:
        raise plan.problems[0]
    cameras = plan.cameras | {id: camera for found in fit for id, camera in found.cameras.items()}
    return SessionPlan(session, {id: cameras[id] for id in sorted(cameras)})


def plan_session(session: Session, only: str | None = None, *, decode: bool = True) -> SessionPlan:
    """As `check_session`, but every take and camera is looked at, and what is wrong is in `problems`.

    With `only=""` no take is looked at.
    """
    root, problems = session.folder, list[CapmatError]()
    if not root.is_dir():
        where = str(root)
        error = SessionError("the session's folder does not exist", where=where, fix="Correct root.")
        return SessionPlan(session, problems=[error])
    names = [name for name in session.takes if only in (None, name)]
    found = {name: find_take(session, name, problems) for name in names}
    there = {id for _, left in found.values() for id in left} or _with_plates(session)
    cameras = _calibrated(session, there, problems)
    for id in sorted({*there, *cameras}):
        with gathered(problems):
            checked_name("camera", id)
    if cameras:
        for name, (_, left) in found.items():
            same_cameras(session, name, left, cameras, problems)
    chosen = {name: select(session, name, recordings, problems) for name, (recordings, _) in found.items()}

    colour, sizes = session.colour.colour(), dict[str, Header]()
    sound = {
        name: _with_sound_headers(session, f"take {name}", recordings.values(), sizes, problems)
        for name, (_, recordings, _) in chosen.items()
    }
    plates = find_plates(session, cameras, problems)
    plates = _with_sound_headers(session, "plate of", plates.values(), sizes, problems)
    sized = {}
    for id, camera in cameras.items():
        if id in sizes:
            with gathered(problems):
                sized[id] = fitted(camera, sizes[id])

    empty, plate_seconds = {}, 0.0
    for id, recording in plates.items() if decode else ():
        with gathered(problems, "plate of"):
            empty[id], seconds = look_at_plate(recording, colour)
            plate_seconds += seconds * len(recording.frames)
    takes = {}
    for name, (frames, _, rows) in chosen.items():
        for id, row in rows.items():
            row.plate = len(plates[id].frames) if id in plates else 0
            if id in sizes:
                row.width, row.height, row.dtype = sizes[id].width, sizes[id].height, colour.dtype
                row.raw = row.count * row.width * row.height * sizes[id].channels * np.dtype(colour.dtype).itemsize
        for id, recording in sound[name].items() if decode else ():
            with gathered(problems, f"take {name}"):
                look_at_take(recording, colour, plates, empty, rows[id])
        whole = {id: recording for id, recording in sound[name].items() if not rows[id].gaps}
        takes[name] = TakePlan(name, frames, whole, sum(row.raw for row in rows.values()), rows)
    trimaps = _find_trimaps(session, takes, problems)
    return SessionPlan(session, sized, takes, plates, trimaps, problems, plate_seconds)


def _sound(plan: SessionPlan) -> SessionPlan:
    if plan.problems:
        raise plan.problems[0]
    return plan


def _with_plates(session: Session) -> set[str]:
    if session.plates is None:
        return set()
    return set(find_recordings(session.folder, session.plates.path, session.raw, session.video, {}))


def _calibrated(session: Session, recorded: Iterable[str], problems: list[CapmatError]) -> dict[str, Camera]:
    section = session.calibration
    # One file per camera: cameras that failed on all takes need none.
    named = sorted(recorded) if section.format == "opencv-xml" else None
    if named == []:
        return {}
    with gathered(problems):
        return open_calibration(
            section.format, section.path, session.folder, named, section.unit, section.scale
        ).cameras
    return {}


def _with_sound_headers(
    session: Session,
    what: str,
    recordings: Iterable[Recording],
    sizes: dict[str, Header],
    problems: list[CapmatError],
) -> dict[str, Recording]:
    """Those recordings whose files all fit the session; notes the size of each camera."""
    sound = {}
    for recording in recordings:
        with gathered(problems, what):
            check_headers(recording, session.colour.colour(), sizes)
            sound[recording.camera] = recording
    return sound


def _find_trimaps(
    session: Session, takes: Mapping[str, TakePlan], problems: list[CapmatError]
) -> dict[tuple[str, int], Path]:
    if session.benchmark is None or session.benchmark.take not in takes:
        return {}
    take, trimaps = takes[session.benchmark.take], {}
    with gathered(problems):
        found = find_recordings(session.folder, session.benchmark.trimaps)
        if not found:
            raise SessionError(
                "no trimap was found",
                where=str(session.folder / session.benchmark.trimaps),
                fix="Correct [benchmark] trimaps, or take the section out.",
            )
        for camera, recording in found.items():
            for frame in recording.frames:
                if camera not in take.rows or frame not in take.frames:
                    raise SessionError(
                        "a trimap is there for a frame that is not in the take",
                        where=f"take {take.name} camera {camera} frame {frame}, {recording.file(frame)}",
                        fix="Remove it, or choose the take's frames so that it is in.",
                    )
                trimaps[camera, frame] = recording.file(frame)
    return trimaps
