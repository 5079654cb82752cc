"""What each training minimises, as plain functions that return their terms by name, with the sum as "total".

Every term is a mean over pixels, so that a weight means the same for every size of a crop or a stroke. In the
official ViTMatte code this holds only at 512x512 (`reference_pixels` gives its numbers for other sizes). Eq. 3 of the
capture-stage paper is printed as a sum; `scribble_loss` says why it is a mean here.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_LEVELS = 5
_SMALLEST = 4  # a 5x5 blur with reflected borders needs at least 3 pixels per side, and an even size


def vitmatte_losses(
    pha: Tensor, true_pha: Tensor, unknown: Tensor, *, reference_pixels: int | None = None
) -> dict[str, Tensor]:
    """Sum up the four losses of ViTMatte, unweighted.

    Args:
        pha: prediction (N,1,H,W). Any range; the supervisor passes -1..1.
        true_pha: truth (N,1,H,W), in the range of `pha`.
        unknown: (N,1,H,W), 1 where the trimap of the truth is unknown, else 0. May be empty or everything.
        reference_pixels: None for means over the regions; 512*512 for the scale of the official code, which
            equals the means for 512x512 crops only.

    Returns:
        `unknown_l1`, `known_l1`, `gradient`, `laplacian` and their sum `total`.
    """
    known = 1 - unknown
    scale = 1.0 if reference_pixels is None else reference_pixels / (pha.shape[-2] * pha.shape[-1])
    terms = {
        "unknown_l1": _region_mean((pha - true_pha).abs() * unknown, unknown) * scale,
        "known_l1": _region_mean((pha - true_pha).abs() * known, known) * scale,
        "gradient": _gradient_penalty(pha, true_pha, unknown) * scale,
        "laplacian": laplacian_loss(pha, true_pha),
    }
    return {**terms, "total": _sum(terms)}


def scribble_loss(pha: Tensor, label: Tensor) -> dict[str, Tensor]:
    """Compare annotated pixels, and only them, with their strokes: the selective loss of Eq. 3.

    The paper prints a sum over the annotated pixels. A sum makes a broad stroke count for more than a thin
    one and the weight against the base data depend on resolution and brush size, which says nothing about how
    wrong the matte is. So: mean over the annotated pixels of an image, then mean over the images. The pixels
    that get a gradient are exactly those of Eq. 3.

    Args:
        pha: prediction (N,1,H,W) in 0..1.
        label: (N,1,H,W) uint8, 0 background, 1 foreground, 255 not annotated. An image without a stroke adds
            nothing.

    Returns:
        `scribble`, and the same as `total`.
    """
    annotated = (label != 255).to(pha.dtype)
    error = (pha - (label == 1).to(pha.dtype)).abs() * annotated
    per_image = error.sum((1, 2, 3)) / annotated.sum((1, 2, 3)).clamp(min=1)
    loss = per_image.mean()
    return {"scribble": loss, "total": loss}


def bgmv2_base_losses(pha: Tensor, fgr: Tensor, err: Tensor, true_pha: Tensor, true_fgr: Tensor) -> dict[str, Tensor]:
    """Train BackgroundMattingV2's base network: alpha, edges, foreground colour and its own error.

    The error target is detached here, so that the error head learns to predict the error and does not shape
    it.

    Args:
        pha: (N,1,H,W) in 0..1.
        fgr: (N,3,H,W) in 0..1.
        err: (N,1,H,W) in 0..1, predicted absolute error of `pha`.
        true_pha: (N,1,H,W).
        true_fgr: (N,3,H,W); only read where `true_pha` is not zero.

    Returns:
        `alpha`, `sobel`, `foreground`, `error` and `total`.
    """
    seen = (true_pha != 0).to(fgr.dtype)
    terms = {
        "alpha": F.l1_loss(pha, true_pha),
        "sobel": F.l1_loss(sobel(pha), sobel(true_pha)),
        "foreground": F.l1_loss(fgr * seen, true_fgr * seen),
        "error": F.mse_loss(err, (pha.detach() - true_pha).abs()),
    }
    return {**terms, "total": _sum(terms)}


def bgmv2_refine_losses(out: dict[str, Tensor], true_pha: Tensor, true_fgr: Tensor) -> dict[str, Tensor]:
    """Train base network and refiner together: the base terms at full and at backbone resolution.

    Here the error target is not detached: the original lets this term train the alpha as well.

    Args:
        out: what the student returns: pha, fgr at full size; pha_sm, fgr_sm, err_sm at backbone size.
        true_pha: (N,1,H,W) in 0..1.
        true_fgr: (N,3,H,W) in 0..1.

    Returns:
        `alpha`, `sobel`, `foreground`, the same with `_sm`, `error` and `total`.
    """
    small = out["pha_sm"].shape[-2:]
    true_pha_sm, true_fgr_sm = _resize(true_pha, small), _resize(true_fgr, small)
    seen, seen_sm = (true_pha != 0).to(true_fgr.dtype), (true_pha_sm != 0).to(true_fgr.dtype)
    full = true_pha.shape[-2:]
    terms = {
        "alpha": F.l1_loss(out["pha"], true_pha),
        "alpha_sm": F.l1_loss(out["pha_sm"], true_pha_sm),
        "sobel": F.l1_loss(sobel(out["pha"]), sobel(true_pha)),
        "sobel_sm": F.l1_loss(sobel(out["pha_sm"]), sobel(true_pha_sm)),
        "foreground": F.l1_loss(out["fgr"] * seen, true_fgr * seen),
        "foreground_sm": F.l1_loss(out["fgr_sm"] * seen_sm, true_fgr_sm * seen_sm),
        "error": F.mse_loss(_resize(out["err_sm"], full), (_resize(out["pha_sm"], full) - true_pha).abs()),
    }
    return {**terms, "total": _sum(terms)}


def diffmatte_losses(x0: Tensor, true_pha: Tensor, unknown: Tensor) -> dict[str, Tensor]:
    """Train the supervisor's denoiser: squared error plus the ViTMatte losses, all on mattes in -1..1.

    Args:
        x0: the denoiser's estimate of the clean matte, (N,1,H,W) in -1..1.
        true_pha: (N,1,H,W) in 0..1.
        unknown: (N,1,H,W), 1 where the trimap is unknown.

    Returns:
        `denoising`, the four terms of `vitmatte_losses` and `total`.
    """
    target = 2 * true_pha - 1
    terms = {"denoising": F.mse_loss(x0, target)}
    matting = vitmatte_losses(x0, target, unknown)
    return {**terms, **matting, "total": terms["denoising"] + matting["total"]}


def foreground_target(src: Tensor, bgr: Tensor, pha: Tensor) -> Tensor:
    """Solve Eq. 1 for the foreground, because the teacher gives an alpha and no colour.

    F = clamp((I - (1 - a) B) / a, 0, 1) where a > 0, and 0 elsewhere (the losses never look there). The paper
    does not say what it does with the student's foreground term on capture data; with a known background the
    closed form uses every pixel that the term looks at.

    Args:
        src: (N,3,H,W) in 0..1.
        bgr: (N,3,H,W) in 0..1, the same stage without a subject.
        pha: (N,1,H,W) in 0..1.

    Returns:
        (N,3,H,W) in 0..1.
    """
    seen = pha > 0
    fgr = (src - (1 - pha) * bgr) / torch.where(seen, pha, torch.ones_like(pha))
    return fgr.clamp(0, 1) * seen


def sobel(pha: Tensor) -> Tensor:
    """Gradient magnitude of (N,1,H,W) with the 3x3 Sobel kernel over 8 and replicated borders."""
    along_x = pha.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    kernel = torch.stack([along_x, along_x.T])[:, None]
    g = F.conv2d(F.pad(pha, (1, 1, 1, 1), mode="replicate"), kernel)
    return (g.square().sum(1, keepdim=True) + 1e-6).sqrt()


def laplacian_loss(pha: Tensor, true_pha: Tensor) -> Tensor:
    """L1 between Laplacian pyramids of five levels, level l weighing 2^l / 5; fewer for small crops."""
    # the pyramid is linear, so the pyramid of the difference is the difference of the pyramids
    rest = pha - true_pha
    loss = pha.new_zeros(())
    for level in range(_LEVELS):
        h, w = rest.shape[-2] // 2 * 2, rest.shape[-1] // 2 * 2
        if min(h, w) < _SMALLEST:
            break
        rest = rest[..., :h, :w]
        smaller = _blur(rest)[..., ::2, ::2]
        spread = rest.new_zeros(rest.shape)
        spread[..., ::2, ::2] = smaller * 4
        loss = loss + 2**level * (rest - _blur(spread)).abs().mean() / _LEVELS
        rest = smaller
    return loss


def _gradient_penalty(pha: Tensor, true_pha: Tensor, region: Tensor) -> Tensor:
    """L1 between Sobel responses (zero borders) inside the region, plus 0.01 of the prediction's own."""
    along_x = pha.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernel = torch.stack([along_x, along_x.T])[:, None]
    g, true_g = F.conv2d(pha, kernel, padding=1), F.conv2d(true_pha, kernel, padding=1)
    return _region_mean(((g - true_g).abs() + 0.01 * g.abs()) * region, region)


def _blur(x: Tensor) -> Tensor:
    row = x.new_tensor([1, 4, 6, 4, 1]) / 16
    x = F.conv2d(F.pad(x, (2, 2, 0, 0), mode="reflect"), row[None, None, None, :])
    return F.conv2d(F.pad(x, (0, 0, 2, 2), mode="reflect"), row[None, None, :, None])


def _region_mean(values: Tensor, region: Tensor) -> Tensor:
    """Sum of values by number of region pixels; 0 for an empty region, where the official code is NaN."""
    return values.sum() / region.sum().clamp(min=1) * (region.sum() > 0)


def _resize(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _sum(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()
