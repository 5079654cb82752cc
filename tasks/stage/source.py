"""Where a stage check reads from: a few frames of the empty stage and of a take, in a session or in the store."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from capmat_errors import CameraMissing, CapmatError, PlateMissing, SizeMismatch
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
from tasks.stage.pictures import Floats, Pictures, fold_of, reduced, rows_of

_VIDEO = 100  # frames; a video is decoded from its start


@dataclass(frozen=True)
class Source:
    """What is to be checked.

    Attributes:
        session: name of the session, "" for a stage of the store.
        stage: name of the stage.
        take: name of the take, "" to check the empty stage alone.
        cameras: their calibration, at the size of the pictures.
        pictures: reads the pictures of a camera.
        note: what the reader must know about the choice, or "".
    """

    session: str
    stage: str
    take: str
    cameras: dict[str, Camera]
    pictures: Callable[[str], Pictures]
    note: str = ""


def open_session(store: str, path: str | Path, take: str | None, empty: int, shots: int) -> Source:
    """A recorded session, whether ingested or not.

    Args:
        store: URL of the store; plates and mattes that it already has are used.
        path: session.toml or its folder.
        take: which take; None for the first that was recorded, if any was; "" for none.
        empty: frames of the empty stage to read, per camera.
        shots: frames of the take.

    Raises:
        PlateMissing: the session has no plates.
        CapmatError: what `check_session` raises.
    """
    session = read_session(path)
    if session.plates is None:
        raise PlateMissing("the session has no recordings of the empty stage", where=session.source,
                           fix="Record it and set [plates] in session.toml.")  # fmt: skip
    session.check_takes([take] if take else [], session.source)
    name = _first_recorded(session) if take is None else take
    plan = check_session(session, only=name, decode=False) if name else check_stage(session, decode=False)
    colour = session.colour.colour()
    recordings = plan.takes[name].recordings if name else {}
    manifests = {camera: recording.manifest() for camera, recording in plan.plates.items()}
    stored, matted = _stored_stage(store, session, manifests), _ingested(store, session, name)

    def pictures(camera: str) -> Pictures:
        plate = plan.plates[camera]
        empty_frames = (light for _, light in _spread(plate, colour, empty))
        out = Pictures.of_empty(_picture_camera(plan.cameras[camera], colour), empty_frames)
        out.coarse = colour.bits == 8
        if stored:
            out.noise_map = _noise_map(stored, camera)
        if camera in recordings:
            out.add_shots(_spread(recordings[camera], colour, shots))
            if matted and camera in matted.cameras and out.frames[0] in matted.frames:
                out.matte = _matte(matted, camera, out.frames[0], out.fold)
        return out

    cameras = {camera: _picture_camera(plan.cameras[camera], colour) for camera in plan.plates}
    note = "" if name or take == "" else "no take is recorded yet: only the empty stage was checked"
    return Source(session.name, session.stage, name, cameras, pictures, note)


def open_stored(store: str, name: str, take: str | None, shots: int) -> Source:
    """A stage of the store with one of its takes, and that take's mattes.

    Args:
        store: URL of the store.
        name: of the stage.
        take: which take; None for the first of this stage, if the store has one.
        shots: frames of the take to read.

    Raises:
        NotFound: the store has no such stage or take.
        PlateMissing: the stage was ingested without plates.
        CameraMissing: the take is of another stage.
        SizeMismatch: a plate is of another size than the take.
    """
    root = Root(store)
    stage = Stage.open(root, name)
    chosen = _stored_take(root, name, take)
    note = "" if chosen else "the store has no take of this stage: only the empty stage was checked"

    def pictures(camera: str) -> Pictures:
        out = Pictures.of_empty(stage.cameras[camera], [decode_srgb(stage.plate(camera))])
        out.empty, out.bands, out.coarse = [], [], stage.colour.bits == 8
        out.noise_map = _noise_map(stage, camera)
        if chosen and camera in chosen.cameras:
            view = chosen.cameras[camera]
            if (view.width, view.height) != out.size:
                raise SizeMismatch(
                    f"the plate is {out.size[0]}x{out.size[1]}, the take {view.width}x{view.height}",
                    where=f"stage {name}, take {chosen.name} camera {camera}",
                    fix="Ingest plates and takes of one size.",
                )
            frames = evenly(chosen.frames, shots)
            out.add_shots((frame, chosen.light(camera, frame)) for frame in frames)
            out.matte = _matte(chosen, camera, frames[0], out.fold)
        return out

    return Source("", name, chosen.name if chosen else "", dict(stage.cameras), pictures, note)


def _stored_take(root: Root, stage: str, take: str | None) -> Take | None:
    if take:
        chosen = Take.open(root, take)
        if chosen.stage != stage:
            raise CameraMissing(f"the take was recorded on stage {chosen.stage}", where=f"take {take}, stage {stage}",
                                fix="Name the stage that it belongs to.")  # fmt: skip
        return chosen
    takes = (Take.open(root, name) for name in (list_takes(root) if take is None else ()))
    return next((stored for stored in takes if stored.stage == stage), None)


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
        stored = Take.open(Root(store), take) if take else None
    except CapmatError:
        return None
    return stored if stored and stored.source.get("session") == session.name else None


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
    for frame, picture in recording.select(evenly(frames, count)).read(colour):
        yield frame, colour.linear(stored_planes(picture))


def evenly(frames: Iterable[int], count: int) -> tuple[int, ...]:
    """Some frames, spread over all of them."""
    every = list(frames)
    return tuple(every[i] for i in np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int))


def _noise_map(stage: Stage, camera: str) -> tuple[Floats, Floats] | None:
    """Linear light of a stored plate and the deviation of one frame, on the rows where noise is measured.

    None for the plate of a single frame, whose noise map holds the texture of the stage.
    """
    entry = Ledger(stage.root).done(f"plates/{stage.name}/{camera}")
    if entry is None or entry["frames"] < 2:
        return None
    fold = fold_of(stage.cameras[camera])
    mean, spread = (rows_of(picture, fold) for picture in (stage.plate(camera), stage.noise(camera)))
    return decode_srgb(mean), np.asarray((decode_srgb(mean + spread) - decode_srgb(mean - spread)) / 2, np.float32)


def _matte(take: Take, camera: str, frame: int, fold: int) -> Floats | None:
    """The matte of the newest run that has one of this frame."""
    for run in sorted(take.alpha_runs(), reverse=True):
        if take.has_alpha(run, camera, frame):
            return reduced(take.read_alpha(run, camera, frame)[None], fold)[0]
    return None
