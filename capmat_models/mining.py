"""Where in a picture a scribble promises most: maps of signals, boxes in them, and the order in which to show boxes.

A signal is a map (H, W), 0..1, of one reason to doubt a matte. A box scores 1 - exp(-sum of the means of its
signals): each signal alone can raise it, several raise it more, and a missing one (no teacher, one frame) costs
nothing. The rule has no weight to fit. docs/mine.md has measurements of it and of each signal alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from capmat_models.geometry.hull import opened, widened

WINDOW = 1 / 8
"""Side of a box, as a share of the picture's height."""
SAME_CAMERA = 0.85
"""Factor on the score of a box for every box of the same camera that comes before it."""
SAME_PLACE = 0.3
"""The same for a box that overlaps one of the same camera in another frame: it likely shows the same error."""
_STEPS = 4  # positions of a box within its own width
_EDGE = 0.01
"""Width of the soft rim of a subject, as a share of the picture's height."""
_STILL = 0.04
"""Change of a picture (0..1) up to which it counts as still; noise and light change it so much."""


def disagreement(student: Tensor, teacher: Tensor) -> Tensor:
    """How far two mattes (H, W) differ beyond a shifted edge."""
    return opened((student - teacher).abs(), _rim(student))


def residual(src: Tensor, bgr: Tensor, fgr: Tensor, pha: Tensor) -> Tensor:
    """What the layers of a picture leave unexplained: |I - (a F + (1 - a) B)| (Eq. 1), mean of the channels.

    Where the matte says background, it is the difference to the plate: a lost part of the subject, or a shadow.

    Args:
        src: (3, H, W) the picture, display-referred.
        bgr: (3, H, W) the plate.
        fgr: (3, H, W) foreground that the network predicts.
        pha: (H, W) the matte.
    """
    apart = (src - (pha * fgr + (1 - pha) * bgr)).abs().mean(0)
    return opened(apart, _rim(pha)).clamp(0, 1)


def softness(pha: Tensor) -> Tensor:
    """Alpha between 0 and 1 in areas too wide to be an edge: 1 at one half."""
    return opened(4 * pha * (1 - pha), 2 * _rim(pha))


def unsteadiness(mattes: Tensor) -> Tensor:
    """How much the mattes (N, H, W) of one picture differ that was flipped or shifted, after that is undone."""
    return opened(2 * mattes.std(0, correction=0), _rim(mattes[0])).clamp(0, 1)


def jump(pha: Tensor, before: Tensor, src: Tensor, src_before: Tensor) -> Tensor:
    """Change of alpha (H, W) between two frames where the picture (3, H, W) stands still."""
    moved = widened((src - src_before).abs().amax(0), 2 * _rim(pha))
    return opened((pha - before).abs() * (moved < _STILL), _rim(pha))


def enlarged(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """A small map (h, w), resized to a picture."""
    return F.interpolate(grid[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def _rim(pha: Tensor) -> int:
    """Width of an edge in pixels."""
    return max(2, round(_EDGE * pha.shape[0]))


@dataclass(frozen=True)
class Spot:
    """A box in a map.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the map.
        score: 0..1.
        signals: name -> mean in the box.
    """

    box: tuple[int, int, int, int]
    score: float
    signals: dict[str, float]


def spots(maps: Mapping[str, Tensor], count: int) -> list[Spot]:
    """The best boxes of a picture, best first; none overlaps another.

    Args:
        maps: name -> signal (H, W), 0..1, all of one size; at least one.
        count: how many at most; boxes without a signal are left out.
    """
    height, width = next(iter(maps.values())).shape
    side = min(max(_STEPS, round(WINDOW * height)), height, width)
    step = max(1, side // _STEPS)
    stacked = F.avg_pool2d(torch.stack(list(maps.values()))[:, None].float(), side, step)[:, 0]
    total = stacked.sum(0)
    reach = -(-side // step) - 1
    chosen: list[Spot] = []
    while len(chosen) < count and (best := float(total.max())) > 0:
        row, column = divmod(int(total.argmax()), total.shape[1])
        y, x = row * step, column * step
        signals = {name: float(value) for name, value in zip(maps, stacked[:, row, column], strict=True)}
        chosen.append(Spot((x, y, x + side, y + side), 1 - math.exp(-best), signals))
        total[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = 0
    return chosen


def diversified(
    boxes: Sequence[tuple[str, int, tuple[int, int, int, int], float]],
    count: int,
    marked: Sequence[tuple[str, int, tuple[int, int, int, int]]] = (),
) -> list[tuple[int, float]]:
    """An order of boxes that does not repeat the same error.

    Args:
        boxes: camera, frame, box and score of each.
        count: how many at most.
        marked: camera, frame and box of places that people looked at in vain. A box that overlaps one in the same
            frame is left out; in another frame of the camera it counts as a repetition.

    Returns:
        (index, remaining score) of the best, falling. Each time the box with the highest remaining score is taken;
        `SAME_CAMERA` and `SAME_PLACE` then lower the scores of similar boxes.
    """
    left = [score for *_, score in boxes]
    for index, (camera, frame, box, _) in enumerate(boxes):
        near = [number for other, number, place in marked if other == camera and _overlap(place, box)]
        left[index] *= 0 if frame in near else SAME_PLACE if near else 1
    order: list[tuple[int, float]] = []
    while len(order) < min(count, len(boxes)):
        best = max(range(len(left)), key=left.__getitem__)
        if left[best] <= 0:
            break
        order.append((best, left[best]))
        camera, frame, box, _ = boxes[best]
        left[best] = 0.0
        for index, (other, number, other_box, _) in enumerate(boxes):
            if other == camera:
                left[index] *= SAME_PLACE if number != frame and _overlap(other_box, box) else SAME_CAMERA
    return order


def shadow(src: Tensor, bgr: Tensor, within: Tensor) -> float:
    """How much darker a picture is than its plate, 0..1; 0 if its colour differs from the plate's.

    Args:
        src: (3, H, W) display-referred.
        bgr: (3, H, W) the plate.
        within: (H, W) weights of the pixels.
    """
    weight = within / within.sum().clamp_min(1e-6)
    seen, plate = ((picture * weight).sum((1, 2)) for picture in (src, bgr))
    ratio = seen / plate.clamp_min(1e-3)
    mean = float(ratio.mean())
    return max(0.0, 1 - mean) if mean < 1 and float((ratio - mean).abs().max()) < 0.1 * mean else 0.0


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    """Whether two boxes share a third of the smaller one."""
    wide, high = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    smaller = min((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b))
    return wide > 0 and high > 0 and wide * high * 3 >= smaller
