"""Videos of mattes show every frame at its time, in the colours and with the alpha that the store holds."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from capmat_errors import StoreError
from storage.export.mattes import export_mattes
from storage.export.video import video_file
from storage.pictures.colour import decode_srgb, encode_srgb
from storage.recordings.video import read_video
from storage.store.root import Root
from storage.takes.take import Take
from tests.storage.export.mixed_take import HEIGHT, PHA, SUBJECT, WIDTH, make_take


def _video(path: str) -> tuple[Any, list[np.ndarray]]:
    with av.open(path) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        facts = {
            "rate": stream.average_rate,
            "timecode": stream.metadata.get("timecode"),
            "colour": (context.colorspace, context.color_primaries, context.color_trc, context.color_range),
            "format": context.pix_fmt,
            "codec": context.name,
        }
        return facts, [frame.to_ndarray(format="rgba64le") for frame in file.decode(stream)]


def test_h264_shows_the_subject_before_grey_at_the_exact_rate(folder: Root, out: Root) -> None:
    take = make_take(folder, frames=3, fps=23.976, timecode="10:00:00:00")
    comp, alpha = export_mattes(take, "teacher", out, ("mp4",), what=["comp", "alpha"], cameras=["c0"]).files
    assert (comp, alpha) == ("walk/c0/c0_comp.mp4", "walk/c0/c0_alpha.mp4")
    facts, pictures = _video(out.at(comp))
    assert facts["rate"] == Fraction(24000, 1001)
    assert facts["timecode"] == "10:00:00:00"
    assert facts["colour"] == (1, 1, 13, 1)
    assert len(pictures) == 3
    grey = PHA * SUBJECT + (1 - PHA) * decode_srgb(np.float32(0.5))
    assert np.abs(pictures[1][..., 1] / 65535 - encode_srgb(grey)).mean() < 0.01
    assert np.abs(_video(out.at(alpha))[1][2][..., 0] / 65535 - PHA).mean() < 0.01


def test_prores_4444_carries_alpha(take: Take, out: Root) -> None:
    (name,) = export_mattes(take, "teacher", out, ("prores",), cameras=["c0"]).files
    facts, pictures = _video(out.at(name))
    assert name == "walk/c0/c0_rgba.mov"
    assert facts["codec"] == "prores"
    assert facts["format"].startswith("yuva444p")
    assert len(pictures) == 2
    assert np.abs(pictures[0][..., 3] / 65535 - PHA).max() < 2e-3
    assert np.abs(pictures[0][..., :3] / 65535 - encode_srgb(SUBJECT)).max() < 0.03  # where alpha is 0 as well


def test_alpha_is_right_in_every_one_of_many_pictures(tmp_path: Path) -> None:
    """FFmpeg's scaler, left to its threads, spoilt a slice of the alpha in one picture of thirty."""
    picture = np.full((HEIGHT, WIDTH, 4), 30000, np.uint16)
    picture[..., 3] = np.rint(PHA * 65535)
    path, count = tmp_path / "many.mov", 300
    with video_file(path, "prores", (HEIGHT, WIDTH), Fraction(25), "", alpha=True) as add:
        for index in range(count):
            add(picture, index)
    _, pictures = _video(str(path))
    assert len(pictures) == count
    assert max(np.abs(seen[..., 3] / 65535 - PHA).max() for seen in pictures) < 2e-3


def test_every_second_frame_plays_in_half_as_many_pictures_per_second(folder: Root, out: Root) -> None:
    take = make_take(folder, frames=5)
    (name,) = export_mattes(take, "teacher", out, ("mp4",), cameras=["c0"], frames=[3, 5, 7]).files
    facts, pictures = _video(out.at(name))
    assert (facts["rate"], len(pictures)) == (Fraction(25, 2), 3)


def test_odd_sides_are_grown_for_h264(tmp_path: Path) -> None:
    picture = np.full((31, 41, 3), 30000, np.uint16)
    with video_file(tmp_path / "a.mp4", "mp4", (31, 41), Fraction(25)) as add:
        add(picture, 0)
    (shown,) = _video(str(tmp_path / "a.mp4"))[1]
    assert shown.shape[:2] == (32, 42)
    assert np.abs(shown[..., :3].astype(float) - 30000).max() < 600


