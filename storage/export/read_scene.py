"""Views of a scene as `storage.export.scene` exports it, for trainers other than Nerfstudio."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound
from storage.calibration.camera import Camera
from storage.calibration.formats.transforms import frame_entry
from storage.export.scene import Cutout, checked_rgba
from storage.pictures.files import read_rgba

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SceneView:
    """One camera of an exported folder, as any trainer sees it (OpenGL, pixel centres at half integers).

    Attributes:
        name: the camera.
        K: (3, 3) in pixels; the centre of the first pixel is (0.5, 0.5).
        dist: (5,) k1 k2 p1 p2 k3 of the OpenCV polynomial.
        camera_to_world: (4, 4), OpenGL camera axes, in box units.
        width: in pixels.
        height: in pixels.
        rgba: (4, H, W) float32, 0..1, straight alpha; None for the camera alone.
    """

    name: str
    K: Floats
    dist: Floats
    camera_to_world: Floats
    width: int
    height: int
    rgba: NDArray[np.float32] | None


@dataclass(frozen=True)
class Scene:
    """An exported folder: views by camera, the split, and centre and scale of the way back to the stage's metres."""

    views: dict[str, SceneView]
    train: tuple[str, ...]
    test: tuple[str, ...]
    centre: Floats
    scale: float


def read_scene(folder: Path) -> Scene:
    """Read an exported folder back.

    Raises:
        NotFound: `transforms.json` is missing.
        ImageUnreadable: a picture is missing, broken or without alpha.
    """
    path = folder / "transforms.json"
    if not path.is_file():
        raise NotFound("the folder holds no exported frame", where=str(folder), fix="Export one first.")
    meta = json.loads(path.read_text(encoding="utf-8-sig"))
    views = [_view(frame, read_rgba(folder / frame["file_path"])) for frame in meta["frames"]]
    train, test = (tuple(map(_camera_of, meta[f"{split}_filenames"])) for split in ("train", "test"))
    centre = -np.array(meta["applied_transform"], float)[:, 3]
    return Scene({view.name: view for view in views}, train, test, centre, float(meta["applied_scale"]))


def seen_in_box(cutout: Cutout, centre: Floats, size: float) -> SceneView:
    """Return a cut-out as an export of the box would hold it, without writing one.

    Raises:
        MatteError: the matte is missing, empty, full or not a number.
        SizeMismatch: picture, matte and calibration disagree.
        CalibrationError: the picture size is unknown.
    """
    return _placed(cutout.camera, centre, size, checked_rgba(cutout))


def placed_in_box(camera: Camera, centre: Floats, size: float) -> SceneView:
    """Return a camera as an export of the box would hold it, without a picture.

    Raises:
        CalibrationError: the picture size is unknown.
    """
    return _placed(camera, centre, size, None)


def _placed(camera: Camera, centre: Floats, size: float, stored: NDArray[Any] | None) -> SceneView:
    """Return a camera in the box; its skew, which an entry of `frames` cannot hold, is put back."""
    skew = np.diag([camera.K[0, 1], 0.0], 1)
    view = _view(frame_entry(replace(camera, K=camera.K - skew), centre, 2 / size), stored)
    return replace(view, K=view.K + skew)


def _view(entry: Mapping[str, Any], stored: NDArray[Any] | None) -> SceneView:
    """Return the view of an entry of `frames` and its picture (H, W, 4)."""
    rgba = None
    if stored is not None:
        scaled = stored.transpose(2, 0, 1).astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
        rgba = np.ascontiguousarray(scaled)
    K = np.array([[entry["fl_x"], 0, entry["cx"]], [0, entry["fl_y"], entry["cy"]], [0, 0, 1]], float)
    dist = np.array([entry[k] for k in ("k1", "k2", "p1", "p2", "k3")], float)
    pose = np.array(entry["transform_matrix"], float)
    return SceneView(_camera_of(entry["file_path"]), K, dist, pose, entry["w"], entry["h"], rgba)


def _camera_of(file: str) -> str:
    return Path(file).name.removesuffix(".png")
