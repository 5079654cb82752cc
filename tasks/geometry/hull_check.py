"""Do the mattes of one frame fit together? Halos and holes of every camera, judged by all other cameras.

The check needs neither a second network nor ground truth: mattes that do not fit together cannot all be right. It
misses errors that all cameras make alike, such as the shadow on the floor.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound
from storage.export.read_scene import placed_in_box
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry.box import box_of, torch_view
from tasks.runtime.step import Record, run_once

if TYPE_CHECKING:
    from torch import Tensor

    from capmat_models.geometry.hull_check import ViewCheck
    from capmat_models.geometry.views import View

RESOLUTION = 256
"""Voxels along the edge of the box; a voxel of a box of 2.6 m is about 1 cm wide."""
_READERS = 4
_READING = 0.3  # of the time, about, that 40 cameras of 6 megapixels take
ENOUGH = 3
"""Cameras that can be compared."""


@dataclass(frozen=True)
class FrameCheck:
    """The cameras of one frame that have a matte, at their working size.

    Attributes:
        cameras: their names.
        folds: how many times smaller each is than its picture.
        views: in box units.
        mattes: (h, w), on the CPU.
        checks: what the other cameras say of each, on the CPU.
        resolution: voxels along the edge of the box.
    """

    cameras: tuple[str, ...]
    folds: tuple[int, ...]
    views: tuple["View", ...]
    mattes: tuple["Tensor", ...]
    checks: tuple["ViewCheck", ...]
    resolution: int

    def maps(self, camera: str) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
        """Halo and hole (h, w) 0..1 of a camera, and the width of their pixels in pixels of the picture."""
        index = self.cameras.index(camera)
        return self.checks[index].halo.numpy(), self.checks[index].hole.numpy(), self.folds[index]

    def witnesses(self, camera: str, row: int, column: int) -> tuple[int, int]:
        """See `capmat_models.geometry.hull_check.witnesses`; row and column are those of the maps."""
        from capmat_models.geometry.hull_check import witnesses

        return witnesses(self.views, self.mattes, self.cameras.index(camera), (row, column), self.resolution)


def check_frame(
    take: Take,
    run: str,
    frame: int,
    settings: Reconstruction,
    resolution: int = RESOLUTION,
    told: Callable[[float], None] = lambda share: None,
) -> FrameCheck:
    """Judge every camera's matte of one frame by those of the others.

    Args:
        take: the take.
        run: which mattes; a camera without one is left out.
        frame: which frame.
        settings: the subject's box.
        resolution: voxels along the edge of the box, a multiple of 16; fewer where a pixel is larger than a voxel.
        told: called with the share of the work that is done, 0..1.

    Raises:
        NotFound: fewer than 3 cameras have this matte.
        MatteError: the mattes agree on no place inside the box.
        CalibrationError: neither settings nor cameras say where the subject stands.
        ConfigError: the resolution is not a multiple of 16.
    """
    import torch

    from capmat_models.geometry.cells import checked_resolution
    from capmat_models.geometry.hull_check import check_hull
    from capmat_models.geometry.views import finest, shrunk, shrunk_picture, working_fold

    checked_resolution(resolution)
    cameras = [camera for camera in take.cameras if take.has_alpha(run, camera, frame)]
    if len(cameras) < ENOUGH:
        raise NotFound(
            f"{len(cameras)} cameras have a matte {run}; the check compares {ENOUGH} or more",
            where=f"take {take.name} frame {frame}",
            fix="Matte this frame with more cameras.",
        )
    centre, size = box_of(take.cameras.values(), settings)
    full = [torch_view(placed_in_box(take.cameras[camera], centre, size)) for camera in cameras]
    resolution = finest(full, resolution)
    folds = [working_fold(view, resolution) for view in full]
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def matte(camera: str, fold: int) -> "Tensor":
        return shrunk_picture(torch.from_numpy(take.read_alpha(run, camera, frame))[None], fold)[0].to(device)

    mattes = []
    with ThreadPoolExecutor(_READERS) as pool:
        for one in pool.map(matte, cameras, folds):
            mattes.append(one)
            told(_READING * len(mattes) / len(cameras))
    views = [shrunk(view, fold) for view, fold in zip(full, folds, strict=True)]
    checks = tuple(
        one.cpu()
        for one in check_hull(views, mattes, resolution, lambda share: told(_READING + (1 - _READING) * share))
    )
    in_memory = tuple(matte.cpu() for matte in mattes)
    return FrameCheck(tuple(cameras), tuple(folds), tuple(views), in_memory, checks, resolution)


def hull_check(
    store: str,
    take: str,
    run: str,
    settings: Reconstruction,
    frames: Sequence[int] | None = None,
    *,
    resolution: int = RESOLUTION,
) -> Record:
    """The share of a run's silhouettes that does not fit together, a figure for a gate; lower is better.

    Args:
        store: URL of the store.
        take: which take.
        run: which mattes.
        settings: the subject's box.
        frames: which frames; None for the middle one.
        resolution: voxels along the edge of the box, a multiple of 16.

    Returns:
        Record with `hull_score` (0..1, mean over cameras and frames of the share of the silhouette that is halo or
        hole), `worst` (camera with the highest mean) and `cameras` (name -> mean).

    Raises:
        NotFound: the take, frame or run is not stored, or fewer than 3 cameras have such a matte.
        MatteError: the mattes agree on no place inside the box.
    """
    stored = Take.open(Root(store), take)
    info = stored.run_info(run)
    chosen = [stored.frames[len(stored.frames) // 2]] if frames is None else list(frames)

    def work() -> dict[str, Any]:
        each: dict[str, list[float]] = {}
        for frame in chosen:
            for one in check_frame(stored, run, frame, settings, resolution).checks:
                each.setdefault(one.name, []).append(one.score)
        means = {camera: float(np.mean(scores)) for camera, scores in each.items()}
        score = float(np.mean([score for scores in each.values() for score in scores]))
        return {"hull_score": score, "worst": max(means, key=means.__getitem__), "cameras": means, "frames": chosen}

    inputs = {
        "run": info,
        "source": stored.source,
        "frames": chosen,
        "resolution": resolution,
        "box": [settings.box_centre, settings.box_size],
        "matted": {camera: [f for f in chosen if stored.has_alpha(run, camera, f)] for camera in stored.cameras},
    }
    return run_once(store, "hull-check", f"{take} {run}", inputs, work)
