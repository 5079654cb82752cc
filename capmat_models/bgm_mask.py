"""What Background Matting does to masks before and after the network, as its authors published it."""

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

Box = tuple[slice, slice]

_SUBJECT = 0.2  # a mask above this is subject
_MARGIN = 0.1
_KEPT = 0.05  # alpha above this belongs to a connected part

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
    return tuple(_place(*span, side, length) for span, length in zip(spans, subject.shape, strict=True))


def _place(first: int, last: int, side: int, length: int) -> slice:
    start = max(0, min(int(first + last + 1 - side) // 2, length - side))
    return slice(start, min(start + side, length))


def clean(mask: torch.Tensor) -> torch.Tensor:
    """Shrink a mask to what is surely subject and blur it.

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
    """1 on the largest connected part of an alpha, diagonals connect, 0 elsewhere; (1, 1, H, W) as given."""
    parts, count = ndimage.label((pha[0, 0] > _KEPT).cpu().numpy(), np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0  # not the background
    return _like((parts == sizes.argmax()) & (parts > 0), pha)


def _like(array: npt.NDArray[np.generic], tensor: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(array)[None, None].to(tensor)
