"""Pictures are read exactly or refused; nothing lies in between."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capmat_errors import ImageUnreadable
from storage.pictures.files import read_grey, read_header, read_image, read_rgba
from storage.pictures.header import Header
from storage.pictures.png import decode_png, encode_png
from tests.storage.tiny_session import write_picture

RNG = np.random.default_rng(3)
TWELVE = RNG.integers(0, 4096, (20, 31, 3)).astype(np.uint16)
EIGHT = RNG.integers(0, 256, (20, 31, 3)).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("picture", [TWELVE, EIGHT], ids=["12 bit", "8 bit"])
def test_integers_are_read_exactly(tmp_path: Path, suffix: str, picture: np.ndarray) -> None:
    path = tmp_path / f"p{suffix}"
    write_picture(path, picture)
    again = read_image(path)
    assert again.dtype == picture.dtype
    np.testing.assert_array_equal(again, picture)
    assert read_header(path) == Header(31, 20, 3, str(picture.dtype))


@pytest.mark.parametrize(
    ("form", "channels"),
    [("gray", 1), ("gray16be", 1), ("rgb24", 3), ("rgb48be", 3), ("rgba", 4), ("rgba64be", 4)],
)
def test_png_is_the_same_to_another_library(tmp_path: Path, form: str, channels: int) -> None:
    import av

    dtype = np.uint16 if form.endswith("be") else np.uint8
    picture = RNG.integers(0, np.iinfo(dtype).max + 1, (20, 31, channels)).astype(dtype).squeeze()
    with av.open(str(tmp_path / "theirs.png"), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 31, 20, form
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format=form)))
        container.mux(stream.encode(None))
    read = {1: read_grey, 3: read_image, 4: read_rgba}[channels]
    assert read(tmp_path / "theirs.png").dtype == picture.dtype
    np.testing.assert_array_equal(read(tmp_path / "theirs.png"), picture)
    (tmp_path / "ours.png").write_bytes(encode_png(picture))
    with av.open(str(tmp_path / "ours.png")) as container:
        np.testing.assert_array_equal(next(container.decode(video=0)).to_ndarray(), picture)
    np.testing.assert_array_equal(decode_png((tmp_path / "ours.png").read_bytes(), "memory"), picture)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_8_bit_pictures_are_the_same_to_pillow(tmp_path: Path, suffix: str) -> None:
    from PIL import Image

    for picture in (EIGHT, EIGHT[..., 0]):
        Image.fromarray(np.ascontiguousarray(picture)).save(tmp_path / f"p{suffix}")
        with Image.open(tmp_path / f"p{suffix}") as image:
            read = read_image if picture.ndim == 3 else read_grey
            np.testing.assert_array_equal(read(tmp_path / f"p{suffix}"), np.asarray(image))


def test_a_name_that_is_not_utf8_is_read_like_any_other(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path / "p") + b"\xff.png"))
    for suffix in (".png", ".tif", ".jpg"):
        write_picture(path.with_suffix(suffix), EIGHT)
        assert read_image(path.with_suffix(suffix)).shape == EIGHT.shape
    np.testing.assert_array_equal(read_image(path), EIGHT)


def test_every_12_bit_value_survives_png(tmp_path: Path) -> None:
    ramp = np.arange(4096, dtype=np.uint16).reshape(64, 64, 1).repeat(3, axis=2)
    write_picture(tmp_path / "ramp.png", ramp)
    np.testing.assert_array_equal(read_image(tmp_path / "ramp.png"), ramp)


def test_red_is_first(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[..., 0] = 200
    for suffix in (".png", ".tif", ".jpg"):
        write_picture(tmp_path / f"red{suffix}", picture)
        assert read_image(tmp_path / f"red{suffix}")[..., 0].min() > 190, suffix
        assert read_image(tmp_path / f"red{suffix}")[..., 1:].max() < 10, suffix


def test_packed_and_planar_tiff_are_read_exactly(tmp_path: Path) -> None:
    import tifffile

    planes = np.ascontiguousarray(TWELVE.transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "planar.tif", planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "planar.tif"), TWELVE)
    tifffile.imwrite(tmp_path / "zip.tif", TWELVE, photometric="rgb", compression="zlib", predictor=True)
    np.testing.assert_array_equal(read_image(tmp_path / "zip.tif"), TWELVE)


def test_half_float_exr_is_read_exactly(tmp_path: Path) -> None:
    picture = RNG.uniform(0, 4, (20, 31, 3)).astype(np.float16)
    write_picture(tmp_path / "p.exr", picture)
    again = read_image(tmp_path / "p.exr")
    assert again.dtype == np.float16
    np.testing.assert_array_equal(again, picture)
    assert read_header(tmp_path / "p.exr") == Header(31, 20, 3, "float16")


def test_jpeg_is_read_to_within_its_loss(tmp_path: Path) -> None:
    picture = np.full((16, 16, 3), (90, 120, 30), np.uint8)
    write_picture(tmp_path / "p.jpg", picture)
    assert np.abs(read_image(tmp_path / "p.jpg").astype(int) - picture).max() <= 2
    assert read_header(tmp_path / "p.jpg") == Header(16, 16, 3, "uint8")


def test_the_content_counts_and_not_the_suffix(tmp_path: Path) -> None:
    write_picture(tmp_path / "p.png", EIGHT)
    (tmp_path / "p.png").rename(tmp_path / "p.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "p.jpg"), EIGHT)


def test_alpha_and_grey_have_their_own_readers(tmp_path: Path) -> None:
    rgba = RNG.integers(0, 256, (9, 11, 4)).astype(np.uint8)
    write_picture(tmp_path / "rgba.png", rgba)
    write_picture(tmp_path / "grey.png", TWELVE[..., 0])
    np.testing.assert_array_equal(read_rgba(tmp_path / "rgba.png"), rgba)
    np.testing.assert_array_equal(read_grey(tmp_path / "grey.png"), TWELVE[..., 0])
    with pytest.raises(ImageUnreadable, match="rgba.png: the picture has an alpha channel"):
        read_image(tmp_path / "rgba.png")
    with pytest.raises(ImageUnreadable, match="grey.png: the picture has no colour"):
        read_image(tmp_path / "grey.png")
    with pytest.raises(ImageUnreadable, match="no alpha channel"):
        read_rgba(tmp_path / "grey.png")
    with pytest.raises(ImageUnreadable, match="not grey"):
        read_grey(tmp_path / "rgba.png")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr", ".jpg"])
def test_no_part_of_a_file_passes_for_the_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    write_picture(path, EIGHT if suffix == ".jpg" else TWELVE.astype(np.float16) if suffix == ".exr" else TWELVE)
    data = path.read_bytes()
    # A JPEG may lose the two bytes of its end mark without losing a pixel.
    for length in [*range(0, len(data), 97), len(data) - (3 if suffix == ".jpg" else 1)]:
        path.write_bytes(data[:length])
        with pytest.raises(ImageUnreadable) as error:
            read_image(path)
        assert str(path) in str(error.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_png_never_gives_another_picture(position: float, bit: int) -> None:
    data = bytearray(encode_png(TWELVE))
    data[8 + int(position * (len(data) - 8))] ^= 1 << bit
    try:
        again = decode_png(bytes(data), "memory")
    except ImageUnreadable:
        return
    np.testing.assert_array_equal(again, TWELVE)


def test_a_file_that_is_not_a_picture_is_refused(tmp_path: Path) -> None:
    for name, content, says in (
        ("a.png", b"", "empty"),
        ("b.png", b"hello", "not a PNG"),
        ("c.tif", b"II*\0zz", "c.tif"),
    ):
        (tmp_path / name).write_bytes(content)
        for read in (read_image, read_header):
            with pytest.raises(ImageUnreadable, match=says):
                read(tmp_path / name)
    with pytest.raises(ImageUnreadable, match="does not exist"):
        read_image(tmp_path / "none.png")


def test_exr_with_nan_or_infinity_is_refused(tmp_path: Path) -> None:
    for bad in (np.nan, np.inf):
        picture = np.ones((4, 4, 3), np.float16)
        picture[1, 2, 0] = bad
        write_picture(tmp_path / "p.exr", picture)
        with pytest.raises(ImageUnreadable, match="nan or infinity"):
            read_image(tmp_path / "p.exr")
