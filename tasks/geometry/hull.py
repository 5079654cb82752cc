"""A frame's mattes as a surface in a minute: a cheap check before a reconstruction is trained.

A matte that is missing, empty or full is refused with the camera's name. The surface lacks what the cameras do not
agree on, so holes, halos and a wrong calibration show at once.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from capmat_errors import ConfigError, NotFound
from storage.export.mesh import checked_suffix, write_mesh
from storage.export.read_scene import seen_in_box
from storage.export.scene import read_cutout
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry.box import box_of, torch_view
from tasks.runtime.progress import Progress
from tasks.show.figures import counted

if TYPE_CHECKING:
    from capmat_models.geometry.views import View

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
        points: write the surface's points alone, without triangles.

    Returns:
        `frame`, `cameras`, `box` (centre and edge in metres), `vertices`, `faces`, `volume` in cubic metres, `low`
        and `high` (corners of the surface in metres), `described` (camera -> share of the picture within its lens's
        edge), `unit` ("m"; "" where nobody stated that of the calibration, so that metres stand for it).

    Raises:
        NotFound: the take, frame or run is not stored.
        MatteError: a matte is missing, empty, full or not a number, or the mattes agree on no place in the box.
        ConfigError: fewer than 3 cameras, another kind of file, or the resolution is not a multiple of 16.
        StoreError: the file cannot be written.
    """
    from capmat_models.geometry.cells import checked_resolution
    from capmat_models.geometry.hull_mesh import hull_mesh, volume
    from capmat_models.geometry.views import described

    checked_suffix(out)
    checked_resolution(resolution)
    stored = Take.open(Root(store), take)
    stored.run_info(run)
    frame = stored.frames[len(stored.frames) // 2] if frame is None else frame
    if frame not in stored.frames:
        raise NotFound(f"the take has no frame {frame}", where=f"take {take}", fix=f"It has {_span(stored.frames)}.")
    if len(stored.cameras) < _ENOUGH:
        what = f"{counted(len(stored.cameras), 'camera')} cannot bound a volume"
        raise ConfigError(what, where=f"take {take}", fix="Use 3 or more.")
    centre, size = box_of(stored.cameras.values(), settings)

    bar = Progress(f"hull of {take} frame {frame}", len(stored.cameras), "cameras")

    def view(camera: str) -> "View":
        seen = _small(torch_view(seen_in_box(read_cutout(stored, camera, frame, run), centre, size)), resolution)
        bar.step(camera)
        return seen

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
        "unit": "" if stored.source.get("unit") == "not stated" else "m",
        "described": {view.name: float(described(view).double().mean()) for view in views},
    }


def _span(frames: Sequence[int]) -> str:
    return f"{frames[0]} to {frames[-1]}" + (f", {len(frames)} of them" if len(frames) > 1 else "")


def _small(view: "View", resolution: int) -> "View":
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
