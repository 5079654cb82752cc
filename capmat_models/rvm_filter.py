"""RVM's way back to full size: a guided filter with a learned regression (RVM paper, section 3.2)."""

import torch
from torch import nn

from capmat_models.networks.refiner import resize


class GuidedFilter(nn.Module):
    """Alpha and foreground as a linear function of the picture that changes slowly over the frame.

    The linear function is found on the small copy and applied to the full picture, so edges follow the
    full picture. Where a classic guided filter divides covariance by variance, three 1x1 convolutions do it.

    Args:
        hidden_channels: of the decoder's features, which help to find the function.
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
