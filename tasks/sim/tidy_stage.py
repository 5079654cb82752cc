"""A stage as the paper advises (Sec. 4.1): carpet, even grey cloth, matt metal, and one large dim lamp out of view.

One defect at a time is rendered in it: whatever a stage check finds beyond the defect is a false alarm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from storage.calibration.camera import Camera
from tasks.sim.cameras import STAGE_RADIUS
from tasks.sim.solid import Surface, mesh
from tasks.sim.stage import Scene, around, housings, rgb, truss, wall

HEIGHT = 5.0  # metres: no camera sees the upper edge of the wall, nor the lamp
_LAMP_SIDE = 3.6
_RADIANCE = 2.4  # exposes the wall at about a quarter of white; seen directly it clips


def tidy_stage(
    cameras: list[Camera], seed: int = 0, *, glossy: Camera | None = None, lit: Camera | None = None
) -> Scene:
    """The empty stage as entries of a Mitsuba scene.

    Args:
        cameras: where to put housings.
        seed: decides how grey the panels of the wall are.
        glossy: a sheet of metal lies on the floor where this camera sees the performer mirrored.
        lit: a lamp stands where this camera looks.
    """
    rng = np.random.default_rng([seed, 22])
    matt = {"type": "diffuse", "reflectance": rgb([0.16, 0.16, 0.16])}
    scene = {
        "wall": wall(rng, dark=0.0, height=HEIGHT),
        "floor": _quad(
            "floor", np.zeros(3), [4.0, 0, 0], [0, 4.0, 0], {"type": "diffuse", "reflectance": rgb([0.22] * 3)}
        ),
        **truss(matt),
        **housings(cameras, matt),
        **_lamps(lit),
    }
    if glossy is not None:
        out = _outwards(glossy)
        side = np.array([-out[1], out[0], 0.0])
        sheet = {"type": "roughconductor", "alpha": 0.04, "specular_reflectance": rgb([0.6] * 3)}
        scene["sheet"] = _quad("sheet", 0.55 * out + [0, 0, 0.004], 0.5 * out, 0.6 * side, sheet)
    return scene


def _lamps(lit: Camera | None) -> Scene:
    """The lamp above the stage, and the one that a camera looks at: one emitter, see `tasks.sim.stage.lamps`."""
    half = _LAMP_SIDE / 2
    quads = [(np.array([0, 0, HEIGHT - 0.1]), np.array([0, half, 0]), np.array([half, 0, 0]))]
    if lit is not None:
        out = _outwards(lit)
        side = np.array([-out[1], out[0], 0.0])
        quads.append((-(STAGE_RADIUS - 0.06) * out + [0, 0, 1.7], 0.25 * side, np.array([0, 0, 0.36])))
    glow = {"type": "area", "radiance": rgb([_RADIANCE * c for c in (1.0, 0.97, 0.92)])}
    return {"lamps": mesh("lamps", _quads(quads), {"type": "diffuse"}, emitter=glow)}


def _outwards(camera: Camera) -> np.ndarray:
    """The level direction (3,) from the stage's axis to a camera."""
    x, y, _ = camera.centre()
    return np.array([*around(math.atan2(y, x), 1.0), 0.0])


def _quad(name: str, middle: np.ndarray, right: object, up: object, bsdf: Scene) -> object:
    return mesh(name, _quads([(middle, np.asarray(right, float), np.asarray(up, float))]), bsdf)


def _quads(quads: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Surface:
    """Rectangles of middle, half side and half side; they face the cross product of the sides."""
    vertices, normals = [], []
    for middle, right, up in quads:
        normal = np.cross(right, up)
        vertices += [middle + a * right + b * up for a, b in ((-1, -1), (1, -1), (-1, 1), (1, 1))]
        normals += [normal / np.linalg.norm(normal)] * 4
    first = 4 * np.arange(len(quads))[:, None]
    faces = np.concatenate([first + [0, 1, 2], first + [1, 3, 2]])
    points = np.array(vertices)
    return Surface(points, faces, np.array(normals), np.full_like(points, 0.5))


DEFECTS = {
    "none": "a tidy stage without a defect",
    "glossy-floor": "a sheet of metal lies on the floor in front of the camera",
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
            raise ValueError(f"no defect is called {self.name}; choose {', '.join(DEFECTS)}")

    def scene(self, cameras: list[Camera], seed: int) -> Scene:
        """The empty stage with the defect, as entries of a Mitsuba scene."""
        mine = self._mine(cameras)
        if self.name == "glossy-floor":
            return tidy_stage(cameras, seed, glossy=mine)
        return tidy_stage(cameras, seed, lit=mine if self.name == "lamp" else None)

    def in_take(self, camera: Camera) -> Camera:
        """The camera as it stands in the takes; its calibration and its plate stay as they were."""
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
