"""The colour of the subject alone, where a soft matte lets the stage shine through.

At the rim of hair a camera sees a mixture, I = a F + (1 - a) B in linear light. The plate says what B is, so F can be
had back; a cut-out made of F instead of I carries no rim of the old stage into a new picture.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below this the division makes more noise than colour. The mixture taken there is wrong by less than this share of
# the difference between subject and stage.
LEAST_ALPHA = 0.02


def foreground(
    light: NDArray[np.float32],
    pha: NDArray[np.float32],
    plate: NDArray[np.float32] | None = None,
    valid: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Straight foreground colour, F = (I - (1 - a) B) / a where 0.02 <= a < 1.

    Elsewhere it is the frame's own colour: exact where the matte is solid, and of no weight where it is empty; there
    it leaves a compositor free to pull another matte. The same goes for pixels whose plate cannot be trusted.

    Args:
        light: (3, H, W) linear light of the frame.
        pha: (H, W) 0..1.
        plate: (3, H, W) linear light of the empty stage; None if there is none.
        valid: (H, W), where the plate can be trusted; None for everywhere.

    Returns:
        (3, H, W) linear light. Where it was computed it lies in 0..1, or up to the frame's own highlight.
    """
    if plate is None:
        return light
    soft = (pha >= LEAST_ALPHA) & (pha < 1)
    if valid is not None:
        soft &= valid
    out: NDArray[Any] = light.copy()
    seen, a = light[:, soft], pha[soft]
    out[:, soft] = np.clip((seen - (1 - a) * plate[:, soft]) / a, 0, np.maximum(seen, 1))
    return out
