"""MODNet (Ke et al., AAAI 2022): portrait matting from the picture alone, a baseline of Table 1.

Three branches: what is a person (1/8), where are the edges (1/2), and the two together. The published
network sees pictures whose shorter side is about 512, so at capture resolution its mattes are soft by
construction. Parameter names are the official ones; the encoder is timm's (`capmat_models.weights.official_names`).
"""

from collections.abc import Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import nn

from capmat_errors import ConfigError
from capmat_models.networks.configs import MODNetConfig
from capmat_models.networks.inputs import pad_to, padded_size
from capmat_models.networks.refiner import resize

STRIDE = 32
_LONGEST = 8  # times the working side: a strip of 2x4000 must not become 512x1 024 000


class MODNet(nn.Module):
    """Alpha from an image.

    Args:
        config: the working size.

    Raises:
        ConfigError: the working size is too small.
    """

    def __init__(self, config: MODNetConfig) -> None:
        super().__init__()
        if config.working_side and config.working_side < STRIDE:
            raise ConfigError(
                f"working_side is {config.working_side}", where="modnet", fix=f"Choose 0 or at least {STRIDE}."
            )
        self.config = config
        encoder: Any = timm.create_model("mobilenetv2_100", num_classes=0)
        self.backbone = nn.ModuleDict({"model": encoder})
        self.lr_branch = LowResolution(encoder.num_features)
        self.hr_branch = HighResolution()
        self.f_branch = Fusion()

    def forward(self, src: torch.Tensor) -> dict[str, torch.Tensor]:
        """Matte whole frames.

        Args:
            src: (N, 3, H, W) display-referred RGB, 0..1. Any H and W.

        Returns:
            `pha`: (N, 1, H, W) alpha, 0..1.
        """
        size, side = src.shape[-2:], self.config.working_side
        if not side:
            x = pad_to(src, padded_size(size, STRIDE, "minimal"), mode="replicate")
            return {"pha": self.network(2 * x - 1)[..., : size[0], : size[1]]}
        x = F.interpolate(src, working_size(size, side), mode="area")
        return {"pha": F.interpolate(self.network(2 * x - 1), size, mode="area")}

    def network(self, x: torch.Tensor) -> torch.Tensor:
        """The network as published, without what only training looks at (`conv_lr`, `conv_hr`: kept to load).

        Args:
            x: (N, 3, H, W) RGB, -1..1; H and W multiples of 32.

        Returns:
            Alpha (N, 1, H, W), 0..1.
        """
        encoder: Any = self.backbone["model"]
        deep, (enc2x, enc4x) = encoder.forward_intermediates(x, indices=(0, 1))
        lr8x = self.lr_branch(deep)
        hr2x = self.hr_branch(x, enc2x, enc4x, lr8x)
        return self.f_branch(x, lr8x, hr2x)


