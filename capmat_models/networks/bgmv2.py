"""BackgroundMattingV2 (Lin et al., CVPR 2021): the student that runs in the capture.

A coarse network sees a small copy of image and plate; it predicts alpha, foreground, and where it expects
to be wrong. A tiny refiner recomputes only those places at full resolution. Parameter names outside the
encoder are the official ones; the encoder is timm's, and `capmat_models.weights.official_names` translates its names.
"""

from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import nn

from capmat_models.networks.configs import BGMV2Config
from capmat_models.networks.inputs import SmallFrames, enlarged, pad_to, padded_size, reduced
from capmat_models.networks.refiner import CELL, Cells, Refiner, choose, resize

# timm's features at 1/2, 1/4, 1/8 and 1/16; index 3 would be the 96-channel map that the paper skips.
_FEATURES = (0, 1, 2, 4)


class BGMV2(SmallFrames):
    """Alpha and foreground from an image and the empty stage.

    Args:
        config: sizes, and how to refine. `backbone_scale`, `refine_mode`, `refine_share`, `refine_sample_pixels` and
            `refine_threshold` may be changed on the instance (attributes of the same names): they belong to the
            resolution at hand rather than to the weights.

    Shape:
        Inputs `src` and `bgr`: (N, 3, H, W) display-referred RGB, 0..1, any H and W, not normalised.
    """

    def __init__(self, config: BGMV2Config) -> None:
        super().__init__()
        self.config = config
        self.backbone_scale = config.backbone_scale
        self.refine_mode = config.refine_mode
        self.refine_share = config.refine_share
        self.refine_sample_pixels = config.refine_sample_pixels
        self.refine_threshold = config.refine_threshold
        encoder: Any = timm.create_model(
            config.encoder, features_only=True, in_chans=6, output_stride=16, out_indices=_FEATURES
        )
        half, quarter, eighth, deep = encoder.feature_info.channels()
        self.backbone = encoder
        self.aspp = ASPP(deep, config.aspp_channels)
        self.decoder = Decoder(
            (config.aspp_channels, *config.decoder_channels, 5 + config.hidden_channels),
            skips=(eighth, quarter, half, 6),
        )
        self.refiner = Refiner(config.hidden_channels, config.refiner_channels)

    def forward(self, src: torch.Tensor, bgr: torch.Tensor, everywhere: bool = False) -> dict[str, torch.Tensor]:
        """Matte whole frames, coarse and refined; `everywhere` refines every cell, whatever the mode says.

        Sizes that are not multiples of 4 are padded by repeating the border and cropped back.

        Returns:
            `pha` (N, 1, H, W) and `fgr` (N, 3, H, W), both 0..1; `err` (N, 1, H, W), how far off the coarse
            alpha is expected to be; `pha_sm`, `fgr_sm`, `err_sm` at the coarse size; `ref_sm` (N, 1, H/4,
            W/4), 1 where a cell was refined. Maps of a padded frame keep the padded size, except for the
            full ones.
        """
        times, frame = self.times(src.shape[-2:]), src
        src, bgr = enlarged(src, times), enlarged(bgr, times)
        height, width = src.shape[-2:]
        size = padded_size((height, width), CELL, "minimal")
        src, bgr = pad_to(src, size, mode="replicate"), pad_to(bgr, size, mode="replicate")
        small = [max(1, int(side * self.backbone_scale)) for side in size]
        src_sm = resize(src, small)
        pha_sm, res_sm, err_sm, hid_sm = self.coarse(torch.cat([src_sm, resize(bgr, small)], 1))
        cells = None if everywhere else self.choose(err_sm, size)
        pha, res, ref_sm = self.refiner(src, bgr, torch.cat([hid_sm, pha_sm, res_sm], 1), cells)
        maps = (pha.clamp(0, 1), res, resize(err_sm, size))
        pha, res, err = (reduced(x[..., :height, :width], times) for x in maps)
        return {
            "pha": pha,
            "fgr": (frame + res).clamp(0, 1),
            "err": err,
            "pha_sm": pha_sm,
            "fgr_sm": (src_sm + res_sm).clamp(0, 1),
            "err_sm": err_sm,
            "ref_sm": ref_sm,
        }

    def budget(self, size: tuple[int, int]) -> int:
        """How many pixels of a frame of (H, W) the mode `sampling` refines."""
        return int(self.refine_share * size[0] * size[1]) or self.refine_sample_pixels

    def choose(self, err: torch.Tensor, size: tuple[int, int]) -> Cells | None:
        """The cells of a frame of (H, W) to recompute, from the expected error (N, 1, h, w); None for all."""
        return choose(
            err,
            size,
            mode=self.refine_mode,
            pixels=self.budget(size),
            threshold=self.refine_threshold,
            prevent_oversampling=self.config.prevent_oversampling,
        )

    def base(self, src: torch.Tensor, bgr: torch.Tensor) -> dict[str, torch.Tensor]:
        """The coarse network alone, at the size it is given (first stage of training).

        Returns:
            `pha` (N, 1, H, W), `fgr` (N, 3, H, W), `err` (N, 1, H, W), all 0..1, and `hid` (N, hidden, H,
            W) >= 0.
        """
        pha, res, err, hid = self.coarse(torch.cat([src, bgr], 1))
        return {"pha": pha, "fgr": (src + res).clamp(0, 1), "err": err, "hid": hid}

    def coarse(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """[src, bgr] (N, 6, H, W) -> alpha, unclamped foreground residual (minus src), error, features."""
        half, quarter, eighth, deep = self.backbone(x)
        out = self.decoder(self.aspp(deep), (eighth, quarter, half, x))
        pha, res, err, hid = out.split([1, 3, 1, out.shape[1] - 5], 1)
        return pha.clamp(0, 1), res, err.clamp(0, 1), F.relu(hid)


class ASPP(nn.Module):
    """Context at several reaches (DeepLabV3): 1x1, three dilated 3x3 and the mean of the frame."""

    def __init__(self, in_channels: int, channels: int, rates: tuple[int, ...] = (3, 6, 9)) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                _conv_norm(in_channels, channels, 1),
                *(_conv_norm(in_channels, channels, 3, rate) for rate in rates),
                nn.Sequential(nn.AdaptiveAvgPool2d(1), *_conv_norm(in_channels, channels, 1)),
            ]
        )
        self.project = nn.Sequential(*_conv_norm((2 + len(rates)) * channels, channels, 1), nn.Dropout(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, channels, H, W)."""
        branches = [conv(x) for conv in self.convs]
        branches[-1] = branches[-1].expand_as(branches[0])
        return self.project(torch.cat(branches, 1))


def _conv_norm(in_channels: int, channels: int, kernel: int, rate: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, padding=rate * (kernel // 2), dilation=rate, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class Decoder(nn.Module):
    """Four steps up, each to the exact size of its skip, so odd sizes need no padding."""

    def __init__(self, channels: tuple[int, ...], skips: tuple[int, ...]) -> None:
        super().__init__()
        a, b, c, d, out = channels
        self.conv1 = nn.Conv2d(a + skips[0], b, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(b)
        self.conv2 = nn.Conv2d(b + skips[1], c, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)
        self.conv3 = nn.Conv2d(c + skips[2], d, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(d)
        self.conv4 = nn.Conv2d(d + skips[3], out, 3, padding=1)

    def forward(self, x: torch.Tensor, skips: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Deep features and the skips at 1/8, 1/4, 1/2, 1/1 -> (N, 5 + hidden, H, W)."""
        x = F.relu(self.bn1(self.conv1(_join(x, skips[0]))))
        x = F.relu(self.bn2(self.conv2(_join(x, skips[1]))))
        x = F.relu(self.bn3(self.conv3(_join(x, skips[2]))))
        return self.conv4(_join(x, skips[3]))


def _join(x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
    return torch.cat([resize(x, skip.shape[-2:]), skip], 1)
