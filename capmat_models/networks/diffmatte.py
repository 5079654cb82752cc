"""DiffMatte (Hu et al., ECCV 2024): mattes good enough to validate others, from a hand-checked trimap.

The encoder (a ViT) runs once per image, the U-shaped decoder once per step; DDIM needs about ten. Mattes are in -1..1
inside this module and in 0..1 outside. The result depends on the noise it starts from, so the noise is drawn
on the CPU from a seed per image: an image gives the same matte on every machine and at every position in a batch.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from capmat_models.networks.configs import DiffMatteConfig
from capmat_models.networks.inputs import (
    SmallFrames,
    enlarged,
    imagenet,
    in_strips,
    pad_to,
    padded_size,
    reduced,
    snap,
)
from capmat_models.networks.vit import ViT
from capmat_models.networks.vitmatte import STRIDE, MattingHead

# Image (3), one-hot trimap (3: background, unknown, foreground) and the noisy matte (1).
IN_CHANNELS = 7


class DUNet(nn.Module):
    """Noisy matte, image and ViT features to alpha logits.

    Down to 1/8, where the ViT features join from 1/16, and back up to 1/1, without a skip at full resolution.
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
    """Cosines, then sines, of `time` 0..1 (not of 1000 steps): (N,) -> (N, channels)."""
    half = channels // 2
    index = torch.arange(half, device=time.device, dtype=torch.float32)
    angle = time.float()[:, None] * torch.exp(-math.log(10_000) / half * index)
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


class Encoded(NamedTuple):
    """What is computed once per image."""

    features: torch.Tensor
    """(N, embed_dim, h/16, w/16) of the padded frame."""
    condition: torch.Tensor
    """(N, 6, H, W): image and one-hot trimap as the decoder takes them, not padded."""


class DiffMatte(SmallFrames):
    """Alpha from an image and a trimap, by denoising.

    Args:
        config: sizes.
    """

    def __init__(self, config: DiffMatteConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ViT(config, 4)
        self.decoder = DUNet(config)

    def forward(
        self,
        src: torch.Tensor,
        trimap: torch.Tensor,
        steps: int = 10,
        noise: torch.Tensor | None = None,
        *,
        seed: int = 0,
        force_foreground: bool = True,
    ) -> dict[str, torch.Tensor]:
        """Matte whole frames.

        Args:
            src: (N, 3, H, W) display-referred RGB, 0..1. Any H and W; never tile, see the paper's remark that
                the noisy matte is scaled by its deviation over the whole frame.
            trimap: (N, 1, H, W), 0..1; snapped to 0, 0.5, 1 (below 1/3 background, from 2/3 on foreground).
            steps: denoising steps, at least 1.
            noise: (N, 1, H, W) standard normal float32 to start from, of the enlarged frame if the frame is enlarged;
                drawn from `seed` when None.
            seed: for every image of the batch alike.
            force_foreground: known foreground becomes exactly 1. The released code forces only known background,
                because its test for foreground compares with 2; parity tests need that.

        Returns:
            `pha`: (N, 1, H, W) alpha, 0..1.
        """
        times, trimap = self.times(src.shape[-2:]), snap(trimap)
        src = enlarged(src, times)
        if noise is None:
            generator = torch.Generator().manual_seed(seed)
            noise = torch.randn((1, 1, *src.shape[-2:]), generator=generator).expand(len(src), -1, -1, -1)
        seen = F.interpolate(trimap, src.shape[-2:]) if times > 1 else trimap  # by the nearest pixel, to stay exact
        matte = reduced(self.denoise(self.encode(src, seen), noise.to(src.device), steps), times)
        pha = ((matte + 1) / 2).clamp(0, 1).masked_fill(trimap == 0, 0.0)
        if force_foreground:
            pha = pha.masked_fill(trimap == 1, 1.0)
        return {"pha": pha}

    def encode(self, src: torch.Tensor, trimap: torch.Tensor) -> Encoded:
        """Run the ViT.

        Args:
            src: (N, 3, H, W) RGB, 0..1.
            trimap: (N, 1, H, W), exactly 0, 0.5 or 1.
        """
        rgb = imagenet(src)
        classes = torch.cat([trimap == 0, trimap == 0.5, trimap == 1], 1).to(rgb.dtype)
        features = self.backbone(self._pad(torch.cat([rgb, trimap], 1)))
        # The released code stretches the image a second time, after it was normalised.
        return Encoded(features, 2 * torch.cat([rgb, classes], 1) - 1)

    def predict(self, encoded: Encoded, noisy: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """One decoder pass: the clean matte as seen from `noisy`.

        Args:
            encoded: from `encode`.
            noisy: (N, 1, H, W), x_t.
            time: (N,), 0..1.

        Returns:
            (N, 1, H, W) in -1..1.
        """
        # The signal is scaled down, so x_t is brought back to unit deviation (over the frame without
        # padding). Its mean stays.
        deviation = noisy.std((1, 2, 3), correction=0, keepdim=True).clamp_min(1e-5)
        return 2 * torch.sigmoid(self.logits(encoded, noisy / deviation, time).float()) - 1

    def logits(self, encoded: Encoded, scaled: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """The bare decoder on a noisy matte of unit deviation, padded and cropped back: (N, 1, H, W)."""
        height, width = scaled.shape[-2:]
        x = torch.cat([encoded.condition, scaled.to(encoded.condition.dtype)], 1)
        out = self.decoder(encoded.features, self._pad(x), time)
        return out[..., :height, :width]

    def denoise(self, encoded: Encoded, noise: torch.Tensor, steps: int) -> torch.Tensor:
        """DDIM from t = 1 to t = 0 in equal steps: (N, 1, H, W) noise -> matte in -1..1."""
        times = torch.linspace(1, 0, steps + 1).tolist()
        x = noise
        for now, later in zip(times[:-1], times[1:], strict=True):
            clean = self.predict(encoded, x, x.new_full((len(x),), now))
            signal, sigma = self.schedule(now)
            direction = (x - signal * clean) / max(sigma, 1e-10)
            signal, sigma = self.schedule(later)
            x = signal * clean + sigma * direction
        return x / self.config.signal_scale

    def schedule(self, time: float) -> tuple[float, float]:
        """Amplitude of the matte and of the noise in x_t at `time` in 0..1 (1 is pure noise)."""
        gamma = max(1 - time, 1e-9)
        return self.config.signal_scale * gamma**0.5, (1 - gamma) ** 0.5

    def _pad(self, x: torch.Tensor) -> torch.Tensor:
        return pad_to(x, padded_size(x.shape[-2:], STRIDE, self.config.padding))
