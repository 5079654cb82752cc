"""The second half of BackgroundMattingV2: recompute only the 4x4 cells that the coarse network doubts.

Cells are chosen and gathered by index with a fixed count per image (`sampling`), so nothing waits for the
host, and a batch gives exactly what its images give alone. A cell that was gathered but needs no refinement
gets its coarse value back. Refining every cell this way equals the dense computation of mode `full`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from capmat_errors import ConfigError

CELL = 4


class Cells(NamedTuple):
    """Cells to recompute; K of them over the whole batch."""

    image: torch.Tensor
    """(K,) index into the batch."""
    row: torch.Tensor
    column: torch.Tensor
    wanted: torch.Tensor
    """(K,) bool: False where the cell only fills up the fixed count."""


def resize(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bilinear resize of (N, C, H, W), half-pixel centres, no antialiasing; `x` itself at equal size."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


class Refiner(nn.Module):
    """Two convolutions at half resolution, two at full resolution, all without padding.

    Args:
        hidden: feature channels of the coarse network.
        channels: widths of the first three convolutions.
    """

    def __init__(self, hidden: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        a, b, c = channels
        self.conv1 = nn.Conv2d(hidden + 4 + 6, a, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(a)
        self.conv2 = nn.Conv2d(a, b, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(b)
        self.conv3 = nn.Conv2d(b + 6, c, 3, bias=False)
        self.bn3 = nn.BatchNorm2d(c)
        self.conv4 = nn.Conv2d(c, 4, 3)

    def forward(
        self, src: torch.Tensor, bgr: torch.Tensor, coarse: torch.Tensor, cells: Cells | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sharpen.

        Args:
            src: (N, 3, H, W), H and W multiples of 4.
            bgr: as `src`.
            coarse: (N, hidden + 4, h, w): hidden features, alpha, foreground residual.
            cells: from `choose`; None for all of them.

        Returns:
            alpha (N, 1, H, W) and residual (N, 3, H, W), not clamped; map of refined cells (N, 1, H/4, W/4).
        """
        n, _, height, width = src.shape
        size, half = (height, width), (height // 2, width // 2)
        frame = torch.cat([src, bgr], 1)
        # The zeros lie beyond the border, so they come after the resize, which itself repeats the edge.
        wide = F.pad(torch.cat([resize(coarse, half), resize(frame, half)], 1), (3, 3, 3, 3))
        fine = F.pad(frame, (2, 2, 2, 2))
        if cells is None:
            out = self.convolve(wide, fine)
            return out[:, :1], out[:, 1:], src.new_ones(n, 1, height // CELL, width // CELL)

        out = resize(coarse[:, -4:], size)
        ref = src.new_zeros(n, 1, height // CELL, width // CELL)
        if len(cells.image):
            # Half resolution: rows 2r-3 .. 2r+4 around cell r; full resolution: rows 4r-2 .. 4r+5.
            fresh = self.convolve(_gather(wide, cells, step=2), _gather(fine, cells, step=CELL))
            grid = out.unflatten(3, (-1, CELL)).unflatten(2, (-1, CELL)).permute(0, 2, 4, 1, 3, 5)
            at = (cells.image, cells.row, cells.column)
            fresh = torch.where(cells.wanted[:, None, None, None], fresh.to(out.dtype), grid[at])
            out = grid.index_put(at, fresh).permute(0, 3, 1, 4, 2, 5).reshape(out.shape)
            ref = ref.index_put((cells.image, torch.zeros_like(cells.image), cells.row, cells.column),
                                cells.wanted.to(ref.dtype))  # fmt: skip
        return out[:, :1], out[:, 1:], ref

    def convolve(self, wide: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """(K, C, h+6, w+6) at half and (K, 6, 2h+4, 2w+4) at full resolution -> (K, 4, 2h, 2w)."""
        x = F.relu(self.bn1(self.conv1(wide)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = F.relu(self.bn3(self.conv3(torch.cat([x, fine], 1))))
        return self.conv4(x)


def choose(
    err: torch.Tensor,
    size: tuple[int, int],
    *,
    mode: Literal["full", "sampling", "thresholding"],
    pixels: int,
    threshold: float,
    prevent_oversampling: bool,
) -> Cells | None:
    """Decide which cells to recompute.

    Args:
        err: (N, 1, h, w) predicted error, 0..1.
        size: height and width of the full frame, multiples of 4.
        mode: see `capmat_models.networks.configs.BGMV2Config`, also for what follows.
        pixels: budget of `sampling`, per image; no more than there are.
        threshold: limit of `thresholding`; the error must be above it.
        prevent_oversampling: `sampling` leaves out cells without error.

    Returns:
        The cells, or None for every cell.

    Raises:
        ConfigError: the mode is unknown.
    """
    if mode == "full":
        return None
    rows, columns = size[0] // CELL, size[1] // CELL
    doubt = resize(err, (rows, columns)).flatten(1)  # (N, cells)
    if mode == "thresholding":
        image, cell = (doubt > threshold).nonzero(as_tuple=True)
        wanted = torch.ones_like(cell, dtype=torch.bool)
    elif mode == "sampling":
        k = min(pixels // CELL**2, doubt.shape[1])
        worst = doubt.topk(k, sorted=False)
        image = torch.arange(len(doubt), device=err.device).repeat_interleave(k)
        cell = worst.indices.flatten()
        wanted = worst.values.flatten() > 0 if prevent_oversampling else torch.ones_like(cell, dtype=torch.bool)
    else:
        raise ConfigError(f"no refine mode is called {mode!r}", fix="Choose full, sampling or thresholding.")
    return Cells(image, cell // columns, cell % columns, wanted)


def _gather(x: torch.Tensor, cells: Cells, step: int) -> torch.Tensor:
    """Cut 8x8 windows, one per cell, out of a padded map (N, C, H, W) -> (K, C, 8, 8)."""
    windows = x.unfold(2, 8, step).unfold(3, 8, step).permute(0, 2, 3, 1, 4, 5)
    return windows[cells.image, cells.row, cells.column]
