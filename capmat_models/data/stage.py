"""Stage frames with the teacher's mattes: what the student learns from (Sec. 4.3, capture-stage paper)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from capmat_errors import TrainingError
from capmat_models.crops import crop_aligned, random_corner

Pair = tuple[Any, Any, Any]


class PairData:
    """Frames, plates and pseudo-labels.

    Args:
        items: `src` and `bgr` (3,H,W), `pha` (1,H,W) or (H,W), float32 in 0..1. Any sequence, and any pictures
            that have a shape and can be sliced: the frames of a stage fit into no memory, so only what is cut out
            of them is read.

    Raises:
        TrainingError: there are no items.
    """

    def __init__(self, items: Sequence[Pair]) -> None:
        if len(items) == 0:
            raise TrainingError("there are no mattes to distil", fix="Run the teacher on a take first.")
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
