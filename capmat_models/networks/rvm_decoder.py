"""RVM's way to full size (its section 3.2): a decoder with a memory at every step but the last, and a filter."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from capmat_errors import SizeMismatch
from capmat_models.networks.refiner import resize

State = tuple[torch.Tensor, ...]
"""Memory from fine to coarse: (N, 16, h/2, w/2), (N, 20, h/4, w/4), (N, 40, h/8, w/8), (N, 64, h/16, w/16)
for a working copy of h x w."""


class RecurrentDecoder(nn.Module):
    """Bottleneck, three steps up with a skip and a memory, and a last one without memory.

    Args:
        in_channels: of the bottleneck at 1/16.
        skips: channels of the encoder at 1/8, 1/4 and 1/2.
        channels: widths of the steps at 1/8, 1/4, 1/2 and 1/1.
    """

    def __init__(self, in_channels: int, skips: tuple[int, int, int], channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        eighth, quarter, half, full = channels
        self.decode4 = Bottleneck(in_channels)
        self.decode3 = StepUp(in_channels, skips[0], eighth)
        self.decode2 = StepUp(eighth, skips[1], quarter)
        self.decode1 = StepUp(quarter, skips[2], half)
        self.decode0 = LastStep(half, full)

    def forward(
        self, image: torch.Tensor, skips: Sequence[torch.Tensor], x: torch.Tensor, state: State | None
    ) -> tuple[torch.Tensor, State]:
        """Image (N, 3, h, w), skips at 1/2, 1/4, 1/8, bottleneck -> features (N, 16, h, w), new state."""
        r1, r2, r3, r4 = state or (None,) * 4
        half = _pool(image)
        quarter = _pool(half)
        eighth = _pool(quarter)
        x, r4 = self.decode4(x, r4)
        x, r3 = self.decode3(x, skips[2], eighth, r3)
        x, r2 = self.decode2(x, skips[1], quarter, r2)
        x, r1 = self.decode1(x, skips[0], half, r1)
        return self.decode0(x, image), (r1, r2, r3, r4)


class ConvGRU(nn.Module):
    """A gated recurrent unit whose products are 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ih = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, 3, padding=1), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(2 * channels, channels, 3, padding=1), nn.Tanh())

    def forward(self, x: torch.Tensor, h: torch.Tensor | None) -> torch.Tensor:
        """(N, channels, H, W) and the memory of the same shape (None: nothing seen) -> the new memory."""
        if h is None:
            h = torch.zeros_like(x)
        elif h.shape != x.shape:
            raise SizeMismatch(
                f"the state is {tuple(h.shape)}, this frame needs {tuple(x.shape)}",
                fix="Start every camera without a state and keep one size per camera.",
            )
        reset, update = self.ih(torch.cat([x, h], 1)).chunk(2, 1)
        candidate = self.hh(torch.cat([x, reset * h], 1))
        return (1 - update) * h + update * candidate


class Bottleneck(nn.Module):
    """The deepest features, through a memory."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = ConvGRU(channels // 2)

    def forward(self, x: torch.Tensor, h: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, channels, H, W) and a state -> the same shape, the new state (N, channels/2, H, W)."""
        return _remember(self.gru, x, h)


class StepUp(nn.Module):
    """Twice the size: a convolution over what comes from below, the skip and the image, then a memory."""

    def __init__(self, in_channels: int, skip_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*_conv_norm(in_channels + skip_channels + 3, channels))
        self.gru = ConvGRU(channels // 2)

    def forward(
        self, x: torch.Tensor, skip: torch.Tensor, image: torch.Tensor, h: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`skip` and `image` at the new size -> (N, channels, H, W), the new state (N, channels/2, H, W)."""
        return _remember(self.gru, self.conv(torch.cat([_double(x, skip), skip, image], 1)), h)


class LastStep(nn.Module):
    """To the size of the image, without a memory."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(*_conv_norm(in_channels + 3, channels), *_conv_norm(channels, channels))

    def forward(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, h/2, w/2) and the image (N, 3, h, w) -> (N, channels, h, w)."""
        return self.conv(torch.cat([_double(x, image), image], 1))


def _remember(gru: ConvGRU, x: torch.Tensor, h: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Half of the channels pass, the other half become the state."""
    passing, x = x.chunk(2, 1)
    h = gru(x, h)
    return torch.cat([passing, h], 1), h


def _conv_norm(in_channels: int, channels: int) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(channels), nn.ReLU()]


def _pool(image: torch.Tensor) -> torch.Tensor:
    """Half the size; a last odd row or column is averaged alone."""
    return F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)


def _double(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Twice the size, cut to that of `like`, which may be odd."""
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return x[..., : like.shape[-2], : like.shape[-1]]


class GuidedFilter(nn.Module):
    """Alpha and foreground as a linear function of the picture that changes slowly over the frame.

    The function is fitted on the small copy and applied to the full picture, so edges follow the full picture. Three
    1x1 convolutions replace the division of covariance by variance in a classic guided filter.

    Args:
        hidden_channels: of the decoder's features, which help to fit the function.
    """

    def __init__(self, hidden_channels: int) -> None:
        super().__init__()
        self.box_filter = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        nn.init.constant_(self.box_filter.weight, 1 / 9)
        self.conv = nn.Sequential(
            nn.Conv2d(4 + 4 + hidden_channels, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 4, 1),
        )  # fmt: skip

    def forward(
        self, src: torch.Tensor, src_sm: torch.Tensor, out_sm: torch.Tensor, hidden: torch.Tensor
    ) -> torch.Tensor:
        """Carry an output to full size.

        Args:
            src: (N, 3, H, W) RGB, 0..1.
            src_sm: (N, 3, h, w), its small copy.
            out_sm: (N, 4, h, w) foreground residual and alpha.
            hidden: (N, hidden_channels, h, w).

        Returns:
            (N, 4, H, W), not clamped.
        """
        guide, fine = _with_mean(src_sm), _with_mean(src)
        mean_x, mean_y = self.box_filter(guide), self.box_filter(out_sm)
        covariance = self.box_filter(guide * out_sm) - mean_x * mean_y
        variance = self.box_filter(guide * guide) - mean_x * mean_x
        slope = self.conv(torch.cat([covariance, variance, hidden], 1))
        offset = mean_y - slope * mean_x
        size = src.shape[-2:]
        return resize(slope, size) * fine + resize(offset, size)


def _with_mean(rgb: torch.Tensor) -> torch.Tensor:
    """RGB and its mean, the guide of alpha: (N, 4, H, W)."""
    return torch.cat([rgb, rgb.mean(1, keepdim=True)], 1)
