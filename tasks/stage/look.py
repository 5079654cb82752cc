"""What a stage check looks at: a few frames of the empty stage and of a take, from a session or from the store.

Pictures are reduced to about 720 pixels across, so that a stage of many large cameras fits into memory; noise and
focus, which reducing would hide, are measured on rows and on the green channel at full size.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CameraMissing, CapmatError, NotFound, PlateMissing, SizeMismatch
from storage.calibration.camera import Camera
from storage.descriptor import Session, read_session
from storage.pictures.bayer import stored_planes
from storage.pictures.colour import Colour, decode_srgb
from storage.recordings.recording import Recording, find_recordings
from storage.recordings.video import VIDEO_SUFFIXES
from storage.session.plan import check_session, check_stage
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take, list_takes

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_WIDTH = 720
_BANDS, _ROWS = 8, 16
_VIDEO = 100  # a video is decoded from its start


@dataclass
class Look:
    """The pictures of one camera. All are linear light 0..1, (3, H, W); small ones have a pixel for fold x fold.

    Attributes:
        camera: calibration of the small pictures.
        fold: how many pixels of the full size make one, along a side.
        size: (width, height) of the full size.
        plate: the empty stage, small.
        plate_green: the same at full size, green alone, (H, W).
        empty: small frames of the empty stage; none where the store keeps their average alone.
        bands: rows of these frames at full size, (3, R, W).
        noise_map: the same rows of the stored plate and of the noise that the store knows of it; None if it does not.
        frames: numbers of the frames of the take.
        shots: those frames, small.
        shot_bands: rows of them.
        shot_green: the first of them at full size, green alone; None without a take.
        matte: (h, w) alpha of the first of them; None if it was not matted.
        coarse: whether the recording has 8 bits: its steps, and codecs of such files, hide the camera's own noise.
    """

    camera: Camera
    fold: int
    size: tuple[int, int]
    plate: Floats
    plate_green: Floats
    empty: list[Floats] = field(default_factory=list)
    bands: list[Floats] = field(default_factory=list)
    noise_map: tuple[Floats, Floats] | None = None
    frames: tuple[int, ...] = ()
    shots: list[Floats] = field(default_factory=list)
    shot_bands: list[Floats] = field(default_factory=list)
    shot_green: Floats | None = None
    matte: Floats | None = None
    coarse: bool = False


@dataclass(frozen=True)
class Subject:
    """What is to be checked.

    Attributes:
        session: name of the session, "" for a stage of the store.
        stage: name of the stage.
        take: name of the take, "" if only the empty stage is looked at.
        cameras: their calibration, as pictures have it.
        look: opens the pictures of a camera.
        note: what the reader must know about the choice, or "".
    """

    session: str
    stage: str
    take: str
    cameras: dict[str, Camera]
    look: Callable[[str], Look]
    note: str = ""


def open_session(store: str, path: str | Path, take: str | None, empty: int, shots: int) -> Subject:
    """A recorded session, whether ingested or not.

    Args:
        store: URL of the store; a plate and mattes that are there already are made use of.
        path: session.toml or its folder.
        take: which take; None for the first that was recorded, if any was; "" for none.
        empty: frames of the empty stage to look at, per camera.
        shots: frames of the take.

    Raises:
        PlateMissing: the session has no plates.
        CapmatError: what `check_session` raises.
    """
    session = read_session(path)
    if session.plates is None:
        raise PlateMissing("the session has no recordings of the empty stage", where=session.source,
                           fix="Record it and set [plates] in session.toml.")  # fmt: skip
    if take and take not in session.takes:
        raise NotFound(f"the session has no take {take}; it has {', '.join(session.takes)}", where=session.source,
                       fix="Check the name.")  # fmt: skip
    name = _first_recorded(session) if take is None else take
    plan = check_session(session, only=name, decode=False) if name else check_stage(session, decode=False)
    colour = session.colour.colour()
    recordings = plan.takes[name].recordings if name else {}
    manifests = {camera: recording.manifest() for camera, recording in plan.plates.items()}
    stored, matted = _stored_stage(store, session, manifests), _ingested(store, session, name)

    def look(camera: str) -> Look:
        plate = plan.plates[camera]
        pictures = (light for _, light in _spread(plate, colour, empty))
        found = _looked_at(_picture_camera(plan.cameras[camera], colour), pictures)
        found.coarse = colour.bits == 8
        if stored:
            found.noise_map = _noise_map(stored, camera)
        if camera in recordings:
            _add_shots(found, _spread(recordings[camera], colour, shots))
            if matted and camera in matted.cameras and found.frames[0] in matted.frames:
                found.matte = _matte(matted, camera, found.frames[0], found.fold)
        return found

    cameras = {camera: _picture_camera(plan.cameras[camera], colour) for camera in plan.plates}
    note = "" if name or take == "" else "no take is recorded yet: only the empty stage was looked at"
    return Subject(session.name, session.stage, name, cameras, look, note)


def open_stored(store: str, name: str, take: str | None, shots: int) -> Subject:
    """A stage of the store with one of its takes, and that take's mattes.

    Args:
        store: URL of the store.
        name: of the stage.
        take: which take; None for the first of this stage, if there is one.
        shots: frames of the take to look at.

    Raises:
        NotFound: there is no such stage or take.
        PlateMissing: the stage was ingested without plates.
        CameraMissing: the take is of another stage.
        SizeMismatch: a plate is of another size than the take.
    """
    root = Root(store)
    stage = Stage.open(root, name)
    chosen = _stored_take(root, name, take)
    note = "" if chosen else "no take of this stage is in the store: only the empty stage was looked at"

    def look(camera: str) -> Look:
        plate = decode_srgb(stage.plate(camera))
        found = _looked_at(stage.cameras[camera], [plate])
        found.empty, found.bands, found.coarse = [], [], stage.colour.bits == 8
        found.noise_map = _noise_map(stage, camera)
        if chosen and camera in chosen.cameras:
            view = chosen.cameras[camera]
            if (view.width, view.height) != found.size:
                raise SizeMismatch(
                    f"the plate is {found.size[0]}x{found.size[1]}, the take {view.width}x{view.height}",
                    where=f"stage {name}, take {chosen.name} camera {camera}",
                    fix="Ingest plates and takes of one size.",
                )
            places = _evenly(chosen.frames, shots)
            _add_shots(found, ((frame, chosen.light(camera, frame)) for frame in places))
            found.matte = _matte(chosen, camera, places[0], found.fold)
        return found

    return Subject("", name, chosen.name if chosen else "", dict(stage.cameras), look, note)


def _stored_take(root: Root, stage: str, take: str | None) -> Take | None:
    if take:
        chosen = Take.open(root, take)
        if chosen.stage != stage:
            raise CameraMissing(f"the take was recorded on stage {chosen.stage}", where=f"take {take}, stage {stage}",
                                fix="Name the stage that it belongs to.")  # fmt: skip
        return chosen
    takes = (Take.open(root, name) for name in (list_takes(root) if take is None else ()))
    return next((there for there in takes if there.stage == stage), None)


def _stored_stage(store: str, session: Session, manifests: dict[str, str]) -> Stage | None:
    """The session's plates in the store, if they were made of the same files."""
    try:
        stage = Stage.open(Root(store), session.stage)
    except CapmatError:
        return None
    return stage if stage.source.get("manifests") == manifests else None


