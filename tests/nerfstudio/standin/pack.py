"""In the place of `nerfacc.pack`."""

import torch
from torch import Tensor


@torch.no_grad()
def pack_info(ray_indices: Tensor, n_rays: int | None = None) -> Tensor:
    """Start and number of each ray's samples: (n_rays, 2)."""
    rays = int(ray_indices.max()) + 1 if n_rays is None else n_rays
    count = torch.bincount(ray_indices, minlength=rays)
    return torch.stack([count.cumsum(0) - count, count], 1)
