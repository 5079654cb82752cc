"""Strokes are kept as they were drawn, and become the same pixels everywhere, at any size."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from capmat_errors import CapmatError, ScribbleError
from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN, rasterise
from storage.labels.strokes import Drawing, Stroke, decode_strokes, encode_strokes, joined

SIZE = (40, 60)
VALUES = {"fg": FOREGROUND, "bg": BACKGROUND, "erase": OPEN}
points = st.tuples(st.floats(-20, 80), st.floats(-20, 60))
strokes = st.builds(
    Stroke,
    label=st.sampled_from(["fg", "bg", "erase"]),
    radius=st.floats(0.75, 20),
    points=st.lists(points, min_size=1, max_size=6).map(tuple),
    author=st.sampled_from(["", "Mia", "Zoë"]),
    time=st.sampled_from(["", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00.123+01:00"]),
)
drawings = st.builds(
    Drawing,
    take=st.just("walk"),
    camera=st.just("c00"),
    frame=st.integers(0, 10**6),
    width=st.just(SIZE[1]),
    height=st.just(SIZE[0]),
    strokes=st.lists(strokes, max_size=5).map(tuple),
)
STROKE = Stroke("fg", 2.0, ((1.0, 1.0), (5.5, 7.25)), "Mia", "2026-03-01T10:00:00Z")
DRAWING = Drawing("walk", "c00", 3, 60, 40, (STROKE,))


def distance(stroke: Stroke, size: tuple[int, int], scale: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.float64]:
    """How far each pixel's centre is from the line, said in the plainest way."""
    y, x = (np.mgrid[: size[0], : size[1]] + 0.5) * np.array(scale)[:, None, None]
    away = np.full(size, np.inf)
    for (ax, ay), (bx, by) in zip(stroke.points, stroke.points[1:] or stroke.points, strict=False):
        square = (bx - ax) ** 2 + (by - ay) ** 2
        part = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / square if square > 0 else np.zeros(size)
        part = np.clip(part, 0, 1)
        away = np.minimum(away, np.hypot(x - ax - part * (bx - ax), y - ay - part * (by - ay)))
    return away


@given(drawings)
def test_a_drawing_comes_back_as_it_was(drawing: Drawing) -> None:
    data = encode_strokes(drawing)
    assert decode_strokes(data) == drawing
    assert encode_strokes(decode_strokes(data)) == data


@settings(max_examples=60)
@given(strokes)
def test_a_pixel_is_painted_when_its_centre_is_within_the_radius_of_the_line(stroke: Stroke) -> None:
    painted = rasterise([replace(stroke, label="fg")], SIZE) == FOREGROUND
    away = distance(stroke, SIZE)
    assert painted[away < stroke.radius - 1e-6].all()
    assert not painted[away > stroke.radius + 1e-6].any()


@settings(max_examples=40)
@given(st.lists(strokes, max_size=5), st.sampled_from([0.25, 0.5, 0.6, 1.7, 2.0]))
def test_sizes_agree_except_within_a_pixel_of_an_edge(drawn: list[Stroke], scale: float) -> None:
    full, other = rasterise(drawn, SIZE), rasterise(drawn, SIZE, scale)
    assert other.shape == (round(SIZE[0] * scale), round(SIZE[1] * scale))
    step = tuple(whole / part for whole, part in zip(SIZE, other.shape, strict=True))
    y, x = ((np.mgrid[: other.shape[0], : other.shape[1]] + 0.5) * np.array(step)[:, None, None]).astype(int)
    edge = np.zeros(other.shape, bool)
    for stroke in drawn:
        # the centres of the two pixels that are compared are at most a pixel of the coarser one apart
        edge |= np.abs(distance(stroke, other.shape, step) - stroke.radius) <= np.hypot(*step) / 2 + 0.75
    assert (full[y, x] == other)[~edge].all()


@settings(max_examples=40)
@given(st.lists(strokes, max_size=6))
def test_later_strokes_win_and_nothing_else_is_labelled(drawn: list[Stroke]) -> None:
    expected = np.full(SIZE, OPEN, np.uint8)
    for stroke in drawn:
        expected[rasterise([replace(stroke, label="fg")], SIZE) == FOREGROUND] = VALUES[stroke.label]
    label = rasterise(drawn, SIZE)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, expected)
    np.testing.assert_array_equal(label, rasterise(tuple(drawn), SIZE))


@given(st.floats(0, 59.99), st.floats(0, 39.99))
def test_the_smallest_dot_paints_the_pixel_that_it_is_in(x: float, y: float) -> None:
    assert rasterise([Stroke("bg", 0.75, ((x, y),))], SIZE)[int(y), int(x)] == BACKGROUND