def _ingested(store: str, session: Session, take: str) -> Take | None:
    """The same take in the store, which may have mattes."""
    try:
        there = Take.open(Root(store), take) if take else None
    except CapmatError:
        return None
    return there if there and there.source.get("session") == session.name else None


def _first_recorded(session: Session) -> str:
    for name, section in session.takes.items():
        if find_recordings(session.folder, section.path, session.raw, session.video, {}):
            return name
    return ""


def _picture_camera(sensor: Camera, colour: Colour) -> Camera:
    return sensor.halved() if colour.cfa else sensor


def _spread(recording: Recording, colour: Colour, count: int) -> Iterator[tuple[int, Floats]]:
    """Some frames of a recording in linear light, from its start to its end."""
    frames = recording.frames
    if recording.file(frames[0]).suffix.lower() in VIDEO_SUFFIXES:
        frames = frames[:_VIDEO]
    for frame, picture in recording.select(_evenly(frames, count)).read(colour):
        yield frame, colour.linear(stored_planes(picture))


def _evenly(frames: Iterable[int], count: int) -> tuple[int, ...]:
    there = list(frames)
    places = np.linspace(0, len(there) - 1, min(count, len(there))).round().astype(int)
    return tuple(there[place] for place in places)


def _looked_at(camera: Camera, empty: Iterable[Floats]) -> Look:
    """A look at the empty stage; a camera's pictures are read one after the other and dropped."""
    fold = max(1, -(-camera.width // _WIDTH))
    small, bands, green, count = [], [], np.zeros((camera.height, camera.width), np.float32), 0
    for light in empty:
        small.append(_reduced(light, fold))
        bands.append(_rows(light, fold))
        green += light[1]
        count += 1
    height, width = (side // fold for side in (camera.height, camera.width))
    K = camera.K.copy()
    K[:2] /= fold
    K[:2, 2] -= (fold - 1) / (2 * fold)
    plate = np.asarray(np.mean(small, axis=0), np.float32)
    return Look(replace(camera, width=width, height=height, K=K), fold, (camera.width, camera.height), plate,
                green / np.float32(count), small, bands)  # fmt: skip


def _add_shots(found: Look, shots: Iterable[tuple[int, Floats]]) -> None:
    for frame, light in shots:
        found.frames = (*found.frames, frame)
        found.shots.append(_reduced(light, found.fold))
        found.shot_bands.append(_rows(light, found.fold))
        if found.shot_green is None:
            found.shot_green = light[1].copy()


def _noise_map(stage: Stage, camera: str) -> tuple[Floats, Floats] | None:
    """Linear light of a stored plate and the deviation of one frame, on the rows that are looked at.

    None for the plate of a single frame, whose texture the map takes for noise.
    """
    entry = Ledger(stage.root).done(f"plates/{stage.name}/{camera}")
    if entry is None or entry["frames"] < 2:
        return None
    view = stage.cameras[camera]
    fold = max(1, -(-view.width // _WIDTH))
    mean, spread = (_rows(picture, fold) for picture in (stage.plate(camera), stage.noise(camera)))
    return decode_srgb(mean), np.asarray((decode_srgb(mean + spread) - decode_srgb(mean - spread)) / 2, np.float32)


def _matte(take: Take, camera: str, frame: int, fold: int) -> Floats | None:
    """The matte of the newest run that has one of this frame."""
    for run in sorted(take.alpha_runs(), reverse=True):
        if take.has_alpha(run, camera, frame):
            return _reduced(take.read_alpha(run, camera, frame)[None], fold)[0]
    return None


def _reduced(picture: NDArray[Any], fold: int) -> Floats:
    """(C, H, W) by area averages; what does not fill a whole pixel at the right and the bottom is left out."""
    channels, height, width = picture.shape
    height, width = height // fold, width // fold
    blocks = picture[:, : height * fold, : width * fold].reshape(channels, height, fold, width, fold)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))


def band_rows(height: int, fold: int) -> NDArray[np.intp]:
    """Which rows of the full size noise is measured on: all of a small picture, bands of a large one."""
    height = height // fold * fold
    if height <= _BANDS * _ROWS:
        return np.arange(height)
    tops = np.linspace(0, height - _ROWS, _BANDS).astype(int)
    return np.unique(tops[:, None] + np.arange(_ROWS))


def _rows(picture: NDArray[Any], fold: int) -> Floats:
    width = picture.shape[2] // fold * fold
    return np.asarray(picture[:, band_rows(picture.shape[1], fold), :width], np.float32)
