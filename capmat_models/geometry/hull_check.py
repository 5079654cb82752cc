"""Do the mattes of one frame fit together? Each matte is compared with the visual hull of all other mattes.

Every voxel has a depth in every view that sees it: the distance of its pixel to the silhouette's edge, counted in
voxels, positive inside. In the hull of the other views a voxel is as deep as in the shallowest of them, once
`allowed_dissent` of them are set aside, so that one wrong matte cannot carve a hole. What the other views say of a
pixel is the depth of the deepest voxel on its ray:

         other hull                  depth of x        the pixel says foreground    it says background
        .-----------.
    o---|-----x-----|----> ray       2 or more         fits                         hole
  camera '---------'                 0                 fits                         fits
                                     -0.5 or less      halo                         fits

Halos and holes are the errors of the paper's Fig. 9. The two margins keep edges, hair and small calibration errors
out. Depths count in voxels, so near and far cameras are judged alike. A view has no vote on voxels it does not see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from capmat_models.geometry.hull import SOLID, nowhere, opened, signed_distance, widened
from capmat_models.geometry.views import View, described, directions, on_device, project

HOLE_MARGIN = 2.0
"""Depth in voxels from which background is a hole; above 0, because a hull is fatter than the subject."""
HALO_MARGIN = 0.5
"""Distance from the hull, in voxels, from which foreground is a halo."""
SPECK = 0.002
"""Spots thinner than a square of this share of the silhouette are dropped, with them crescents along edges."""
HALO_DISSENT, HOLE_DISSENT = 0.1, 0.05
"""Share of the other views that may deny a voxel without effect, because their mattes may be wrong too."""
FEW_VIEWS = 6
"""With up to so many other views, one of them may always deny a voxel, and a halo needs two that see it."""
HOLE_WITNESSES = 6
"""Other views, and at least half of them all, that must see a voxel before background there is a hole: between the
silhouettes of fewer cameras the hull has empty room."""
_FAINT = 0.05  # halo from which a pixel counts
_CELL = 4  # voxels along the edge of a cell; cells far from the hull are dropped with all their voxels
_CELL_RADIUS = _CELL * math.sqrt(3) / 2
_CHUNK = 2**15


@dataclass(frozen=True)
class ViewCheck:
    """What the other views say of one matte.

    Attributes:
        name: the camera.
        halo: (h, w) float32, 0..1, foreground outside the hull of the others.
        hole: (h, w) float32, 0..1, background deep inside it.
        unknown: (h, w) bool, where too few others see the ray for it to be halo.
        score: share of the silhouette that is halo or hole, 0..1.
    """

    name: str
    halo: Tensor
    hole: Tensor
    unknown: Tensor
    score: float

    def cpu(self) -> ViewCheck:
        """The same in main memory."""
        return replace(self, halo=self.halo.cpu(), hole=self.hole.cpu(), unknown=self.unknown.cpu())


@torch.inference_mode()
def check_hull(
    views: Sequence[View],
    mattes: Sequence[Tensor],
    resolution: int,
    told: Callable[[float], None] = lambda share: None,
) -> list[ViewCheck]:
    """Compare every matte with the hull of the others.

    Args:
        views: 3 or more cameras, in box units; `shrunk` by their `working_fold`.
        mattes: (h, w) float32 0..1 for each, at the view's size; all on the device where the work is to be done.
        resolution: voxels along the edge of the box -1..1, a multiple of 4.
        told: called with the share of the work that is done, 0..1.

    Returns:
        One for each view, on the device of the mattes.

    Raises:
        MatteError: the mattes agree on no place inside the box.
    """
    device, others = mattes[0].device, len(views) - 1
    judged = [
        _Judged.of(on_device(view, device), matte, 2 / resolution) for view, matte in zip(views, mattes, strict=True)
    ]
    few = others <= FEW_VIEWS
    halo_rule = _Rule(HALO_DISSENT, 1 if few else 0, 2 if few else 1)
    hole_rule = _Rule(HOLE_DISSENT, 0, max(HOLE_WITNESSES, math.ceil(others / 2)))
    near_hull = []
    for cells in _grid(resolution // _CELL, device).split(_CHUNK):
        votes, depth, seen = _votes(judged, (cells + 0.5) * (2 * _CELL / resolution) - 1)
        for view, vote in zip(judged, votes, strict=True):
            view.unseen[vote.pixel[vote.sees & (seen - 1 < halo_rule.witnesses)]] = True
        # a cell may go when none of its voxels can come within the margin of any hull
        near_hull.append(cells[halo_rule.hull_depths(depth, seen)[1] + _CELL_RADIUS > -HALO_MARGIN - 1])
    within_cell = _grid(_CELL, device)
    chunks = torch.cat(near_hull).split(_CHUNK // _CELL**3)
    for number, cells in enumerate(chunks):
        told(number / len(chunks))
        voxels = (_CELL * cells[:, None] + within_cell).reshape(-1, 3)
        votes, depth, seen = _votes(judged, (voxels + 0.5) * (2 / resolution) - 1)
        for rule, deepest in (
            (halo_rule, [view.deepest_for_halo for view in judged]),
            (hole_rule, [view.deepest_for_hole for view in judged]),
        ):
            counted, next_one = rule.hull_depths(depth, seen)
            for vote, on_ray in zip(votes, deepest, strict=True):
                # a view that is itself counted is skipped: the next shallowest one counts instead
                of_others = torch.where(vote.depth <= counted, next_one, counted)
                use = vote.sees & (seen - 1 >= rule.witnesses)
                on_ray.scatter_reduce_(0, vote.pixel[use], of_others[use], "amax")
    if not any((view.deepest_for_halo > 0).any() for view in judged):
        raise nowhere(views)
    return [view.compared() for view in judged]


def without_halo(pha: Tensor, halo: Tensor, fold: int) -> Tensor:
    """A matte without the foreground that no other view supports.

    Args:
        pha: (H, W) float32, 0..1.
        halo: (h, w) of its `ViewCheck`, in pixels that are `fold` times wider.
        fold: as `working_fold` says.

    Returns:
        (H, W) float32, 0..1.
    """
    gone = widened((halo > _FAINT).to(pha.dtype), 1)  # its soft rim goes, too
    height, width = pha.shape
    large = F.interpolate(gone[None, None], scale_factor=float(fold), mode="bilinear")[0, 0, :height, :width]
    return pha * (1 - large)


@torch.inference_mode()
def witnesses(
    views: Sequence[View], mattes: Sequence[Tensor], index: int, pixel: tuple[int, int], resolution: int
) -> tuple[int, int]:
    """How many other views see foreground where most of them do, on the ray of one pixel.

    Args:
        views: as in `check_hull`.
        mattes: as in `check_hull`.
        index: of the view.
        pixel: (row, column) in it.
        resolution: voxels along the edge of the box; the steps along the ray.

    Returns:
        Views that see foreground at that point, and views that see the point; (0, 0) where nobody sees the ray.
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


