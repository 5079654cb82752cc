"""The tools of the scribble page: what they cover is what was meant, and strokes alone make the label."""

import math
import time

import numpy as np
from skimage.draw import polygon2mask

from storage.labels.label_set import LABELS, LabelSet
from storage.labels.queue import Mined, write_queue
from storage.labels.raster import FOREGROUND, OPEN, rasterise
from storage.takes.take import Take
from tasks.labels.desk import finish_scribbles
from tests.flows.scribble.hand import HEIGHT, WIDTH, Hand, Point
from tests.storage.raw_pictures import write_raw
from tests.storage.takes.matted_take import RUN

FRAME = ("c00", 5)
_STAR = [
    (round(200 + r * math.cos(a), 2), round(150 + r * math.sin(a), 2))
    for n in range(10)
    for r, a in [((110, 45)[n % 2], n * math.pi / 5)]
]


def _inside(corners: list[Point]) -> np.ndarray:
    """What scikit-image finds inside an outline; its pixels have their centres at whole numbers."""
    return np.asarray(polygon2mask((HEIGHT, WIDTH), np.array([(y - 0.5, x - 0.5) for x, y in corners])))


def _edge_aside(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that differ and are not beside an edge of the other."""
    near = np.zeros(other.shape, bool)
    for by in (-1, 1):
        for axis in (0, 1):
            near |= np.roll(other, by, axis) != other
    return float(((one != other) & ~near).mean())


def test_a_lasso_fills_what_it_goes_around_and_its_label_equals_its_strokes(hand: Hand) -> None:
    hand.open(*FRAME)
    hand.tab.press("q")
    hand.draw(*_STAR)
    assert hand.count("fg") == 1
    hand.saved()
    strokes = hand.stored(*FRAME)
    label = rasterise(strokes, (HEIGHT, WIDTH))
    assert _edge_aside(label == FOREGROUND, _inside(_STAR)) == 0
    assert ((label == FOREGROUND) != _inside(_STAR)).mean() < 0.002  # edges lie where a pixel of the window is
    finish_scribbles(hand.root.url, ["walk"])
    assert np.array_equal(LabelSet.open(hand.root, LABELS).label("walk", *FRAME), label)


def test_a_polygon_has_straight_sides_and_closes_at_its_first_corner(hand: Hand) -> None:
    hand.open(*FRAME)
    hand.tab.press("k")
    corners = [(60.0, 40.0), (360.0, 80.0), (300.0, 260.0), (80.0, 200.0)]
    hand.draw((10.0, 10.0))
    hand.tab.press("Escape")
    for corner in [*corners, (390.0, 290.0)]:
        hand.draw(corner)
    hand.tab.press("z", ctrl=True)  # takes the last corner back
    assert hand.count("fg") == 0
    hand.draw((62.0, 41.0))  # at the first corner, nearly
    assert hand.count("fg") == 1
    hand.saved()
    label = rasterise(hand.stored(*FRAME), (HEIGHT, WIDTH))
    assert _edge_aside(label == FOREGROUND, _inside(corners)) == 0
    assert {FOREGROUND, OPEN} == set(np.unique(label))
    hand.tab.press("z", ctrl=True)
    assert hand.count("fg") == 0


def test_the_wheel_changes_the_brush_and_with_ctrl_the_zoom(hand: Hand) -> None:
    hand.open(*FRAME)
    size = "parseInt(document.querySelector('#radius').textContent)"
    before, zoom = hand.tab.ask(size), hand.zoomed()
    hand.tab.wheel(*hand.at((200.0, 150.0)), -240)
    hand.tab.wheel(*hand.at((200.0, 150.0)), -240)
    hand.tab.wait_for(f"{size} > {1.8 * before}")
    assert hand.zoomed() == zoom
    hand.tab.wheel(*hand.at((200.0, 150.0)), -240, ctrl=True)
    hand.tab.wait_for(f"parseInt(document.querySelector('#zoom').textContent) > {120 * zoom}")
    hand.tab.ask(
        "(f => { f.value = 4; f.dispatchEvent(new Event('input', { bubbles: true })); })"
        "(document.querySelector('#size'))"
    )
    assert hand.tab.ask(size) == 32


def test_a_smart_stroke_becomes_cells_and_is_undone_at_once(hand: Hand) -> None:
    bright = np.zeros((HEIGHT, WIDTH, 3), np.uint16)
    bright[:150] = 2500
    write_raw(Take.open(hand.root, "walk"), *FRAME, bright)
    hand.open(*FRAME)
    hand.tab.press("j")
    for _ in range(9):
        hand.tab.press("]")
    hand.draw((100.0, 140.0), (260.0, 140.0))  # reaches over the edge by 4 pixels
    assert hand.count("fg") == 1
    until = time.monotonic() + 60
    while {stroke.radius for stroke in hand.stored(*FRAME)} != {0.75}:
        assert time.monotonic() < until
        time.sleep(0.3)
    label = rasterise(hand.stored(*FRAME), (HEIGHT, WIDTH))
    assert (label[:150, 120:240] == FOREGROUND).sum() > 1500
    assert (label[152:] == OPEN).all()
    assert hand.count("fg") == 1
    hand.tab.press("z", ctrl=True)
    assert hand.count("fg") == 0


def test_a_held_key_shows_the_frame_before_or_after_over_this_one(hand: Hand) -> None:
    hand.open(*FRAME)
    name = "document.querySelector('#name').textContent"
    for key, shown in ((",", "c00 · frame 4"), (".", "c00 · frame 7"), (">", "c01 · frame 5")):
        hand.tab.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        assert hand.tab.ask(name) == f"{shown}, over this one"
        hand.tab.settle()
        hand.tab.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        assert hand.tab.ask(name) == "c00 · frame 5"


def test_the_list_is_filtered_by_camera_and_reason(hand: Hand) -> None:
    seen = "[...document.querySelectorAll('.item b')].map((one) => one.textContent).join()"
    boxes = [
        Mined("c00", 4, 0.9, (10, 20, 90, 120), ("lost: 3 of 3 cameras see the subject here",), {"hole": 0.8}, RUN),
        Mined("c01", 7, 0.8, (10, 20, 90, 120), ("the student expects to be wrong here",), {"err": 0.6}, RUN),
        Mined("c00", 7, 0.7, (10, 20, 90, 120), ("the student expects to be wrong here",), {"err": 0.5}, RUN),
    ]
    write_queue(hand.root, "walk", boxes, {})
    try:
        hand.open()
        assert "0 of 3 proposed frames painted" in hand.tab.ask("document.querySelector('#progress').textContent")
        assert "box=10%2C20%2C90%2C120" in hand.tab.ask("location.hash")
        for field, value, left in (
            ("only-kind", "err", "c01 · 7,c00 · 7"),
            ("only-camera", "c00", "c00 · 7"),
            ("only-kind", "", "c00 · 4,c00 · 7"),
        ):
            hand.tab.ask(
                f"(f => {{ f.value = '{value}'; f.dispatchEvent(new Event('change')); }})"
                f"(document.querySelector('#{field}'))"
            )
            assert hand.tab.ask(seen) == left
        hand.tab.press("n")
        hand.tab.wait_for("document.querySelector('#name').textContent === 'c00 · frame 7'")
    finally:
        hand.root.delete("takes/walk.zarr/mined")
