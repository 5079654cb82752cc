"""Scribbled stage frames, the other fifth of a fine-tuning batch (Sec. 4.2 of the capture-stage paper)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from capmat_errors import TrainingError
from capmat_models.crops import crop_aligned

_PLACES = 4096


class ScribbleData:
    """Frames in which somebody painted what is wrong.

    Args:
        items: `src` (3,H,W) and `bgr` (3,H,W) float32 in 0..1, `label` (H,W) uint8: 0 background, 1
            foreground, 255 not annotated. Any sequence; `src` and `bgr` may be anything that has a shape and can
            be sliced, so that only what is cut out of them is read.

    Raises:
        TrainingError: there are no items, an item has no stroke, or its sizes differ.
    """

    def __init__(self, items: Sequence[tuple[Any, Any, NDArray[np.uint8]]]) -> None:
        if len(items) == 0:
            raise TrainingError("there are no scribbles to learn from", fix="Annotate at least one frame.")
        self.items = items
        self._places = [_places(src, bgr, label, index) for index, (src, bgr, label) in enumerate(items)]

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
        strokes = self._places[index][int(rng.integers(len(self._places[index])))]
        y, x = strokes[int(rng.integers(len(strokes)))]
        top, left = int(y) - int(rng.integers(crop)), int(x) - int(rng.integers(crop))
        flip = bool(rng.random() < 0.5)
        height, width = label.shape
        if crop > height or crop > width:
            missing = ((0, max(0, crop - height)), (0, max(0, crop - width)))
            label = np.pad(label, missing, constant_values=255)
            src, bgr = (np.pad(picture[:, :, :], ((0, 0), *missing), mode="edge") for picture in (src, bgr))
        return crop_aligned({"src": src, "bgr": bgr, "label": label[None]}, top, left, crop, flip=flip)


def _places(src: Any, bgr: Any, label: NDArray[np.uint8], index: int) -> list[NDArray[np.int32]]:
    """List the annotated pixels (K,2) of each class that the label has."""
    where = f"scribbled image {index}"
    if src.shape != bgr.shape or src.shape[-2:] != label.shape:
        raise TrainingError(f"sizes differ: src {src.shape}, bgr {bgr.shape}, label {label.shape}", where=where)
    found = [np.argwhere(label == value) for value in (0, 1)]
    classes = [places[:: -(-len(places) // _PLACES)].astype(np.int32) for places in found if len(places)]
    if not classes:
        raise TrainingError("no pixel is annotated", where=where, fix="Paint a stroke or leave the image out.")
    return classes
