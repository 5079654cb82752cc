"""Is this session fit to be taken in? Everything is checked before anything is written.

`plan_session` finds the recordings, reads every header, decodes the first, middle and last picture of every camera,
and compares each plate with its take. It continues after a fault, so that one run finds them all; each problem names
the take, the camera, the frame and the file. `check_session` raises the first.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from capmat_errors import CalibrationError, CapmatError, PlateMismatch, SessionError
from storage.calibration.camera import Camera
from storage.calibration.formats.files import open_calibration
from storage.descriptor import Session
from storage.pictures.colour import Colour
from storage.pictures.files import read_header
from storage.pictures.header import Header
from storage.recordings.recording import Recording, find_recordings
from storage.session.cameras import CameraRow, find_plates, find_take, gathered, same_cameras, select
from storage.session.samples import Sample, check_headers, sample_plate, sample_take
from storage.session.sync import notes_on, start_code
from storage.store.root import checked_name
from storage.takes.schema import BLOCK


@dataclass(frozen=True)
class TakePlan:
    """One take as it will be stored.

    Attributes:
        name: the take's name.
        frames: frame numbers, the same for every camera.
        recordings: by camera; only those without a fault.
        timecode: of the first frame, or "".
        bytes: size of the pixels, before compression.
        rows: what is known, for every camera that recorded anything.
    """

    name: str
    frames: tuple[int, ...]
    recordings: dict[str, Recording]
    timecode: str
    bytes: int
    rows: dict[str, CameraRow]

    @property
    def gaps(self) -> dict[str, str]:
        """The frames that the take does without because a camera dropped them, "4-5", by camera."""
        return {id: row.gaps for id, row in self.rows.items() if row.gaps and row.count == len(self.frames)}

    @property
    def blocks(self) -> list[tuple[int, ...]]:
        """The frame numbers of the take in pieces of work."""
        return [self.frames[start : start + BLOCK] for start in range(0, len(self.frames), BLOCK)]


@dataclass(frozen=True)
class SessionPlan:
    """What an ingest of a session would do, and what prevents it.

    Attributes:
        session: the descriptor.
        cameras: calibration by camera, with picture sizes filled in.
        takes: by name.
        plates: recordings of the empty stage, by camera; empty for a stage without.
        trimaps: files annotated for the benchmark, by (camera, frame).
        problems: why it must not be taken in, in the order of finding; empty if it is fit.
        notes: what a person should know, such as frames or cameras that are left out, and a unit that is not stated.
        plate_seconds: to decode all pictures of the empty stage on one core, as measured.
    """

    session: Session
    cameras: dict[str, Camera] = field(default_factory=dict)
    takes: dict[str, TakePlan] = field(default_factory=dict)
    plates: dict[str, Recording] = field(default_factory=dict)
    trimaps: dict[tuple[str, int], Path] = field(default_factory=dict)
    problems: list[CapmatError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plate_seconds: float = 0.0

    def refuse(self, told: Callable[[str], None]) -> None:
        """Raise the first problem, once the others are told; does nothing where all is fit."""
        for problem in self.problems[1:]:
            told(f"problem: {problem}")
        if self.problems:
            raise self.problems[0]


def check_session(session: Session, only: str | None = None, *, decode: bool = True) -> SessionPlan:
    """Check everything that a session refers to. Writes nothing.

    Args:
        session: the descriptor.
        only: check this take alone, and the plates.
        decode: decode a few pictures of every camera; without it, find files and read their headers.

    Raises:
        SessionError: the folder, a path template or the colour section is wrong.
        CalibrationError: a calibration is missing, broken, or for pictures of another size.
        CameraMissing: a camera is calibrated but not recorded, or recorded but not calibrated.
        FrameGap: a frame is missing in a camera, or two files have its number.
        ImageUnreadable: a file is not a whole picture of the session's depth.
        SizeMismatch: one camera's pictures differ in size.
        PlateMissing: a camera did not record the empty stage.
        PlateMismatch: a plate belongs to another camera.
    """
    return _sound(plan_session(session, only, decode=decode))


def check_stage(session: Session, *, decode: bool = True) -> SessionPlan:
    """As `check_session`, for cameras and plates alone.

    Without plates the takes tell which cameras exist and how large their pictures are; one sound take is enough.
    """
    if session.plates is not None:
        return _sound(plan_session(session, "", decode=decode))
    plan = plan_session(session, decode=decode)
    if not plan.problems:
        return plan
    plans = [plan_session(session, name, decode=decode) for name in session.takes]
    sound = [each for each in plans if not each.problems]
    if not sound:
        raise plan.problems[0]
    cameras = plan.cameras | {id: camera for each in sound for id, camera in each.cameras.items()}
    return SessionPlan(session, {id: cameras[id] for id in sorted(cameras)})


def plan_session(session: Session, only: str | None = None, *, decode: bool = True) -> SessionPlan:
    """As `check_session`, but every take and camera is checked, and `problems` lists what is wrong.

    With `only=""` no take is checked.
    """
    problems, colour, sizes = list[CapmatError](), session.colour.colour(), dict[str, Header]()
    if not session.folder.is_dir():
        where = str(session.folder)
        error = SessionError("the session's folder does not exist", where=where, fix="Correct root.")
        return SessionPlan(session, problems=[error])
    names = [name for name in session.takes if only in (None, name)]
    recorded = {name: find_take(session, name, problems) for name in names}
    known = {id for _, cameras in recorded.values() for id in cameras} or _with_plates(session)
    cameras, notes = _calibrated(session, known, problems)
    for id in sorted({*known, *cameras}):
        with gathered(problems):
            checked_name("camera", id, 100)
    for name, (_, ids) in recorded.items() if cameras else ():
        same_cameras(session, name, ids, cameras, problems)
    chosen = {name: select(session, name, recordings, problems) for name, (recordings, _) in recorded.items()}
    sound = {
        name: _with_sound_headers(session, f"take {name}", recordings.values(), sizes, problems)
        for name, (_, recordings, _) in chosen.items()
    }
    plates = find_plates(session, cameras, problems)
    plates = _with_sound_headers(session, "plate of", plates.values(), sizes, problems)
    sized = {}
    for id in (id for id in cameras if id in sizes):
        with gathered(problems):
            sized[id] = _sized(cameras[id], sizes[id])
    thumbnails, plate_seconds = {}, 0.0
    for id, recording in plates.items() if decode else ():
        with gathered(problems, "plate of"):
            thumbnails[id], seconds = sample_plate(recording, colour)
            plate_seconds += seconds * len(recording.frames)
    takes = {}
    for name, (frames, _, rows) in chosen.items():
        rows = {id: _measured(row, sizes.get(id), plates.get(id), colour) for id, row in rows.items()}
        for id, recording in sound[name].items() if decode else ():
            with gathered(problems, f"take {name}"):
                sample = sample_take(recording, colour, thumbnails)
                rows[id] = replace(rows[id], **vars(sample))
                _check_owner(recording, sample, plates)
        whole = {id: recording for id, recording in sound[name].items() if rows[id].count == len(frames)}
        code = ""
        with gathered(problems):
            code = start_code(session, name, whole)
        takes[name] = TakePlan(name, frames, whole, code, sum(row.raw for row in rows.values()), rows)
    trimaps = _find_trimaps(session, takes, problems)
    notes += [
        note for name, take in takes.items() for note in notes_on(name, recorded[name][0], take.frames, take.gaps)
    ]
    return SessionPlan(session, sized, takes, plates, trimaps, problems, notes, plate_seconds)


def _sound(plan: SessionPlan) -> SessionPlan:
    if plan.problems:
        raise plan.problems[0]
    return plan


def _with_plates(session: Session) -> set[str]:
    if session.plates is None:
        return set()
    return set(find_recordings(session.folder, session.plates.path, session.raw, session.video, {}))


def _calibrated(
    session: Session, recorded: Iterable[str], problems: list[CapmatError]
) -> tuple[dict[str, Camera], list[str]]:
    """The cameras, and what their reader says about them."""
    section = session.calibration
    # One file per camera: a camera that failed on all takes needs no file.
    names = sorted(recorded) if section.format == "opencv-xml" else None
    if names == []:
        return {}, []
    with gathered(problems):
        rig = open_calibration(section.format, section.path, session.folder, names, section.unit, section.scale)
        unstated = "nobody stated the unit of the calibration, so lengths are in its own; set unit or scale there"
        return rig.cameras, [*rig.notes, *([] if section.has_unit else [unstated])]
    return {}, []


def _with_sound_headers(
    session: Session,
    subject: str,
    recordings: Iterable[Recording],
    sizes: dict[str, Header],
    problems: list[CapmatError],
) -> dict[str, Recording]:
    """Those recordings whose files all fit the session; adds the size of each camera to `sizes`."""
    sound = {}
    for recording in recordings:
        with gathered(problems, subject):
            check_headers(recording, session.colour.colour(), sizes)
            sound[recording.camera] = recording
    return sound


def _sized(camera: Camera, size: Header) -> Camera:
    """The calibration with the pictures' size.

    Raises:
        CalibrationError: it is for another size.
    """
    if camera.width and (camera.width, camera.height) != (size.width, size.height):
        raise CalibrationError(
            f"the calibration is for {camera.width}x{camera.height}, the pictures are {size.width}x{size.height}",
            where=f"camera {camera.id}",
            fix="Scale K with the pictures, or calibrate at this size.",
        )
    return camera.sized(size.width, size.height)


def _measured(row: CameraRow, size: Header | None, plate: Recording | None, colour: Colour) -> CameraRow:
    """The row with what headers say about the camera's pictures and its plate."""
    row = replace(row, plate=len(plate.frames) if plate else 0)
    if size is None:
        return row
    raw = row.count * size.width * size.height * size.channels * np.dtype(colour.dtype).itemsize
    return replace(row, width=size.width, height=size.height, dtype=colour.dtype, raw=raw)


