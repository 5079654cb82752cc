"""Time codes and rates of picture headers are read as other programs read them."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenEXR
import pytest
import tifffile

from capmat_errors import ImageUnreadable
from storage.pictures.dpx import dpx_header
from storage.pictures.moment import read_moment


@pytest.mark.parametrize("drop", [False, True])
def test_the_code_of_an_exr_is_that_of_openexr(tmp_path: Path, drop: bool) -> None:
    code, path = OpenEXR.TimeCode(21, 59, 58, 27, int(drop), *[0] * 13), tmp_path / "a.exr"
    head = {"timeCode": code, "framesPerSecond": Fraction(30000, 1001)}
    with OpenEXR.File(head, {"RGB": np.zeros((4, 4, 3), np.float16)}) as file:
        file.write(str(path))
    assert read_moment(path) == ("21:59:58;27" if drop else "21:59:58:27", Fraction(30000, 1001))


def _dpx() -> bytearray:
    """A small DPX with all headers, which say nothing."""
    frame = av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")
    codec = av.CodecContext.create("dpx", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 8, 8, "rgb24", Fraction(1, 25)
    data = bytearray(bytes(codec.encode(frame)[0]))
    # FFmpeg writes little-endian files without the headers of film and television.
    data[1664:1664] = bytes(2048 - 1664)
    struct.pack_into("<I", data, 4, 2048)
    struct.pack_into("<I", data, 16, len(data))
    struct.pack_into("<I", data, 808, 2048)
    return data


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("code", [0x21595827, 0x01020344, 0x00000001])
def test_the_code_of_a_dpx_is_that_of_ffmpeg(tmp_path: Path, order: str, code: int) -> None:
    data, path = _dpx(), tmp_path / "a.dpx"
    path.write_bytes(data)
    assert read_moment(path) == ("", 0)
    # OpenImageIO writes the rate of film at 1724 and that of television at 1940, 0xFFFFFFFF where it is not known.
    struct.pack_into("<If", data, 1920, code, 0)
    struct.pack_into("<f", data, 1724, 23.976)
    struct.pack_into("<I", data, 1940, 0xFFFFFFFF)
    path.write_bytes(data)
    with av.open(str(path)) as container:
        told = next(container.decode(video=0)).metadata["timecode"]
    if order == ">":
        for at in (0, 4, 1724, 1920, 1940):
            data[at : at + 4] = data[at : at + 4][::-1]
        path.write_bytes(data)
    assert read_moment(path) == (told, Fraction(2997, 125))


def test_an_interlaced_dpx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.dpx"
    path.write_bytes(_dpx())
    assert dpx_header(path).width == 8
    data = _dpx()
    data[1928] = 1
    path.write_bytes(data)
    with pytest.raises(ImageUnreadable, match="interlaced"):
        dpx_header(path)


def test_the_code_of_a_cinema_dng_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    code = bytes([0x24 | 0x40, 0x58, 0x59, 0x21, 0, 0, 0, 0])  # frame, second, minute, hour (SMPTE ST 331)
    tags = [(51043, "B", 8, code, True), (51044, "2i", 1, (30000, 1001), True)]
    tifffile.imwrite(path, np.zeros((8, 8), np.uint16), extratags=tags)
    assert read_moment(path) == ("21:59:58;24", Fraction(30000, 1001))
    tifffile.imwrite(path, np.zeros((8, 8), np.uint16))
    assert read_moment(path) == ("", 0)


def test_a_header_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    for name in ("a.exr", "a.dpx", "a.dng"):
        (tmp_path / name).write_bytes(b"SDPX")
        with pytest.raises(ImageUnreadable, match=name):
            read_moment(tmp_path / name)


def test_a_dng_without_a_picture_is_refused_by_name(tmp_path: Path) -> None:
    (path := tmp_path / "a.dng").write_bytes(struct.pack("<2sHI", b"II", 42, 0))  # its first directory is nowhere
    with pytest.raises(ImageUnreadable, match=r"a\.dng: the header cannot be read"):
        read_moment(path)
