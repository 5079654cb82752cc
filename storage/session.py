"""Is this session fit to be taken in? Everything is looked at before anything is written.

`check_session` finds the recordings, reads every header, decodes the first, middle and last picture of every
camera, and compares each plate with its take. What it refuses, it refuses in one sentence that names the
take, the camera, the frame and the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import (
    CalibrationError,
    CameraMissing,
    CapmatError,
    FrameGap,
    PlateMismatch,
    PlateMissing,
    SessionError,
    SizeMismatch,
)
from storage.bayer import stored_planes
from storage.calibration import read_calibration
from storage.camera import Camera
from storage.colour import Colour
from storage.descriptor import Session, TakeSection, read_session
from storage.frames import Header
from storage.plate_check import plate_owner, thumbnail
from storage.recording import Recording, check_colour, expected_file, find_recordings
from storage.root import checked_name

__all__ = ["Session", "SessionPlan", "TakePlan", "check_session", "read_session"]


@dataclass(frozen=True)
class TakePlan:
    """One take as it will be stored.

    Attributes:
        name: the take's name.
        frames: frame numbers, the same for every camera.
        recordings: by camera.
        bytes: size of the pixels, before compression.
    """

    name: str
    frames: tuple[int, ...]
    recordings: dict[str, Recording]
    bytes: int


@dataclass(frozen=True)
class SessionPlan:
    """A session that was found fit.

    Attributes:
        session: the descriptor.
        cameras: calibration by camera, with picture sizes filled in.
        takes: by name.
        plates: recordings of the empty stage, by camera.
        trimaps: files annotated for the benchmark, by (camera, frame).
    """

    session: Session
    cameras: dict[str, Camera]
    takes: dict[str, TakePlan]
    plates: dict[str, Recording]
    trimaps: dict[tuple[str, int], Path]

    def lines(self) -> Iterator[str]:
        """Say per take and camera what will be stored, one line each."""
        dtype = self.session.colour.colour().dtype
        for take in self.takes.values():
            for id, recording in take.recordings.items():
                camera = self.cameras[id]
                size = camera.width * camera.height * 3 * np.dtype(dtype).itemsize * len(recording)
                yield (
                    f"{take.name} {id}: {len(recording)} frames {take.frames[0]}..{take.frames[-1]}, "
                    f"{camera.width}x{camera.height} {dtype}, {size / 1e6:.1f} MB, "
                    f"plate from {len(self.plates[id])}"
                )


def check_session(session: Session, only: str | None = None) -> SessionPlan:
    """Look at everything that a session refers to. Writes nothing.

    Args:
        session: the descriptor.
        only: look at this take alone, and at the plates.

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
    root = session.folder
    if not root.is_dir():
        raise SessionError("the session's folder does not exist", where=str(root), fix="Correct root.")
    calibration = session.calibration
    takes = {
        name: _find_take(session, name, section) for name, section in session.takes.items() if only in (None, name)
    }
    recorded = sorted({camera for found in takes.values() for camera in found})
    cameras = read_calibration(
        calibration.format,
        calibration.path,
        root,
        recorded if calibration.format == "opencv-xml" else None,
        calibration.unit,
        calibration.scale,
    )
    for camera in {*recorded, *cameras}:
        checked_name("camera", camera)
    for name, found in takes.items():
        _same_cameras(name, found, cameras, root / session.takes[name].path)
    plans = {name: _select(session, name, found) for name, found in takes.items()}
    sizes: dict[str, Header] = {}
    for name, chosen in plans.items():
        for recording in chosen.values():
            _check_headers(f"take {name}", recording, session.colour.bits, sizes)
    plates = _find_plates(session, cameras)
    for recording in plates.values():
        _check_headers("plate of", recording, session.colour.bits, sizes)
    cameras = {id: _fitted(camera, sizes[id]) for id, camera in cameras.items()}
    _check_pictures(session, plans, plates)
    item = np.dtype(session.colour.colour().dtype).itemsize
    return SessionPlan(
        session,
        cameras,
        {
            name: TakePlan(
                name,
                next(iter(chosen.values())).frames,
                chosen,
                sum(len(r) * sizes[c].width * sizes[c].height * 3 * item for c, r in chosen.items()),
            )
            for name, chosen in plans.items()
        },
        plates,
        _find_trimaps(session, plans),
    )


def _find_take(session: Session, name: str, section: TakeSection) -> dict[str, Recording]:
    try:
        found = find_recordings(session.folder, section.path)
    except CapmatError as error:
        raise _named(error, f"take {name}") from error
    if not found:
        raise SessionError(
            "no recording was found",
            where=f"take {name}, {session.folder / section.path}",
            fix="Correct the take's path, or copy the recordings there.",
        )
    return dict(sorted(found.items()))


def _same_cameras(take: str, found: Mapping[str, Any], cameras: Mapping[str, Camera], where: Path) -> None:
    for camera in cameras:
        if camera not in found:
            raise CameraMissing(
                "the camera is calibrated but was not recorded",
                where=f"take {take} camera {camera}, {str(where).replace('{camera}', camera)}",
                fix="Copy its recording there, or take it out of the calibration.",
            )
    for camera in found:
        if camera not in cameras:
            raise CameraMissing(
                "the camera was recorded but is not calibrated",
                where=f"take {take} camera {camera}, {str(where).replace('{camera}', camera)}",
                fix="Calibrate it, or move its folder away.",
            )