@dataclass(frozen=True)
class _Rule:
    """When the word of the other views counts.

    Attributes:
        dissent: share of the other views that may deny a voxel without effect.
        least_dissent: number of them that may do so in any case.
        witnesses: other views that must see the voxel.
    """

    dissent: float
    least_dissent: int
    witnesses: int

    def hull_depths(self, depth: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """How deep points lie in the hull of all views, and how deep if one more view is set aside.

        Args:
            depth: (V, N) in each view, inf where it does not see the point.
            seen: (N,) views that see it.

        Returns:
            Two times (N,); -inf in the second where no view is left.
        """
        allowed_dissent = ((seen - 1).clamp_min(0) * self.dissent).long().clamp_min(self.least_dissent)
        most = max(self.least_dissent, int(self.dissent * (len(depth) - 1)))
        shallowest = depth.topk(min(len(depth), most + 2), dim=0, largest=False).values
        counted = shallowest.gather(0, allowed_dissent[None])[0]
        next_one = shallowest.gather(0, (allowed_dissent + 1)[None])[0]
        return counted, torch.where(next_one.isfinite(), next_one, -math.inf)


@dataclass(frozen=True)
class _Vote:
    """N points in one view: flat pixel, whether the view sees them, depth in voxels (inf: unseen)."""

    pixel: Tensor
    sees: Tensor
    depth: Tensor


def _votes(judged: Sequence[_Judged], points: Tensor) -> tuple[list[_Vote], Tensor, Tensor]:
    """The vote of every view on points (N, 3), all depths (V, N), and the number of views that see each (N,)."""
    votes = [view.vote(points) for view in judged]
    depth = torch.stack([vote.depth for vote in votes])
    return votes, depth, depth.isfinite().sum(0)


@dataclass(frozen=True)
class _Judged:
    """One view: its silhouette as a distance, and flat maps of what the others say of its pixels.

    Attributes:
        view: the camera.
        matte: (h, w).
        inside: pixels to the silhouette's edge, positive inside.
        deepest_for_halo: voxels, depth of the deepest voxel on the ray by the rule for halos.
        deepest_for_hole: the same by the rule for holes.
        unseen: whether the ray comes through a cell that too few others see, or the lens's model does not reach it.
        voxel: edge of a voxel in box units.
    """

    view: View
    matte: Tensor
    inside: Tensor
    deepest_for_halo: Tensor
    deepest_for_hole: Tensor
    unseen: Tensor
    voxel: float

    @classmethod
    def of(cls, view: View, matte: Tensor, voxel: float) -> _Judged:
        """Before any voxel is looked at."""
        nearest = max(float(view.centre.norm()) - 1, 0.5)  # of the places that are likely to matter
        reach = _pixels(view, voxel, nearest) * (_CELL_RADIUS + HOLE_MARGIN + 2)
        nothing = torch.full((matte.numel(),), -math.inf, device=matte.device)
        inside = signed_distance(matte, math.ceil(reach)).flatten()
        return cls(view, matte, inside, nothing, nothing.clone(), ~described(view), voxel)

    def vote(self, points: Tensor) -> _Vote:
        """Look points (N, 3) up."""
        pixels, sees = project(self.view, points)
        distance = -((points.double() - self.view.centre) @ self.view.camera_to_world[:3, 2])
        column, row = torch.where(sees[:, None], pixels, 0).long().unbind(1)
        pixel = row * self.view.width + column
        per_voxel = float(self.view.K[0, 0]) * self.voxel / distance.clamp_min(self.voxel).float()
        return _Vote(pixel, sees, torch.where(sees, self.inside[pixel] / per_voxel, math.inf))

    def compared(self) -> ViewCheck:
        """The matte against the depths of its rays."""
        for_halo, for_hole = (
            self._filled(flat, self.voxel) for flat in (self.deepest_for_halo, self.deepest_for_hole)
        )
        unknown = self._filled(self.unseen.float(), _CELL * self.voxel) > 0
        solid = self.matte >= SOLID
        speck = round(math.sqrt(SPECK * float(solid.sum())))
        outside = self.matte * torch.where(unknown, 0, (-for_halo - HALO_MARGIN).clamp(0, 1))
        halo = opened(outside, speck)
        halo = torch.where(widened(halo, speck // 2) > _FAINT, outside, halo)  # the corners that `opened` cut off
        hole = opened((1 - self.matte) * (for_hole - HOLE_MARGIN).clamp(0, 1), speck)
        wrong = int(((halo >= SOLID) | (hole >= SOLID)).sum())
        return ViewCheck(self.view.name, halo, hole, unknown, wrong / max(int((solid | (hole >= SOLID)).sum()), 1))

    def _filled(self, flat: Tensor, edge: float) -> Tensor:
        """A map (h, w) of voxels (or cells) of this edge; each covers more than the pixel of its middle."""
        reach = math.ceil(_pixels(self.view, edge, float(self.view.centre.norm())) / 2)
        return widened(flat.view(self.matte.shape), reach)


def _grid(edge: int, device: torch.device) -> Tensor:
    """All indices (edge^3, 3) of a cube."""
    return torch.cartesian_prod(*[torch.arange(edge, device=device)] * 3)


def _pixels(view: View, edge: float, distance: float) -> float:
    """Pixels that an edge in box units measures at a distance."""
    return float(view.K[0, 0]) * edge / distance
