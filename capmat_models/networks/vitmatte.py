"""ViTMatte (Yao et al., 2023): a plain ViT beside a small detail branch, and its Bg form.

With `guide="background"` the empty stage takes the place of the trimap (Bg-ViTMatte, the teacher). The paper
leaves open how the plate enters; here the order is [image, plate] and both get the same normalisation, so
that a pixel that equals its plate differs by exactly zero.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from capmat_models.networks.configs import ViTMatteConfig
from capmat_models.networks.inputs import SmallFrames, enlarged, imagenet, in_strips, pad_to, padded_size, reduced
from capmat_models.networks.vit import ViT

STRIDE = 32


class ViTMatte(SmallFrames):
    """Alpha from an image and a trimap or plate.

    Args:
        config: sizes; `config.guide` chooses between the 4-channel (trimap) and the 6-channel (background)
            form.
    """

    def __init__(self, config: ViTMatteConfig) -> None:
        super().__init__()
        self.config = config
        in_channels = 3 + (3 if config.guide == "background" else 1)
        self.backbone = ViT(config, in_channels)
        self.decoder = DetailCapture(config, in_channels)

    def forward(self, src: torch.Tensor, guide: torch.Tensor) -> dict[str, torch.Tensor]:
        """Matte whole frames.

        Args:
            src: (N, 3, H, W) display-referred RGB, 0..1. Any H and W.
            guide: trimap form: (N, 1, H, W), 0 background, 1 foreground, 0.5 (or 128/255) unknown, not
                normalised. Background form: the plate, (N, 3, H, W) like `src`.

        Returns:
            `pha`: (N, 1, H, W) alpha, 0..1.
        """
        times = self.times(src.shape[-2:])
        src, guide = enlarged(src, times), enlarged(guide, times)
        size = src.shape[-2:]
        if self.config.guide == "background":
            guide = imagenet(guide)
        # Zeros after normalisation: the mean colour, and background in a trimap.
        x = pad_to(torch.cat([imagenet(src), guide], 1), padded_size(size, STRIDE, self.config.padding))
        # float(): in half precision the steps next to opaque are visible
        pha = torch.sigmoid(self.decoder(self.backbone(x), x).float())
        return {"pha": reduced(pha[..., : size[0], : size[1]], times)}


class DetailCapture(nn.Module):
    """Decoder: semantic features from the ViT meet detail from three strided convolutions (section 3.3)."""

    def __init__(self, config: ViTMatteConfig, in_channels: int) -> None:
        super().__init__()
        self.convstream = ConvStream(in_channels, config.detail_channels)
        skips = (*reversed(config.detail_channels), in_channels)
        inputs = (config.embed_dim, *config.fusion_channels[:-1])
        self.fusion_blks = nn.ModuleList(
            Fusion(before + skip, after)
            for before, skip, after in zip(inputs, skips, config.fusion_channels, strict=True)
        )
        self.matting_head = MattingHead(config.fusion_channels[-1])

    def forward(self, features: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """(N, embed_dim, H/16, W/16) and the network's input (N, C, H, W) -> alpha logits (N, 1, H, W)."""
        x = features
        details = self.convstream(image)
        for fuse in self.fusion_blks[:-1]:
            x = self._run(fuse, x, details.pop(0))
        return self._run(lambda x, detail: self.matting_head(self.fusion_blks[-1](x, detail)), x, details[0])

    def _run(self, block: Any, x: torch.Tensor, detail: torch.Tensor) -> torch.Tensor:
        return block(x, detail) if self.training else in_strips(block, x, detail)


class ConvStream(nn.Module):
    """Detail at 1/8, 1/4, 1/2, and the input itself, in the order in which the decoder meets them."""

    def __init__(self, in_channels: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        before = (in_channels, *channels[:-1])
        self.convs = nn.ModuleList(ConvNorm(a, b, stride=2) for a, b in zip(before, channels, strict=True))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, C, H, W) -> four maps, smallest first."""
        maps = [x]
        for conv in self.convs:
            maps.append(conv(maps[-1]))
        return maps[::-1]


class Fusion(nn.Module):
    """Upsample what came from below, put the detail in front of it, convolve."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, out_channels)

    def forward(self, x: torch.Tensor, detail: torch.Tensor) -> torch.Tensor:
        """(N, A, H, W), (N, B, 2H, 2W) -> (N, out_channels, 2H, 2W)."""
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        # Two statements, so that the upsampled map is freed before the convolution: 1.6 GB at 6 megapixels.
        x = torch.cat([detail, x], 1)
        return self.conv(x)


class ConvNorm(nn.Module):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride)."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class MattingHead(nn.Module):
    """Features to one logit per pixel; DiffMatte ends in the same layers."""

    def __init__(self, in_channels: int, channels: int = 16) -> None:
        super().__init__()
        self.matting_convs = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True),
            nn.Conv2d(channels, 1, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, 1, H, W)."""
        return self.matting_convs(x)