def test_a_brush_of_one_radius_paints_what_a_person_expects() -> None:
    label = rasterise([Stroke("fg", 1.5, ((10.5, 10.5), (20.5, 10.5))), Stroke("erase", 1.0, ((15.5, 10.5),))], SIZE)
    assert (label[9:12, 10:21] == FOREGROUND).sum() == 3 * 11 - 5
    assert label[10, 15] == OPEN
    assert (label[8] == OPEN).all()


def test_strokes_are_painted_over_what_lies_below() -> None:
    below = np.zeros(SIZE, np.uint8)
    label = rasterise([Stroke("erase", 3.0, ((30.0, 20.0),))], SIZE, below=below)
    assert set(np.unique(label)) == {BACKGROUND, OPEN}
    assert not below.any()
    with pytest.raises(ScribbleError, match="strokes for 30x20 on a label of 60x40"):
        rasterise([STROKE], SIZE, 0.5, below)
    with pytest.raises(ScribbleError, match="nothing is left of 60x40"):
        rasterise([STROKE], SIZE, 0.001)


def test_long_strokes_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    stroke = Stroke("fg", 3.0, tuple((float(x), float(y)) for x, y in rng.uniform(-5, 60, (50, 2))))
    whole = rasterise([stroke], SIZE)
    monkeypatch.setattr("storage.labels.raster._ROWS_AT_ONCE", 20)
    np.testing.assert_array_equal(rasterise([stroke], SIZE), whole)


@given(st.lists(strokes, max_size=4), st.lists(strokes, max_size=4))
def test_joined_drawings_hold_every_stroke_of_both_once(below: list[Stroke], above: list[Stroke]) -> None:
    both = joined(below, above)
    assert set(both) == {*below, *above}
    assert list(both[: len(below)]) == below
    assert joined(both, above) == both


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("radius", float("nan"), "stroke 0: its radius is nan"),
        ("radius", 0.1, "radius is 0.1, not a number from 0.75"),
        ("radius", True, "radius is True"),
        ("label", "hair", "label is 'hair', not fg, bg or erase"),
        ("points", [], "points are not a list of 1 to"),
        ("points", [[0, 0]] * 20_001, "points are not a list of 1 to"),
        ("points", [[0.0, 0.0], [1.0, float("inf")]], "stroke 0, point 1: its y is inf"),
        ("points", [[0.0, 0.0], [1000.0, 0.0]], "stroke 0, point 1: its x is 1000.0, not a number from -60 to 120"),
        ("points", [[0.0]], "not a pair"),
        ("time", "yesterday", "not ISO 8601"),
        ("time", "2026-03-01T10:00:00", "without an offset"),
        ("author", "a\nb", "author is not one line of text"),
        ("author", "a" * 201, "author is not one line of text"),
        ("colour", "red", "expected exactly the fields"),
    ],
)
def test_what_is_no_stroke_is_refused_by_its_number(field: str, value: Any, says: str) -> None:
    data = json.loads(encode_strokes(DRAWING))
    data["strokes"][0][field] = value
    with pytest.raises(ScribbleError, match=says) as error:
        decode_strokes(json.dumps(data).encode(), "strokes.json")
    assert str(error.value).startswith("strokes.json")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("take", "../secret", "cannot be the name of a take"),
        ("camera", "", "cannot be the name of a camera"),
        ("frame", -1, "its frame is -1"),
        ("frame", 1.5, "its frame is 1.5"),
        ("width", 10**6, "its width is 1000000"),
        ("strokes", {}, "its strokes are not a list"),
        ("strokes", [0] * 10_001, "not a list of up to 10000"),
        ("schema", 2, "schema 1"),
    ],
)
def test_what_is_no_drawing_is_refused(field: str, value: Any, says: str) -> None:
    data = json.loads(encode_strokes(DRAWING)) | {field: value}
    with pytest.raises(CapmatError, match=says):
        decode_strokes(json.dumps(data).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_what_is_no_json_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(ScribbleError):
        decode_strokes(data)


def test_nothing_is_written_that_could_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScribbleError, match="walk camera c00 frame 3, stroke 0: its radius"):
        encode_strokes(replace(DRAWING, strokes=(replace(STROKE, radius=float("nan")),)))
    monkeypatch.setattr("storage.labels.strokes._MAX_ALL_POINTS", 5)
    with pytest.raises(ScribbleError, match="more than 5 points"):
        encode_strokes(replace(DRAWING, strokes=(STROKE,) * 3))


def test_strokes_that_take_minutes_to_paint_are_refused() -> None:
    wide = replace(STROKE, radius=2048.0, points=((1.0, 2.0),) * 20_000)  # 82 million rows of pixels
    with pytest.raises(ScribbleError, match="too many points for brushes as wide as 2048"):
        encode_strokes(replace(DRAWING, strokes=(wide,) * 3))
