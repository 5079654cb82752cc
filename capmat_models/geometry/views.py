"""Cameras of the voxels: from points to pixels, from pixels to rays, samples along rays, and smaller pictures.

Cameras are as in Nerfstudio's `transforms.json`: camera to world, OpenGL axes, pixel centres at half integers
and the lens polynomial of OpenCV, of which only the part up to its fold is used (`View.lens_edge`). Samples of all
rays lie in one flat list with the number of their ray, so rays that miss the subject cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from capmat_errors import CalibrationError


@dataclass(frozen=True)
class View:
    """One camera, and its cut-out when it is learned from.

    Attributes:
        name: the camera.
        width: in pixels.
        height: in pixels.
        K: (3, 3) float64, pixels.
        dist: (5,) float64, k1 k2 p1 p2 k3.
        camera_to_world: (4, 4) float64, OpenGL axes, in box units.
        rgba: (4, H, W) float32, straight alpha, display-referred sRGB, 0..1; None for a view to render only.

    Raises:
        CalibrationError: a number of the camera is not finite.
    """

    name: str
    width: int
    height: int
    K: Tensor
    dist: Tensor
    camera_to_world: Tensor
    rgba: Tensor | None = None

    def __post_init__(self) -> None:
        if not all(bool(one.isfinite().all()) for one in (self.K, self.dist, self.camera_to_world)):
            raise CalibrationError("a number is not finite", where=f"camera {self.name}", fix="Calibrate it again.")

    @cached_property
    def lens_edge(self) -> float:
        """Radius, in focal lengths, at which the lens folds, that is, its derivative is 0; inf without a fold."""
        k1, k2, p1, p2, k3 = self.dist.tolist()
        # roots 1 / r of the radial derivative less 6 |p| r, the most that the tangential part can take from it
        roots = np.roots([1, -6 * math.hypot(p1, p2), 3 * k1, 0, 5 * k2, 0, 7 * k3])
        real = roots.real[(np.abs(roots.imag) < 1e-6 * np.abs(roots)) & (roots.real > 1e-9)]
        return float(1 / real.max()) if real.size else math.inf

    @cached_property
    def limit(self) -> float:
        """Square of the radius beyond which a point cannot be in the picture."""
        w, h = self.width, self.height
        xy, known = _normalised(self, self.K.new_tensor([[0, 0], [w, 0], [0, h], [w, h]]))
        farthest = float(xy.square().sum(1).max() * 1.05) if bool(known.all()) else math.inf
        return min(farthest, self.lens_edge**2)

    @property
    def centre(self) -> Tensor:
        """Where the camera stands: (3,) float64."""
        return self.camera_to_world[:3, 3]

    def cutout(self) -> Tensor:
        """The picture that is learned from: (4, H, W)."""
        if self.rgba is None:
            raise ValueError(f"view {self.name} has no picture: it can be rendered, not learned from")
        return self.rgba


def distort(xy: Tensor, dist: Tensor) -> Tensor:
    """Apply the lens to normalised coordinates (N, 2), OpenCV's order of coefficients."""
    k1, k2, p1, p2, k3 = dist.tolist()
    x, y = xy[:, 0], xy[:, 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    dx = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    dy = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return torch.stack([x * radial + dx, y * radial + dy], 1)


def project(view: View, points: Tensor) -> tuple[Tensor, Tensor]:
    """Points (N, 3) to pixels (N, 2) and a flag (N,): in front of the camera and inside its picture.

    Raises:
        CalibrationError: a point is not finite.
    """
    local = (points.double() - view.centre) @ view.camera_to_world[:3, :3]
    depth = -local[:, 2]
    xy = torch.stack([local[:, 0], -local[:, 1]], 1) / depth.clamp_min(1e-9)[:, None]
    pixels = distort(xy, view.dist) @ view.K[:2, :2].T + view.K[:2, 2]
    if bool(pixels.isnan().any()):
        raise CalibrationError("a point has no pixel", where=f"camera {view.name}", fix="Check the subject's box.")
    size = torch.tensor([view.width, view.height], dtype=torch.float64, device=points.device)
    inside = (pixels >= 0).all(1) & (pixels < size).all(1)
    return pixels, inside & (depth > 1e-6) & (xy.square().sum(1) <= view.limit)


def directions(view: View, pixels: Tensor) -> Tensor:
    """Unit directions (N, 3) float32 in the world of the rays through pixels (N, 2); 0 outside the lens's edge."""
    xy, known = _normalised(view, pixels)
    local = torch.stack([xy[:, 0], -xy[:, 1], -torch.ones_like(xy[:, 0])], 1)
    return F.normalize(local @ view.camera_to_world[:3, :3].T, dim=1).float() * known[:, None]


def described(view: View) -> Tensor:
    """Whether each pixel lies inside the lens's edge: (H * W,) bool."""
    index = torch.arange(view.height * view.width, device=view.K.device)
    if view.limit < view.lens_edge**2:
        return torch.ones_like(index, dtype=torch.bool)
    return _normalised(view, torch.stack([index % view.width, index // view.width], 1) + 0.5)[1]


def _normalised(view: View, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Undo intrinsics and lens: (N, 2), and a flag (N,), False where the answer would lie outside the lens's edge."""
    target = (pixels.double() - view.K[:2, 2]) / view.K.diagonal()[:2]
    target[:, 0] -= view.K[0, 1] / view.K[0, 0] * target[:, 1]

    def found(xy: Tensor) -> Tensor:  # to 1e-6 pixels
        missed = ((distort(xy, view.dist) - target) * view.K.diagonal()[:2]).abs().amax(1)
        return (missed < 1e-6) & (xy.norm(dim=1) <= view.lens_edge)

    xy = target
    for _ in range(10):  # enough for the mild lenses of most stages
        xy = xy + target - distort(xy, view.dist)
    if bool((far := ~found(xy)).any()):
        xy[far] = _newton(target[far], view.dist, view.lens_edge)
    return xy, found(xy)


def _newton(target: Tensor, dist: Tensor, edge: float) -> Tensor:
    """Undo the lens inside its edge (N, 2) by Newton's rule, from a table of the radial part."""
    radial, size, eye = dist * dist.new_tensor([1, 1, 0, 0, 1]), target.norm(dim=1), torch.eye(2).to(dist)
    reach = size.max()
    while reach < edge and distort(reach * eye, radial)[0, 0] < size.max():
        reach = 2 * reach
    r = torch.linspace(0, min(float(reach), edge), 4097, dtype=torch.float64, device=target.device)
    bent = distort(torch.stack([r, 0 * r], 1), radial)[:, 0].contiguous()
    xy = target * (r[torch.searchsorted(bent, size).clamp_max(4096)] / size.clamp_min(1e-12))[:, None]
    for _ in range(20):
        (a, b), (_, d) = ((distort(xy + h, dist) - distort(xy - h, dist)).T / 2e-6 for h in eye * 1e-6)
        u, v = (target - distort(xy, dist)).T
        step = torch.stack([d * u - b * v, a * v - b * u], 1) / (a * d - b * b).clamp_min(1e-9)[:, None]
        xy = (xy + step) * (edge / (xy + step).norm(dim=1, keepdim=True)).clamp_max(1)
    return xy


def spans(view: View, centres: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Where each pixel's ray can meet a set of balls.

    Args:
        view: the camera.
        centres: (K, 3) centres of the balls.
        radius: of every ball, in box units.

    Returns:
        near, far: (H, W) float32 distances from the camera; near is inf where a ray meets nothing.
    """
    h, w = view.height, view.width
    distance = (centres.double() - view.centre).norm(dim=1)
    depth = -((centres.double() - view.centre) @ view.camera_to_world[:3, 2])
    ahead = depth > radius
    local = (centres.double() - view.centre) @ view.camera_to_world[:3, :3]
    xy = torch.stack([local[:, 0], -local[:, 1]], 1) / depth[:, None]
    # a ball that reaches over the lens's edge is drawn on the edge
    ahead &= xy.norm(dim=1) <= view.lens_edge + 1.3 * radius / depth
    if not ahead.any():
        return torch.full((h, w), math.inf), torch.full((h, w), -math.inf)
    xy = xy[ahead] * (view.lens_edge / xy[ahead].norm(dim=1, keepdim=True)).clamp_max(1)
    pixels = distort(xy, view.dist) @ view.K[:2, :2].T + view.K[:2, 2]
    # a ball off the optical axis looks larger by 1 / cos: 1.3 covers 40 degrees
    pad = math.ceil(1.3 * float(view.K[0, 0]) * radius / float(depth[ahead].min())) + 1
    column = (pixels[:, 0].floor().long() + pad).clamp(0, w + 2 * pad - 1)
    row = (pixels[:, 1].floor().long() + pad).clamp(0, h + 2 * pad - 1)
    index, distance = row * (w + 2 * pad) + column, distance[ahead].float()
    size = (h + 2 * pad) * (w + 2 * pad)
    near = torch.full((size,), math.inf).scatter_reduce(0, index, distance - radius, "amin")
    far = torch.full((size,), -math.inf).scatter_reduce(0, index, distance + radius, "amax")
    near, far = (-_widen(-near, h, w, pad), _widen(far, h, w, pad))
    return near.clamp_min(0), far


def _widen(values: Tensor, h: int, w: int, pad: int) -> Tensor:
    """Maximum over a square of 2 * pad + 1 pixels; rows and columns in turn are cheaper than the square."""
    grid = values.view(1, 1, h + 2 * pad, w + 2 * pad)
    return F.max_pool2d(F.max_pool2d(grid, (2 * pad + 1, 1), 1), (1, 2 * pad + 1), 1)[0, 0]


def packed_steps(near: Tensor, far: Tensor, step: float, jitter: Tensor) -> tuple[Tensor, Tensor]:
    """Samples along rays, in one flat list.

    Args:
        near: (B,) where each ray starts.
        far: (B,) where it ends.
        step: between samples.
        jitter: (B,) 0..1, shift of each ray's samples as part of a step.

    Returns:
        ray: (N,) int64, ascending, and distance: (N,) float32, ascending within a ray.
    """
    count = ((far - near) / step).ceil().clamp_min(0).long()
    ray = torch.repeat_interleave(torch.arange(len(near)), count)
    index = torch.arange(len(ray)) - (count.cumsum(0) - count)[ray]
    return ray, near[ray] + (index + jitter[ray]) * step


def working_fold(view: View, resolution: int) -> int:
    """How many times smaller a view may be: a pixel is then about half a voxel at the middle of the box."""
    return max(1, int(float(view.K[0, 0]) * (2 / resolution) / float(view.centre.norm()) / 2))


def finest(views: Sequence[View], most: int) -> int:
    """Voxels along the edge of the box, a multiple of 16 up to `most`, each at least as large as a pixel there."""
    pixels = min(2 * float(view.K[0, 0]) / float(view.centre.norm()) for view in views)
    return max(16, min(most, int(pixels)) // 16 * 16)


def shrunk(view: View, fold: int) -> View:
    """The camera without a picture and with `fold` times fewer pixels a side, rounded up."""
    K = view.K.clone()
    K[:2] /= fold  # pixel centres are half integers, so the principal point scales too
    return replace(view, width=-(-view.width // fold), height=-(-view.height // fold), K=K, rgba=None)


def shrunk_picture(picture: Tensor, fold: int) -> Tensor:
    """Means (C, h, w) over squares of `fold` pixels of (C, H, W), at the size of a `shrunk` view."""
    return F.avg_pool2d(picture[None], fold, ceil_mode=True, count_include_pad=False)[0]


def on_device(view: View, device: torch.device) -> View:
    """The same camera on another device."""
    each = {f.name: getattr(view, f.name) for f in fields(view)}
    moved: dict[str, Any] = {name: value.to(device) for name, value in each.items() if isinstance(value, Tensor)}
    return replace(view, **moved)
