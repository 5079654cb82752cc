"""Robust Video Matting (Lin et al., WACV 2022) with MobileNetV3: "VideoMatte" in Table 1.

A recurrent network: its state carries what earlier frames showed, so frames of one camera come in order and
every camera keeps its own state. It works on a small copy of the frame; a guided filter carries alpha and
foreground back to full size. Written from a description of the published network; parameter names
are the official ones.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.mobilenetv3 import mobilenet_v3_large

from capmat_errors import ConfigError
from capmat_models.networks.configs import RVMConfig
from capmat_models.networks.inputs import imagenet
from capmat_models.networks.rvm_decoder import GuidedFilter, RecurrentDecoder, State

_WORKING_SIDE = 512


class RVM(nn.Module):
    """Alpha and foreground from a sequence of images.

    Args:
        config: nothing to choose; the network has one published size.
    """

    def __init__(self, config: RVMConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Encoder()
        self.aspp = ContextGate(960, 128)
        self.decoder = RecurrentDecoder(128, skips=(40, 24, 16), channels=(80, 40, 32, 16))
        self.project_mat = Projection(16, 4)
        self.project_seg = Projection(16, 1)  # of its second training task; kept so that checkpoints load
        self.refiner = GuidedFilter(16)

    def forward(
        self, src: torch.Tensor, state: State | None = None, downsample_ratio: float | None = None
    ) -> dict[str, torch.Tensor | State]:
        """Matte the next frame of a camera, or of N cameras at once.

        Args:
            src: (N, 3, H, W) display-referred RGB, 0..1. Any H and W.
            state: `state` of the frame before; None for a first frame or a still.
            downsample_ratio: size of the working copy relative to the frame. None makes its longer side at
                most 512, the published rule. The authors advise 0.25 for portraits and 0.4 for whole bodies
                at HD, half of that at 4K.

        Returns:
            `pha` (N, 1, H, W) and `fgr` (N, 3, H, W), both 0..1; `state`, four tensors for the next frame.

        Raises:
            ConfigError: the ratio is not above 0 and at most 1.
            SizeMismatch: the state was made for frames of another size.
        """
        if downsample_ratio is None:
            downsample_ratio = min(_WORKING_SIDE / max(src.shape[-2:]), 1)
        src_sm = shrink(src, downsample_ratio)
        *skips, deep = self.backbone(src_sm)
        hidden, state = self.decoder(src_sm, skips, self.aspp(deep), state)
        out = self.project_mat(hidden)
        if src_sm is not src:
            out = self.refiner(src, src_sm, out, hidden)
        res, pha = out.split([3, 1], 1)
        return {"pha": pha.clamp(0, 1), "fgr": (src + res).clamp(0, 1), "state": state}


def shrink(src: torch.Tensor, ratio: float) -> torch.Tensor:
    """Bilinear at exactly `ratio`, not at the ratio of the rounded sizes; `src` itself at 1.

    A side that would shrink to 0 keeps its length.
    """
    if not 0 < ratio <= 1:
        raise ConfigError(f"downsample_ratio is {ratio}", fix="Choose a number above 0 and at most 1.")
    if ratio == 1:
        return src
    ratios = [ratio if int(side * ratio) else 1.0 for side in src.shape[-2:]]
    return F.interpolate(src, scale_factor=ratios, mode="bilinear", align_corners=False, recompute_scale_factor=False)


class Encoder(nn.Module):
    """MobileNetV3-Large up to its last convolution, with the last stage dilated instead of strided."""

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_v3_large(dilated=True).features

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, H, W) RGB, 0..1 -> features at 1/2 (16), 1/4 (24), 1/8 (40) and 1/16 (960)."""
        x, out = imagenet(x), []
        for stage in (slice(0, 2), slice(2, 4), slice(4, 7), slice(7, None)):
            x = self.features[stage](x)
            out.append(x)
        return out


class ContextGate(nn.Module):
    """LR-ASPP (MobileNetV3 paper, section 6.3): features times a gate from the mean of the frame."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.aspp1 = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.aspp2 = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, channels, 1, bias=False), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H, W)."""
        return self.aspp1(x) * self.aspp2(x)


class Projection(nn.Module):
    """Features to outputs, pixel by pixel."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H, W)."""
        return self.conv(x)