def _select(session: Session, name: str, found: dict[str, Recording]) -> dict[str, Recording]:
    """Cut every camera down to the chosen frames; each of them must be there."""
    section = session.takes[name]
    numbers = [n for recording in found.values() for n in recording.frames]
    first = section.first if section.first is not None else min(numbers)
    last = section.last if section.last is not None else max(numbers)
    frames = tuple(range(first, last + 1, section.step))
    chosen = {}
    for camera, recording in found.items():
        missing = sorted(set(frames) - set(recording.frames))
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            file = recording.video or expected_file(session.folder, section.path, camera, missing[0])
            others = sum(missing[0] in other.frames for other in found.values())
            raise FrameGap(
                f"frame {missing[0]}{more} is missing; {others} of {len(found)} cameras have it",
                where=f"take {name} camera {camera} frame {missing[0]}, {file}",
                fix="Copy it again, or set first=, last= and step= of the take.",
            )
        chosen[camera] = recording.select(frames)
    return chosen


def _check_headers(what: str, recording: Recording, bits: int, sizes: dict[str, Header]) -> None:
    """Every picture has colour, the session's depth, and the size that was first seen of this camera."""
    try:
        for place, header in recording.headers():
            known = sizes.setdefault(recording.camera, header)
            if (header.width, header.height) != (known.width, known.height):
                raise SizeMismatch(
                    f"the picture is {header.width}x{header.height}, the camera's first is "
                    f"{known.width}x{known.height}",
                    where=place,
                    fix="Export all pictures of a camera, its plate too, at one size.",
                )
            check_colour(header, bits, place)
    except CapmatError as error:
        raise _named(error, what) from error


def _find_plates(session: Session, cameras: Mapping[str, Camera]) -> dict[str, Recording]:
    try:
        found = find_recordings(session.folder, session.plates.path)
    except CapmatError as error:
        raise _named(error, "plate of") from error
    for camera in cameras:
        if camera not in found:
            where = str(session.folder / session.plates.path).replace("{camera}", camera)
            raise PlateMissing(
                "there is no recording of the empty stage",
                where=f"plate of camera {camera}, {where}",
                fix="Record it, or correct [plates] path.",
            )
    return {camera: found[camera] for camera in sorted(cameras)}


def _fitted(camera: Camera, size: Header) -> Camera:
    if camera.width and (camera.width, camera.height) != (size.width, size.height):
        raise CalibrationError(
            f"the calibration is for {camera.width}x{camera.height}, the pictures are {size.width}x{size.height}",
            where=f"camera {camera.id}",
            fix="Scale K with the pictures, or calibrate at this size.",
        )
    return camera.sized(size.width, size.height)


def _check_pictures(
    session: Session, plans: Mapping[str, Mapping[str, Recording]], plates: Mapping[str, Recording]
) -> None:
    """Decode a few pictures of every camera; refuse what is broken, and plates of other cameras."""
    colour = session.colour.colour()
    small_plates = {camera: _sample("plate of", recording, colour.bits, 1) for camera, recording in plates.items()}
    empty = {camera: _thumbnail(colour, raw[0]) for camera, raw in small_plates.items()}
    for name, chosen in plans.items():
        for camera, recording in chosen.items():
            pictures = _sample(f"take {name}", recording, colour.bits, 3)
            frames = [_thumbnail(colour, raw) for raw in pictures]
            owner = plate_owner(camera, frames, empty)
            if owner != camera:
                file = plates[camera].file(plates[camera].frames[0])
                raise PlateMismatch(
                    f"the plate looks like camera {owner}, not {camera}",
                    where=f"take {name} camera {camera} frame {recording.frames[0]}, plate {file}",
                    fix="Swap the plates back, or record the empty stage again.",
                )


def _thumbnail(colour: Colour, raw: NDArray[Any]) -> NDArray[np.float32]:
    return thumbnail(colour.display(stored_planes(raw)).transpose(1, 2, 0))


def _sample(what: str, recording: Recording, bits: int, count: int) -> list[NDArray[Any]]:
    """Decode `count` pictures, the first and the last among them."""
    spread = np.linspace(0, len(recording) - 1, count).round().astype(int)
    frames = tuple(sorted({recording.frames[i] for i in spread}))
    try:
        return [image for _, image in recording.select(frames).read(bits)]
    except CapmatError as error:
        raise _named(error, what) from error


def _find_trimaps(session: Session, plans: Mapping[str, Mapping[str, Recording]]) -> dict[tuple[str, int], Path]:
    if session.benchmark is None or session.benchmark.take not in plans:
        return {}
    found = find_recordings(session.folder, session.benchmark.trimaps)
    chosen = plans[session.benchmark.take]
    for camera, recording in found.items():
        for frame in recording.frames:
            if camera not in chosen or frame not in chosen[camera].frames:
                raise SessionError(
                    "a trimap is there for a frame that is not in the take",
                    where=f"take {session.benchmark.take} camera {camera} frame {frame}, {recording.file(frame)}",
                    fix="Remove it, or choose the take's frames so that it is in.",
                )
    if not found:
        raise SessionError(
            "no trimap was found",
            where=str(session.folder / session.benchmark.trimaps),
            fix="Correct [benchmark] trimaps, or take the section out.",
        )
    return {
        (camera, frame): recording.files[frame] for camera, recording in found.items() for frame in recording.frames
    }


def _named(error: CapmatError, what: str) -> CapmatError:
    """The same error, with the take or plate put before the camera."""
    return type(error)(error.what, where=f"{what} {error.where}", fix=error.fix)
