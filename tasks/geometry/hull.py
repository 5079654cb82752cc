"""A frame's mattes as a surface in a minute: the cheap look before a reconstruction is trained.

A matte that is missing, empty or full is refused with the camera's name. What the cameras do not agree on is gone
from the surface, so holes, halos and a wrong calibration are seen at once.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from capmat_errors import ConfigError, NotFound
from storage.calibration.box import scene_box
from storage.calibration.camera import Camera
from storage.export.mesh import checked_suffix, write_mesh
from storage.export.read_scene import seen_in_box
from storage.export.scene import read_cutout
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry.field import torch_view

_READERS = 4
_ENOUGH = 3


def hull(
    store: str,
    take: str,
    run: str,
    out: Path,
    settings: Reconstruction,
    frame: int | None = None,
    *,
    resolution: int = 256,
    points: bool = False,
) -> dict[str, Any]:
    """Write the visual hull of one frame.

    Args:
        store: URL of the store.
        take: which take.
        run: which mattes.
        out: .ply (metres, z up) or .glb (metres, y up).
        settings: the box.
        frame: which frame; None for the middle one.
        resolution: voxels along the edge of the box, a multiple of 16.
        points: the surface's points alone, without triangles.

    Returns:
        `frame`, `cameras`, `box` (centre and edge in metres), `vertices`, `faces`, `volume` in cubic metres, and
        `low` and `high`, the corners of what was found, in metres.

    Raises:
        NotFound: there is no such take, frame or run.
        MatteError: a matte is missing, empty, full or not a number, or the mattes agree on no place in the box.
        ConfigError: fewer than 3 cameras, or another kind of file.
        StoreError: the file cannot be written.
    """
    from capmat_models.geometry.hull_mesh import hull_mesh, volume

    checked_suffix(out)
    if resolution < 16 or resolution % 16:
        raise ConfigError(f"resolution {resolution} is no multiple of 16", fix="Take 128, 256 or 512.")
    stored = Take.open(Root(store), take)
    if run not in stored.alpha_runs():
        known = ", ".join(sorted(stored.alpha_runs())) or "none"
        raise NotFound(f"the take has no mattes {run}; there are {known}", where=f"take {take}", fix="Check --run.")
    frame = stored.frames[len(stored.frames) // 2] if frame is None else frame
    if frame not in stored.frames:
        raise NotFound(f"there is no frame {frame}", where=f"take {take}", fix=f"It has {_span(stored.frames)}.")
    if len(stored.cameras) < _ENOUGH:
        raise ConfigError(f"{len(stored.cameras)} cameras bound no volume", where=f"take {take}", fix="It takes 3.")
    centre, size = box_of(stored.cameras.values(), settings)

    def view(camera: str) -> Any:
        return _small(torch_view(seen_in_box(read_cutout(stored, camera, frame, run), centre, size)), resolution)

    with ThreadPoolExecutor(_READERS) as pool:
        views = list(pool.map(view, stored.cameras))
    mesh = hull_mesh(views, resolution)
    metres = mesh.vertices.astype(np.float64) * (size / 2) + centre
    write_mesh(out, metres, None if points else mesh.faces, mesh.colours)
    return {
        "frame": frame,
        "cameras": len(views),
        "box": [*centre.tolist(), size],
        "vertices": len(metres),
        "faces": 0 if points else len(mesh.faces),
        "volume": volume(mesh) * (size / 2) ** 3,
        "low": metres.min(0).tolist(),
        "high": metres.max(0).tolist(),
    }


def box_of(cameras: Iterable[Camera], settings: Reconstruction) -> tuple[Any, float]:
    """Middle (3,) and edge of the subject's cube in metres: as the settings say, else from the cameras.

    Raises:
        CalibrationError: neither says.
    """
    if settings.box_size:
        return np.asarray(settings.box_centre, np.float64), settings.box_size
    return scene_box(cameras)


def _span(frames: Sequence[int]) -> str:
    return f"{frames[0]} to {frames[-1]}" + (f", {len(frames)} of them" if len(frames) > 1 else "")


def _small(view: Any, resolution: int) -> Any:
    """A view for the voxels: shrunk by a whole number until a pixel is about half a voxel at the box.

    Args:
        view: a `View` with a picture.
        resolution: voxels along the edge of the box.
    """
    import torch

    from capmat_models.geometry.views import shrunk, shrunk_picture, working_fold

    fold = working_fold(view, resolution)
    rgba = view.cutout()
    # colour is averaged with its alpha, as light is
    light = shrunk_picture(torch.cat([rgba[:3] * rgba[3:], rgba[3:]]), fold)
    straight = torch.cat([light[:3] / light[3:].clamp_min(1e-6), light[3:]])
    return replace(shrunk(view, fold), rgba=straight)
