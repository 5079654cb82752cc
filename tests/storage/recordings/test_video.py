"""Video is read by what it says of its numbers, or what the session says; never by a guess, never a part of it."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import ImageUnreadable
from storage.descriptor import VideoSection
from storage.pictures.colour import Colour
from storage.recordings.recording import find_recordings
from storage.recordings.video import read_video, read_video_header

WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
BARS = np.array(
    [(0.75, 0.75, 0.75), (0.75, 0.75, 0), (0, 0.75, 0.75), (0, 0.75, 0), (0.75, 0, 0.75), (0.75, 0, 0), (0, 0, 0.75)]
    + [(1, 1, 1)]
)
HEIGHT, WIDTH, BAR = 64, 256, 32


def _bars(matrix: str, full: bool, bits: int) -> list[np.ndarray]:
    """Colour bars as integers Y, Cb, Cr of (8,) each, by ITU-R BT.601 and BT.709, full range by JFIF."""
    red, blue = WEIGHTS[matrix]
    y = BARS @ (red, 1 - red - blue, blue)
    chroma = (BARS[:, 2] - y) / (2 - 2 * blue), (BARS[:, 0] - y) / (2 - 2 * red)
    white, step = 2**bits - 1, 2 ** (bits - 8)
    if full:
        return [np.rint(v).astype(int) for v in (y * white, *(c * white + 128 * step for c in chroma))]
    return [np.rint(v * step).astype(int) for v in (16 + 219 * y, *(128 + 224 * c for c in chroma))]


def _frame(form: str, planes: list[np.ndarray]) -> object:
    import av

    frame = av.VideoFrame(WIDTH, HEIGHT, form)
    for plane, values in zip(frame.planes, planes, strict=True):
        row = np.repeat(values, plane.width // len(values)).astype(np.uint8 if "le" not in form else "<u2").tobytes()
        plane.update(row.ljust(plane.line_size, b"\0") * plane.height)
    return frame


def _encode(path: Path, codec: str, form: str, frames: list[object], flags: tuple[int, ...] | None) -> Path:
    """Write a video; flags are the numbers of matrix, range, curve and maybe primaries, None for saying nothing."""
    import av

    options = {"x265-params": "log-level=none:lossless=1:bframes=0:frame-threads=1"} if codec == "libx265" else {}
    options = {"qp": "0"} if codec == "libx264" else options
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = WIDTH, HEIGHT, form, Fraction(1, 25)
        if flags:
            context = stream.codec_context
            context.colorspace, context.color_range, context.color_trc = flags[:3]
            context.color_primaries = (*flags, 2)[3]
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            if flags:
                frame.colorspace, frame.color_range = flags[:2]
                frame.color_trc, frame.color_primaries = flags[2], (*flags, 2)[3]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize(
    ("codec", "form", "bits", "most"),
    [
        ("ffv1", "yuv420p", 8, 1),
        ("libx264", "yuv422p", 8, 1),
        ("libx265", "yuv420p10le", 10, 2),
        ("ffv1", "yuv422p10le", 10, 2),
        ("ffv1", "yuv444p12le", 12, 2),
    ],
)
@pytest.mark.parametrize("flagged", [True, False], ids=["flagged", "said by the session"])
def test_colour_bars_come_out_as_the_standards_say(
    tmp_path: Path, codec: str, form: str, bits: int, most: int, matrix: str, full: bool, flagged: bool
) -> None:
    frames = [_frame(form, _bars(matrix, full, bits)) for _ in range(2)]
    flags = (1 if matrix == "bt709" else 6, 2 if full else 1, 2) if flagged else None
    if codec == "libx265" and not flagged:
        codec = "ffv1"  # x265 writes a range of its own
    path = _encode(tmp_path / "a.mkv", codec, form, frames, flags)
    stated = None if flagged else VideoSection(matrix=matrix, range="full" if full else "limited")  # type: ignore[arg-type]
    header, clock = read_video_header(path, stated)
    assert (header.channels, header.dtype, len(clock.numbers)) == (3, "uint8" if bits == 8 else "uint16", 2)
    for _, picture in read_video(path, [0, 1], stated):
        middle = picture[HEIGHT // 2, BAR // 2 :: BAR].astype(int)
        assert np.abs(middle - np.rint(BARS * (2**bits - 1))).max() <= most


def test_a_video_that_does_not_say_what_it_is_is_refused_with_the_fields_to_add(tmp_path: Path) -> None:
    _encode(tmp_path / "a.mkv", "ffv1", "yuv420p", [_frame("yuv420p", _bars("bt601", False, 8))], None)
    with pytest.raises(ImageUnreadable, match=r"a.mkv: the video does not say its matrix and range.*\[video\]"):
        find_recordings(tmp_path, "{camera}.mkv")
    _encode(tmp_path / "a.mkv", "ffv1", "yuv420p", [_frame("yuv420p", _bars("bt601", False, 8))], (1, 1, 1))
    wrong = VideoSection(matrix="bt601", range="limited")
    with pytest.raises(ImageUnreadable, match="says matrix bt709, the session bt601"):
        find_recordings(tmp_path, "{camera}.mkv", video=wrong)


@pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
def test_video_for_bright_displays_is_refused(tmp_path: Path, curve: int, name: str) -> None:
    frame = _frame("yuv420p10le", _bars("bt709", False, 10))
    path = _encode(tmp_path / "a.mkv", "libx265", "yuv420p10le", [frame], (9, 1, curve))
    with pytest.raises(ImageUnreadable, match=f"transfer is {name}"):
        read_video_header(path)


def test_the_depth_of_the_stream_must_be_the_sessions(tmp_path: Path) -> None:
    _encode(tmp_path / "a.mkv", "ffv1", "yuv420p10le", [_frame("yuv420p10le", _bars("bt709", False, 10))], (1, 1, 1))
    from storage.recordings.check import check_colour

    recording = find_recordings(tmp_path, "{camera}.mkv")["a"]
    ((where, header),) = recording.headers()
    check_colour(header, Colour(10, "rec709"), where)
    with pytest.raises(ImageUnreadable, match="has 10 bits per channel, the session says 12"):
        check_colour(header, Colour(12, "rec709"), where)


def test_a_grey_video_is_a_mosaic(tmp_path: Path) -> None:
    import av

    mosaic = np.random.default_rng(1).integers(0, 2**16, (HEIGHT, WIDTH)).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(mosaic, format="gray16le")
    _encode(tmp_path / "a.mkv", "ffv1", "gray16le", [frame], None)
    ((_, again),) = find_recordings(tmp_path, "{camera}.mkv")["a"].read(Colour(16, "linear", cfa="RGGB"))
    np.testing.assert_array_equal(again, mosaic)


def _noise(count: int) -> Iterator[object]:
    import av

    rng = np.random.default_rng(5)
    for _ in range(count):
        yield av.VideoFrame.from_ndarray(
            rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8), format="rgb24"
        ).reformat(format="yuv420p")


@pytest.mark.parametrize("name", ["a.mp4", "b.mkv", "c.avi", "d.mov"])
def test_no_part_of_a_video_passes_for_the_whole(tmp_path: Path, name: str) -> None:
    codec = {"a.mp4": "libx264", "b.mkv": "libx265", "c.avi": "mpeg4", "d.mov": "libx264"}[name]
    path = _encode(tmp_path / name, codec, "yuv420p", list(_noise(14)), (1, 1, 1))
    stated = VideoSection(matrix="bt709", range="limited")
    assert read_video_header(path, stated)[1].numbers == tuple(range(14))
    data = path.read_bytes()
    for share in np.linspace(0.03, 0.97, 16):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ImageUnreadable, match=name):
            read_video_header(path, stated)


def test_damage_in_the_middle_of_a_stream_is_refused_and_not_skipped(tmp_path: Path) -> None:
    path = _encode(tmp_path / "a.mp4", "libx264", "yuv420p", list(_noise(14)), (1, 1, 1))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path.write_bytes(data)
    with pytest.raises(ImageUnreadable, match="a.mp4: the video is damaged"):
        list(read_video(path, range(14)))


def test_the_timecode_is_what_the_file_says(tmp_path: Path) -> None:
    import av

    frame = _frame("yuv422p10le", _bars("bt709", False, 10))
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("prores_ks", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv422p10le"
        container.metadata["timecode"] = "10:11:12:13"
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    stated = VideoSection(matrix="bt709", range="limited")
    assert read_video_header(tmp_path / "a.mov", stated)[1].timecode == "10:11:12:13"
    _encode(tmp_path / "b.mkv", "ffv1", "yuv422p10le", [frame], (1, 1, 1))
    assert read_video_header(tmp_path / "b.mkv", stated)[1].timecode == ""
    (tmp_path / "c.mov").write_bytes(b"no video")
    with pytest.raises(ImageUnreadable, match=r"c.mov: the video is damaged"):
        read_video_header(tmp_path / "c.mov", stated)


@pytest.mark.parametrize(
    ("primaries", "curve", "colour", "says"),
    [
        (1, 1, Colour(8, "srgb"), ""),
        (1, 1, Colour(8, "rec709"), ""),
        (2, 2, Colour(8, "srgb"), ""),
        (12, 13, Colour(8, "srgb"), r"Display P3 with the sRGB curve .*Set \[colour\] matrix = \[\[1\.22494"),
        (9, 14, Colour(8, "rec709"), r"BT\.2020 .*Set \[colour\] matrix = \[\[1\.66"),
        (1, 8, Colour(8, "srgb"), r"linear .*Set \[colour\] transfer = \"linear\""),
        (1, 4, Colour(8, "srgb"), r"gamma 2\.2 .*Convert the pictures to sRGB"),
    ],
)
def test_the_primaries_and_curve_of_a_video_must_be_the_sessions(
    tmp_path: Path, primaries: int, curve: int, colour: Colour, says: str
) -> None:
    from storage.recordings.check import check_colour

    frame = _frame("yuv420p", _bars("bt709", False, 8))
    header, _ = read_video_header(_encode(tmp_path / "a.mkv", "ffv1", "yuv420p", [frame], (1, 1, curve, primaries)))
    if not says:
        check_colour(header, colour, "here")
        return
    with pytest.raises(ImageUnreadable, match=f"here: .*{says}"):
        check_colour(header, colour, "here")
