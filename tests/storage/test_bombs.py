"""Small files that ask for all memory or for ever are refused in one sentence, before pixels are decoded."""

import os
import re
import signal
import struct
import time
import tomllib
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from capmat_errors import CalibrationError, ConfigError, ImageUnreadable, ScribbleError, SessionError
from storage.calibration.formats.files import open_calibration
from storage.descriptor import RawSection, read_session
from storage.labels.formats.archive import opened
from storage.labels.formats.names import check_template
from storage.pictures.files import read_header, read_image, read_photograph
from storage.pictures.png import decode_png
from storage.recordings.recording import find_recordings
from storage.recordings.sidecar import clock_of_table
from storage.recordings.smc import smc_cameras
from storage.store.toml import parse_toml
from tests.storage.tiny_session import write_picture, write_video


@contextmanager
def soon(seconds: float = 3) -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def late(*_: object) -> NoReturn:
        pytest.fail(f"still busy after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, more: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    body = _chunk(b"IHDR", head) + more + _chunk(b"IDAT", zlib.compress(bytes(1000))) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _jpeg(width: int, height: int) -> bytes:
    out = BytesIO()
    Image.new("RGB", (64, 64)).save(out, "jpeg")
    data = bytearray(out.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def test_size_comes_before_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png(2**15, 2**15))
    (tmp_path / "a.jpg").write_bytes(_jpeg(13000, 13000))
    (tmp_path / "b.jpg").write_bytes(_jpeg(65000, 65000))
    tracemalloc.start()
    for read in (read_header, read_image, read_photograph):
        with pytest.raises(ImageUnreadable, match="32768x32768"):
            read(tmp_path / "a.png")
        with pytest.raises(ImageUnreadable, match="13000x13000 pixels, but the file has"):
            read(tmp_path / "a.jpg")
        with pytest.raises(ImageUnreadable):
            read(tmp_path / "b.jpg")
    with pytest.raises(ImageUnreadable, match="32768x32768"):
        decode_png(_png(2**15, 2**15), "a mask")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_the_emptiest_real_jpeg_is_read(tmp_path: Path) -> None:
    for number, more in enumerate(({}, {"progressive": True}, {"optimize": True})):
        Image.new("L", (3000, 2000)).save(tmp_path / f"{number}.jpg", quality=1, **more)
        assert read_photograph(tmp_path / f"{number}.jpg").shape == (2000, 3000, 3)


@pytest.mark.parametrize("tag", [256, 257, 259, 262, 274, 277])
def test_a_tiff_that_states_a_size_twice_is_refused(tmp_path: Path, tag: int) -> None:
    import tifffile

    extra = [(274, "H", 1, 1, True)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb", extratags=extra)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    (at,) = struct.unpack_from("<I", data, 4)
    entries = range(at + 2, at + 2 + 12 * struct.unpack_from("<H", data, at)[0], 12)
    place = next(entry for entry in entries if struct.unpack_from("<H", data, entry) == (tag,))
    struct.pack_into("<HHIHH", data, place, tag, 3, 2, 1, 1)
    (tmp_path / "a.tif").write_bytes(data)
    for read in (read_header, read_image):
        with pytest.raises(ImageUnreadable, match="not one number"):
            read(tmp_path / "a.tif")


def _tiff(path: Path, *tags: tuple[int, int, int], pages: int = 1) -> Path:
    """A grey picture of 8x8 pixels whose tags of these numbers are (type, value) instead, as pages in a row."""
    usual = {256: (4, 8), 257: (4, 8), 258: (3, 8), 259: (3, 1), 262: (3, 1), 273: (4, 8), 277: (3, 1), 279: (4, 64)}
    said = sorted((usual | {tag: (kind, value) for tag, kind, value in tags}).items())
    data = b"II*\0" + struct.pack("<I", 8)
    for page in range(pages):
        data += struct.pack("<H", len(said)) + b"".join(struct.pack("<HHII", tag, k, 1, v) for tag, (k, v) in said)
        data += struct.pack("<I", (len(data) + 4) * (page < pages - 1))
    path.write_bytes(data + bytes(64))
    return path


def test_small_files_that_swell_or_repeat_are_refused(tmp_path: Path) -> None:
    icc = zlib.compressobj(1)
    swelling = b"x\0\0" + b"".join(icc.compress(bytes(2**20)) for _ in range(100)) + icc.flush()
    (tmp_path / "icc.png").write_bytes(_png(8, 8, _chunk(b"iCCP", swelling)))
    (tmp_path / "chunks.png").write_bytes(_png(8, 8, _chunk(b"tEXt", b"a\0") * 10_000))
    jpeg = BytesIO()
    Image.new("RGB", (640, 480)).save(jpeg, "jpeg", progressive=True)
    head, mark, scan = jpeg.getvalue()[:-2].rpartition(b"\xff\xda")
    (tmp_path / "scans.jpg").write_bytes(head + (mark + scan) * 2000 + b"\xff\xd9")
    _tiff(tmp_path / "pages.tif", pages=1000)
    _tiff(tmp_path / "deep.tif", (32997, 4, 2**31))
    _tiff(tmp_path / "channels.tif", (256, 4, 4000), (257, 4, 4000), (277, 3, 60_000))
    for name in ("long.jpg", "long.dpx"):
        (tmp_path / name).write_bytes(_jpeg(8, 8) if "jpg" in name else b"SDPX")
        os.truncate(tmp_path / name, 2**42)
    tracemalloc.start()
    with soon(5):
        for name, says in (
            ("icc.png", "more than 16777216 bytes"),
            ("chunks.png", "more than 1000 chunks"),
            ("scans.jpg", "2009 scans"),
            ("pages.tif", "100 pages in one file"),
            ("deep.tif", "2147483648 pixels deep"),
            ("channels.tif", "4000x4000 pixels of 60000 channels"),
            ("long.jpg", "4398046511104 bytes"),
            ("long.dpx", "4398046511104 bytes"),
        ):
            with pytest.raises(ImageUnreadable, match=says):
                read_photograph(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


def test_a_stream_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c00.raw").touch()
    os.truncate(tmp_path / "c00.raw", 2**43)
    with soon(), pytest.raises(ImageUnreadable, match="bytes: 8796093022208 frames of 1x1 pixels"):
        find_recordings(tmp_path, "{camera}.raw", RawSection(width=1, height=1, pixel_format="Mono8"))


@pytest.mark.parametrize("start", ["ffconcat version 1.0\nfile real.mkv\n", "#EXTM3U\n#EXTINF:1,\nreal.mkv\n", ""])
def test_a_video_leads_to_no_other_file(tmp_path: Path, start: str) -> None:
    write_video(tmp_path / "real.mkv", [np.zeros((16, 16, 3), np.uint8)] * 2)
    (tmp_path / "c00.mkv").write_bytes(start.encode() or _png(8, 8))
    with pytest.raises(ImageUnreadable):
        find_recordings(tmp_path, "{camera:c00}.mkv")


# ---- zip files


def test_entries_that_share_their_bytes_or_have_no_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(10**6))
        archive.filelist.append(archive.filelist[0])  # listed twice, stored once
        archive.writestr("b.png", b"b")
    with pytest.raises(ScribbleError, match="two of its files share their bytes"), opened(tmp_path / "a.zip"):
        pass
    for name in ("", ".", "./", "x/" * 99 + "a"):
        with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("x"), b"x")
            archive.filelist[0].filename = name
        with (
            pytest.raises(ScribbleError, match=r"has no name|holds no file|folders deep"),
            opened(tmp_path / "b.zip"),
        ):
            pass


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-zé]{1,6}/[a-z]{1,6}\.png", fullmatch=True), st.binary(max_size=99), min_size=1)
)
def test_every_ordinary_zip_is_unpacked(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("z") / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with opened(path) as export:
        assert {export.path_of(file): file.read_bytes() for file in export.files} == files


def test_an_smc_file_neither_leads_elsewhere_nor_claims_gigabytes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.smc", "w") as other:
        other["Camera_5mp/0/color/0"] = np.frombuffer(_jpeg(64, 64), np.uint8)
        other["K"] = np.eye(3)
    path = tmp_path / "a.smc"
    for link in (
        h5py.ExternalLink("other.smc", "/Camera_5mp"),
        h5py.ExternalLink("/dev/zero", "/x"),
        h5py.SoftLink("/x"),
    ):
        with h5py.File(path, "w") as file:
            file["Camera_5mp"] = link
        with pytest.raises(ImageUnreadable, match="Camera_5mp of Camera_5mp is a link"):
            smc_cameras(path)
        with h5py.File(path, "w") as file:
            file.create_group("Camera_Parameter/00")["K"] = link
        with pytest.raises(CalibrationError, match="K of Camera_Parameter/00/K is a link"):
            open_calibration("smc", "a.smc", tmp_path)
    with h5py.File(path, "w") as file:
        file.create_dataset("Camera_5mp/0/color/0", (2**36,), np.uint8, chunks=(2**20,))
        file.create_dataset("Camera_5mp/0/color/1", (9,), np.uint8, external=[("other.smc", 0, 9)])
        layout = h5py.VirtualLayout((9,), np.uint8)
        layout[:] = h5py.VirtualSource("other.smc", "Camera_5mp/0/color/0", (9,))
        file.create_virtual_dataset("Camera_5mp/0/color/2", layout)
        file["Camera_5mp/0/color/3"] = h5py.ExternalLink("other.smc", "/Camera_5mp/0/color/0")
        file.create_dataset("Camera_Parameter/00/K", (2**30, 2**3), np.float32)
    recording = find_recordings(tmp_path, "a.smc")["00"]
    for frame, says in enumerate(("68719476736 bytes", "does not hold", "does not hold", "is a link")):
        with pytest.raises(ImageUnreadable, match=says):
            next(recording.select((frame,)).headers())
    with pytest.raises(CalibrationError, match="says that it has 34359738368 bytes"):
        open_calibration("smc", "a.smc", tmp_path)


# ---- patterns and TOML


@pytest.mark.parametrize(
    "pattern",
    [
        *("(c+)+$", "(?:a|a)(?:a|a)(?:a|a)(?:a|a)b", ".*.*.*.*=", "a?a?a?a?a?b", "(?:x{1,9}){1,9}", "(?=(a*)*b)"),
        *("c{1,}c{,200}c{1,}c{1,}=", r"[\]c[](c+)+]", "(?#[)(c+)+=(?#])"),  # and such that look like a class
    ],
)
def test_a_pattern_that_may_try_for_ever_is_refused(tmp_path: Path, pattern: str) -> None:
    (tmp_path / ("c" * 200)).mkdir()
    write_picture(tmp_path / ("c" * 200) / "0000.png", np.zeros((4, 4, 3), np.uint8))
    with soon(), pytest.raises(SessionError, match="may take for ever"):
        find_recordings(tmp_path, f"{{camera:{pattern}}}/{{frame:04d}}.png")


@pytest.mark.parametrize("pattern", ["c{99999999999}", "(" * 3000 + ")" * 3000, "c**"])
def test_a_pattern_that_python_does_not_read_is_refused(tmp_path: Path, pattern: str) -> None:
    with soon(), pytest.raises(SessionError, match="is not a regular expression"):
        find_recordings(tmp_path, f"{{camera:{pattern}}}/{{frame:04d}}.png")


@settings(max_examples=40, deadline=None)
@given(st.text("ac.*+?|()[]{}1,9\\d^$", max_size=12))
def test_every_pattern_ends_soon_or_is_refused(tmp_path_factory: pytest.TempPathFactory, pattern: str) -> None:
    root = tmp_path_factory.mktemp("r")
    (root / ("a" * 120)).mkdir()
    (root / ("a" * 120) / "0000.png").touch()
    with soon(), suppress(SessionError):
        find_recordings(root, f"{{camera:{pattern}}}c/{{frame:04d}}.png")


@pytest.mark.parametrize(
    "pattern",
    [
        *("C..", r"C\d{2}", "cam_[A-C]", r"(?:left|right)_\d+", r"[a-z]+\.[0-9]*", "C.", "c.+?_.+?"),
        "ca[^+*?|()][-+*?|()_]B",
    ],
)
def test_patterns_of_daily_use_are_taken(tmp_path: Path, pattern: str) -> None:
    name = {"C": "C07", "c": "cam_B", "(": "left_12", "[": "ab.1"}[pattern[0]][: 2 if pattern == "C." else None]
    assert re.fullmatch(pattern, name)
    (tmp_path / name).mkdir()
    write_picture(tmp_path / name / "0000.png", np.zeros((4, 4, 3), np.uint8))
    assert list(find_recordings(tmp_path, f"{{camera:{pattern}}}/{{frame:04d}}.png")) == [name]


def test_names_with_many_stars_are_refused() -> None:
    for template in ("{take}/{camera}/**{frame}", "*a*b*c*{take}/{camera}/{frame}"):
        with pytest.raises(ConfigError, match="more than 3 stars, or two side by side"):
            check_template(template)
    check_template("*_{take}*_{camera}/*{frame}")


@pytest.mark.parametrize(
    "text",
    [".".join("a" * 20_000) + " = 1", f"[{'.'.join('a' * 20_000)}]", f"x = {{ {'. '.join(['a1'] * 20_000)} = 1 }}"],
)
def test_a_key_of_thousands_of_parts_is_refused_at_once(tmp_path: Path, text: str) -> None:
    began = time.process_time()
    (tmp_path / "session.toml").write_text(f'name = "day"\n{text}\n')
    with pytest.raises(SessionError, match="line 2 has a key of more than 50 parts"):
        read_session(tmp_path)
    with pytest.raises(CalibrationError, match="more than 50 parts"):
        open_calibration("caliscope", "session.toml", tmp_path)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_toml("x = " + "[" * 20_000)
    assert time.process_time() - began < 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(allow_nan=False), max_size=99), st.text("ab./ ", max_size=200))
