"""Videos of mattes show every frame at its time, in the colours and with the alpha that the store holds."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from storage.export.mattes import export_mattes
from storage.export.video import video_file
from storage.pictures.colour import decode_srgb, encode_srgb
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
