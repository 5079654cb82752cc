"""Do the mattes of one frame fit together? Where all cameras but one disagree with that one, it is likely wrong.

The others bound a soft visual hull: every voxel has, in each view that sees it, a distance to that view's silhouette,
positive inside. What nearly all views but one grant it is how deep it lies in the hull of the others, and the deepest
voxel on a pixel's ray is what the others say of that pixel. Foreground that stays outside is *halo*; background that
goes deep is *hole* (the paper's Fig. 9). Depth counts in voxels, so near and far cameras are judged alike, and a
margin keeps edges, hair and small errors of the calibration out. A view that does not see a voxel has no say in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from capmat_models.geometry.hull import ENOUGH_TO_CARVE, SOLID, nowhere, opened, signed_distance, widened
from capmat_models.geometry.views import View, directions, on_device, project

HOLE_MARGIN = 2.0
"""Voxels that background must lie deep in the hull to be called a hole: hulls are fatter than what stands in them."""
HALO_MARGIN = 0.5
"""Voxels that foreground must lie outside of the hull to be called a halo."""
SPECK = 0.002
"""Share of a silhouette below which a spot is not worth a word; thin crescents along edges go with it."""
DISSENT = 0.1
"""Share of the other views that may deny a voxel, since they may be wrong too; foreground stays possible there."""
ONE = ENOUGH_TO_CARVE - 1
"""So many may always, where there are few cameras."""
SURE = 0.05
"""Share of the other views that may deny a voxel, and background there is a hole all the same."""
ENOUGH = 2
"""Other views that must see a voxel before foreground there is called halo, where there are few cameras; else one."""
FEW = 6
"""Other views, and half of all others, that must see a voxel before background there can be called a hole: between
the silhouettes of few cameras there is room that nothing stands in. No more others than these are few cameras."""
_ZOOM = 4  # voxels along the edge of a cell that is looked at first
_CHUNK = 2**15


@dataclass(frozen=True)
class Checked:
    """What the other views say of one.

    Attributes:
        name: the camera.
        halo: (h, w) float32, 0..1, foreground that no other view makes possible.
        hole: (h, w) float32, 0..1, background where the others nearly all see the subject.
        unknown: (h, w) bool, where too few others see the ray for it to be halo.
        score: share of the silhouette that is halo or hole, 0..1.
    """

    name: str
    halo: Tensor
    hole: Tensor
    unknown: Tensor
    score: float

    def cpu(self) -> Checked:
        """The same in main memory."""
        return replace(self, halo=self.halo.cpu(), hole=self.hole.cpu(), unknown=self.unknown.cpu())


@torch.inference_mode()
def check_hull(views: Sequence[View], mattes: Sequence[Tensor], resolution: int) -> list[Checked]:
    """Compare every matte with what the others leave possible.

    Args:
        views: 3 or more cameras, in box units; `shrunk` by their `working_fold`.
        mattes: (h, w) float32 0..1 for each, at the view's size; all on the device where the work is to be done.
        resolution: voxels along the edge of the box -1..1, a multiple of 4.

    Returns:
        One for each view, on the device of the mattes.

    Raises:
        MatteError: the mattes agree on no place inside the box.
    """
    device = mattes[0].device
    maps = [
        _Maps.of(on_device(view, device), matte, 2 / resolution) for view, matte in zip(views, mattes, strict=True)
    ]
    alone, enough = (ONE, ENOUGH) if len(maps) <= FEW + 1 else (0, 1)
    coarse, radius = resolution // _ZOOM, _ZOOM * math.sqrt(3) / 2
    kept = []
    for cells in torch.cartesian_prod(*[torch.arange(coarse, device=device)] * 3).split(_CHUNK):
        found = [m.find((cells + 0.5) * (2 / coarse) - 1) for m in maps]
        depth = torch.stack([f.depth for f in found])
        seen = depth.isfinite().sum(0)
        for m, f in zip(maps, found, strict=True):
            m.unseen[f.place[f.seen & (seen - 1 < enough)]] = True
        # a cell may go when none of its voxels can come within the margin of any hull
        kept.append(cells[_others(depth, seen, DISSENT, alone)[1] + radius > -HALO_MARGIN - 1])
    inner = torch.cartesian_prod(*[torch.arange(_ZOOM, device=device)] * 3)
    for cells in torch.cat(kept).split(_CHUNK // _ZOOM**3):
        fine = (_ZOOM * cells[:, None] + inner).reshape(-1, 3)
        found = [m.find((fine + 0.5) * (2 / resolution) - 1) for m in maps]
        depth = torch.stack([f.depth for f in found])
        seen = depth.isfinite().sum(0)
        most = max(FEW, math.ceil((len(maps) - 1) / 2))
        for dissent, may, least, name in ((DISSENT, alone, enough, "lenient"), (SURE, 0, most, "strict")):
            without, instead = _others(depth, seen, dissent, may)
            for m, f in zip(maps, found, strict=True):
                # who is among those that the order counts hands his place to the next
                own = torch.where(f.depth <= without, instead, without)
                use = f.seen & (seen - 1 >= least)
                getattr(m, name).scatter_reduce_(0, f.place[use], own[use], "amax")
    if not any((m.lenient > 0).any() for m in maps):
        raise nowhere(views)
    return [m.checked() for m in maps]


@torch.inference_mode()
def witnesses(
    views: Sequence[View], mattes: Sequence[Tensor], index: int, pixel: tuple[int, int], resolution: int
) -> tuple[int, int]:
    """How many other views see foreground where most of them do, on the ray of one pixel.

    Args:
        views: as in `check_hull`.
        mattes: as there.
        index: of the view.
        pixel: (row, column) in it.
        resolution: voxels along the edge of the box; the steps along the ray.

    Returns:
        Views that see foreground at that place, and views that see the place; (0, 0) where nobody sees the ray.
    """
    view = views[index]
    at = torch.tensor([[pixel[1] + 0.5, pixel[0] + 0.5]], dtype=torch.float64)
    far = float(view.centre.norm()) + math.sqrt(3)
    steps = torch.arange(max(0.0, far - 2 * math.sqrt(3)), far, 2 / resolution, dtype=torch.float64)
    points = view.centre + steps[:, None] * directions(view, at).double()
    points = points[(points.abs() <= 1).all(1)]
    seen, solid = torch.zeros(len(points), dtype=torch.int64), torch.zeros(len(points), dtype=torch.int64)
    for other, (camera, matte) in enumerate(zip(views, mattes, strict=True)):
        if other == index:
            continue
        pixels, inside = project(camera, points)
        column, row = pixels[inside].long().unbind(1)
        seen[inside] += 1
        solid[inside] += (matte.cpu()[row, column] >= SOLID).long()
    if not len(points) or not seen.any():
        return 0, 0
    best = int((solid / seen.clamp_min(1) + seen / (1e3 * len(views))).argmax())
    return int(solid[best]), int(seen[best])


def _others(depth: Tensor, seen: Tensor, dissent: float, alone: int) -> tuple[Tensor, Tensor]:
    """What all views but a share of `dissent` grant every point, and what all but one more do.

    Args:
        depth: (V, N), inf where a view does not see the point.
        seen: (N,) views that see it.
        dissent: 0..1, of the views beside the one that is judged.
        alone: as many views may always dissent.

    Returns:
        Two times (N,); -inf in the second where nobody is left.
    """
    skip = ((seen - 1).clamp_min(0) * dissent).long().clamp_min(alone)
    most = max(alone, int(dissent * (len(depth) - 1)))
    least = depth.topk(min(len(depth), most + 2), dim=0, largest=False).values
    first = least.gather(0, skip[None])[0]
    second = least.gather(0, (skip + 1)[None])[0]
    return first, torch.where(second.isfinite(), second, -math.inf)


@dataclass(frozen=True)
class _Found:
    """Points (N) in one view: flat pixel, whether it sees them, and how deep in its silhouette (inf: unseen)."""

    place: Tensor
    seen: Tensor
    depth: Tensor


@dataclass(frozen=True)
class _Maps:
    """One view: its silhouette as a distance, and what the others say of its pixels, all flat.

    Attributes:
        view: the camera.
        matte: (h, w).
        inside: pixels to the silhouette's edge, positive inside.
        lenient: voxels, depth in the hull of nearly all others.
        strict: voxels, depth in the hull of all others.
        unseen: whether a ray comes through a place that too few others see.
        voxel: edge of a voxel in box units.
    """

    view: View
    matte: Tensor
    inside: Tensor
    lenient: Tensor
    strict: Tensor
    unseen: Tensor
    voxel: float

    @classmethod
    def of(cls, view: View, matte: Tensor, voxel: float) -> _Maps:
        """Nothing is known yet."""
        reach = _wide(view, voxel, _near(view)) * (_ZOOM * math.sqrt(3) / 2 + HOLE_MARGIN + 2)
        nothing = torch.full((matte.numel(),), -math.inf, device=matte.device)
        inside = signed_distance(matte, math.ceil(reach)).flatten()
        return cls(view, matte, inside, nothing, nothing.clone(), torch.zeros_like(nothing, dtype=torch.bool), voxel)

    def find(self, points: Tensor) -> _Found:
        """Look points (N, 3) up."""
        pixels, seen = project(self.view, points)
        away = -((points.double() - self.view.centre) @ self.view.camera_to_world[:3, 2])
        column, row = torch.where(seen[:, None], pixels, 0).long().unbind(1)
        place = row * self.view.width + column
        per_voxel = float(self.view.K[0, 0]) * self.voxel / away.clamp_min(self.voxel).float()
        return _Found(place, seen, torch.where(seen, self.inside[place] / per_voxel, math.inf))

    def checked(self) -> Checked:
        """The verdict."""
        said, sure = (self._filled(flat, self.voxel) for flat in (self.lenient, self.strict))
        unknown = self._filled(self.unseen.float(), _ZOOM * self.voxel) > 0
        speck = round(math.sqrt(SPECK * float((self.matte >= SOLID).sum())))
        halo = opened(self.matte * torch.where(unknown, 0, (-said - HALO_MARGIN).clamp(0, 1)), speck)
        hole = opened((1 - self.matte) * (sure - HOLE_MARGIN).clamp(0, 1), speck)
        wrong = (halo >= SOLID) | (hole >= SOLID)
        whole = int(((self.matte >= SOLID) | (hole >= SOLID)).sum())
        return Checked(self.view.name, halo, hole, unknown, int(wrong.sum()) / max(whole, 1))

    def _filled(self, flat: Tensor, edge: float) -> Tensor:
        """A map (h, w) of voxels (or cells) of this edge; each covers more than the pixel of its middle."""
        reach = math.ceil(_wide(self.view, edge, float(self.view.centre.norm())) / 2)
        return widened(flat.view(self.matte.shape), reach)


def _wide(view: View, edge: float, away: float) -> float:
    """Pixels that an edge in box units measures at a distance."""
    return float(view.K[0, 0]) * edge / away


def _near(view: View) -> float:
    """How far a camera stands from the nearest place that is likely to matter."""
    return max(float(view.centre.norm()) - 1, 0.5)