def test_toml_of_daily_use_reads_as_python_reads_it(values: list[float], text: str) -> None:
    written = f'a.b = {values}\n"key {text}" = "{text}"\n# {text}\n'
    assert parse_toml(written) == tomllib.loads(written)


def test_devices_and_pipes_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "session.toml")
    os.mkfifo(tmp_path / "pipe.zip")
    for path in (Path("/dev/zero"), tmp_path / "pipe.png", tmp_path):
        for read in (read_header, read_photograph):
            with pytest.raises(ImageUnreadable, match="not a file"):
                read(path)
    for path in (Path("/dev/zero"), tmp_path / "pipe.zip"):
        with pytest.raises(ScribbleError, match="not a file"), opened(path):
            pass
    with pytest.raises(SessionError, match="not a file"):
        read_session(tmp_path)
    with pytest.raises(SessionError, match="not a file"):
        clock_of_table(tmp_path / "pipe.png", "c00", (0,), 25)
    for form in ("capmat", "nerfstudio", "metashape", "caliscope", "smc", "llff"):
        for name in ("pipe.png", "/dev/zero"):
            with pytest.raises(CalibrationError):
                open_calibration(form, name, tmp_path)
    for name, call in (
        ("session.toml", read_session),
        ("a.csv", lambda folder: clock_of_table(folder / "a.csv", "c00", (0,), 25)),
        ("a.json", partial(open_calibration, "capmat", "a.json")),
    ):
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 2**40)
        with soon(), pytest.raises((SessionError, CalibrationError), match="1099511627776 bytes"):
            call(tmp_path)
