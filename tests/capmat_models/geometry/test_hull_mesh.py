"""The surface of the visual hull encloses the subject, and one bad matte does not drill through it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from capmat_errors import MatteError
from capmat_models.geometry.hull_mesh import HullMesh, hull_mesh, sample, volume
from capmat_models.geometry.views import View
from storage.calibration.camera import Camera
from storage.export.read_scene import seen_in_box
from tests import ellipsoids
from tests.ellipsoids import BOX_CENTRE, BOX_SIZE, SOLIDS, cutout, ring

RESOLUTION = 64


def views(count: int) -> list[View]:
    return [view(camera) for camera in ring(count, 96, 128)]


def view(camera: Camera, size: float = BOX_SIZE) -> View:
    seen = seen_in_box(cutout(camera), np.array(BOX_CENTRE), size)
    K, dist, pose = (torch.from_numpy(a) for a in (seen.K, seen.dist, seen.camera_to_world))
    return View(seen.name, camera.width, camera.height, K, dist, pose, torch.from_numpy(seen.rgba))


@pytest.fixture(scope="module")
def seen() -> list[View]:
    return views(12)


@pytest.fixture(scope="module")
def mesh(seen: list[View]) -> HullMesh:
    return hull_mesh(seen, RESOLUTION)


def metres(mesh: HullMesh) -> np.ndarray:
    return mesh.vertices * (BOX_SIZE / 2) + np.array(BOX_CENTRE)


def inside(points: np.ndarray, slack: float) -> np.ndarray:
    """Whether points lie in the solids, whose axes are longer by `slack` metres."""
    return np.any([(((points - c) / (np.array(h) + slack)) ** 2).sum(-1) <= 1 for c, h, _ in SOLIDS], 0)


def test_the_surface_lies_on_the_subject(mesh: HullMesh) -> None:
    at = metres(mesh)
    voxel = BOX_SIZE / RESOLUTION
    assert inside(at, 3 * voxel).mean() > 0.97  # a hull is fatter where two solids meet
    assert not inside(at, -2 * voxel).any()
    low, high = at.min(0), at.max(0)
    assert np.abs(low[2] - 0.05) < 2 * voxel
    assert np.abs(high[2] - 1.37) < 2 * voxel


def test_it_is_closed_turned_outwards_and_a_little_larger_than_the_subject(mesh: HullMesh) -> None:
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), 1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    assert (count == 2).all()
    solids = sum(4 / 3 * np.pi * np.prod(half) for _, half, _ in SOLIDS)
    assert 0.95 < volume(mesh) * (BOX_SIZE / 2) ** 3 / solids < 1.2


def test_colours_are_those_of_the_subject(mesh: HullMesh) -> None:
    at, colour = metres(mesh), mesh.colours.astype(float)
    blue, orange = colour[at[:, 2] < 0.7].mean(0), colour[at[:, 2] > 1.1].mean(0)
    assert blue[2] > 2 * blue[0]
    assert orange[0] > 2 * orange[2]


def test_a_hole_in_one_matte_does_not_drill_through_the_subject(seen: list[View], mesh: HullMesh) -> None:
    rgba = seen[3].cutout().clone()
    rgba[3, 55:75, 40:56] = 0
    pierced = hull_mesh([*seen[:3], replace(seen[3], rgba=rgba), *seen[4:]], RESOLUTION)
    assert volume(pierced) == pytest.approx(volume(mesh), rel=0.05)


def test_mattes_that_do_not_agree_are_refused(seen: list[View]) -> None:
    halves = []
    for i, view in enumerate(seen):  # every other camera saw the upper half alone, the rest the lower
        rgba = view.cutout().clone()
        rgba[3, 64 * (i % 2) : 64 * (i % 2) + 64] = 0
        halves.append(replace(view, rgba=rgba))
    with pytest.raises(MatteError, match="agree on no place"):
        hull_mesh(halves, RESOLUTION)


def test_a_picture_is_sampled_at_pixel_centres() -> None:
    picture = torch.arange(12.0).view(1, 3, 4)
    assert sample(picture, torch.tensor([[0.5, 0.5], [3.5, 2.5], [1.0, 0.5]]))[0].tolist() == pytest.approx(
        [0, 11, 0.5], abs=1e-5
    )


def test_what_stands_before_a_camera_and_only_in_view_of_its_opposites_is_no_subject(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half = np.array([0.25, 0.2, 0.4])  # so large in the pictures that most cameras see little else of the box
    monkeypatch.setattr(ellipsoids, "SOLIDS", ((BOX_CENTRE, tuple(half), (0.2, 0.4, 0.8)),))
    zoomed = [replace(camera, K=camera.K * [[2.3, 1, 1], [1, 2.3, 1], [1, 1, 1]]) for camera in ring(11, 64, 48)]
    found = hull_mesh([view(camera, 2.6) for camera in zoomed], RESOLUTION)
    size = np.ptp(found.vertices, axis=0) * 1.3
    assert (size < 2 * half + 0.15).all(), size
