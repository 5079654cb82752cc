"""One defect in one camera of an otherwise tidy stage: what a stage check has to find, and where.

Each is what goes wrong on real stages: metal on the floor, a lamp in view, a tripod that was knocked after the
plates, an exposure or a gain that was changed. `capmat sim --defect NAME` renders a session with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tasks.sim.cameras import Camera
from tasks.sim.stage import Scene
from tasks.sim.tidy_stage import tidy_stage

DEFECTS = {
    "none": "a tidy stage, nothing is the matter",
    "glossy-floor": "a sheet of metal lies on the floor before the camera",
    "lamp": "a lamp stands where the camera looks",
    "moved-camera": "the camera's picture is shifted by 2 pixels in the takes",
    "exposure": "the camera exposes 5 % longer in the takes",
    "noise": "the camera is twice as noisy, in plates and takes",
}
SHIFT = 2.0  # pixels
EXPOSURE = 1.05
NOISE = 2.0


@dataclass(frozen=True)
class Defect:
    """A defect and the camera that has it.

    Attributes:
        name: one of `DEFECTS`.
        camera: name of the camera.
    """

    name: str
    camera: str = "C02"

    def __post_init__(self) -> None:
        if self.name not in DEFECTS:
            raise ValueError(f"there is no defect {self.name}; there is {', '.join(DEFECTS)}")

    def scene(self, cameras: list[Camera], seed: int) -> Scene:
        """The empty stage with it, as entries of a Mitsuba scene."""
        mine = self._mine(cameras)
        if self.name == "glossy-floor":
            return tidy_stage(cameras, seed, glossy=mine)
        return tidy_stage(cameras, seed, lit=mine if self.name == "lamp" else None)

    def in_take(self, camera: Camera) -> Camera:
        """How a camera stands in the takes; its calibration and its plate know nothing of it."""
        if self.name != "moved-camera" or camera.id != self.camera:
            return camera
        K = camera.K.copy()
        K[0, 2] += SHIFT
        return replace(camera, K=K)

    def sensor(self, camera: str, *, take: bool) -> dict[str, float]:
        """How a camera's sensor differs, as arguments of `tasks.sim.sensor.expose`."""
        if camera != self.camera:
            return {}
        if self.name == "exposure" and take:
            return {"exposure": EXPOSURE}
        return {"noise": NOISE} if self.name == "noise" else {}

    def _mine(self, cameras: list[Camera]) -> Camera:
        return next(camera for camera in cameras if camera.id == self.camera)
