"""Which way is up: a recording that asks to be turned is refused, a single photograph is turned as its file says."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from capmat_errors import ImageUnreadable
from storage.descriptor import read_session
from storage.labels.formats.archive import Export
from storage.labels.formats.read import Reading, read_export
from storage.labels.trimaps import read_trimap, read_truth
from storage.pictures.files import read_grey, read_header, read_image, read_photograph
from storage.recordings.recording import find_recordings
from storage.session.plan import plan_session
from tests.storage.pictures.test_formats import _dng, _dpx, _whole
from tests.storage.tiny_session import write_picture, write_session

CASES = Path(__file__).parents[2] / "cases"
PICTURE = _whole(8, (9, 32, 3))


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _jpeg(path: Path, orientation: int) -> None:
    Image.fromarray(PICTURE).save(path, "jpeg", quality=95, exif=_exif(orientation))


def _png(path: Path, orientation: int, kind: bytes = b"eXIf", after: bool = False) -> None:
    """A PNG whose orientation stands in a chunk of this kind, before the pixels or after them."""
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "png")
    data, block = buffer.getvalue(), _exif(orientation).tobytes()
    xmp = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    lines = b"\nexif\n%8d\n%s\n" % (len(block), block.hex().encode())  # as ImageMagick wrote it before eXIf
    body = {
        b"eXIf": block.removeprefix(b"Exif\0\0"),
        b"iTXt": b"XML:com.adobe.xmp" + bytes(5) + xmp,
        b"zTXt": b"Raw profile type exif" + bytes(2) + zlib.compress(lines),
    }[kind]
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    at = len(data) - 12 if after else 33
    path.write_bytes(data[:at] + chunk + data[at:])


def _tiff(path: Path, orientation: int) -> None:
    Image.fromarray(PICTURE).save(path, "tiff", tiffinfo={0x0112: orientation})


def _turned_dpx(path: Path, orientation: int) -> None:
    """SMPTE 268M: the direction of pixels, then that of lines, as a number of its own."""
    scan = {1: 0, 2: 1, 4: 2, 3: 3, 5: 4, 6: 5, 8: 6, 7: 7}[orientation]
    data = bytearray(_dpx(path, PICTURE, 8).read_bytes())
    struct.pack_into(">H", data, 768, scan)
    path.write_bytes(data)


def _exr(path: Path, orientation: int) -> None:
    import OpenEXR

    with OpenEXR.File({"Orientation": orientation}, {"RGB": PICTURE.astype(np.float16)}) as file:
        file.write(str(path))


CONTAINERS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "jpeg": (".jpg", _jpeg),
    "png": (".png", _png),
    "png, after the pixels": (".png", lambda path, o: _png(path, o, after=True)),
    "png, xmp": (".png", lambda path, o: _png(path, o, b"iTXt")),
    "png, imagemagick": (".png", lambda path, o: _png(path, o, b"zTXt")),
    "tiff": (".tif", _tiff),
    "dpx": (".dpx", _turned_dpx),
    "exr": (".exr", _exr),
}


@pytest.mark.parametrize("container", CONTAINERS)
@settings(max_examples=8, deadline=None)
@given(orientation=st.integers(1, 8))
def test_a_recording_is_refused_and_a_photograph_is_turned_as_pillow_turns_it(
    tmp_path_factory: pytest.TempPathFactory, container: str, orientation: int
) -> None:
    suffix, write = CONTAINERS[container]
    path = tmp_path_factory.mktemp("o") / f"C01_0{suffix}"
    write(path, orientation)
    recording = find_recordings(path.parent, f"{{camera}}_{{frame}}{suffix}")["C01"]
    if orientation == 1:
        assert [header.orientation for _, header in recording.headers()] == [1]
    else:
        with pytest.raises(
            ImageUnreadable, match=rf"camera C01 frame 0, .*asks to be .*\(orientation {orientation}\)"
        ):
            list(recording.headers())
        for read in (read_header, read_image, read_grey, read_photograph):
            with pytest.raises(ImageUnreadable, match="asks to be"):
                read(path)
    stored = Image.fromarray(np.asarray(Image.open(path)) if suffix == ".jpg" else PICTURE)
    stored.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(read_photograph(path, turn=True), upright)
    header = read_header(path, turn=True)
    assert (header.height, header.width) == upright.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_dng_that_asks_to_be_turned_is_refused(tmp_path: Path, orientation: int) -> None:
    path = _dng(tmp_path / "p.dng", _whole(12, (48, 64)), orientation=orientation)
    assert read_header(path, turn=True).orientation == orientation
    if orientation > 1:
        with pytest.raises(ImageUnreadable, match="asks to be"):
            read_header(path)


def test_an_orientation_that_no_viewer_knows_is_refused_and_0_says_nothing(tmp_path: Path) -> None:
    _jpeg(tmp_path / "a.jpg", 12)
    with pytest.raises(ImageUnreadable, match="orientation 12"):
        read_photograph(tmp_path / "a.jpg", turn=True)
    _jpeg(tmp_path / "a.jpg", 0)
    assert read_image(tmp_path / "a.jpg").shape == (9, 32, 3)


def test_a_plate_and_a_trimap_that_ask_to_be_turned_are_refused(tmp_path: Path) -> None:
    write_session(tmp_path, suffix=".tif")
    with (tmp_path / "session.toml").open("a") as file:
        file.write('[benchmark]\ntake = "walk"\ntrimaps = "trimaps/{camera}/{frame:04d}.png"\n')
    trimap = tmp_path / "trimaps/c00/0000.png"
    trimap.parent.mkdir(parents=True)
    write_picture(trimap, np.full((48, 64), 128, np.uint8))
    assert not plan_session(read_session(tmp_path), decode=False).problems
    Image.open(trimap).save(trimap, exif=_exif(3))
    path = tmp_path / "plates/c01/0001.tif"
    _retagged(path, 6)
    plate, drawn = plan_session(read_session(tmp_path), decode=False).problems
    assert "plate of camera c01 frame 1" in str(plate)
    assert "turned clockwise by 90 degrees" in str(plate)
    assert "trimaps/c00/0000.png: the picture asks to be turned by 180 degrees" in str(drawn)


@pytest.mark.parametrize("format", ["label", "trimap", "overlay"])
def test_a_label_that_asks_to_be_turned_is_refused(tmp_path: Path, format: str) -> None:
    drawn = np.full((48, 64, 4) if format == "overlay" else (48, 64), 0 if format == "overlay" else 128, np.uint8)
    Image.fromarray(drawn).save(tmp_path / "walk_c00_0000.png", exif=_exif(6))
    with pytest.raises(ImageUnreadable, match="turned clockwise by 90 degrees"):
        read_export(Export(str(tmp_path), tmp_path, tuple(tmp_path.iterdir())), Reading(format))


@pytest.mark.parametrize("read", [read_trimap, read_truth])
def test_a_drawn_trimap_and_a_known_alpha_that_ask_to_be_turned_are_refused(tmp_path: Path, read: Any) -> None:
    Image.fromarray(np.full((48, 64), 128, np.uint8)).save(tmp_path / "a.png", exif=_exif(8))
    with pytest.raises(ImageUnreadable, match="turned counter-clockwise by 90 degrees"):
        read(tmp_path / "a.png", (48, 64))


def _retagged(path: Path, orientation: int) -> None:
    import tifffile

    picture = tifffile.imread(path)
    tifffile.imwrite(path, picture, photometric="rgb", extratags=[(274, "H", 1, orientation, True)], metadata=None)


def test_the_turned_pictures_of_a_camera_are_named() -> None:
    session = read_session(CASES / "09-pictures-that-say-otherwise/png_exif_turned")
    (problem,) = plan_session(session).problems
    assert "camera C01 frame 0" in str(problem)
    assert "turned clockwise by 90 degrees (orientation 6)" in str(problem)
