"""Stage frames to learn from: with the teacher's mattes (paper, Sec. 4.3), or with scribbles (Sec. 4.2)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from capmat_errors import TrainingError


def crop_aligned(
    pictures: Mapping[str, NDArray[Any]], top: int, left: int, size: int, *, flip: bool
) -> dict[str, NDArray[Any]]:
    """Cut one square out of every picture.

    Args:
        pictures: (C,H,W) each, all with the same H and W.
        top: first row; moved so that the square lies inside where the picture is large enough.
        left: first column, likewise.
        size: side in pixels. A smaller picture is continued by its last row and column.
        flip: mirror left to right.

    Returns:
        (C,size,size) each, contiguous.
    """
    height, width = next(iter(pictures.values())).shape[-2:]
    top, left = max(0, min(top, height - size)), max(0, min(left, width - size))
    missing = ((0, 0), (0, max(0, size - height)), (0, max(0, size - width)))
    out = {}
    for name, picture in pictures.items():
        square = picture[:, top : top + size, left : left + size]
        if size > height or size > width:
            square = np.pad(square, missing, mode="edge")
        out[name] = np.ascontiguousarray(square[..., ::-1] if flip else square)
    return out


def random_corner(rng: Generator, shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Draw top and left of a square so that it lies inside a picture of shape (...,H,W)."""
    height, width = shape[-2:]
    return int(rng.integers(max(1, height - size + 1))), int(rng.integers(max(1, width - size + 1)))


Pair = tuple[Any, Any, Any]


class PairData:
    """Frames, plates and pseudo-labels.

    Args:
        items: `src` and `bgr` (3,H,W), `pha` (1,H,W) or (H,W), float32 in 0..1. Any sequence, and any pictures
            that have a shape and can be sliced: the frames of a stage do not fit into memory, so only what is cut
            out of them is read.

    Raises:
        TrainingError: `items` is empty.
    """

    def __init__(self, items: Sequence[Pair]) -> None:
        if len(items) == 0:
            raise TrainingError("no mattes to distil are given", fix="Run the teacher on a take first.")
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def sample(self, rng: Generator, crop: int) -> dict[str, NDArray[np.float32]]:
        """Draw an aligned random crop of a random pair, mirrored half of the time.

        Returns:
            `src`, `bgr` (3,crop,crop) and `pha` (1,crop,crop).

        Raises:
            TrainingError: the three pictures of the pair differ in size.
        """
        index = int(rng.integers(len(self.items)))
        src, bgr, pha = self.items[index]
        pha = pha if len(pha.shape) == 3 else pha[None]
        if not src.shape == bgr.shape == (3, *pha.shape[-2:]):
            raise TrainingError(
                f"sizes differ: src {src.shape}, bgr {bgr.shape}, pha {pha.shape}", where=f"pair {index}"
            )
        top, left = random_corner(rng, src.shape, crop)
        flip = bool(rng.random() < 0.5)
        return crop_aligned({"src": src, "bgr": bgr, "pha": pha}, top, left, crop, flip=flip)


_MOST = 4096  # annotated pixels of a class that are kept


class ScribbleData:
    """Frames in which a person marked foreground and background.

    Args:
        items: `src` (3,H,W) and `bgr` (3,H,W) float32 in 0..1, `label` (H,W) uint8: 0 background, 1
            foreground, 255 not annotated. Any sequence; `src` and `bgr` may be anything that has a shape and can
            be sliced, so that only what is cut out of them is read.

    Raises:
        TrainingError: `items` is empty, an item has no stroke, or its sizes differ.
    """

    def __init__(self, items: Sequence[tuple[Any, Any, NDArray[np.uint8]]]) -> None:
        if len(items) == 0:
            raise TrainingError("no scribbles to learn from are given", fix="Annotate at least one frame.")
        self.items = items
        self._strokes = [_strokes(src, bgr, label, index) for index, (src, bgr, label) in enumerate(items)]

    def __len__(self) -> int:
        return len(self.items)

    def sample(self, rng: Generator, crop: int) -> dict[str, NDArray[Any]]:
        """Draw a crop that holds annotated pixels.

        Foreground and background strokes are drawn equally often where an image has both, because one stroke
        across the floor has more pixels than ten on fingers.

        Returns:
            `src`, `bgr` (3,crop,crop) float32 and `label` (1,crop,crop) uint8. Beyond the border of an image
            smaller than the crop nothing is annotated.
        """
        index = int(rng.integers(len(self.items)))
        src, bgr, label = self.items[index]
        strokes = self._strokes[index][int(rng.integers(len(self._strokes[index])))]
        y, x = strokes[int(rng.integers(len(strokes)))]
        top, left = int(y) - int(rng.integers(crop)), int(x) - int(rng.integers(crop))
        flip = bool(rng.random() < 0.5)
        height, width = label.shape
        if crop > height or crop > width:
            missing = ((0, max(0, crop - height)), (0, max(0, crop - width)))
            label = np.pad(label, missing, constant_values=255)
            src, bgr = (np.pad(picture[:, :, :], ((0, 0), *missing), mode="edge") for picture in (src, bgr))
        return crop_aligned({"src": src, "bgr": bgr, "label": label[None]}, top, left, crop, flip=flip)


def _strokes(src: Any, bgr: Any, label: NDArray[np.uint8], index: int) -> list[NDArray[np.int32]]:
    """List the annotated pixels (K,2) of each class that the label has."""
    where = f"scribbled image {index}"
    if src.shape != bgr.shape or src.shape[-2:] != label.shape:
        raise TrainingError(f"sizes differ: src {src.shape}, bgr {bgr.shape}, label {label.shape}", where=where)
    marked = [np.argwhere(label == value) for value in (0, 1)]
    classes = [pixels[:: -(-len(pixels) // _MOST)].astype(np.int32) for pixels in marked if len(pixels)]
    if not classes:
        raise TrainingError("no pixel is annotated", where=where, fix="Paint a stroke or remove the image.")
    return classes