def working_size(size: Sequence[int], side: int) -> tuple[int, int]:
    """The size at which the published code looks at a frame.

    Frames that lie wholly below or wholly above `side` get it as their shorter side; others stay as they
    are. Both sides are then cut to multiples of 32.
    """
    if max(size) < side or min(size) > side:
        size = [min(int(length * side / min(size)), _LONGEST * side) for length in size]
    height, width = (max(STRIDE, length // STRIDE * STRIDE) for length in size)
    return height, width


class IBNorm(nn.Module):
    """Batch norm for the first half of the channels, instance norm (of the picture at hand) for the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bnorm = nn.BatchNorm2d(channels // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> the same shape."""
        batch, instance = x.chunk(2, 1)
        # float(): sums over large maps overflow in fp16
        return torch.cat([self.bnorm(batch), F.instance_norm(instance.float()).to(x.dtype)], 1)


class ConvBlock(nn.Module):
    """Convolution with IBNorm and ReLU, or bare (the last one of a branch)."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int = 1, bare: bool = False) -> None:
        super().__init__()
        conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2)
        self.layers = nn.Sequential(conv) if bare else nn.Sequential(conv, IBNorm(channels), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H/stride, W/stride)."""
        return self.layers(x)


class LowResolution(nn.Module):
    """What is a person: features at 1/8 from the deepest ones (section 3.2 of the MODNet paper)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.se_block = ChannelGate(channels)
        self.conv_lr16x = ConvBlock(channels, 96, 5)
        self.conv_lr8x = ConvBlock(96, 32, 5)
        self.conv_lr = ConvBlock(32, 1, 3, stride=2, bare=True)

    def forward(self, deep: torch.Tensor) -> torch.Tensor:
        """(N, channels, H/32, W/32) -> (N, 32, H/8, W/8)."""
        return self.conv_lr8x(_scale(self.conv_lr16x(_scale(self.se_block(deep), 2)), 2))


class ChannelGate(nn.Module):
    """Squeeze and excitation: every channel times a weight from the means of all."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // 4, bias=False), nn.ReLU(),
            nn.Linear(channels // 4, channels, bias=False), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> the same shape."""
        return x * self.fc(x.mean((2, 3)))[..., None, None]


class HighResolution(nn.Module):
    """Where the edges are: features at 1/2 (section 3.3 of the MODNet paper)."""

    def __init__(self) -> None:
        super().__init__()
        self.tohr_enc2x = ConvBlock(16, 32, 1)
        self.conv_enc2x = ConvBlock(3 + 32, 32, 3, stride=2)
        self.tohr_enc4x = ConvBlock(24, 32, 1)
        self.conv_enc4x = ConvBlock(32 + 32, 64, 3)
        self.conv_hr4x = _stack(64 + 32 + 3, 64, 64, 32)
        self.conv_hr2x = _stack(32 + 32, 64, 32, 32, 32)
        self.conv_hr = nn.Sequential(ConvBlock(32 + 3, 32, 3), ConvBlock(32, 1, 1, bare=True))

    def forward(self, x: torch.Tensor, enc2x: torch.Tensor, enc4x: torch.Tensor, lr8x: torch.Tensor) -> torch.Tensor:
        """Picture, encoder features at 1/2 and 1/4, `lr8x` -> (N, 32, H/2, W/2)."""
        enc2x = self.tohr_enc2x(enc2x)
        hr4x = self.conv_enc2x(torch.cat([_scale(x, 1 / 2), enc2x], 1))
        hr4x = self.conv_enc4x(torch.cat([hr4x, self.tohr_enc4x(enc4x)], 1))
        hr4x = self.conv_hr4x(torch.cat([hr4x, _scale(lr8x, 2), _scale(x, 1 / 4)], 1))
        return self.conv_hr2x(torch.cat([_scale(hr4x, 2), enc2x], 1))


class Fusion(nn.Module):
    """Both together (section 3.4 of the MODNet paper)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_lr4x = ConvBlock(32, 32, 5)
        self.conv_f2x = ConvBlock(32 + 32, 32, 3)
        self.conv_f = nn.Sequential(ConvBlock(32 + 3, 16, 3), ConvBlock(16, 1, 1, bare=True))

    def forward(self, x: torch.Tensor, lr8x: torch.Tensor, hr2x: torch.Tensor) -> torch.Tensor:
        """Picture, features at 1/8 and at 1/2 -> alpha (N, 1, H, W)."""
        lr2x = _scale(self.conv_lr4x(_scale(lr8x, 2)), 2)
        f2x = self.conv_f2x(torch.cat([lr2x, hr2x], 1))
        # float(): in half precision the steps next to opaque are visible
        return torch.sigmoid(self.conv_f(torch.cat([_scale(f2x, 2), x], 1)).float())


def _stack(*channels: int) -> nn.Sequential:
    return nn.Sequential(*(ConvBlock(a, b, 3) for a, b in zip(channels, channels[1:], strict=False)))


def _scale(x: torch.Tensor, factor: float) -> torch.Tensor:
    return resize(x, [int(side * factor) for side in x.shape[-2:]])
