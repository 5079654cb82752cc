"""What is written as PLY and GLB is read by others as it was meant."""

from pathlib import Path

import numpy as np
import pytest
import trimesh

from capmat_errors import ConfigError, StoreError
from storage.export.mesh import write_mesh

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2]], float)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 8, 7]], np.uint8)


def read(path: Path) -> trimesh.Trimesh:
    return next(iter(trimesh.load_scene(path, process=False).geometry.values()))


@pytest.mark.parametrize("suffix", [".ply", ".glb"])
def test_a_surface_comes_back_with_its_colours(tmp_path: Path, suffix: str) -> None:
    write_mesh(tmp_path / f"a{suffix}", VERTICES, FACES, COLOURS)
    mesh = read(tmp_path / f"a{suffix}")
    assert mesh.volume == pytest.approx(1 / 3)
    assert mesh.visual.vertex_colors[:, :3].tolist() == COLOURS.tolist()


def test_up_is_z_in_ply_and_y_in_glb(tmp_path: Path) -> None:
    for suffix, up in ((".ply", 2), (".glb", 1)):
        write_mesh(tmp_path / f"a{suffix}", VERTICES, FACES, COLOURS)
        assert np.argmax(read(tmp_path / f"a{suffix}").extents) == up


def test_points_alone(tmp_path: Path) -> None:
    write_mesh(tmp_path / "a.ply", VERTICES, None, COLOURS)
    cloud = trimesh.load(tmp_path / "a.ply")
    np.testing.assert_allclose(cloud.vertices, VERTICES)
    assert not hasattr(cloud, "faces")


def test_other_kinds_of_files_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.ply or \.glb"):
        write_mesh(tmp_path / "a.obj", VERTICES, FACES, COLOURS)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError):
        write_mesh(tmp_path / "file/a.ply", VERTICES, FACES, COLOURS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
