"""The ellipsoids as a stored take with mattes, for everything that starts from a store."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from storage.calibration.camera import Camera
from storage.pictures.colour import Colour
from storage.store.root import Root
from storage.takes.take import Take
from tests.ellipsoids import cutout as traced
from tests.storage.raw_pictures import write_raw

cutout = cache(traced)

Change = Callable[[str, NDArray[np.float32]], NDArray[np.float32]]


def store_take(
    root: Root,
    cameras: Sequence[Camera],
    *,
    name: str = "solids",
    frames: Sequence[int] = (4,),
    source: dict[str, str] | None = None,
) -> Take:
    """A take of the ellipsoids with their true mattes as run `true`; every frame shows the same."""
    take = Take.create(
        root,
        name,
        stage="ring",
        cameras={camera.id: camera for camera in cameras},
        colour=Colour(bits=8, transfer="srgb"),
        frames=frames,
        fps=25,
        source={"session": "solids"} | (source or {}),
    )
    for camera in cameras:
        picture = np.rint(cutout(camera).image.transpose(1, 2, 0) * 255).astype(np.uint8)
        for frame in frames:
            write_raw(take, camera.id, frame, picture)
    take.seal()
    add_run(take, cameras, "true", lambda _, alpha: alpha)
    return take


def add_run(take: Take, cameras: Sequence[Camera], run: str, change: Change) -> None:
    """Mattes of all frames: the true ones after `change(camera, alpha)`."""
    take.start_run(run, {"name": run})
    for camera in cameras:
        alpha = change(camera.id, cutout(camera).alpha.copy())
        take.write_alphas(run, camera.id, dict.fromkeys(take.frames, alpha))
