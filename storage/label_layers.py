"""What the label of one frame is made of: painted pixels and strokes, in the order in which people made them.

Two people's work is one over the other. What is above wins where it says something, and leaves what is below where it
is open. Strokes stay vectors, whatever comes on top of them; a stroke that is there already is not added again.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ScribbleError
from storage.labels.raster import OPEN, rasterise
from storage.labels.strokes import Stroke, added

Pixels = NDArray[np.uint8]
Part = Pixels | tuple[Stroke, ...]


class Layers(NamedTuple):
    """The label of one frame.

    Attributes:
        size: (height, width) of the frame.
        parts: the lowest first: painted pixels, (H, W) uint8 of 0 background, 1 foreground, 255 open, or strokes.
    """

    size: tuple[int, int]
    parts: tuple[Part, ...]

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        """All strokes, the lowest first."""
        return tuple(stroke for part in self.parts if isinstance(part, tuple) for stroke in part)

    def pixels(self, scale: float = 1.0) -> Pixels:
        """The label, (H, W) uint8, at `scale` times the frame's size.

        Strokes are painted at that size; of painted pixels those under the new pixels' centres are taken.
        """
        label = rasterise((), self.size, scale)
        for part in self.parts:
            if isinstance(part, tuple):
                label = rasterise(part, self.size, scale, label)
            else:
                label = _over(part if scale == 1.0 else _sampled(part, label.shape), label)
        return label

    def over(self, below: "Layers", where: str) -> "Layers":
        """Both, this one on top.

        Raises:
            ScribbleError: they are of two sizes.
        """
        if self.size != below.size:
            (height, width), (old_height, old_width) = self.size, below.size
            raise ScribbleError(
                f"the label is {width}x{height}, the earlier one of this frame {old_width}x{old_height}",
                where=where,
                fix="Label the frame at its full size.",
            )
        parts = list(below.parts)
        for part in self.parts:
            top = parts[-1] if parts else None
            if isinstance(part, tuple):
                new = added(below.strokes, part)
                if isinstance(top, tuple):
                    parts[-1] = (*top, *new)
                elif new:
                    parts.append(new)
            elif top is None or isinstance(top, tuple):
                parts.append(part)
            else:
                parts[-1] = _over(part, top)
        return Layers(self.size, tuple(parts))


def _over(above: Pixels, below: Pixels) -> Pixels:
    return np.where(above == OPEN, below, above)


def _sampled(pixels: Pixels, size: tuple[int, ...]) -> Pixels:
    rows, columns = (
        ((np.arange(made) + 0.5) * side / made).astype(int) for side, made in zip(pixels.shape, size, strict=True)
    )
    return pixels[rows[:, None], columns]
