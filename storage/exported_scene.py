"""Read back what `storage.nerfstudio` exported, for trainers that are not Nerfstudio."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound
from storage.frames import read_rgba

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SceneView:
    """One camera of an exported folder, as any trainer sees it (OpenGL, pixel centres at half integers).

    Attributes:
        name: the camera.
        K: (3, 3) in pixels; the centre of the first pixel is (0.5, 0.5).
        dist: (5,) k1 k2 p1 p2 k3 of the OpenCV polynomial.
        camera_to_world: (4, 4), OpenGL camera axes, in box units.
        rgba: (4, H, W) float32, 0..1, straight alpha.
    """

    name: str
    K: Floats
    dist: Floats
    camera_to_world: Floats
    rgba: NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """What an exported folder holds: views by camera, the split, and the way back to the stage's metres."""

    views: dict[str, SceneView]
    train: tuple[str, ...]
    test: tuple[str, ...]
    centre: Floats
    scale: float


def read_scene(folder: Path) -> Scene:
    """Read an exported folder back.

    Raises:
        NotFound: there is no `transforms.json`.
        ImageUnreadable: a picture is missing, broken or without alpha.
    """
    path = folder / "transforms.json"
    if not path.is_file():
        raise NotFound("there is no exported frame here", where=str(folder), fix="Export one first.")
    meta = json.loads(path.read_text())
    views = {}
    for frame in meta["frames"]:
        name = Path(frame["file_path"]).name.removesuffix(".png")
        stored = read_rgba(folder / frame["file_path"])
        rgba = stored.transpose(2, 0, 1).astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
        K = np.array([[frame["fl_x"], 0, frame["cx"]], [0, frame["fl_y"], frame["cy"]], [0, 0, 1]], float)
        dist = np.array([frame[k] for k in ("k1", "k2", "p1", "p2", "k3")], float)
        pose = np.array(frame["transform_matrix"], float)
        views[name] = SceneView(name, K, dist, pose, np.ascontiguousarray(rgba))
    train, test = (
        tuple(Path(f).name.removesuffix(".png") for f in meta[f"{split}_filenames"]) for split in ("train", "test")
    )
    centre = -np.array(meta["applied_transform"], float)[:, 3]
    return Scene(views, train, test, centre, float(meta["applied_scale"]))
