"""Surfaces and points as PLY (metres, z up, as the stage) and GLB (metres, y up, as that format wants it)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError
from storage.store.errors import store_errors

SUFFIXES = (".ply", ".glb")
_Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float64)


def write_mesh(
    path: Path, vertices: NDArray[np.float64], faces: NDArray[np.int64] | None, colours: NDArray[np.uint8]
) -> None:
    """Write a surface, or points.

    Args:
        path: the file, ending on .ply or .glb; an earlier one is replaced in one step.
        vertices: (V, 3) in metres, z up.
        faces: (F, 3) indices; None for points alone.
        colours: (V, 3) sRGB.

    Raises:
        ConfigError: another suffix.
        StoreError: the disk refuses.
    """
    import trimesh

    kind = path.suffix.lower()
    checked_suffix(path)
    at = vertices @ _Y_UP.T if kind == ".glb" else vertices
    made = (
        trimesh.PointCloud(at, colors=colours)
        if faces is None
        else trimesh.Trimesh(at, faces, vertex_colors=colours, process=False)
    )
    data: Any = trimesh.Scene(made).export(file_type="glb") if kind == ".glb" else made.export(file_type="ply")
    fresh = path.with_name(f".{path.name}.new")
    with store_errors(str(path), remote=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fresh.write_bytes(data)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)


def checked_suffix(path: Path) -> None:
    """Refuse kinds of files that `write_mesh` does not write, before the work."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError("a hull is written as .ply or .glb", where=str(path), fix="Name the file so.")
