"""Where a stage changes beside its subject, which only all cameras together can locate."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CapmatError
from capmat_models.stage.change import largest_piece, pieces, silhouettes, structured
from storage.calibration.camera import Camera
from tasks.config import Reconstruction
from tasks.geometry.box import box_of
from tasks.stage.measure import Measured, Region, full_size, neighbourhood

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_VOXELS = 64
_ENOUGH = 3  # cameras
_HELD = 0.85  # share of the largest difference that a hull must hold
_PIECE = 5e-4  # share of the picture; smaller pieces are dropped


def find_changes(cameras: Mapping[str, Camera], measured: Mapping[str, Measured], settings: Reconstruction) -> str:
    """Find what changed outside the subject; fills in `subject`, `regions` and `outside`.

    The subject is the visual hull of the mattes, or of the differences to the plates. With fewer than three cameras,
    or without a hull, it is the largest piece of the difference.

    Args:
        cameras: calibration of the small pictures.
        measured: by camera; those without a take are skipped.
        settings: the box.

    Returns:
        How the subject was located, in words.
    """
    seen = {camera: one for camera, one in measured.items() if one.shot is not None}
    margin = {camera: max(1, one.plate.shape[0] // 60) for camera, one in seen.items()}
    outline, how = _hull(cameras, {camera: one.matte for camera, one in seen.items()}, settings, max(margin.values()))
    for camera, one in seen.items():
        one.subject = outline[camera] if outline else largest_piece(one.matte, margin[camera])
        changes = [change.astype(np.float32) for change in one.change]
        one.outside = structured(changes[0], one.sigma, neighbourhood(one)) & ~one.subject & ~one.white
        one.regions = _regions(one, changes)
    return how


def _hull(
    cameras: Mapping[str, Camera], mattes: Mapping[str, Mask], settings: Reconstruction, margin: int
) -> tuple[dict[str, Mask], str]:
    """Silhouettes of the visual hull by camera, empty without a hull; and how the subject was located, in words."""
    how = "the subject was located as the visual hull of its mattes, or of the differences to the plates"
    largest = "so the largest difference in each picture was taken for the subject"
    if len(mattes) < _ENOUGH:
        return {}, f"a visual hull needs three cameras, {largest}"
    try:
        centre, size = box_of(cameras.values(), settings)
    except CapmatError as error:
        return {}, f"{error.what}, {largest}"
    axis = ((np.arange(_VOXELS) + 0.5) / _VOXELS - 0.5) * size
    points = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3) + centre
    pixels, reach = [], []
    for camera in (cameras[name] for name in mattes):
        with np.errstate(over="ignore"):  # of points beside the camera
            pixels.append(camera.project(points).astype(np.float32))
        depth = max(float(np.linalg.norm(camera.centre() - centre)), size / _VOXELS)
        reach.append(int(np.ceil(camera.K[0, 0] * size / _VOXELS / 2 / depth)))
    drawn = silhouettes(pixels, list(mattes.values()), reach, margin)
    if drawn is None:
        return {}, f"the differences to the plates agree on no place, {largest}"
    kept = [float(mask[piece].mean()) for matte, mask in zip(mattes.values(), drawn, strict=True)
            if (piece := largest_piece(matte, 0)).any()]  # fmt: skip
    if kept and float(np.median(kept)) < _HELD:
        box = "the subject's box cuts it off (set reconstruction.box_centre and box_size)"
        return {}, f"{box}, {largest}"
    return dict(zip(mattes, drawn, strict=True)), how


def _regions(one: Measured, changes: list[Floats]) -> list[Region]:
    """The connected pieces of `outside`, largest first; removes those that are too small."""
    assert one.outside is not None
    kept, regions = np.zeros_like(one.outside), []
    for piece in pieces(one.outside, max(6, round(_PIECE * one.outside.size))):
        kept |= piece
        y, x = np.argwhere(piece).mean(axis=0)
        apart = np.abs(changes[0] - changes[-1])[piece]
        stays = None if len(changes) < 2 else bool(np.median(apart) < 0.3 * np.median(np.abs(changes[0][piece])))
        regions.append(Region(full_size(x, one.fold), full_size(y, one.fold), float(piece.mean()), stays))
    one.outside = kept
    return sorted(regions, key=lambda region: -region.share)
