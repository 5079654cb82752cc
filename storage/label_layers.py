"""What the label of one frame is made of: painted pixels, and strokes over them.

Two people's work is one over the other. A label above another one wins where it says something, and leaves the other
where it is open. Strokes stay vectors as long as only strokes come on top; pixels on top of strokes make pixels of
both.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ScribbleError
from storage.rasterise import OPEN, rasterise
from storage.strokes import Stroke, joined


class Layers(NamedTuple):
    """The label of one frame.

    Attributes:
        size: (height, width) of the frame.
        painted: (H, W) uint8 of 0 background, 1 foreground, 255 open; None where nobody painted pixels.
        strokes: drawn over it.
    """

    size: tuple[int, int]
    painted: NDArray[np.uint8] | None = None
    strokes: tuple[Stroke, ...] = ()

    def pixels(self, scale: float = 1.0) -> NDArray[np.uint8]:
        """The label, (H, W) uint8, at `scale` times the frame's size.

        Strokes are painted at that size; of painted pixels those under the new pixels' centres are taken.
        """
        below = self.painted
        if below is not None and scale != 1.0:
            rows, columns = (
                ((np.arange(made := round(side * scale)) + 0.5) * side / made).astype(int) for side in self.size
            )
            below = below[rows[:, None], columns]
        return rasterise(self.strokes, self.size, scale, below)

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
        if self.painted is None:
            return Layers(self.size, below.painted, joined(below.strokes, self.strokes))
        return Layers(self.size, np.where(self.painted == OPEN, below.pixels(), self.painted), self.strokes)
