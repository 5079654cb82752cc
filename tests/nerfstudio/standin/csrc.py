"""In the place of nerfacc's compiled part: the four functions that `instant-ngp-bounded` calls.

Samples are steps of one size from where a ray enters the box; those in cells that the grid calls empty are left out.
nerfacc also cuts steps at the borders of cells, so the two differ by parts of a step.
"""

from types import SimpleNamespace

import torch
from torch import Tensor


def ray_aabb_intersect(
    origins: Tensor, ways: Tensor, boxes: Tensor, near: float, far: float, miss: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays (N, 3) enter and leave boxes (M, 6), and whether they do: three (N, M)."""
    low, high = ((boxes[None, :, part] - origins[:, None]) / ways[:, None] for part in (slice(0, 3), slice(3, 6)))
    enter, leave = torch.minimum(low, high).amax(-1), torch.maximum(low, high).amin(-1)
    hits = (leave > enter) & (leave > 0)
    return *(t.clamp(near, far).where(hits, miss) for t in (enter, leave)), hits


def traverse_grids(
    origins: Tensor,
    ways: Tensor,
    occupied: Tensor,
    boxes: Tensor,
    enter: Tensor,
    leave: Tensor,
    hits: Tensor,
    near: Tensor,
    far: Tensor,
    step: float,
    cone: float,
    with_intervals: bool,
    with_samples: bool,
) -> tuple[SimpleNamespace, SimpleNamespace]:
    """Steps of rays inside the occupied cells of one grid: their two edges each, and their middles."""
    assert len(boxes) == 1, "one level"
    assert cone == 0, "steps of one size"
    start, end = torch.maximum(enter[:, 0], near), torch.minimum(leave[:, 0], far)
    count = ((end - start) / step).ceil().clamp_min(0).where(hits[:, 0], 0).long()
    ray = torch.repeat_interleave(torch.arange(len(count)), count)
    number = torch.arange(len(ray)) - (count.cumsum(0) - count)[ray]
    left = start[ray] + number * step
    middle = origins[ray] + ways[ray] * (left + step / 2)[:, None]
    size = torch.tensor(occupied.shape[1:])
    cell = ((middle - boxes[0, :3]) / (boxes[0, 3:] - boxes[0, :3]) * size).long()
    cell = torch.minimum(cell.clamp_min(0), size - 1)
    keep = occupied[0, cell[:, 0], cell[:, 1], cell[:, 2]]
    ray, left = ray[keep], left[keep]
    return (
        _packed(torch.stack([left, left + step], 1).flatten(), ray.repeat_interleave(2), len(count), edges=True),
        _packed(left + step / 2, ray, len(count), edges=False),
    )


def _packed(values: Tensor, ray: Tensor, rays: int, *, edges: bool) -> SimpleNamespace:
    count = torch.bincount(ray, minlength=rays)
    left = torch.arange(len(ray)) % 2 == 0
    return SimpleNamespace(
        vals=values,
        chunk_starts=count.cumsum(0) - count,
        chunk_cnts=count,
        ray_indices=ray,
        is_left=left if edges else None,
        is_right=~left if edges else None,
    )


def exclusive_sum(starts: Tensor, counts: Tensor, inputs: Tensor, normalise: bool, backward: bool) -> Tensor:
    """Sum of what stands before each sample on its ray; `backward`: of what stands behind it."""
    assert not normalise
    ray = torch.repeat_interleave(torch.arange(len(counts)), counts)
    total = torch.cat([inputs.new_zeros(1, dtype=torch.float64), inputs.double().cumsum(0)])
    if backward:
        return (total[(starts + counts)[ray]] - total[1:]).to(inputs)
    return (total[:-1] - total[starts[ray]]).to(inputs)