def test_what_stops_a_video_is_told_by_its_cause(tmp_path: Path) -> None:
    """Linux refuses every byte to /dev/full as a full disk does; libx264 refuses a picture of more than 16384."""
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    for name, size, says in (
        ("full.mp4", (32, 48), "the disk is full. Free some space"),
        ("wide.mp4", (8, 20000), r"libx264 does not write 20000 x 8 pixels at 25 frames/s .*--format png or exr"),
    ):
        with (
            pytest.raises(StoreError, match=f"{name}: {says}") as refused,
            video_file(tmp_path / name, "mp4", size, Fraction(25)) as add,
        ):
            add(np.zeros((*size, 3), np.uint16), 0)
        assert ("disk" in str(refused.value)) == (name == "full.mp4")


def _luma(path: Path) -> np.ndarray:
    """The stored brightness, (frames, H, W), as the decoder returns it: no conversion of FFmpeg's is asked."""
    with av.open(str(path)) as file:
        planes = []
        for frame in file.decode(video=0):
            kind = np.uint8 if frame.format.components[0].bits == 8 else np.dtype("<u2")
            rows = np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)
            planes.append(np.ascontiguousarray(rows).view(kind)[: frame.height, : frame.width].astype(int))
    return np.stack(planes)


@pytest.mark.parametrize(
    ("form", "alpha", "black", "white"),
    [("mp4", False, 16, 235), ("prores", False, 64, 940), ("prores", True, 64, 940)],
)
def test_white_grey_and_black_are_the_numbers_of_rec709(
    tmp_path: Path, form: str, alpha: bool, black: int, white: int
) -> None:
    """Rec. ITU-R BT.709, parts 3 and 4: white is 235 of 255 and 940 of 1023; 3.2 gives the brightness of colours."""
    rng = np.random.default_rng(2)
    flat = [np.full((64, 96, 3), level, np.uint16) for level in (0, 65535)]
    grey = np.repeat(np.linspace(0, 65535, 96).round().astype(np.uint16)[None, :, None], 64, 0).repeat(3, 2)
    patches = rng.integers(0, 65536, (4, 6, 3)).astype(np.uint16).repeat(16, 0).repeat(16, 1)
    path = tmp_path / f"a.{'mp4' if form == 'mp4' else 'mov'}"
    with video_file(path, form, (64, 96), Fraction(25), alpha=alpha) as add:
        for index, picture in enumerate([*flat, grey, patches]):
            opaque = np.full((64, 96, 1), 65535, np.uint16)
            add(np.concatenate([picture, opaque], 2) if alpha else picture, index)
    shown = _luma(path)
    step = white - black
    if form == "prores" and _depth(path) == 12:
        shown = shown / 4  # newer FFmpeg returns 4444 with 12 bits
    assert abs(shown[0] - black).max() <= 0.25
    assert abs(shown[1] - white).max() <= 0.25
    assert abs(shown[2] - np.rint(black + step * (grey[..., 0] / 65535))).max() <= 1, "within one code"
    wanted = black + step * (patches / 65535) @ (0.2126, 0.7152, 0.0722)
    inside = np.abs(shown[3] - wanted)[4:-4, 4:-4].reshape(-1)
    assert np.median(inside) <= 1, "colours keep their brightness"


def _depth(path: Path) -> int:
    with av.open(str(path)) as file:
        return max(part.bits for part in next(file.decode(video=0)).format.components)


def test_what_is_written_reads_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    patches = rng.integers(6000, 60000, (4, 6, 3)).astype(np.uint16).repeat(32, 0).repeat(32, 1)
    for form, suffix, bits, off in (("mp4", "mp4", 8, 1.5), ("prores", "mov", 10, 2)):
        with video_file(tmp_path / f"a.{suffix}", form, patches.shape[:2], Fraction(25)) as add:
            add(patches, 0)
        ((_, seen),) = read_video(tmp_path / f"a.{suffix}", [0])
        inside = np.zeros((32, 32), bool)
        inside[8:-8, 8:-8] = True
        error = np.abs(seen - patches / 65535 * (2**bits - 1)).max(2)[np.tile(inside, (4, 6))]
        assert np.median(error) <= off
