"""Headerless files are read by what the session says, to the byte, and not at all if it does not agree."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capmat_errors import ImageUnreadable, SessionError
from storage.descriptor import RawSection
from storage.pictures.colour import Colour
from storage.recordings.check import check_colour
from storage.recordings.raw_pixels import FORMATS, pack
from storage.recordings.recording import find_recordings
from tests.storage.recordings.test_raw_pixels import _scene

TWELVE = Colour(12, "linear", 64, cfa="RGGB")
SCENES = [_scene(seed, level=1200, contrast=900, noise=20) for seed in range(4)]
HEIGHT, WIDTH = SCENES[0].shape


def _section(name: str, **more: int) -> RawSection:
    return RawSection(width=WIDTH, height=HEIGHT, pixel_format=name, **more)


def _bytes_of(picture: np.ndarray, name: str) -> bytes:
    form = FORMATS[name]
    if form.packing:
        return pack(picture, form.packing)
    return picture.astype("u1" if form.bits == 8 else "<u2").tobytes()


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_pixel_format_is_read_exactly(tmp_path: Path, name: str) -> None:
    form = FORMATS[name]
    if form.packing:
        picture = SCENES[0]
    else:
        shape = (HEIGHT, WIDTH) if form.channels == 1 else (HEIGHT, WIDTH, 3)
        picture = np.random.default_rng(0).integers(0, 2**form.bits, shape)
    colour = Colour(form.bits, "linear", cfa="" if form.channels == 3 else form.cfa or "GRBG")
    (tmp_path / "a_0001.raw").write_bytes(_bytes_of(picture, name))
    recording = find_recordings(tmp_path, "{camera}_{frame:04d}.raw", _section(name))["a"]
    ((where, header),) = recording.headers()
    check_colour(header, colour, where)
    ((number, again),) = recording.read(colour)
    assert number == 1
    assert again.dtype == colour.dtype
    np.testing.assert_array_equal(again, picture)


def _stream(name: str, header: int = 0, before: int = 0, row: int = 0, after: int = 0) -> bytes:
    out = b"H" * header
    for scene in SCENES:
        lines = [_bytes_of(line, name) for line in scene]
        out += b"B" * before + b"".join(line.ljust(row, b"P") for line in lines) + b"A" * after
    return out


@pytest.mark.parametrize("name", ["BayerRG12p", "BayerRG12Packed", "BayerRG12MIPI", "BayerRG12MSB", "BayerRG12"])
def test_a_stream_is_read_around_its_headers_and_padding(tmp_path: Path, name: str) -> None:
    layout = {"header_bytes": 512, "frame_header_bytes": 24, "row_bytes": 400, "trailer_bytes": 5}
    (tmp_path / "a.bin").write_bytes(_stream(name, *layout.values()))
    recording = find_recordings(tmp_path, "{camera}.bin", _section(name, **layout))["a"]
    assert recording.frames == (0, 1, 2, 3)
    assert len(list(recording.headers())) == 1
    for number, picture in recording.select((1, 3)).read(TWELVE):
        np.testing.assert_array_equal(picture, SCENES[number])
    assert recording.file(2) == tmp_path / "a.bin"
    assert recording.manifest() != recording.select((1, 3)).manifest()


def test_bytes_that_are_left_over_are_refused(tmp_path: Path) -> None:
    section, whole = _section("BayerRG12p"), _stream("BayerRG12p")
    for size in (0, 100, len(whole) - 1, len(whole) + 1):
        (tmp_path / "a.raw").write_bytes(whole.ljust(size, b"0")[:size])
        with pytest.raises(ImageUnreadable, match=rf"camera a, .*a.raw: the file has {size} bytes; BayerRG12p"):
            find_recordings(tmp_path, "{camera}.raw", section)
    (tmp_path / "b_0.raw").write_bytes(whole)
    with pytest.raises(ImageUnreadable, match="camera b frame 0, .*b_0.raw: the file holds 4 frames"):
        list(find_recordings(tmp_path, "{camera}_{frame}.raw", section)["b"].headers())


def test_a_file_that_is_cut_off_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(_stream("BayerRG12p"))
    recording = find_recordings(tmp_path, "{camera}.raw", _section("BayerRG12p"))["a"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ImageUnreadable, match="camera a frame 3, .*cut off"):
        list(recording.read(TWELVE))


def test_what_the_session_says_of_raw_files_must_be_possible(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(_stream("BayerRG12p"))
    cases: list[tuple[Any, str]] = [
        (None, r"Add .raw. with width, height and pixel_format"),
        (_section("BayerRG12q"), "'BayerRG12q' is not known.*BayerRG12p, BayerRG12Packed"),
        (_section("BayerRG12p", row_bytes=200), "row_bytes is 200, a row needs 288"),
        (RawSection(width=191, height=128, pixel_format="Mono12p"), "packed rows of 191 pixels"),
    ]
    for section, says in cases:
        with pytest.raises(SessionError, match=says):
            find_recordings(tmp_path, "{camera}.raw", section)


def test_the_packing_and_the_order_of_colours_must_agree_with_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(_stream("BayerRG12p"))
    wrong = find_recordings(tmp_path, "{camera}.raw", _section("BayerRG12Packed"))["a"]
    with pytest.raises(ImageUnreadable, match="looks like BayerRG12p, not BayerRG12Packed.*pixel_format"):
        list(wrong.headers())
    right = find_recordings(tmp_path, "{camera}.raw", _section("BayerRG12p"))["a"]
    ((where, header),) = right.headers()
    with pytest.raises(ImageUnreadable, match="cfa is RGGB, the session BGGR"):
        check_colour(header, Colour(12, "linear", cfa="BGGR"), where)
    with pytest.raises(ImageUnreadable, match="12 bits per channel, the session says 10"):
        check_colour(header, Colour(10, "linear", cfa="RGGB"), where)


def test_numbers_above_white_are_refused(tmp_path: Path) -> None:
    high = SCENES[0].astype("<u2") << 4  # the signal in the high bits, as some recorders have it
    (tmp_path / "a.raw").write_bytes(high.tobytes())
    recording = find_recordings(tmp_path, "{camera}.raw", _section("BayerRG12"))["a"]
    with pytest.raises(ImageUnreadable, match=r"camera a frame 0, .* above white .4095 at 12 bits.*low bits"):
        list(recording.read(TWELVE))
