"""A whole session at the page, on the rendered stage: a person paints in the proposed box, sees it heal, finishes."""

import json
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from storage.labels.drafts import read_draft
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.marks import read_marks
from storage.labels.queue import read_queue
from storage.labels.raster import OPEN, rasterise
from storage.takes.take import Take
from tasks.labels.epipolar import line_in
from tests.flows.scribble.hand import HEIGHT, WIDTH, Hand, Point
from tests.flows.scribble.person import RENDERED, lines
from tests.rendered_take import FRAME, TEACHER, TRUTH, error

_SIZE = TRUTH("C01", FRAME).shape
# The canvas with the matte, one pixel of the window for each of the frame: its alpha is the shown matte. In a window
# of odd size the frame lies half a pixel beside the middle, so a rim of one pixel is read as well.
_SHOWN = """(([height, width]) => {
  const canvas = document.querySelector("#over"), { data } = canvas.getContext("2d").getImageData(
    Math.round((canvas.width - width) / 2), Math.round((canvas.height - height) / 2), width, height);
  return JSON.stringify(Array.from({ length: width * height }, (_, i) => data[4 * i + 3]));
})"""
# Where the marks are yellow, in pixels of the frame.
_YELLOW = f"""(([height, width]) => {{
  const canvas = document.querySelector("#marks"), {{ data }} = canvas.getContext("2d").getImageData(
    Math.round((canvas.width - width) / 2), Math.round((canvas.height - height) / 2), width, height);
  const found = [];
  for (let i = 0; i < width * height; i++) {{
    if (data[4 * i] > 150 && data[4 * i + 2] < 120) found.push([i % width, Math.floor(i / width)]);
  }}
  return found.length && found;
}})({list(_SIZE)})"""


class Person:
    """At the rendered take, which no other test uses, with the frame shown pixel for pixel."""

    def __init__(self, hand: Hand) -> None:
        self.hand, self.tab, self.rim = hand, hand.tab, (1, 1)
        hand.open()
        self.tab.ask(
            f"(list => {{ list.value = '{RENDERED}'; list.dispatchEvent(new Event('change')); }})"
            "(document.querySelector('#take'))"
        )

    def opened(self, camera: str) -> None:
        """Wait for the frame of a camera, and show it pixel for pixel."""
        self.tab.wait_for(f"document.querySelector('#name').textContent === '{camera} · frame {FRAME}'")
        self.tab.press("0")
        self.tab.press("1")
        self.hand.measure()
        self.hand.zoom = 1
        self.hand.left += (WIDTH - _SIZE[1]) / 2  # it knows the size of the other take
        self.hand.top += (HEIGHT - _SIZE[0]) / 2

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
        size = [side + 2 for side in _SIZE]
        with_rim = np.array(json.loads(self.tab.ask(f"{_SHOWN}({size})"))).reshape(size) / np.float32(255)
        return with_rim[self.rim[0] :, self.rim[1] :][: _SIZE[0], : _SIZE[1]]

    def align(self, stored: NDArray[np.float32]) -> None:
        """Find the pixel at which the frame begins within the rim, by what the window has to show."""

        def apart(rim: tuple[int, int]) -> float:
            self.rim = rim
            return float(np.abs(self.shown() - stored).max())

        self.rim = min(product(range(3), repeat=2), key=apart)


@pytest.mark.parametrize(("tool", "size"), [("mouse", (1280, 720)), ("pen", (1400, 900)), ("touch", (2732, 2048))])
def test_a_person_paints_in_the_first_box_sees_it_heal_and_makes_labels(
    hand: Hand, tool: str, size: tuple[int, int]
) -> None:
    hand.resize(*size)
    person, box = Person(hand), read_queue(hand.root, RENDERED).items[0]
    person.opened(box.camera)
    stored = Take.open(hand.root, RENDERED).read_alpha(TEACHER, box.camera, FRAME)
    person.align(stored)
    before = person.shown()
    assert np.abs(before - stored).max() < 1.5 / 255
    inside = slice(box.box[1], box.box[3]), slice(box.box[0], box.box[2])
    found = lines(before, box.camera, box.box)
    assert found
    for label, line in found.items():
        hand.tab.press(label[0])
        person.draw(line, tool)
    person.previewed()
    after = person.shown()
    wrong, left = (error(pha, box.camera)[inside].sum() for pha in (before, after))
    assert left < 0.8 * wrong
    hand.tab.press("x")
    assert np.array_equal(person.shown(), before)  # the stored matte is as it was
    hand.tab.press("x")

    hand.saved()
    draft = read_draft(hand.root, RENDERED, box.camera, FRAME)
    assert draft
    assert [stroke.label for stroke in draft.drawing.strokes] == list(found)
    hand.tab.ask("document.querySelector('#done').click()")
    hand.tab.wait_for("document.querySelector('#finish').open && !document.querySelector('#finish-go').hidden")
    hand.tab.ask("document.querySelector('#finish-go').click()")
    hand.tab.wait_for("document.querySelector('#finish-body').textContent.includes('l0001')")
    labels = LabelSet.open(hand.root, LABELS)
    assert labels.keys == [(RENDERED, box.camera, FRAME)]
    label = labels.label(*labels.keys[0])
    assert np.array_equal(label, rasterise(draft.drawing.strokes, _SIZE))
    assert (label[inside] != OPEN).any()


def test_a_box_is_marked_by_a_key_and_the_next_one_opens(hand: Hand) -> None:
    person, (first, second, *_) = Person(hand), read_queue(hand.root, RENDERED).items
    person.opened(first.camera)
    hand.tab.press("y")
    person.opened(second.camera)
    said = "document.querySelector('.item .said')?.textContent"
    assert hand.tab.ask(said) == "nothing wrong"
    assert [(*mark.place, mark.kind) for mark in read_marks(hand.root, RENDERED)] == [
        (first.camera, first.frame, first.box, "right")
    ]
    hand.tab.press("p")
    person.opened(first.camera)
    hand.tab.wait_for("document.querySelector('[data-mark=right]').ariaPressed === 'true'")
    hand.tab.press("y")  # once more takes it back
    hand.tab.wait_for(f"!{said}")
    assert read_marks(hand.root, RENDERED) == []


def test_a_marked_point_is_a_line_in_the_next_camera(hand: Hand) -> None:
    person, (first, second, *_) = Person(hand), read_queue(hand.root, RENDERED).items
    person.opened(first.camera)
    hand.tab.mouse("mouseMoved", *hand.at((112.0, 120.0)))
    hand.tab.press("m")
    hand.tab.wait_for(_YELLOW)
    hand.tab.press("n")
    person.opened(second.camera)
    hand.tab.wait_for(f"({_YELLOW}).length > 100")
    hand.tab.settle()
    drawn = np.array(hand.tab.ask(_YELLOW)) + 0.5
    cameras = Take.open(hand.root, RENDERED).cameras
    line = np.array(line_in(cameras[first.camera], (112.0, 120.0), cameras[second.camera]))
    away = np.hypot(*(line[:, None] - drawn).transpose(2, 0, 1)).min(1)
    assert np.median(away) < 1
    assert away[1:-1].max() < 3