def _check_owner(recording: Recording, sample: Sample, plates: Mapping[str, Recording]) -> None:
    """Raise PlateMismatch if another camera's plate explains the sample clearly better."""
    if sample.owner:
        plate = plates[recording.camera]
        raise PlateMismatch(
            f"the plate looks like camera {sample.owner}, not {recording.camera}",
            where=f"camera {recording.camera} frame {recording.frames[0]}, plate {plate.file(plate.frames[0])}",
            fix="Swap the plates back, or record the empty stage again.",
        )


def _find_trimaps(
    session: Session, takes: Mapping[str, TakePlan], problems: list[CapmatError]
) -> dict[tuple[str, int], Path]:
    if session.benchmark is None or session.benchmark.take not in takes:
        return {}
    take, trimaps = takes[session.benchmark.take], {}
    with gathered(problems):
        pictures = find_recordings(session.folder, session.benchmark.trimaps)
        if not pictures:
            raise SessionError(
                "no trimap was found",
                where=str(session.folder / session.benchmark.trimaps),
                fix="Correct [benchmark] trimaps, or remove the section.",
            )
        for camera, recording in pictures.items():
            for frame in recording.frames:
                if camera not in take.rows or frame not in take.frames:
                    raise SessionError(
                        "the trimap is for a frame that is not in the take",
                        where=f"take {take.name} camera {camera} frame {frame}, {recording.file(frame)}",
                        fix="Remove it, or choose the take's frames so that it is in.",
                    )
                read_header(recording.file(frame))
                trimaps[camera, frame] = recording.file(frame)
    return trimaps
