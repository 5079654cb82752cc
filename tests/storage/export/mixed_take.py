"""A take whose true mattes and colours are known: one grey subject mixed with one grey stage."""

import numpy as np

from storage.calibration.camera import Camera
from storage.pictures.colour import Colour, decode_srgb, encode_srgb
from storage.store.root import Root
from storage.takes.plate import Plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tests.storage.raw_pictures import write_raw

HEIGHT, WIDTH = 30, 40
PHA = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
SUBJECT, EMPTY = np.float32(0.6), np.float32(0.2)
COLOUR = Colour(12, "linear", 64)


def make_take(root: Root, *, frames: int = 2, fps: float = 25.0, timecode: str = "", plates: bool = True) -> Take:
    """A subject of one grey, mixed by PHA with a stage of another, as sensor numbers."""
    K = np.array([[50.0, 0, 20], [0, 50, 15], [0, 0, 1]])
    cameras = {id: Camera(id, WIDTH, HEIGHT, K, np.zeros(5), np.eye(3), np.zeros(3)) for id in ("c0", "c1")}
    take = Take.create(
        root,
        "walk",
        stage="ring",
        cameras=cameras,
        colour=COLOUR,
        frames=range(3, 3 + frames),
        fps=fps,
        timecode=timecode,
        source={"session": "day", "path": "takes/walk/{camera}/{frame:04d}.png"},
    )
    # mixed in display values, as networks understand alpha
    light = decode_srgb(PHA * encode_srgb(SUBJECT) + (1 - PHA) * encode_srgb(EMPTY))
    numbers = np.rint(64 + light * (4095 - 64)).astype(np.uint16)
    take.start_run("teacher", {"name": "bg_vitmatte_s", "version": "v0003"})
    for camera in cameras:
        for frame in take.frames:
            write_raw(take, camera, frame, np.repeat(numbers[..., None], 3, axis=2))
        take.write_alphas("teacher", camera, dict.fromkeys(take.frames, PHA))
    take.seal()
    if plates:
        stage = Stage.create(root, "ring", cameras=cameras, colour=COLOUR, source={})
        mean = np.full((HEIGHT, WIDTH, 3), 64 + EMPTY * (4095 - 64), np.float32)
        for camera in cameras:
            stage.write_plate(camera, Plate(mean, np.ones_like(mean), np.ones((HEIGHT, WIDTH), bool), 9))
        stage.seal()
    return Take.open(root, "walk")
