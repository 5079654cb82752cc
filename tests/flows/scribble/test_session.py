"""A whole session at the page, on the rendered stage: a person paints in the proposed box, sees it heal, finishes."""

import numpy as np
import pytest

from storage.labels.drafts import read_draft
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.marks import read_marks
from storage.labels.queue import read_queue, write_queue
from storage.labels.raster import OPEN, rasterise
from storage.takes.take import Take
from tasks.labels.epipolar import line_in
from tests.flows.scribble.hand import Hand
from tests.flows.scribble.person import RENDERED, at_the_take, lines
from tests.rendered_take import FRAME, TEACHER, TRUTH, error

_SIZE = TRUTH("C01", FRAME).shape
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


@pytest.mark.parametrize(("tool", "size"), [("mouse", (1280, 720)), ("pen", (1400, 900)), ("touch", (2732, 2048))])
def test_a_person_paints_in_the_first_box_sees_it_heal_and_makes_labels(
    hand: Hand, tool: str, size: tuple[int, int]
) -> None:
    hand.resize(*size)
    person, box = at_the_take(hand), read_queue(hand.root, RENDERED).items[0]
    person.opened(box.camera, FRAME)
    stored = Take.open(hand.root, RENDERED).read_alpha(TEACHER, box.camera, FRAME)
    person.align(stored)
    before = person.shown()
    assert np.abs(before - stored).max() < 1.5 / 255
    inside = slice(box.box[1], box.box[3]), slice(box.box[0], box.box[2])
    found = lines(before, TRUTH(box.camera, FRAME), box.box)
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


def test_the_box_lies_where_it_was_mined_and_only_canvases_with_something_on_them_are_shown(hand: Hand) -> None:
    person, first = at_the_take(hand), read_queue(hand.root, RENDERED).items[0]
    person.opened(first.camera, FRAME)
    person.tab.settle()
    framed = "(r => [r.left, r.top, r.right, r.bottom])(document.querySelector('#box').getBoundingClientRect())"
    corners = [*hand.at(first.box[:2]), *hand.at(first.box[2:])]
    np.testing.assert_allclose(person.tab.ask(framed), corners, atol=3)
    shown = (
        "[...document.querySelectorAll('#stage > canvas')]"
        ".filter(one => one.checkVisibility()).map(one => one.id).join(' ')"
    )
    assert person.tab.ask(shown) == "tiles over"
    hand.draw((150, 150), (160, 160))
    assert person.tab.ask(shown) == "tiles over ink"
    person.tab.press("z", ctrl=True)
    person.tab.press("v")
    person.tab.settle()
    assert person.tab.ask(shown) == "tiles"


def test_a_box_is_marked_by_a_key_and_the_next_one_opens(hand: Hand) -> None:
    person, (first, second, *_) = at_the_take(hand), read_queue(hand.root, RENDERED).items
    person.opened(first.camera, FRAME)
    hand.tab.press("y")
    person.opened(second.camera, FRAME)
    said = "document.querySelector('.item .said')?.textContent"
    assert hand.tab.ask(said) == "nothing wrong"
    assert [(*mark.place, mark.kind) for mark in read_marks(hand.root, RENDERED)] == [
        (first.camera, first.frame, first.box, "right")
    ]
    hand.tab.press("p")
    person.opened(first.camera, FRAME)
    hand.tab.wait_for("document.querySelector('[data-mark=right]').ariaPressed === 'true'")
    hand.tab.press("y")  # once more takes it back
    hand.tab.wait_for(f"!{said}")
    assert read_marks(hand.root, RENDERED) == []


def test_a_key_that_is_held_too_long_marks_one_box_alone(hand: Hand) -> None:
    person, (first, second, *_) = at_the_take(hand), read_queue(hand.root, RENDERED).items
    person.opened(first.camera, FRAME)
    known = {"key": "y", "windowsVirtualKeyCode": ord("Y"), "text": "y"}
    hand.tab.call("Input.dispatchKeyEvent", type="keyDown", **known)
    for _ in range(5):
        person.opened(second.camera, FRAME)
        hand.tab.call("Input.dispatchKeyEvent", type="keyDown", autoRepeat=True, **known)
        hand.tab.settle()
    hand.tab.call("Input.dispatchKeyEvent", type="keyUp", key="y")
    assert [mark.place for mark in read_marks(hand.root, RENDERED)] == [(first.camera, first.frame, first.box)]
    hand.root.delete(f"takes/{RENDERED}.zarr/marks")


def test_a_marked_point_is_a_line_in_the_next_camera(hand: Hand) -> None:
    person, (first, second, *_) = at_the_take(hand), read_queue(hand.root, RENDERED).items
    person.opened(first.camera, FRAME)
    hand.tab.mouse("mouseMoved", *hand.at((112.0, 120.0)))
    hand.tab.press("m")
    hand.tab.wait_for(_YELLOW)
    hand.tab.press("n")
    person.opened(second.camera, FRAME)
    hand.tab.wait_for(f"({_YELLOW}).length > 100")
    hand.tab.settle()
    drawn = np.array(hand.tab.ask(_YELLOW)) + 0.5
    cameras = Take.open(hand.root, RENDERED).cameras
    line = np.array(line_in(cameras[first.camera], (112.0, 120.0), cameras[second.camera]))
    away = np.hypot(*(line[:, None] - drawn).transpose(2, 0, 1)).min(1)
    assert np.median(away) < 1
    assert away[1:-1].max() < 3


def test_a_box_that_was_not_mined_again_is_marked_all_the_same(hand: Hand) -> None:
    person, queue = at_the_take(hand), read_queue(hand.root, RENDERED)
    first, second, *_ = queue.items
    person.opened(first.camera, FRAME)
    hand.draw((150, 150), (160, 160))
    hand.saved()
    write_queue(hand.root, RENDERED, queue.items[1:], queue.how)
    hand.tab.ask("document.querySelector('#done').click()")
    hand.tab.ask("document.querySelector('#finish-go').click()")
    hand.tab.wait_for("document.querySelector('#finish .big')?.textContent === 'Labels l0001'")
    hand.tab.ask("document.querySelector('#finish-cancel').click()")
    hand.tab.wait_for("document.querySelector('.item.here .frozen')?.textContent")
    hand.tab.press("y")
    person.opened(second.camera, FRAME)
    assert hand.tab.ask("document.querySelector('.item .said')?.textContent") == "nothing wrong"
    hand.root.delete(f"takes/{RENDERED}.zarr/marks")
    hand.root.delete(f"takes/{RENDERED}.zarr/mined/{read_queue(hand.root, RENDERED).version}.json")
