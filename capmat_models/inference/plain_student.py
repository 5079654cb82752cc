"""The student run as its released code runs it, for benchmarks to compare with.

One frame at a time, everything recomputed, full-frame copies for resizing and padding, a map of cells turned
into indices (which makes a GPU wait for the host), windows indexed pixel by pixel, default memory layout. Same
weights, same matte.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from capmat_models.networks.inputs import enlarged, reduced
from capmat_models.networks.refiner import CELL, resize

if TYPE_CHECKING:
    from capmat_models.networks.bgmv2 import BGMV2


@torch.inference_mode()
def plain_matte(model: "BGMV2", src: Tensor, bgr: Tensor) -> dict[str, Tensor]:
    """Matte with refine mode `sampling`, in the order of the steps of BackgroundMattingV2.

    Args:
        model: in eval mode; its settings for sampling are used.
        src: (N,3,H,W) RGB, 0..1; H and W multiples of 4.
        bgr: the plate, as `src`.

    Returns:
        `pha` (N,1,H,W) and `fgr` (N,3,H,W), 0..1.
    """
    times, given = model.times(src.shape[-2:]), src
    src, bgr = enlarged(src, times), enlarged(bgr, times)
    n, _, height, width = src.shape
    small = (int(height * model.backbone_scale), int(width * model.backbone_scale))
    pha, res, err, hid = model.coarse(torch.cat([resize(src, small), resize(bgr, small)], 1))
    cells = (height // CELL, width // CELL)
    doubt = resize(err, cells).flatten(1)
    worst = doubt.topk(min(model.budget((height, width)) // CELL**2, doubt.shape[1]), dim=1, sorted=False).indices
    chosen = torch.zeros_like(doubt).scatter_(1, worst, 1.0)
    if model.config.prevent_oversampling:
        chosen = chosen * (doubt > 0)
    out = resize(torch.cat([pha, res], 1), (height, width))
    image, row, column = chosen.view(n, *cells).nonzero(as_tuple=True)
    if len(image):
        half = (height // 2, width // 2)
        frame = torch.cat([src, bgr], 1)
        wide = F.pad(torch.cat([resize(torch.cat([hid, pha, res], 1), half), resize(frame, half)], 1), (3,) * 4)
        near = wide.permute(0, 2, 3, 1).unfold(1, 8, 2).unfold(2, 8, 2)[image, row, column]
        fine = F.pad(frame, (2,) * 4).permute(0, 2, 3, 1).unfold(1, 8, CELL).unfold(2, 8, CELL)[image, row, column]
        fresh = model.refiner.convolve(near, fine)
        grid = out.view(n, 4, cells[0], CELL, cells[1], CELL).permute(0, 2, 4, 1, 3, 5)
        grid[image, row, column] = fresh
    pha, res = reduced(out[:, :1].clamp(0, 1), times), reduced(out[:, 1:], times)
    return {"pha": pha, "fgr": (given + res).clamp(0, 1)}
