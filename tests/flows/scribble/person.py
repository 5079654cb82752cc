"""A person who works through the proposed boxes of the rendered take and knows what is subject and what is not."""

import numpy as np
from scipy.ndimage import distance_transform_edt

from storage.labels.queue import Mined, write_queue
from storage.store.root import Root
from storage.takes.take import Take
from tests.flows.scribble.hand import Point
from tests.rendered_take import FRAME, TEACHER, TRUTH, error

RENDERED = "woman"
"""Comes after the take of the other tests in the list."""
SIDE = 48
"""Of a box, in pixels of the frame."""
_WRONG = 0.3
_MARGIN = 4.0  # pixels that a brush keeps from soft edges


def propose(root: Root) -> None:
    """A queue with one box for each camera: the place with the largest error, the worst camera first."""
    take, items = Take.open(root, RENDERED), []
    for camera in take.cameras:
        wrong = error(take.read_alpha(TEACHER, camera, FRAME), camera)
        sums = np.pad(wrong.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        of_box = sums[SIDE:, SIDE:] - sums[:-SIDE, SIDE:] - sums[SIDE:, :-SIDE] + sums[:-SIDE, :-SIDE]
        y, x = np.unravel_index(of_box.argmax(), of_box.shape)
        score = float(of_box.max()) / SIDE**2
        box = int(x), int(y), int(x) + SIDE, int(y) + SIDE
        items.append(Mined(camera, FRAME, score, box, ("the matte is wrong here",), {"err": score}, TEACHER))
    write_queue(root, RENDERED, sorted(items, key=lambda item: -item.score), {"run": TEACHER})


def lines(pha: np.ndarray, camera: str, box: tuple[int, int, int, int]) -> dict[str, tuple[Point, Point]]:
    """For "fg" and "bg", a short line on the largest error of that kind in a box; none where there is no error."""
    truth, found = TRUTH(camera, FRAME), {}
    inside = np.zeros(truth.shape, bool)
    inside[box[1] : box[3], box[0] : box[2]] = True
    for label, sure in (("fg", truth > 0.999), ("bg", truth < 0.001)):
        room = distance_transform_edt(sure & (np.abs(pha - truth) > _WRONG) & inside)
        y, x = np.unravel_index(room.argmax(), room.shape)
        if (half := float(room[y, x]) - _MARGIN / 2) > 1:
            found[label] = (x + 0.5 - half / 2, y + 0.5), (x + 0.5 + half / 2, y + 0.5)
    return found
