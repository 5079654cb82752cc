"""TIFF, EXR, DPX, DNG and JPEG: what is read is what was written, and what would change on the way is refused."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from capmat_errors import ImageUnreadable
from storage.pictures.colour import Colour
from storage.pictures.files import check_source, read_header, read_image, read_mosaic
from storage.pictures.header import Header
from storage.recordings.check import check_colour
from storage.recordings.recording import find_recordings
from tests.storage.pictures.packed_tiff import write_packed_tiff
from tests.storage.tiny_session import write_picture

CASES = Path(__file__).parents[2] / "cases"
RNG = np.random.default_rng(11)
MOSAIC = Colour(12, "linear", 64, cfa="RGGB")


def _whole(bits: int, shape: tuple[int, ...] = (20, 32, 3)) -> np.ndarray:
    """Every bit of every number in use."""
    return RNG.integers(0, 2**bits, shape).astype(np.uint8 if bits == 8 else np.uint16)


@pytest.mark.parametrize("planar", [False, True], ids=["contiguous", "planar"])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_tiff_comes_in_the_low_bits(tmp_path: Path, bits: int, planar: bool) -> None:
    picture = _whole(bits, (21, 31, 3))
    write_packed_tiff(tmp_path / "p.tif", picture, bits, planar)
    assert read_header(tmp_path / "p.tif") == Header(31, 21, 3, "uint16", bits)
    np.testing.assert_array_equal(read_image(tmp_path / "p.tif"), picture)
    with pytest.raises(ImageUnreadable, match=f"has {bits} bits per channel, the session says 16"):
        check_colour(read_header(tmp_path / "p.tif"), Colour(16, "linear"), "here")


def test_a_big_endian_tiff_is_read_exactly(tmp_path: Path) -> None:
    import tifffile

    picture = _whole(12)
    tifffile.imwrite(tmp_path / "p.tif", picture, photometric="rgb", byteorder=">")
    again = read_image(tmp_path / "p.tif")
    assert again.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(again, picture)
    assert read_header(tmp_path / "p.tif") == Header(32, 20, 3, "uint16")


def test_a_png_of_single_bits_is_no_recording(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((8, 8), 1, np.uint8)).convert("1").save(tmp_path / "p.png")
    with pytest.raises(ImageUnreadable, match="has 1 bits per channel, the session says 8"):
        check_colour(read_header(tmp_path / "p.png"), Colour(8, "linear", cfa="RGGB"), "here")


def test_a_thumbnail_in_a_tiff_is_skipped_and_a_second_picture_refused(tmp_path: Path) -> None:
    import tifffile

    # what was written, as another library reads it
    theirs = np.asarray(Image.open(file := CASES / "15-messages/with_thumbnail.tif"))
    np.testing.assert_array_equal(read_image(file), theirs)
    assert (read_header(file).width, read_header(file).height) == theirs.shape[1::-1]
    picture = _whole(8, (9, 12, 3))
    with tifffile.TiffWriter(tmp_path / "first.tif") as tiff:  # some cameras put the thumbnail first
        tiff.write(picture[::3, ::3], photometric="rgb", subfiletype=1)
        tiff.write(picture, photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "first.tif"), picture)
    tifffile.imwrite(tmp_path / "two.tif", np.stack([picture] * 2), photometric="rgb")
    with pytest.raises(ImageUnreadable, match="2 pages in one file"):
        read_image(tmp_path / "two.tif")


def test_a_packed_grey_tiff_is_a_mosaic(tmp_path: Path) -> None:
    picture = _whole(12, (20, 32))
    write_packed_tiff(tmp_path / "a_0.tif", picture, 12)
    recording = find_recordings(tmp_path, "{camera}_{frame}.tif")["a"]
    ((_, header),) = recording.headers()
    check_colour(header, MOSAIC, "here")
    ((_, again),) = recording.read(MOSAIC)
    np.testing.assert_array_equal(again, picture)


def test_a_tiff_that_says_the_order_of_its_mosaic_must_agree_with_the_session(tmp_path: Path) -> None:
    import tifffile

    pattern = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, (2, 1, 1, 0), True)]  # TIFF/EP: blue, green, green, red
    tifffile.imwrite(tmp_path / "p.tif", _whole(12, (20, 32)), photometric="cfa", extratags=pattern)
    check_colour(read_header(tmp_path / "p.tif"), Colour(16, "linear", cfa="BGGR"), "here")
    with pytest.raises(ImageUnreadable, match="cfa is BGGR, the session RGGB"):
        check_colour(read_header(tmp_path / "p.tif"), Colour(16, "linear", cfa="RGGB"), "here")


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({274: 6}, "asks to be turned"),
        ({339: 2}, "holds int16"),
        ({262: 0}, "MINISWHITE"),
        ({262: 5}, "SEPARATED"),
    ],
)
def test_a_tiff_that_is_no_plain_picture_is_refused(tmp_path: Path, tags: dict[int, int], says: str) -> None:
    write_packed_tiff(tmp_path / "p.tif", _whole(16, (8, 8, 3)), 16, tags=tags)
    for read in (read_header, read_image):
        with pytest.raises(ImageUnreadable, match=f"p.tif: .*{says}"):
            read(tmp_path / "p.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_grey_pictures_are_mosaics_where_the_session_says_so(tmp_path: Path, suffix: str, bits: int) -> None:
    colour, picture = Colour(bits, "linear", cfa="GBRG"), _whole(bits, (20, 32))
    write_picture(tmp_path / f"a_7{suffix}", picture)
    recording = find_recordings(tmp_path, f"{{camera}}_{{frame}}{suffix}")["a"]
    ((where, header),) = recording.headers()
    check_colour(header, colour, where)
    ((number, again),) = recording.read(colour)
    assert number == 7
    assert again.dtype == colour.dtype
    np.testing.assert_array_equal(again, picture)
    with pytest.raises(ImageUnreadable, match="no colour.*set .colour. cfa"):
        check_colour(header, Colour(bits, "linear"), where)


def test_colour_pictures_and_odd_sides_are_no_mosaics(tmp_path: Path) -> None:
    write_picture(tmp_path / "p.png", _whole(12))
    with pytest.raises(ImageUnreadable, match="has colour, the session says that it is a mosaic"):
        check_colour(read_header(tmp_path / "p.png"), MOSAIC, "here")
    with pytest.raises(ImageUnreadable, match="is not a mosaic"):
        read_mosaic(tmp_path / "p.png")
    with pytest.raises(ImageUnreadable, match="31x20 pixels has no whole 2x2 blocks"):
        check_colour(Header(31, 20, 1, "uint16"), MOSAIC, "here")
    write_picture(tmp_path / "p.jpg", _whole(8, (16, 16)))
    with pytest.raises(ImageUnreadable, match="JPEG cannot hold a mosaic"):
        read_mosaic(tmp_path / "p.jpg")


def _exr(path: Path, channels: dict[str, np.ndarray], **header: Any) -> Path:
    import OpenEXR

    with OpenEXR.File(header, {name: np.ascontiguousarray(plane) for name, plane in channels.items()}) as file:
        file.write(str(path))
    return path


def test_every_finite_half_survives_exr(tmp_path: Path) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    every = np.resize(every, (every.size // 96 + 1, 32, 3))
    half = Colour(16, "linear", half=True)
    _exr(tmp_path / "a_0.exr", {"RGB": every})
    recording = find_recordings(tmp_path, "{camera}_{frame}.exr")["a"]
    ((where, header),) = recording.headers()
    check_colour(header, half, where)
    ((_, again),) = recording.read(half)
    np.testing.assert_array_equal(again.view(np.uint16), every.view(np.uint16))


def test_32_bit_exr_is_read_only_where_half_floats_hold_every_value(tmp_path: Path) -> None:
    picture = RNG.uniform(0, 8, (6, 8, 3)).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(read_image(_exr(tmp_path / "p.exr", {"RGB": picture})), picture)
    for value in (0.1, 70000.0):
        picture[2, 5, 1] = value
        with pytest.raises(ImageUnreadable, match="16 bits cannot hold .first at x=5, y=2.*half float"):
            read_image(_exr(tmp_path / "p.exr", {"RGB": picture}))


def test_exr_of_other_channels_or_windows_is_refused(tmp_path: Path) -> None:
    plane = np.ones((6, 8), np.float16)
    window = (np.array([0, 0], np.int32), np.array([9, 5], np.int32))
    chroma = {"Y": plane, "RY": plane, "BY": plane}
    depth = {"R": plane, "G": plane, "B": plane, "Z": plane}
    for name, channels, header, says in (
        ("yc", chroma, {}, "channels BY, RY, Y"),
        ("depth", depth, {}, "channels B, G, R, Z"),
        ("crop", {"RGB": np.ones((6, 8, 3), np.float16)}, {"displayWindow": window}, "is not the display window"),
    ):
        path = _exr(tmp_path / f"{name}.exr", channels, **header)
        for read in (read_header, read_image):
            with pytest.raises(ImageUnreadable, match=f"{name}.exr: .*{says}"):
                read(path)


@pytest.mark.parametrize("tiled", [False, True], ids=["lines", "tiles"])
def test_an_exr_that_is_cut_off_is_called_so(tmp_path: Path, tiled: bool) -> None:
    import OpenEXR

    header = {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()} if tiled else {}
    path = _exr(tmp_path / "p.exr", {"RGB": RNG.uniform(0, 1, (64, 64, 3)).astype(np.float16)}, **header)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageUnreadable, match=r"p\.exr: the picture is damaged or cut off"):
        read_image(path)


def _dpx(path: Path, picture: np.ndarray, bits: int, order: str = ">", **field: int) -> Path:
    """A DPX composed by hand: fields of SMPTE 268M that matter, and filled words."""
    fields = {"descriptor": 50, "transfer": 2, "packing": int(bits in (10, 12)), "encoding": 0, "start": 2048} | field
    wide = picture.astype(np.uint32)
    if bits == 10:
        words = wide[..., 0] << 22 | wide[..., 1] << 12 | wide[..., 2] << 2
        data = words.astype(f"{order}u4").tobytes()
    else:
        data = (wide << (4 if bits == 12 else 0)).astype("u1" if bits == 8 else f"{order}u2").tobytes()
    head = bytearray(2048)
    head[:4], head[8:12] = b"SDPX" if order == ">" else b"XPDS", b"V1.0"
    struct.pack_into(f"{order}I", head, 4, len(head))
    struct.pack_into(f"{order}HHII", head, 768, 0, 1, picture.shape[1], picture.shape[0])
    struct.pack_into("4B", head, 800, fields["descriptor"], fields["transfer"], 0, bits)
    struct.pack_into(f"{order}HHI", head, 804, fields["packing"], fields["encoding"], fields["start"])
    struct.pack_into(f"{order}I", head, 812, fields.get("padding", 0))
    gap = bytes(fields.get("padding", 0))
    lines = (data[at : at + len(data) // len(picture)] for at in range(0, len(data), len(data) // len(picture)))
    path.write_bytes(bytes(head) + b"".join(line + gap for line in lines))
    return path


@pytest.mark.parametrize("order", [">", "<"], ids=["big", "little"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_dpx_is_read_exactly(tmp_path: Path, bits: int, order: str) -> None:
    picture = _whole(bits, (9, 32, 3))
    path = _dpx(tmp_path / "p.dpx", picture, bits, order)
    again = read_image(path)
    assert again.dtype == picture.dtype
    np.testing.assert_array_equal(again, picture)
    header = read_header(path)
    assert header == Header(32, 9, 3, str(picture.dtype), bits if bits in (10, 12) else 0, declared=header.declared)


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ({"transfer": 1}, "printing density"),
        ({"transfer": 3}, "logarithmic"),
        ({"descriptor": 100}, "kind 100"),
        ({"encoding": 1}, "encoding 1"),
        ({"packing": 2}, "10 bits in packing 2"),
        ({"padding": 64}, "gaps before its pixels or between its lines"),
        ({"start": 4096}, "gaps before its pixels or between its lines"),
    ],
)
def test_dpx_that_is_no_light_or_no_plain_rgb_is_refused(tmp_path: Path, field: dict[str, int], says: str) -> None:
    path = _dpx(tmp_path / "p.dpx", _whole(10), 10, **field)
    for read in (read_header, read_image):
        with pytest.raises(ImageUnreadable, match=f"p.dpx: .*{says}"):
            read(path)


def _dng(
    path: Path, mosaic: np.ndarray, pattern: tuple[int, ...] = (0, 1, 1, 2), black: Any = 64, orientation: int = 1
) -> Path:
    import tifffile

    blacks = black if isinstance(black, tuple) else (black,)
    unit = (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1)
    tags = [
        (274, "H", 1, orientation, True),
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50708, "s", 0, "Camera", True),  # UniqueCameraModel
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, pattern, True),
        (50713, "H", 2, (2, 2) if len(blacks) == 4 else (1, 1), True),  # BlackLevelRepeatDim
        (50714, "H", len(blacks), blacks if len(blacks) > 1 else blacks[0], True),
        (50717, "H", 1, 4095, True),  # WhiteLevel
        (50721, "2i", 9, unit, True),  # ColorMatrix1
    ]
    tifffile.imwrite(path, mosaic, photometric="cfa", extratags=tags, metadata=None, software=None)
    return path


def test_dng_gives_the_mosaic_and_says_what_it_is(tmp_path: Path) -> None:
    mosaic = _whole(12, (48, 64))
    _dng(tmp_path / "a_0.dng", mosaic)
    recording = find_recordings(tmp_path, "{camera}_{frame}.dng")["a"]
    ((where, header),) = recording.headers()
    assert header == Header(64, 48, 1, "uint16", 12, "RGGB", 64)
    check_colour(header, MOSAIC, where)
    ((_, again),) = recording.read(MOSAIC)
    np.testing.assert_array_equal(again, mosaic)


def test_a_dng_and_its_session_must_agree(tmp_path: Path) -> None:
    header = read_header(_dng(tmp_path / "p.dng", _whole(12, (48, 64)), (1, 0, 2, 1)))
    for colour, says in (
        (MOSAIC, "cfa is GRBG, the session RGGB"),
        (Colour(12, "linear", 0, cfa="GRBG"), "black is 64, the session 0"),
        (Colour(14, "linear", 64, cfa="GRBG"), "has 12 bits per channel, the session says 14"),
        (Colour(12, "linear", 64), "no colour"),
    ):
        with pytest.raises(ImageUnreadable, match=says):
            check_colour(header, colour, "here")
    with pytest.raises(ImageUnreadable, match="a black level per colour: 60, 64"):
        read_header(_dng(tmp_path / "q.dng", _whole(12, (48, 64)), black=(60, 64, 64, 60)))


@pytest.mark.parametrize("suffix", [".dpx", ".dng"])
def test_no_part_of_a_raw_file_passes_for_the_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p{suffix}"
    make: Callable[[], Path] = lambda: (  # noqa: E731
        _dpx(path, _whole(10), 10) if suffix == ".dpx" else _dng(path, _whole(12, (48, 64)))
    )
    data = make().read_bytes()
    for length in [*range(0, len(data), 211), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(ImageUnreadable) as error:
            read_mosaic(path) if suffix == ".dng" else read_image(path)
        assert str(path) in str(error.value)


def test_a_jpeg_that_is_cmyk_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    image = Image.fromarray(np.full((16, 16, 3), 90, np.uint8))
    image.convert("CMYK").save(tmp_path / "cmyk.jpg")
    with pytest.raises(ImageUnreadable, match=r"cmyk\.jpg: .*CMYK"):
        check_source(tmp_path / "cmyk.jpg")
