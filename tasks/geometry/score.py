"""How good renders of held-out cameras are, so that two sets of mattes can be compared.

Nerfstudio's own figure compares each run with pictures cut out by that run's own mattes, so a run with a hole
in every matte is praised for the hole. Here both runs are judged by one reference. The own-matte figure, which
is most likely the paper's, stands beside it; so does what a black image scores, because on a small subject
that is above 20 dB and a figure means nothing without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import MatteError, SizeMismatch

Image = NDArray[np.float32]
BEST = 100.0  # dB, for equal pictures: JSON knows no infinity
FIGURES = ("psnr", "psnr_own", "psnr_foreground", "black", "ssim", "ssim_foreground", "accumulation")


@dataclass(frozen=True)
class Reference:
    """What a held-out camera should show.

    Attributes:
        rgb: (3, H, W) straight colour of the subject, display-referred sRGB, 0..1.
        alpha: (H, W) the reference matte, the same for all runs that are compared.
        own: (3, H, W) the subject on black, cut out by the matte of the run itself; None when it has none.
    """

    rgb: Image
    alpha: Image
    own: Image | None = None


def evaluate(renders: Mapping[str, tuple[Image, Image]], references: Mapping[str, Reference]) -> dict[str, Any]:
    """Score renders of held-out cameras.

    Args:
        renders: camera -> premultiplied colour (3, H, W) on black and accumulation (H, W).
        references: camera -> what it should show.

    Returns:
        Means over cameras, in dB: `psnr` (whole image, common reference on black), `psnr_own` (against the
        run's own mattes; None without), `psnr_foreground` (where the reference matte is above 0), `black` (what
        an all-black image would score as `psnr`). In the same way `ssim` and `ssim_foreground`, 0..1 (Wang et al.
        2004, gaussian window of 1.5 pixels). Then `accumulation` (mean), `collapsed` (the render is as good as black,
        or holds next to nothing) and `cameras` with the same figures for each.

    Raises:
        MatteError: a reference is missing or empty.
        SizeMismatch: a render and its reference differ in size.
    """
    if not renders or set(renders) != set(references):
        raise MatteError(
            f"renders of {sorted(renders)} cannot be judged by references of {sorted(references)}",
            fix="Give one reference for each held-out camera.",
        )
    each = {name: _score(name, *renders[name], references[name]) for name in sorted(renders)}

    def mean(key: str) -> float | None:
        values = [value for scores in each.values() if (value := scores[key]) is not None]
        return float(np.mean(values)) if len(values) == len(each) else None

    means = {key: mean(key) for key in FIGURES}
    psnr, black, accumulation = means["psnr"] or 0.0, means["black"] or 0.0, means["accumulation"] or 0.0
    return {**means, "collapsed": abs(psnr - black) < 0.2 or accumulation < 0.01, "cameras": each}


def psnr(pred: NDArray[Any], true: NDArray[Any]) -> float:
    """PSNR in dB of values 0..1 over all elements; equal pictures score 100."""
    error = float(np.square(pred.astype(np.float64) - true).mean())
    return BEST if error == 0 else min(BEST, -10 * float(np.log10(error)))


def ssim(pred: Image, true: Image) -> Image:
    """Structural similarity of every pixel: (H, W), mean over the colours, of pictures (3, H, W) 0..1."""
    from skimage.metrics import structural_similarity

    _, each = structural_similarity(
        pred, true, channel_axis=0, data_range=1, gaussian_weights=True, use_sample_covariance=False, full=True
    )
    return np.asarray(each.mean(0), np.float32)


def _score(name: str, rgb: Image, accumulation: Image, reference: Reference) -> dict[str, float | None]:
    if rgb.shape != reference.rgb.shape or accumulation.shape != reference.alpha.shape:
        raise SizeMismatch(
            f"render {rgb.shape}, reference {reference.rgb.shape}", where=name, fix="Use one camera's pictures."
        )
    inside = reference.alpha > 0
    if not inside.any():
        raise MatteError("the reference matte is empty", where=name, fix="Hold out a camera that sees the subject.")
    true = reference.rgb * reference.alpha
    own = None if reference.own is None else psnr(rgb, reference.own)
    alike = ssim(rgb, true)
    return {
        "psnr": psnr(rgb, true),
        "psnr_own": own,
        "psnr_foreground": psnr(rgb[:, inside], true[:, inside]),
        "black": psnr(np.zeros_like(rgb), true),
        "ssim": float(alike.mean()),
        "ssim_foreground": float(alike[inside].mean()),
        "accumulation": float(accumulation.mean()),
    }
