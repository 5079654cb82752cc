"""A take with mattes, made in a fraction of a second: cameras of two sizes, one frame without a matte."""

from typing import Any

import numpy as np

from storage.calibration.camera import Camera
from storage.pictures.colour import Colour
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.plate import Plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tests.storage.raw_pictures import write_raw

RUN = "teacher-v0001"
SIZES = {"c00": (300, 420), "c01": (280, 330)}
"""Height and width of the pictures."""
FRAMES = (4, 5, 7)
BARE = ("c01", 5)
"""Has no matte."""


def make_take(root: Root, name: str = "walk", colour: Colour | None = None, seed: int = 0) -> Take:
    """Store noise: plates, frames and mattes, with their entries in the ledger."""
    colour, rng, ledger = colour or Colour(12, "linear", black=64), np.random.default_rng(seed), Ledger(root)
    scale = 2 if colour.cfa else 1
    cameras = {id: _camera(id, scale * h, scale * w) for id, (h, w) in SIZES.items()}
    stage = Stage.create(root, "ring", cameras=cameras, colour=colour, source={})
    take = Take.create(
        root, name, stage="ring", cameras=cameras, colour=colour, frames=FRAMES, fps=25.0, source={"seed": seed}
    )
    take.start_run(RUN, {})
    for id, (height, width) in SIZES.items():
        files: dict[str, Any] = {}
        for frame in FRAMES:
            shape = (scale * height, scale * width) if colour.cfa else (height, width, 3)
            files |= write_raw(take, id, frame, _noise(rng, shape, colour))
        ledger.record(f"ingest/{name}/{id}/00000", {"frames": list(FRAMES), "files": files})
        numbers = [frame for frame in FRAMES if (id, frame) != BARE]
        mattes = {frame: np.round(rng.random((height, width), np.float32) * 3) / 3 for frame in numbers}
        files = take.write_alphas(RUN, id, mattes)
        said = {"run": RUN, "camera": id, "numbers": numbers, "files": files}
        ledger.record(f"matte/{name}-{id}-{RUN}/{seed}", said)
        mean = rng.uniform(0, colour.white, (height, width, colour.channels)).astype(np.float32)
        plate = Plate(mean, np.ones_like(mean), np.ones((height, width), bool), 2)
        ledger.record(f"plates/ring/{id}", {"files": stage.write_plate(id, plate)})
    stage.seal()
    take.seal()
    return take


def _camera(name: str, height: int, width: int) -> Camera:
    K = np.array([[300.0, 0, width / 2], [0, 300.0, height / 2], [0, 0, 1]])
    return Camera(name, width, height, K, np.zeros(5), np.eye(3), np.zeros(3))


def _noise(rng: np.random.Generator, shape: tuple[int, ...], colour: Colour) -> Any:
    if colour.half:
        return rng.normal(0.5, 0.5, shape).astype(np.float16)
    return rng.integers(0, colour.white + 1, shape).astype(colour.dtype)
