"""The plain ViT with windowed and global attention that ViTMatte and DiffMatte share.

timm's SAM blocks have the same arithmetic and the same parameter names as the official code, so official
weights load without a key map. Three things are added: a convolution after each global block, absolute
positions resized without antialiasing, and global attention that works through the queries a few rows at a
time. The last is exact and bounds the memory: the whole bias of a 6-megapixel frame would take 14 GB (float32, six
heads).
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.format import Format
from timm.layers.norm import LayerNorm2d
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer_sam import Attention, Block
from torch import nn

from capmat_models.networks.configs import ViTConfig

PATCH = 16

# Elements of attention bias held at once: 8 MB in float32, which stays in a CPU's cache and below the size for
# which the allocator asks the system for fresh pages (64 MB took 1.5 times as long at 1536x1536). A GPU has the
# memory, and few large pieces suit it.
_BIAS_ELEMENTS = 2**21
_BIAS_ELEMENTS_GPU = 2**28

_LAYER_NORM: Any = partial(nn.LayerNorm, eps=1e-6)


class ViT(nn.Module):
    """Image to tokens, as a map.

    Args:
        config: sizes.
        in_channels: channels of the stacked, normalised input.
    """

    def __init__(self, config: ViTConfig, in_channels: int) -> None:
        super().__init__()
        width, grid = config.embed_dim, config.position_grid
        self.patch_embed = PatchEmbed(
            img_size=None, patch_size=PATCH, in_chans=in_channels, embed_dim=width, output_fmt=Format.NHWC,
            flatten=False, strict_img_size=False,
        )  # fmt: skip
        # The first position belonged to the class token of the ImageNet weights. It is kept, so that the
        # official tensor loads, but never used.
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + grid * grid, width))
        tokens = config.image_size // PATCH
        self.blocks = nn.Sequential(
            *(
                GlobalBlock(width, config.num_heads, tokens)
                if i in config.global_blocks
                else WindowBlock(width, config.num_heads, config.window_size)
                for i in range(config.depth)
            )
        )
        self.grid = grid
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.blocks.apply(_initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) with H and W multiples of 16 -> (N, embed_dim, H/16, W/16)."""
        x = self.patch_embed(x)
        x = self.blocks(x + self._positions(x.shape[1], x.shape[2]))
        return x.permute(0, 3, 1, 2)

    def _positions(self, height: int, width: int) -> torch.Tensor:
        positions = self.pos_embed[:, 1:].unflatten(1, (self.grid, self.grid))
        if (height, width) != (self.grid, self.grid):
            # Not timm's own resize, which antialiases and moves alpha by up to 7e-2.
            positions = F.interpolate(
                positions.permute(0, 3, 1, 2), (height, width), mode="bicubic", align_corners=False
            ).permute(0, 2, 3, 1)
        return positions


class WindowBlock(Block):
    """A block whose tokens see each other inside square windows, which do not overlap.

    Zeros fill up the last window of a row after the norm, and take part in the attention.
    """

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__(dim, num_heads, norm_layer=_LAYER_NORM, use_rel_pos=True, window_size=window)


class GlobalBlock(Block):
    """A block that attends over the whole image and then mixes neighbours with a convolution.

    Args:
        dim: width.
        num_heads: attention heads.
        tokens: side of the training crops in tokens; sets the length of the relative-position tables.
    """

    def __init__(self, dim: int, num_heads: int, tokens: int) -> None:
        size = (tokens, tokens)
        super().__init__(dim, num_heads, norm_layer=_LAYER_NORM, use_rel_pos=True, input_size=size)
        self.attn = RowwiseAttention(dim, num_heads, use_rel_pos=True, input_size=size)
        self.residual = ResidualConv(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W, dim) -> the same shape."""
        return self.residual(super().forward(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class ResidualConv(nn.Module):
    """1x1, 3x3, 1x1 convolution with channel norms, added to its input; starts as the identity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        half = dim // 2
        self.conv1 = nn.Conv2d(dim, half, 1, bias=False)
        self.norm1 = LayerNorm2d(half, eps=1e-6)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.norm2 = LayerNorm2d(half, eps=1e-6)
        self.conv3 = nn.Conv2d(half, dim, 1, bias=False)
        self.norm3 = LayerNorm2d(dim, eps=1e-6)
        nn.init.zeros_(self.norm3.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, dim, H, W) -> the same shape."""
        y = F.gelu(self.norm1(self.conv1(x)))
        y = F.gelu(self.norm2(self.conv2(y)))
        return x + self.norm3(self.conv3(y))


class RowwiseAttention(Attention):
    """timm's attention with decomposed relative positions, for a bounded number of query rows at a time.

    Where not even one row of queries fits for all heads (a 24-megapixel frame), heads go one by one as well.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W, dim) -> the same shape."""
        n, height, width, dim = x.shape
        qkv = self.qkv(x).reshape(n, height * width, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (N, heads, H*W, head_dim)
        down = relative_positions(self.rel_pos_h, height)
        across = relative_positions(self.rel_pos_w, width)
        budget = _BIAS_ELEMENTS if x.device.type == "cpu" else _BIAS_ELEMENTS_GPU
        row = n * height * width * width  # elements of bias for one row of queries of one head
        heads = self.num_heads if row * self.num_heads <= budget else 1
        rows = max(1, budget // (row * heads))
        out = torch.cat(
            [
                _attend(q[:, h : h + heads], k[:, h : h + heads], v[:, h : h + heads], down, across, rows)
                for h in range(0, self.num_heads, heads)
            ],
            1,
        )
        out = out.transpose(1, 2).reshape(n, height, width, dim)
        return self.proj(out)


def _attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, down: torch.Tensor, across: torch.Tensor, rows: int
) -> torch.Tensor:
    """Attention of (N, heads, H*W, C) with a bias made of a vertical and a horizontal part, `rows` at a time.

    Args:
        q: queries; also make the bias.
        k: keys.
        v: values.
        down: (H, H, C) from `relative_positions`.
        across: (W, W, C).
        rows: of queries at a time.
    """
    width, parts = len(across), []
    for top in range(0, len(down), rows):
        part = q[:, :, top * width : (top + rows) * width]
        grid = part.unflatten(2, (-1, width))
        bias_h = torch.einsum("nhywc,ykc->nhywk", grid, down[top : top + rows])
        bias_w = torch.einsum("nhywc,wkc->nhywk", grid, across)
        bias = (bias_h.unsqueeze(-1) + bias_w.unsqueeze(-2)).flatten(4).flatten(2, 3)
        parts.append(F.scaled_dot_product_attention(part, k, v, attn_mask=bias))
    return torch.cat(parts, 2)


def relative_positions(table: torch.Tensor, size: int) -> torch.Tensor:
    """Look up the offsets between `size` queries and keys on one axis.

    Args:
        table: (length, C), one row per offset; resized linearly if it was made for another size.
        size: tokens on the axis.

    Returns:
        (size, size, C); row q, column k holds the entry for q - k.
    """
    length = 2 * size - 1
    if len(table) != length:
        table = F.interpolate(table.T[None], length, mode="linear", align_corners=False)[0].T
    at = torch.arange(size, device=table.device)
    return table[at[:, None] - at[None, :] + size - 1]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
