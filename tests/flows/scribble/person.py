"""A person who works through proposed boxes at the page, and knows what is subject and what is not."""

import json
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from storage.labels.queue import Mined, write_queue
from storage.labels.strokes import Stroke
from storage.store.root import Root
from storage.takes.take import Take
from tests.flows.scribble.hand import HEIGHT, WIDTH, Hand, Point
from tests.rendered_take import FRAME, TEACHER, TRUTH, error

RENDERED = "woman"
"""Comes after the take of the other tests in the list."""
SIDE = 48
"""Of a box, in pixels of the frame."""
_WRONG = 0.3
_MARGIN = 4.0  # pixels that a brush keeps from soft edges
# The canvas with the matte, one pixel of the window for each of the frame: its alpha is the shown matte. In a window
# of odd size the frame lies half a pixel beside the middle, so a rim of one pixel is read as well.
_SHOWN = """(([height, width]) => {
  const canvas = document.querySelector("#over"), { data } = canvas.getContext("2d").getImageData(
    Math.round((canvas.width - width) / 2), Math.round((canvas.height - height) / 2), width, height);
  return JSON.stringify(Array.from({ length: width * height }, (_, i) => data[4 * i + 3]));
})"""


class Person:
    """At a page with the frames of a take.

    Args:
        hand: at that page.
        size: height and width of the frames.
    """

    def __init__(self, hand: Hand, size: tuple[int, int]) -> None:
        self.hand, self.tab, self.size, self.rim = hand, hand.tab, size, (1, 1)

    def opened(self, camera: str, frame: int) -> None:
        """Wait for a frame, and show it pixel for pixel."""
        self.tab.wait_for(f"document.querySelector('#name').textContent === '{camera} · frame {frame}'")
        self.tab.press("0")
        self.tab.press("1")
        self.hand.measure()
        self.hand.zoom = 1
        self.hand.left += (WIDTH - self.size[1]) / 2  # it knows the size of another take
        self.hand.top += (HEIGHT - self.size[0]) / 2

    def draw(self, line: tuple[Point, Point], tool: str) -> None:
        """A stroke."""
        (x0, y), (x1, _) = line
        points = [(x0 + (x1 - x0) * n / 3, y) for n in range(4)]
        if tool == "pen":
            self.hand.pen(points, [0.5] * 4)
        elif tool == "touch":
            for kind, at in zip(("Start", "Move", "Move", "Move"), points, strict=True):
                self.hand.touch(kind, at)
            self.hand.touch("End")
        else:
            self.hand.draw(*points)

    def previewed(self) -> None:
        """Wait until the preview of all strokes is there."""
        self.tab.wait_for("document.querySelector('#preview').ariaBusy === 'false'")

    def shown(self) -> NDArray[np.float32]:
        """The matte that the window shows."""
        self.tab.settle()
        size = [side + 2 for side in self.size]
        with_rim = np.array(json.loads(self.tab.ask(f"{_SHOWN}({size})"))).reshape(size) / np.float32(255)
        return with_rim[self.rim[0] :, self.rim[1] :][: self.size[0], : self.size[1]]

    def align(self, stored: NDArray[np.float32]) -> None:
        """Find the pixel at which the frame begins within the rim, by what the window has to show."""

        def apart(rim: tuple[int, int]) -> float:
            self.rim = rim
            return float(np.abs(self.shown() - stored).max())

        self.rim = min(product(range(3), repeat=2), key=apart)


def at_the_take(hand: Hand) -> Person:
    """A person who has opened the page and chosen the rendered take."""
    hand.open()
    hand.tab.ask(
        f"(list => {{ list.value = '{RENDERED}'; list.dispatchEvent(new Event('change')); }})"
        "(document.querySelector('#take'))"
    )
    return Person(hand, TRUTH("C01", FRAME).shape)


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


def lines(
    pha: NDArray[np.float32], truth: NDArray[np.float32], box: tuple[int, int, int, int]
) -> dict[str, tuple[Point, Point]]:
    """For "fg" and "bg", a short line on the largest error of that kind in a box; none where there is no error."""
    found = {}
    inside = np.zeros(truth.shape, bool)
    inside[box[1] : box[3], box[0] : box[2]] = True
    for label, sure in (("fg", truth > 0.999), ("bg", truth < 0.001)):
        room = distance_transform_edt(sure & (np.abs(pha - truth) > _WRONG) & inside)
        y, x = np.unravel_index(room.argmax(), room.shape)
        if (half := float(room[y, x]) - _MARGIN / 2) > 1:
            found[label] = (x + 0.5 - half / 2, y + 0.5), (x + 0.5 + half / 2, y + 0.5)
    return found


def strokes_on(pha: np.ndarray, camera: str) -> tuple[Stroke, ...]:
    """The same in the whole frame, as strokes."""
    height, width = pha.shape
    found = lines(pha, TRUTH(camera, FRAME), (0, 0, width, height)).items()
    return tuple(Stroke(label, 2.0, line, "Mia", "") for label, line in found)
