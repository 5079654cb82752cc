"""Fingers and a pen on the scribble page, with the events that a real browser makes of them."""

import numpy as np
import pytest

from storage.labels.raster import rasterise
from tests.flows.scribble.hand import HEIGHT, WIDTH, Hand

FRAME = ("c00", 5)


def _touch_dots(hand: Hand, *, many: int = 1) -> None:
    """Paint dots with one finger."""
    for n in range(many):
        hand.touch("Start", (60.0 + 40 * n, 50.0))
        hand.touch("End")


def test_two_fingers_zoom_and_move_and_never_paint(hand: Hand) -> None:
    hand.open(*FRAME)
    before = hand.zoomed()
    hand.touch("Start", (180.0, 150.0))
    hand.touch("Move", (170.0, 150.0))  # the first finger paints for a moment
    hand.touch("Start", (170.0, 150.0), (240.0, 150.0))
    for by in range(0, 100, 20):
        hand.touch("Move", (170.0 - by, 150.0), (240.0 + by, 150.0))
    hand.touch("End", (90.0, 150.0))
    hand.touch("Move", (120.0, 180.0))  # the finger that stays moves the picture
    hand.touch("End")
    hand.tab.wait_for(f"parseInt(document.querySelector('#zoom').textContent) > {200 * before}")
    assert (hand.count("fg"), hand.stored(*FRAME)) == (0, ())
    hand.tab.press("0")
    assert hand.zoomed() == before
    hand.touch("Start", (60.0, 50.0))
    hand.touch("Move", (80.0, 50.0))
    hand.touch("Cancel")  # as when the system takes a gesture for its own
    assert hand.count("fg") == 0
    _touch_dots(hand)
    assert hand.count("fg") == 1


def test_a_short_tap_of_two_fingers_undoes_and_of_three_redoes(hand: Hand) -> None:
    hand.open(*FRAME)
    _touch_dots(hand, many=2)
    assert hand.count("fg") == 2
    _touch_dots(hand)  # a double tap of one finger is paint
    assert hand.count("fg") == 3
    hand.touch("Start", (60.0, 50.0), (120.0, 60.0))
    hand.touch("End")
    assert hand.count("fg") == 2
    hand.touch("Start", (60.0, 50.0), (120.0, 60.0), (180.0, 80.0))
    hand.touch("End")
    assert hand.count("fg") == 3
    hand.touch("Start", (60.0, 50.0), (120.0, 60.0))
    hand.touch("Move", (60.0, 80.0), (120.0, 90.0))  # this moves the picture
    hand.touch("End")
    assert hand.count("fg") == 3


def test_the_pressure_of_a_pen_is_the_radius_and_its_label_equals_its_strokes(hand: Hand) -> None:
    hand.open(*FRAME)
    for _ in range(9):
        hand.tab.press("]")
    line = [(40.0 + 30 * n, 200.0) for n in range(8)]
    hand.pen(line, [0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0])
    assert hand.count("fg") == 1  # one movement, whatever it is stored as
    hand.saved()
    stored = hand.stored(*FRAME)
    radii = [stroke.radius for stroke in stored]
    assert radii == sorted(radii)
    assert radii[-1] > 3 * radii[0]
    label = rasterise(stored, (HEIGHT, WIDTH))
    wide = (label == 1).sum(0)
    assert wide[245] > 1.5 * wide[70] > 0
    assert np.all(wide[45:245] > 0)  # no gap between the parts
    hand.tab.press("z", ctrl=True)
    assert hand.count("fg") == 0
    hand.tab.press("z", ctrl=True, shift=True)
    assert hand.count("fg") == 1
    hand.saved()
    assert hand.stored(*FRAME) == stored


def test_once_a_pen_is_seen_fingers_and_palms_move_the_picture_only(hand: Hand) -> None:
    hand.open(*FRAME)
    hand.touch("Start", (200.0, 200.0), radius=60)  # a palm, before any pen
    hand.touch("Move", (220.0, 200.0), radius=60)
    hand.touch("End")
    assert hand.count("fg") == 0
    hand.touch("Start", (200.0, 200.0))  # a hand that comes down just before its pen
    hand.pen([(40.0, 40.0), (90.0, 60.0)], [0.5, 0.5])
    hand.touch("Move", (210.0, 210.0))
    hand.touch("End")
    assert hand.count("fg") == 1
    assert hand.tab.ask("document.querySelector('#pen').ariaPressed") == "true"
    hand.rest()
    hand.tab.press("1")
    hand.tab.wait_for("document.querySelector('#zoom').textContent === '100 %'")
    hand.touch("Start", (200.0, 200.0))
    hand.touch("Move", (160.0, 200.0))
    hand.touch("End")
    assert hand.count("fg") == 1
    hand.draw((WIDTH / 2, HEIGHT / 2))  # the middle of the window shows what lay beside it
    hand.saved()
    x, y = hand.stored(*FRAME)[-1].points[0]
    assert (x - WIDTH / 2, y) == pytest.approx((40 * hand.zoom, HEIGHT / 2), abs=2)
    hand.tab.ask("document.querySelector('#pen').click()")  # the person decides otherwise
    _touch_dots(hand)
    assert hand.count("fg") == 3
