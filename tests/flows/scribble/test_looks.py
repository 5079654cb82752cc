"""What the scribble page lays over the picture, read off a real screen."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storage.takes.take import Take
from tests.flows.scribble.hand import HEIGHT, WIDTH, Hand
from tests.storage.takes.matted_take import RUN

FRAME = ("c00", 7)


def _screen(hand: Hand) -> NDArray[np.float64]:
    """The frame as the window shows it, pixel for pixel, (H, W, 3)."""
    hand.tab.settle()
    shown = np.array(Image.open(BytesIO(hand.tab.picture())).convert("RGB"), np.float64)
    left, top = round(hand.left - WIDTH / 2), round(hand.top - HEIGHT / 2)
    return shown[top : top + HEIGHT, left : left + WIDTH]


def _set(hand: Hand, field: str, value: object) -> None:
    hand.tab.ask(
        f"(f => {{ f.value = '{value}'; f.dispatchEvent(new Event('input', {{ bubbles: true }})); }})"
        f"(document.querySelector('#{field}'))"
    )


def _pressed(hand: Hand, view: str) -> bool:
    return bool(hand.tab.ask(f"document.querySelector('[data-view={view}]').ariaPressed === 'true'"))


def test_a_matte_is_laid_over_the_picture_as_equation_1_says(hand: Hand) -> None:
    hand.resize(1000, 640)
    hand.open(*FRAME)
    assert _pressed(hand, "tint")  # what a person judges is seen at once
    hand.tab.press("1")
    pha = np.rint(Take.open(hand.root, "walk").read_alpha(RUN, *FRAME) * 255)[..., None] / 255
    hand.tab.press("v")
    picture = _screen(hand)
    hand.tab.press("a")
    assert np.abs(_screen(hand) - 255 * pha).max() <= 1
    blue = np.array([0x56, 0xB4, 0xE9])
    hand.tab.press("o")
    _set(hand, "strength", 50)
    assert np.abs(_screen(hand) - ((1 - pha / 2) * picture + pha / 2 * blue)).max() <= 3
    for ground, colour in (("black", (0, 0, 0)), ("white", (255, 255, 255)), ("green", (0x20, 0x40, 0x60))):
        hand.tab.press("c")
        _set(hand, "own", "#204060")
        _set(hand, "ground", ground)
        assert np.abs(_screen(hand) - (pha * picture + (1 - pha) * np.array(colour))).max() <= 3
    hand.tab.press("c")
    board = _screen(hand)[pha[..., 0] == 0]
    assert set(np.unique(board)) == {64, 128}


def test_the_wipe_shows_the_picture_to_its_left_and_the_view_to_its_right(hand: Hand) -> None:
    hand.resize(1000, 640)
    hand.open(*FRAME)
    hand.tab.press("1")
    hand.tab.press("v")
    picture = _screen(hand)
    hand.tab.press("a")
    matte = _screen(hand)
    hand.tab.press("w")
    half = WIDTH // 2
    for by in (0, 60):
        if by:
            hand.tab.drag([(hand.left, hand.top + 200), (hand.left + by, hand.top + 200)])
        shown, edge = _screen(hand), half + by
        assert np.array_equal(shown[:, : edge - 14], picture[:, : edge - 14])
        assert np.array_equal(shown[:60, edge + 14 :], matte[:60, edge + 14 :])
    hand.tab.press("w")
    assert np.array_equal(_screen(hand), matte)
    assert hand.stored(*FRAME) == ()


def test_hatching_lets_the_picture_through_and_the_overview_moves_the_view(hand: Hand) -> None:
    hand.resize(1000, 640)
    hand.open(*FRAME)
    hidden = "document.querySelector('#overview').hidden"
    assert hand.tab.ask(hidden)
    hand.tab.press("1")
    hand.tab.press("v")
    picture = _screen(hand)
    hand.tab.press("o")
    _set(hand, "strength", 100)
    hand.tab.ask("document.querySelector('#hatched').click()")
    solid = Take.open(hand.root, "walk").read_alpha(RUN, *FRAME) == 1
    same = np.abs(_screen(hand) - picture)[solid].max(1) <= 2
    assert 0.3 < same.mean() < 0.8
    for _ in range(6):
        hand.tab.press("+")
    assert not hand.tab.ask(hidden)
    box = hand.tab.ask(
        "(r => [r.left, r.top, r.width, r.height])(document.querySelector('#overview').getBoundingClientRect())"
    )
    hand.tab.drag([(box[0] + 0.25 * box[2], box[1] + 0.5 * box[3])])
    hand.draw((WIDTH / 2, HEIGHT / 2))
    hand.saved()
    assert abs(hand.stored(*FRAME)[-1].points[0][0] - 0.25 * WIDTH) < 4
