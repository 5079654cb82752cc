"""Background Matting (Sengupta et al., CVPR 2020): "BGM" in Table 1, the first matting with a plate.

Besides image and plate it needs a coarse mask of the subject. It sees a square of 512 pixels around the subject, so
it is soft by construction at capture resolution. Parameter names are the official ones.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import nn

from capmat_errors import ConfigError, SizeMismatch
from capmat_models.networks.configs import BGMConfig

Box = tuple[slice, slice]

_SUBJECT = 0.2  # a mask above this is subject
_MARGIN = 0.1
_KEPT = 0.05  # alpha above this belongs to a connected part
_OPAQUE = 0.95  # the foreground is the image wherever alpha is above this

# OpenCV's ellipses of 3x3 and 5x5.
_SMALL = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
_LARGE = np.array([[0, 0, 1, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]])
_BLUR = 31  # pixels; OpenCV makes that a standard deviation of 5


def box_around(mask: torch.Tensor) -> Box | None:
    """Rows and columns of a square around the subject, with a margin of 10 % of its side.

    Args:
        mask: (1, 1, H, W), 0..1.

    Returns:
        The square, moved into the frame and cut where the frame is too small for it; None without a subject.
    """
    subject = (mask[0, 0] > _SUBJECT).cpu().numpy()
    if not subject.any():
        return None
    spans = [np.flatnonzero(subject.any(axis))[[0, -1]] for axis in (1, 0)]
    side = round((1 + _MARGIN) * max(int(last - first) + 1 for first, last in spans))
    rows, columns = (_within(span, side, length) for span, length in zip(spans, subject.shape, strict=True))
    return rows, columns


def _within(span: npt.NDArray[np.intp], side: int, length: int) -> slice:
    """`side` pixels around the first and last of a span, moved and cut so that they lie in 0..length."""
    start = max(0, min(int(span.sum() + 1 - side) // 2, length - side))
    return slice(start, min(start + side, length))


def clean(mask: torch.Tensor) -> torch.Tensor:
    """Shrink a mask to the sure subject, and blur it.

    Args:
        mask: (1, 1, H, W), 0..1, at the working size.

    Returns:
        The same shape, dtype and device, 0..1.
    """
    subject = (mask[0, 0] > _SUBJECT).cpu().numpy()
    subject = ndimage.binary_erosion(subject, _SMALL, iterations=10, border_value=1)
    subject = ndimage.binary_dilation(subject, _LARGE, iterations=5)
    sigma = 0.3 * ((_BLUR - 1) * 0.5 - 1) + 0.8
    soft = ndimage.gaussian_filter(subject.astype(np.float32), sigma, mode="mirror", radius=_BLUR // 2)
    return _like(soft, mask)


def largest_part(pha: torch.Tensor) -> torch.Tensor:
    """1 on the largest connected part of an alpha (1, 1, H, W), 0 elsewhere; diagonals connect."""
    parts, count = ndimage.label((pha[0, 0] > _KEPT).cpu().numpy(), np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0  # not the background
    return _like((parts == sizes.argmax()) & (parts > 0), pha)


def _like(array: npt.NDArray[np.generic], tensor: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(array)[None, None].to(tensor)


class BGM(nn.Module):
    """Alpha and foreground from an image, the empty stage and a coarse mask.

    The published network has a fourth encoder, for the frames before and after. The released code combines the
    plate's features in its place and never uses its output. Its weights are kept so that checkpoints load.

    Args:
        config: the working size.

    Raises:
        ConfigError: the working size does not suit the network.
    """

    def __init__(self, config: BGMConfig) -> None:
        super().__init__()
        if config.working_side < 16 or config.working_side % 4:
            raise ConfigError(
                f"working_side is {config.working_side}", where="bgm", fix="Choose a multiple of 4, at least 16."
            )
        self.config = config
        image = _encoder(3)
        # Split after the features at 1/2, which the foreground needs again.
        self.model_enc1, self.model_enc2 = nn.Sequential(*image[:7]), nn.Sequential(*image[7:])
        self.model_enc_back = _encoder(3)
        self.model_enc_seg = _encoder(1)
        self.model_enc_multi = _encoder(4)
        self.comb_back = _combiner()
        self.comb_seg = _combiner()
        self.comb_multi = _combiner()
        self.model_res_dec = nn.Sequential(*_conv_norm(256 + 3 * 64, 256, 1, bias=False), *_residuals(7))
        self.model_res_dec_al = nn.Sequential(*_residuals(3))
        self.model_res_dec_fg = nn.Sequential(*_residuals(3))
        self.model_al_out = nn.Sequential(*_step_up(256, 128), *_step_up(128, 64), *_last(1), nn.Tanh())
        self.model_dec_fg1 = nn.Sequential(*_step_up(256, 128))
        self.model_fg_out = nn.Sequential(*_step_up(128 + 128, 64), *_last(3))

    def forward(self, src: torch.Tensor, bgr: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Matte whole frames as the published code does.

        A square with some margin around the mask is scaled to the working size, and the mask is cleaned. Only the
        largest connected part of the result is put back into the square. A frame with an empty mask has no
        subject. Scaling down averages (the description of the published code leaves the filter open).

        Args:
            src: (N, 3, H, W) display-referred RGB, 0..1. Any H and W.
            bgr: the plate, like `src`.
            mask: (N, 1, H, W), any coarse alpha, 0..1; above 0.2 is subject.

        Returns:
            `pha` (N, 1, H, W) and `fgr` (N, 3, H, W), both 0..1 and zero outside the square.

        Raises:
            SizeMismatch: the three do not have one size.
        """
        if not src.shape[-2:] == bgr.shape[-2:] == mask.shape[-2:]:
            raise SizeMismatch(
                "image, plate and mask have different sizes: "
                + ", ".join("x".join(map(str, x.shape[-2:])) for x in (src, bgr, mask)),
                fix="Give all three at the size of the image.",
            )
        pha, fgr = torch.zeros_like(src[:, :1]), torch.zeros_like(src)
        for index in range(len(src)):
            frame = slice(index, index + 1)
            if box := box_around(mask[frame]):
                inside = (frame, slice(None), *box)
                pha[inside], fgr[inside] = self._matte(src[inside], bgr[inside], mask[inside])
        return {"pha": pha, "fgr": fgr}

    def network(self, img: torch.Tensor, back: torch.Tensor, seg: torch.Tensor) -> dict[str, torch.Tensor]:
        """The network as published.

        Args:
            img: (N, 3, H, W) RGB, -1..1; H and W multiples of 4, at least 16.
            back: the plate, like `img`.
            seg: (N, 1, H, W) cleaned mask, -1..1.

        Returns:
            `alpha` (N, 1, H, W), -1..1, and `fg` (N, 3, H, W), about -1..1, not clamped.
        """
        half = self.model_enc1(img)
        quarter = self.model_enc2(half)
        plate, shape = self.model_enc_back(back), self.model_enc_seg(seg)
        context = [
            self.comb_back(torch.cat([quarter, plate], 1)),
            self.comb_seg(torch.cat([quarter, shape], 1)),
            self.comb_multi(torch.cat([quarter, plate], 1)),
        ]
        x = self.model_res_dec(torch.cat([quarter, *context], 1))
        fg = self.model_dec_fg1(self.model_res_dec_fg(x))
        return {
            "alpha": self.model_al_out(self.model_res_dec_al(x)),
            "fg": self.model_fg_out(torch.cat([fg, half], 1)),
        }

    def _matte(self, src: torch.Tensor, bgr: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Alpha and foreground of one square, (1, C, h, w) in and out, 0..1."""
        side = (self.config.working_side,) * 2
        x, plate, coarse = (_scale(part, side) for part in (src, bgr, mask))
        out = self.network(2 * x - 1, 2 * plate - 1, 2 * clean(coarse) - 1)
        pha = (out["alpha"].float() + 1) / 2
        pha = pha * largest_part(pha)
        fgr = torch.where(pha > _OPAQUE, x, ((out["fg"] + 1) / 2).clamp(0, 1))
        pha, fgr = (_scale(part, src.shape[-2:]).clamp(0, 1).to(src.dtype) for part in (pha, fgr))
        return pha, fgr


def _scale(x: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    # float(): torch averages no bfloat16 on a CPU
    return F.interpolate(x.float(), size, mode="bilinear", align_corners=False, antialias=True).to(x.dtype)


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1), *_conv_norm(channels, channels, 3),
            nn.ReflectionPad2d(1), *_conv_norm(channels, channels, 3)[:2],
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels, H, W) -> the same shape."""
        return x + self.conv_block(x)


def _encoder(in_channels: int) -> nn.Sequential:
    """(N, in_channels, H, W) -> (N, 256, H/4, W/4)."""
    return nn.Sequential(
        nn.ReflectionPad2d(3), *_conv_norm(in_channels, 64, 7),
        *_conv_norm(64, 128, 3, stride=2, padding=1), *_conv_norm(128, 256, 3, stride=2, padding=1),
    )  # fmt: skip


def _combiner() -> nn.Sequential:
    return nn.Sequential(*_conv_norm(2 * 256, 64, 1, bias=False))


def _residuals(count: int) -> list[nn.Module]:
    return [Residual(256) for _ in range(count)]


def _step_up(in_channels: int, channels: int) -> list[nn.Module]:
    double = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    return [double, *_conv_norm(in_channels, channels, 3, padding=1)]


def _last(channels: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(64, channels, 7)]


def _conv_norm(
    in_channels: int, channels: int, kernel: int, *, stride: int = 1, padding: int = 0, bias: bool = True
) -> list[nn.Module]:
    conv = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=bias)
    return [conv, nn.BatchNorm2d(channels), nn.ReLU()]
