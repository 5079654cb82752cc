"""A look into the pictures before an ingest: every header, and the first, middle and last picture of a camera.

Decoding and encoding these pictures is timed, so that the plan can say what the whole ingest will cost. They are also
held against the plates, since a plate that was filed under another camera spoils every matte.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import SizeMismatch
from storage.pictures.bayer import stored_planes
from storage.pictures.colour import Colour
from storage.pictures.header import Header
from storage.recordings.check import check_colour
from storage.recordings.recording import Recording
from storage.recordings.video import VIDEO_SUFFIXES
from storage.store.frame_array import encoded_size
from storage.takes.views import make_preview

Picture = NDArray[np.float32]

# A plate is called wrong only if another one leaves less than 70 % of its difference, by at least one 8-bit level on
# average. On a real four-camera stage the right plate left 0.009 to 0.017 and a wrong one 0.07 or more; on a rendered
# ring of twelve, whose cameras look alike, 0.022 to 0.033 and 0.067 or more.
_RATIO = 0.7
_MARGIN = 1 / 255
_WIDTH = 96
_CEILING = 0.15
_WARM = 16  # frames of a video that are timed, since the first pays for opening the file


@dataclass(frozen=True)
class Sample:
    """What the first, middle and last picture of a camera show; the attributes are those of a `CameraRow`."""

    encoded: int
    seconds: float
    measured: int
    distance: float | None = None
    owner: str = ""


def check_headers(recording: Recording, colour: Colour, sizes: dict[str, Header]) -> None:
    """Every picture must have the session's colour and depth, and the size of the camera's first in `sizes`.

    Raises:
        SizeMismatch: one camera's pictures differ in size.
        ImageUnreadable: a file is not a whole picture of the session's colour.
    """
    for where, header in recording.headers():
        known = sizes.setdefault(recording.camera, header)
        if (header.width, header.height) != (known.width, known.height):
            raise SizeMismatch(
                f"the picture is {header.width}x{header.height}, the camera's first is {known.width}x{known.height}",
                where=where,
                fix="Export all pictures of a camera, its plate too, at one size.",
            )
        check_colour(header, colour, where)


def sample_plate(recording: Recording, colour: Colour) -> tuple[Picture, float]:
    """Decode one picture of the empty stage: its thumbnail, and the seconds that decoding a frame takes."""
    last = min(_WARM, len(recording.frames) - 1) if _is_video(recording) else 0
    pictures, seconds = _decode(recording, colour, [0, last])
    return _thumbnail(colour, pictures[0]), seconds


def sample_take(recording: Recording, colour: Colour, plates: Mapping[str, Picture]) -> Sample:
    """Decode three pictures of a camera, measure them, and compare its plate with all `plates` (thumbnails).

    Raises:
        ImageUnreadable: one of the pictures is broken.
    """
    indices = np.linspace(0, len(recording.frames) - 1, 3).round().astype(int).tolist()
    pictures, seconds = _decode(recording, colour, indices)
    start = time.perf_counter()
    planes = [stored_planes(picture) for picture in pictures]
    sizes = [encoded_size(stored) + encoded_size(make_preview(colour, stored)) for stored in planes]
    seconds += (time.perf_counter() - start) / len(pictures)
    encoded, camera = round(float(np.mean(sizes))), recording.camera
    if camera not in plates:
        return Sample(encoded, seconds, len(pictures))
    thumbnails = [_thumbnail(colour, picture) for picture in pictures]
    owner = plate_owner(camera, thumbnails, plates)
    distance = plate_distance(thumbnails, plates[camera])
    return Sample(encoded, seconds, len(pictures), distance, "" if owner == camera else owner)


def plate_owner(camera: str, frames: Sequence[Picture], plates: Mapping[str, Picture]) -> str:
    """Name the camera whose plate belongs to these frames.

    Args:
        camera: the camera that the frames come from.
        frames: its thumbnails.
        plates: thumbnails of all cameras' plates; those of another size are skipped.

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


def plate_distance(frames: Sequence[Picture], plate: Picture) -> float:
    """How badly a plate explains the background of some frames of one camera.

    Args:
        frames: thumbnails of a take, (h, w, 3), far apart in time so that the performer has moved.
        plate: thumbnail of an empty stage, (h, w, 3).

    Returns:
        Mean absolute difference to the frame that agrees best at each pixel, without an overall change of brightness.
        A pixel counts at most 0.15, so that a performer in white weighs no more than one in grey.
    """
    gaps = []
    for frame in frames:
        change = frame - plate
        change = change - np.median(change, axis=(0, 1))
        gaps.append(np.minimum(np.abs(change).mean(axis=2), _CEILING))
    return float(np.min(gaps, axis=0).mean())


def thumbnail(picture: Picture) -> Picture:
    """Reduce (H, W, 3) display-referred 0..1 to about 96 pixels across, by area averages."""
    step = max(1, picture.shape[1] // _WIDTH)
    height, width = (side // step * step for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // step, step, width // step, step, 3)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _thumbnail(colour: Colour, raw: NDArray[Any]) -> Picture:
    return thumbnail(colour.display(stored_planes(raw)).transpose(1, 2, 0))


def _decode(recording: Recording, colour: Colour, indices: Sequence[int]) -> tuple[list[NDArray[Any]], float]:
    """The pictures at some indices of the recording, and the seconds that one frame of the whole takes."""
    frames = tuple(sorted({recording.frames[index] for index in indices}))
    start = time.perf_counter()
    pictures = [picture for _, picture in recording.select(frames).read(colour)]
    took = time.perf_counter() - start
    # A video is decoded from its start, so the last of these frames costs all that lie before it.
    return pictures, took / (max(indices) + 1 if _is_video(recording) else len(frames))


def _is_video(recording: Recording) -> bool:
    return recording.file(recording.frames[0]).suffix.lower() in VIDEO_SUFFIXES
