"""Surfaces and points as PLY (metres, z up, as on the stage) and GLB (metres, y up, as that format demands)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError
from storage.store.errors import store_errors

_SUFFIXES = (".ply", ".glb")
_Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)


def write_mesh(
    path: Path, vertices: NDArray[np.float64], faces: NDArray[np.int64] | None, colours: NDArray[np.uint8]
) -> None:
    """Write a surface, or points.

    Args:
        path: the file, ending in .ply or .glb; an earlier one is replaced in one step.
        vertices: (V, 3) in metres, z up.
        faces: (F, 3) indices; None for points alone.
        colours: (V, 3) sRGB.

    Raises:
        ConfigError: another suffix.
        StoreError: the disk refuses.
    """
    import trimesh

    checked_suffix(path)
    is_glb = path.suffix.lower() == ".glb"
    points = vertices @ _Y_UP.T if is_glb else vertices
    surface = (
        trimesh.PointCloud(points, colors=colours)
        if faces is None
        else trimesh.Trimesh(points, faces, vertex_colors=colours, process=False)
    )
    data: Any = trimesh.Scene(surface).export(file_type="glb") if is_glb else surface.export(file_type="ply")
    fresh = path.with_name(f".{path.name}.new")
    with store_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fresh.write_bytes(data)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)


def checked_suffix(path: Path) -> None:
    """Refuse an ending that `write_mesh` does not write; callers check it before they compute the surface."""
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError("a hull is written as .ply or .glb", where=str(path), fix="Change the ending.")
