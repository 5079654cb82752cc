"""The error of a matte against the truth.

Two conventions are in use, and their numbers differ by orders of magnitude, so each has its own names. `sad`,
`grad` and `conn` follow the Deep Image Matting evaluation: sums over pixels, divided by 1000. `sad_paper` and
`grad_paper` reproduce the capture-stage paper's Table 1: means over pixels, and a gradient kernel that is not
normalised (no other reading fits the printed numbers). `mse` is a mean in both.

Every function takes `pred` and `true`, alphas in 0..1 as (N, 1, H, W) or one as (H, W), and optionally a bool
`region` of the same shape to restrict the sum to (filters still see the whole image). It returns (N,)
float64, one value per image; NaN where a mean has an empty region. No function stretches the alphas to their
own range first.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from capmat_errors import SizeMismatch

_SIGMA = 1.4
_REACH = 4  # where the Gaussian falls below 1/100: ceil(sigma * sqrt(-2 ln(sqrt(2 pi) sigma / 100)))


def mse(pred: torch.Tensor, true: torch.Tensor, region: torch.Tensor | None = None) -> torch.Tensor:
    """Mean squared error."""
    pred, true, inside = _prepare(pred, true, region)
    return _mean((pred - true).square(), inside)


def sad(pred: torch.Tensor, true: torch.Tensor, region: torch.Tensor | None = None) -> torch.Tensor:
    """Sum of absolute differences, in thousands of pixels."""
    pred, true, inside = _prepare(pred, true, region)
    return _sum((pred - true).abs(), inside) / 1000


def sad_paper(pred: torch.Tensor, true: torch.Tensor, region: torch.Tensor | None = None) -> torch.Tensor:
    """Mean absolute difference, which the capture-stage paper prints as SAD (elsewhere: MAD)."""
    pred, true, inside = _prepare(pred, true, region)
    return _mean((pred - true).abs(), inside)


def grad(pred: torch.Tensor, true: torch.Tensor, region: torch.Tensor | None = None) -> torch.Tensor:
    """Squared difference of gradient magnitudes, summed, in thousands; kernel of unit L2 norm."""
    pred, true, inside = _prepare(pred, true, region)
    return _sum(_gradient_error(pred, true, unit_norm=True), inside) / 1000


def grad_paper(pred: torch.Tensor, true: torch.Tensor, region: torch.Tensor | None = None) -> torch.Tensor:
    """Squared difference of gradient magnitudes, mean; plain derivative of a Gaussian (sigma 1.4, 9x9)."""
    pred, true, inside = _prepare(pred, true, region)
    return _mean(_gradient_error(pred, true, unit_norm=False), inside)


def conn(pred: torch.Tensor, true: torch.Tensor, region: torch.Tensor | None = None) -> torch.Tensor:
    """Difference of connectedness to the largest common body (Rhemann et al., 2009), in thousands."""
    pred, true, inside = _prepare(pred, true, region)
    joined = _joined_up_to(pred, true)
    return _sum((_connectedness(pred, joined) - _connectedness(true, joined)).abs(), inside) / 1000


def dtssd(pred: torch.Tensor, true: torch.Tensor, region: torch.Tensor | None = None) -> torch.Tensor:
    """Flicker: the error of the change from frame to frame (dtSSD, Erofeev et al., 2015).

    For each frame t but the first, sqrt(mean over pixels of ((pred_t - pred_t-1) - (true_t - true_t-1))^2): a root
    mean square in units of alpha; 0 for a matte that moves as the truth does, even if it is wrong. Tables of video
    matting print it times 100.

    Args:
        pred: (T, 1, H, W), one camera's consecutive frames in their order, at least two.
        true: the same of the truth.
        region: where to count, of the later frame of each pair; None for the whole image.

    Returns:
        (T - 1,) float64, one value for each frame but the first.

    Raises:
        ValueError: fewer than two frames.
    """
    pred, true, inside = _prepare(pred, true, region)
    if len(pred) < 2:
        raise ValueError("flicker needs two consecutive frames or more")
    return _mean((pred.diff(dim=0) - true.diff(dim=0)).square(), inside[1:]).sqrt()


def paper_metrics(pred: torch.Tensor, true: torch.Tensor) -> dict[str, torch.Tensor]:
    """The three columns of the capture-stage paper's Table 1, over whole images, as plain means.

    The paper prints them in units of 1e-4 (mse), 1e-3 (sad) and 1e-5 (grad).
    """
    return {"mse": mse(pred, true), "sad": sad_paper(pred, true), "grad": grad_paper(pred, true)}


def _prepare(
    pred: torch.Tensor, true: torch.Tensor, region: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Float64 (N, 1, H, W) each; the region as 0 and 1."""
    shapes = {tuple(x.shape) for x in (pred, true, region) if x is not None}
    if len(shapes) > 1:
        raise SizeMismatch(
            f"matte, truth and region differ in shape: {sorted(shapes)}", fix="Compare at the truth's size."
        )
    inside = torch.ones_like(true, dtype=torch.bool) if region is None else region.bool()
    return _stacked(pred), _stacked(true), _stacked(inside)


def _stacked(x: torch.Tensor) -> torch.Tensor:
    return (x[None, None] if x.ndim == 2 else x).double()


def _sum(values: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    return (values * inside).sum((1, 2, 3))


def _mean(values: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    return _sum(values, inside) / inside.sum((1, 2, 3))


def _gradient_error(pred: torch.Tensor, true: torch.Tensor, *, unit_norm: bool) -> torch.Tensor:
    x = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64, device=pred.device)
    gauss = torch.exp(-x.square() / (2 * _SIGMA**2)) / (_SIGMA * math.sqrt(2 * math.pi))
    slope = -x * gauss / _SIGMA**2
    if unit_norm:
        slope = slope / (gauss.norm() * slope.norm())  # the kernel is their outer product
    return (_magnitude(pred, gauss, slope) - _magnitude(true, gauss, slope)).square()


def _magnitude(pha: torch.Tensor, gauss: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    framed = F.pad(pha, (_REACH,) * 4, mode="replicate")
    across = F.conv2d(F.conv2d(framed, gauss.view(1, 1, -1, 1)), slope.view(1, 1, 1, -1))
    down = F.conv2d(F.conv2d(framed, slope.view(1, 1, -1, 1)), gauss.view(1, 1, 1, -1))
    return torch.hypot(across, down)


def _joined_up_to(pred: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """The last of the thresholds 0, 0.1 ... 1 at which a pixel still belongs to the largest common body."""
    both = torch.minimum(pred, true).squeeze(1).cpu().numpy()
    joined = np.zeros_like(both)
    for image, whole in zip(both, joined, strict=True):
        if not (some := image >= 0.1).any():
            continue
        inner = tuple(slice(i.min(), i.max() + 1) for i in some.nonzero())  # no body lies beyond it
        inside, level = image[inner], whole[inner]
        level[:] = 1
        member = np.ones(inside.shape, bool)
        for tenth in range(1, 11):
            # tenth / 10, not a running sum: 153/255 has to pass 0.6
            body = _largest_body(inside >= tenth / 10)
            level[member & ~body] = (tenth - 1) / 10
            member &= body
    return torch.from_numpy(joined).unsqueeze(1).to(pred.device)


def _largest_body(inside: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(inside)  # neighbours by edge, not by corner
    if not count:
        return inside
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # the outside is not a body
    return labels == sizes.argmax()


def _connectedness(pha: torch.Tensor, joined: torch.Tensor) -> torch.Tensor:
    excess = pha - joined
    return 1 - excess * (excess >= 0.15)
