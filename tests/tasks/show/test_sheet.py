"""What a contact sheet promises: nothing stretched, nothing hidden, equal mattes leave no mark."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from capmat_errors import SizeMismatch
from tasks.show.sheet import (
    BROKEN,
    EMPTY,
    GREEN_SCREEN,
    SCRIBBLE,
    Row,
    comp_on_green,
    contact_sheet,
    error_picture,
    fit_height,
    overlay_picture,
    rgb8,
    to_jpeg,
)

alphas = arrays(np.float32, (7, 9), elements=st.floats(0, 1, width=32))


def pixels(sheet, colour):
    return int((sheet == np.array(colour, np.uint8)).all(axis=2).sum())


def solid(height, width, colour):
    return np.full((height, width, 3), colour, np.uint8)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(8, 60))
def test_every_picture_keeps_its_shape(height, width, cell):
    sheet = contact_sheet([Row("cam", [solid(height, width, (200, 10, 90))])], ["image"], cell_height=cell)
    assert pixels(sheet, (200, 10, 90)) == cell * max(1, round(width * cell / height))


def test_cameras_of_different_size_and_orientation_stand_together():
    rows = [Row("wide", [solid(30, 60, (9, 200, 9))]), Row("tall", [solid(60, 30, (200, 9, 9))])]
    sheet = contact_sheet(rows, ["image"], cell_height=40)
    assert (pixels(sheet, (9, 200, 9)), pixels(sheet, (200, 9, 9))) == (40 * 80, 40 * 20)
    assert sheet.dtype == np.uint8


def test_none_leaves_a_cell_of_the_columns_width_empty():
    picture = solid(20, 30, (9, 200, 9))
    rows = [Row("a", [picture, picture]), Row("b", [picture, None])]
    sheet = contact_sheet(rows, ["image with a long heading", "base"], cell_height=40)
    assert pixels(sheet, EMPTY) == 40 * 60


def test_captions_and_labels_take_room_and_never_cover_a_picture():
    picture = solid(40, 60, (9, 200, 9))
    bare = contact_sheet([Row("", [picture])], ["a"], cell_height=40)
    named = contact_sheet([Row("camera 17", [picture], ("MSE 8.05",))], ["a"], cell_height=40)
    assert named.shape[0] > bare.shape[0]
    assert named.shape[1] > bare.shape[1]
    assert pixels(named, (9, 200, 9)) == pixels(bare, (9, 200, 9))


def test_a_sheet_without_rows_still_has_its_headings():
    assert contact_sheet([], ["image", "alpha"]).max() > 200


def test_a_row_with_too_few_pictures_is_named():
    with pytest.raises(SizeMismatch, match="cam7"):
        contact_sheet([Row("cam7", [solid(4, 4, (0, 0, 0))])], ["image", "plate"])


@pytest.mark.parametrize("shape", [(4,), (2, 4, 4), (4, 4, 4), (1, 3, 4, 4), (0, 4)])
def test_an_array_that_is_not_a_picture_is_refused(shape):
    with pytest.raises(SizeMismatch, match="not a picture"):
        rgb8(np.zeros(shape, np.float32))


@given(arrays(np.uint8, (6, 5, 3)))
def test_layout_and_dtype_of_a_picture_do_not_matter(picture):
    unit = picture.astype(np.float32) / 255
    for form in (picture, unit, np.moveaxis(unit, -1, 0), np.moveaxis(picture, -1, 0)):
        np.testing.assert_array_equal(rgb8(form), picture)


def test_grey_alpha_shows_as_grey():
    np.testing.assert_array_equal(rgb8(np.array([[0, 1, 0.2]], np.float32))[0], [[0] * 3, [255] * 3, [51] * 3])


def test_what_is_not_a_number_shows_magenta():
    broken = np.array([[np.nan, np.inf, 0.5]], np.float32)
    for picture in (rgb8(broken), error_picture(broken, np.zeros_like(broken))):
        np.testing.assert_array_equal(picture[0, :2], [BROKEN, BROKEN])
    assert tuple(comp_on_green(solid(1, 3, (1, 2, 3)), broken)[0, 0]) == BROKEN


@given(alphas)
def test_equal_mattes_leave_no_error(pha):
    assert not error_picture(pha, pha.copy()).any()


@given(alphas, alphas)
def test_error_is_orange_where_too_high_and_blue_where_too_low(pred, true):
    red, _, blue = np.moveaxis(error_picture(pred, true).astype(int), -1, 0)
    assert ((red > blue) <= (pred > true)).all()
    assert ((blue > red) <= (pred < true)).all()
    assert (red + blue > 0)[np.abs(pred - true) > 1e-4].all()


def test_pictures_of_different_size_are_never_compared():
    small, large = np.zeros((3, 4), np.float32), np.zeros((4, 4), np.float32)
    for make in (error_picture, comp_on_green, overlay_picture):
        with pytest.raises(SizeMismatch):
            make(small, large)


@given(arrays(np.uint8, (6, 5), elements=st.sampled_from([0, 1, 255])))
def test_scribbles_show_exactly_where_they_were_painted(label):
    picture = overlay_picture(np.full((6, 5, 3), 255, np.uint8), label)
    for value, colour in SCRIBBLE.items():
        np.testing.assert_array_equal((picture == colour).all(axis=2), label == value)


@given(arrays(np.uint8, (4, 5, 3)))
def test_a_comp_shows_the_image_where_opaque_and_the_screen_where_clear(image):
    np.testing.assert_array_equal(comp_on_green(image, np.ones((4, 5), np.float32)), image)
    assert (comp_on_green(image, np.zeros((4, 5), np.uint8)) == GREEN_SCREEN).all()


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(2, 24), st.integers(2, 24), st.just(3))), st.integers(2, 30))
def test_resizing_keeps_the_brightness(image, height):
    """A one-pixel hair fades with the size but is not dropped, so the mean stays within rounding."""
    assert abs(float(fit_height(image, height).mean()) - float(image.mean())) <= 0.51


def test_jpeg_keeps_size_and_colour_of_thin_strokes():
    picture = solid(40, 56, (90, 90, 90))
    picture[:, 20:23] = (255, 40, 40)
    data = to_jpeg(picture)
    back = np.asarray(Image.open(io.BytesIO(data)))
    assert data[:2] == b"\xff\xd8"
    assert back.shape == picture.shape
    assert np.abs(back[:, 21].astype(int) - (255, 40, 40)).max() < 40
