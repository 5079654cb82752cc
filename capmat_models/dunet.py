"""DiffMatte's denoising decoder: a small U with a time embedding, run once per sampling step."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from capmat_models.networks.configs import DiffMatteConfig
from capmat_models.networks.vitmatte import MattingHead
from capmat_models.strips import in_strips

# Image (3), one-hot trimap (3: background, unknown, foreground) and the noisy matte (1).
IN_CHANNELS = 7


class DUNet(nn.Module):
    """Noisy matte, image and ViT features to alpha logits.

    Down to 1/8, where the ViT features join from 1/16, and back up to 1/1. There is no skip at full
    resolution.
    """

    def __init__(self, config: DiffMatteConfig) -> None:
        super().__init__()
        down, time = config.down_channels, config.time_channels
        self.time_channels = time
        self.time_embed = nn.Sequential(nn.Linear(time, time), nn.ReLU(), nn.Linear(time, time))
        self.down_blks = nn.ModuleList(
            DownBlock(a, b, time) for a, b in zip((IN_CHANNELS, *down[:-1]), down, strict=True)
        )
        self.mid_blk = UpBlock(config.embed_dim, config.mid_channels, time)
        up = down[::-1]
        self.up_blks = nn.ModuleList(
            UpBlock(a + skip, skip, time) for a, skip in zip((config.mid_channels, *up[:-1]), up, strict=True)
        )
        self.matting_head = MattingHead(up[-1], config.head_channels)

    def forward(self, features: torch.Tensor, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Predict the clean matte.

        Args:
            features: (N, embed_dim, H/16, W/16).
            x: (N, 7, H, W), see `IN_CHANNELS`.
            time: (N,), 1 is pure noise and 0 is clean.

        Returns:
            Logits (N, 1, H, W).
        """
        embedding = self.time_embed(sinusoid(time, self.time_channels).to(x.dtype))
        skips = []
        for block in self.down_blks:
            x = block(x, embedding)
            skips.append(x)
        x = self.mid_blk(features, embedding)
        for block in self.up_blks[:-1]:
            x = block(torch.cat([x, skips.pop()], 1), embedding)

        def last(x: torch.Tensor, _: torch.Tensor | None) -> torch.Tensor:
            return self.matting_head(self.up_blks[-1](x, embedding))

        x = torch.cat([x, skips.pop()], 1)
        return last(x, None) if self.training else in_strips(last, x)


def sinusoid(time: torch.Tensor, channels: int) -> torch.Tensor:
    """Cosines, then sines, of `time` itself (not of 1000 steps): (N,) -> (N, channels)."""
    half = channels // 2
    at = torch.arange(half, device=time.device, dtype=torch.float32)
    angle = time.float()[:, None] * torch.exp(-math.log(10_000) / half * at)
    return torch.cat([angle.cos(), angle.sin()], 1)


class _Block(nn.Module):
    """What both directions share: the second convolution, and the time, which enters between the two."""

    def __init__(self, out_channels: int, time_channels: int) -> None:
        super().__init__()
        self.emb_layers = nn.Sequential(nn.Linear(time_channels, out_channels), nn.ReLU())
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def _finish(self, x: torch.Tensor, shortcut: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(x)) + self.emb_layers(embedding)[:, :, None, None]
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


class DownBlock(_Block):
    """Halve the size."""

    def __init__(self, in_channels: int, out_channels: int, time_channels: int) -> None:
        super().__init__(out_channels, time_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        self.downsample = nn.ModuleDict(
            {"op": nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)}
        )

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W), (N, time_channels) -> (N, out_channels, H/2, W/2)."""
        return self._finish(self.conv1(x), self.downsample["op"](x), embedding)


class UpBlock(_Block):
    """Double the size."""

    def __init__(self, in_channels: int, out_channels: int, time_channels: int) -> None:
        super().__init__(out_channels, time_channels)
        self.conv1 = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False)
        self.upsample = nn.ModuleDict({"conv": nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)})

    def forward(self, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W), (N, time_channels) -> (N, out_channels, 2H, 2W)."""
        larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self._finish(self.conv1(x), self.upsample["conv"](larger), embedding)
