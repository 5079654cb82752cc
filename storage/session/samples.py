"""A look into the pictures before an ingest: every header, and the first, middle and last picture of a camera.

What is decoded for the look is also timed and encoded, so that the plan can say what the whole will cost.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError, CapmatError, PlateMismatch, PlateMissing, SizeMismatch
from storage.calibration.camera import Camera
from storage.descriptor import Session
from storage.pictures.bayer import stored_planes
from storage.pictures.colour import Colour
from storage.pictures.header import Header
from storage.recordings.check import check_colour
from storage.recordings.recording import Recording, find_recordings
from storage.recordings.video import VIDEO_SUFFIXES
from storage.session.cameras import CameraRow, gathered, named
from storage.store.frame_array import encoded_size
from storage.takes.views import make_preview

Picture = NDArray[np.float32]

# A wrong plate is called wrong only if another one leaves less than 70 % of its difference, by at least one
# 8-bit level on average. On a real four-camera stage the right plate left 0.009 to 0.017 and a wrong one 0.07
# or more; on a rendered ring of twelve, whose cameras look alike, 0.022 to 0.033 and 0.067 or more.
_RATIO = 0.7
_MARGIN = 1 / 255
_WIDTH = 96
_CEILING = 0.15


def thumbnail(picture: Picture) -> Picture:
    """Reduce (H, W, 3) display-referred 0..1 to about 96 pixels across, by area averages."""
    step = max(1, picture.shape[1] // _WIDTH)
    height, width = (side // step * step for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // step, step, width // step, step, 3)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def plate_distance(frames: Sequence[Picture], plate: Picture) -> float:
    """How badly a plate explains the background of some frames of one camera.

    Args:
        frames: thumbnails of a take, (h, w, 3), far apart in time so that the performer has moved.
        plate: thumbnail of an empty stage, (h, w, 3).

    Returns:
        Mean absolute difference where the frames agree best with it, after removing an overall change of
        brightness; each pixel counts at most 0.15, so that a performer in white weighs no more than one in
        grey.
    """
    gaps = []
    for frame in frames:
        change = frame - plate
        change = change - np.median(change, axis=(0, 1))
        gaps.append(np.minimum(np.abs(change).mean(axis=2), _CEILING))
    return float(np.min(gaps, axis=0).mean())


def plate_owner(camera: str, frames: Sequence[Picture], plates: Mapping[str, Picture]) -> str:
    """Name the camera whose plate belongs to these frames.

    Args:
        camera: the camera that the frames come from.
        frames: its thumbnails.
        plates: thumbnails of all cameras' plates; those of another size are passed over.

    Returns:
        `camera`, unless another plate explains the frames clearly better than its own; then that one's name.
    """
    own = plate_distance(frames, plates[camera])
    best, owner = own, camera
    for name, plate in plates.items():
        if name != camera and plate.shape == frames[0].shape:
            distance = plate_distance(frames, plate)
            if distance < best:
                best, owner = distance, name
    return owner if best < _RATIO * own and own - best > _MARGIN else camera


_WARM = 16


def check_headers(recording: Recording, colour: Colour, sizes: dict[str, Header]) -> None:
    """Every picture has the session's colour and depth, and the size that was first seen of this camera.

    Raises:
        SizeMismatch: one camera's pictures differ in size.
        ImageUnreadable: a file is no whole picture of the session's colour.
    """
    for place, header in recording.headers():
        known = sizes.setdefault(recording.camera, header)
        if (header.width, header.height) != (known.width, known.height):
            raise SizeMismatch(
                f"the picture is {header.width}x{header.height}, the camera's first is {known.width}x{known.height}",
                where=place,
                fix="Export all pictures of a camera, its plate too, at one size.",
            )
        check_colour(header, colour, place)


def find_plates(session: Session, cameras: Mapping[str, Camera], problems: list[CapmatError]) -> dict[str, Recording]:
    """The recordings of the empty stage, by camera; every calibrated camera needs one, if the stage has any."""
    if session.plates is None:
        return {}
    broken: dict[str, CapmatError] = {}
    found: dict[str, Recording] = {}
    with gathered(problems, "plate of"):
        found = find_recordings(session.folder, session.plates.path, session.raw, session.video, broken)
    problems += [named(error, "plate of") for error in broken.values()]
    left_out = set.intersection(*({*take.without} for take in session.takes.values()))
    for camera in cameras:
        if camera not in found and camera not in broken and camera not in left_out:
            where = str(session.folder / session.plates.path).replace("{camera}", camera)
            problems.append(
                PlateMissing(
                    "there is no recording of the empty stage",
                    where=f"plate of camera {camera}, {where}",
                    fix="Record it, or correct [plates] path.",
                )
            )
    return {camera: found[camera] for camera in sorted(cameras) if camera in found}


def fitted(camera: Camera, size: Header) -> Camera:
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


def look_at_plate(recording: Recording, colour: Colour) -> tuple[Picture, float]:
    """Decode one picture of the empty stage: its thumbnail, and the seconds that decoding a frame takes."""
    video = _is_video(recording)
    # The first frame of a video pays for opening it; a few more say what the rest will cost.
    (picture, *_), seconds = _sample(recording, colour, [0, min(_WARM, len(recording.frames) - 1)] if video else [0])
    return _thumbnail(colour, picture), seconds


def look_at_take(
    recording: Recording,
    colour: Colour,
    plates: Mapping[str, Recording],
    empty: Mapping[str, Picture],
    row: CameraRow,
) -> None:
    """Decode three pictures of a camera, measure them, and compare the plate; fills in `row`.

    Raises:
        ImageUnreadable: one of them is broken.
        PlateMismatch: the plate belongs to another camera.
    """
    ends = np.linspace(0, len(recording.frames) - 1, 3).round().astype(int).tolist()
    pictures, seconds = _sample(recording, colour, ends)
    start = time.perf_counter()
    planes = [stored_planes(picture) for picture in pictures]
    sizes = [encoded_size(stored) + encoded_size(make_preview(colour, stored)) for stored in planes]
    row.seconds = seconds + (time.perf_counter() - start) / len(pictures)
    row.encoded, row.measured = round(float(np.mean(sizes))), len(pictures)
    camera = recording.camera
    if camera not in empty:
        return
    frames = [_thumbnail(colour, picture) for picture in pictures]
    row.distance = plate_distance(frames, empty[camera])
    owner = plate_owner(camera, frames, empty)
    if owner != camera:
        row.owner = owner
        file = plates[camera].file(plates[camera].frames[0])
        raise PlateMismatch(
            f"the plate looks like camera {owner}, not {camera}",
            where=f"camera {camera} frame {recording.frames[0]}, plate {file}",
            fix="Swap the plates back, or record the empty stage again.",
        )


def _thumbnail(colour: Colour, raw: NDArray[Any]) -> Picture:
    return thumbnail(colour.display(stored_planes(raw)).transpose(1, 2, 0))


def _sample(recording: Recording, colour: Colour, places: list[int]) -> tuple[list[NDArray[Any]], float]:
    """Decode the pictures at some places in the recording; also the seconds for one frame of the whole."""
    frames = tuple(sorted({recording.frames[place] for place in places}))
    start = time.perf_counter()
    pictures = [picture for _, picture in recording.select(frames).read(colour)]
    took = time.perf_counter() - start
    # A video is decoded from its start, so that each of these frames cost all that lie before it.
    return pictures, took / (max(places) + 1 if _is_video(recording) else len(frames))


def _is_video(recording: Recording) -> bool:
    return recording.file(recording.frames[0]).suffix.lower() in VIDEO_SUFFIXES
