"""A matte made in tiles, for frames that do not fit in one piece.

It is an approximation, and the caller must say so: a tile sees only itself, so its attention lacks the rest of the
stage, and its matte may differ from that of the whole frame. Tiles overlap, and weights that fall to their edges
blend them, which hides seams but not differences.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def matte_in_tiles(
    network: Callable[[Tensor, Tensor], dict[str, Tensor]],
    src: Tensor,
    guide: Tensor,
    *,
    tile: int = 1024,
    overlap: int = 128,
) -> dict[str, Tensor]:
    """Matte frames of any size with bounded memory.

    Args:
        network: network(src, guide) -> {"pha"}, for a part of the frame.
        src: (N,3,H,W) RGB, 0..1.
        guide: plate (N,3,H,W) or trimap (N,1,H,W).
        tile: side of the tiles in pixels.
        overlap: pixels that neighbours share at least; less than `tile`.

    Returns:
        `pha` (N,1,H,W), 0..1. A frame no larger than a tile is matted in one piece.

    Raises:
        ValueError: the overlap is not less than the tile.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"tiles of {tile} pixels cannot overlap by {overlap}")
    height, width = src.shape[-2:]
    total = src.new_zeros(len(src), 1, height, width)
    weight = src.new_zeros(1, 1, height, width)
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            at = (..., slice(top, top + tile), slice(left, left + tile))
            pha = network(src[at], guide[at])["pha"].to(total.dtype)
            tent = _tent(pha.shape[-2], overlap, pha)[:, None] * _tent(pha.shape[-1], overlap, pha)
            total[at] += pha * tent
            weight[at] += tent
    return {"pha": total / weight}


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin on one axis: evenly spread, the last one ends at the border."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def _tent(length: int, overlap: int, like: Tensor) -> Tensor:
    """1 in the middle, falling to 1/(overlap + 1) at both ends, so that a weight is never 0."""
    distance = torch.arange(1, length + 1, device=like.device, dtype=like.dtype)
    return (torch.minimum(distance, distance.flip(0)) / (overlap + 1)).clamp(max=1)
