"""Exported mattes hold what the store holds, say what they are, and appear whole or not at all."""

import json
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenEXR
import pytest
import tifffile
import zarr
from PIL import Image

from capmat_errors import ConfigError, NotFound, StoreError
from storage.calibration.camera import Camera
from storage.export.mattes import export_mattes
from storage.export.video import video_file
from storage.pictures.colour import Colour, decode_srgb, encode_srgb
from storage.pictures.files import read_grey, read_rgba
from storage.store.root import Root
from storage.takes.plate import Plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tests.project import ROOT
from tests.storage.raw_pictures import write_raw

HEIGHT, WIDTH = 30, 40
PHA = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
SUBJECT, EMPTY = np.float32(0.6), np.float32(0.2)
COLOUR = Colour(12, "linear", 64)


def make_take(root: Root, *, frames: int = 2, fps: float = 25.0, timecode: str = "", plates: bool = True) -> Take:
    """A subject of one grey, mixed by PHA with a stage of another, as sensor numbers."""
    K = np.array([[50.0, 0, 20], [0, 50, 15], [0, 0, 1]])
    cameras = {id: Camera(id, WIDTH, HEIGHT, K, np.zeros(5), np.eye(3), np.zeros(3)) for id in ("c0", "c1")}
    take = Take.create(
        root,
        "walk",
        stage="ring",
        cameras=cameras,
        colour=COLOUR,
        frames=range(3, 3 + frames),
        fps=fps,
        timecode=timecode,
        source={"session": "day", "path": "takes/walk/{camera}/{frame:04d}.png"},
    )
    numbers = np.rint(64 + (PHA * SUBJECT + (1 - PHA) * EMPTY) * (4095 - 64)).astype(np.uint16)
    take.start_run("teacher", {"name": "bg_vitmatte_s", "version": "v0003"})
    for camera in cameras:
        for frame in take.frames:
            write_raw(take, camera, frame, np.repeat(numbers[..., None], 3, axis=2))
        take.write_alphas("teacher", camera, dict.fromkeys(take.frames, PHA))
    take.seal()
    if plates:
        stage = Stage.create(root, "ring", cameras=cameras, colour=COLOUR, source={})
        mean = np.full((HEIGHT, WIDTH, 3), 64 + EMPTY * (4095 - 64), np.float32)
        for camera in cameras:
            stage.write_plate(camera, Plate(mean, np.ones_like(mean), np.ones((HEIGHT, WIDTH), bool), 9))
        stage.seal()
    return Take.open(root, "walk")


@pytest.fixture
def take(folder: Root) -> Take:
    return make_take(folder)


@pytest.fixture
def out(tmp_path: Path) -> Root:
    return Root(tmp_path / "out")


def _exr(path: str) -> tuple[dict[str, Any], np.ndarray]:
    with OpenEXR.File(path) as file:
        (channel,) = file.channels().values()
        return dict(file.header()), channel.pixels.copy()


def test_one_file_per_frame_is_called_by_take_camera_what_and_frame(take: Take, out: Root) -> None:
    done = export_mattes(take, "teacher", out, cameras=["c1"], frames=[4])
    names = [f"walk/c1/c1_{what}.000004.{ext}" for what, ext in (("rgba", "exr"), ("alpha", "png"), ("rgba", "png"))]
    assert sorted(done.files) == sorted(names) == [name for name in out.list() if not name.startswith(".")]


def test_exr_is_half_linear_premultiplied_and_read_alike_by_others(take: Take, out: Root) -> None:
    (name,) = export_mattes(take, "teacher", out, ("exr",), cameras=["c0"], frames=[3]).files
    with OpenEXR.File(out.at(name), separate_channels=True) as file:
        assert set(file.channels()) == set("RGBA")
    header, rgba = _exr(out.at(name))
    assert rgba.dtype == np.float16
    assert header["compression"] == OpenEXR.ZIP_COMPRESSION
    np.testing.assert_allclose(rgba[..., 3], PHA, atol=5e-4)
    soft = PHA >= 0.02
    np.testing.assert_allclose(rgba[soft][:, :3], (SUBJECT * PHA[soft])[:, None].repeat(3, 1), atol=1e-3)
    with av.open(out.at(name)) as other:
        seen = next(other.decode(video=0)).to_ndarray(format="gbrapf32le")
    np.testing.assert_allclose(seen, rgba, atol=1e-3)


def test_the_cut_out_before_its_plate_is_the_frame_again(take: Take, out: Root) -> None:
    (name,) = export_mattes(take, "teacher", out, ("exr",), cameras=["c0"], frames=[3]).files
    rgba = _exr(out.at(name))[1].astype(np.float32)
    again = rgba[..., :3] + (1 - rgba[..., 3:]) * EMPTY
    assert np.abs(again - take.light("c0", 3).transpose(1, 2, 0)).max() < 0.01
    soft = PHA >= 0.02
    assert np.abs(again - take.light("c0", 3).transpose(1, 2, 0))[soft].max() < 1e-3


def test_without_a_plate_the_frame_lends_its_own_colour_and_the_header_says_so(folder: Root, out: Root) -> None:
    take = make_take(folder, plates=False)
    (name,) = export_mattes(take, "teacher", out, ("exr",), what=["fg"], cameras=["c0"], frames=[3]).files
    header, rgb = _exr(out.at(name))
    np.testing.assert_allclose(rgb, take.light("c0", 3).transpose(1, 2, 0), atol=1e-3)
    assert header["capmat.foreground"] == "the frame's own colour"


def test_exr_says_where_it_comes_from_and_when(folder: Root, out: Root) -> None:
    take = make_take(folder, frames=3, fps=29.97, timecode="01:02:59:28")
    names = export_mattes(take, "teacher", out, ("exr",), cameras=["c1"]).files
    header, _ = _exr(out.at(names[2]))
    held = {name.removeprefix("capmat."): value for name, value in header.items() if name.startswith("capmat.")}
    assert held.pop("capmat")
    assert json.loads(held.pop("colour"))["black"] == 64
    assert held == {
        "take": "walk",
        "camera": "c1",
        "frame": 5,
        "run": "teacher",
        "model": "bg_vitmatte_s",
        "version": "v0003",
        "session": "day",
        "source": "takes/walk/{camera}/{frame:04d}.png",
        "foreground": "freed from the plate",
    }
    assert header["framesPerSecond"] == Fraction(30000, 1001)
    assert str(header["timeCode"]).startswith("(1, 3, 0, 0,")
    assert "chromaticities" not in header


def test_what_a_run_knows_of_its_making_is_in_the_headers_of_exr_and_png(take: Take, out: Root) -> None:
    knows = {"labels": "scribbles@l0003", "config": "c" * 16, "stage": "ring", "plates": "p" * 16, "code": "0.1"}
    take.start_run("teacher", {"name": "bg_vitmatte_s", "version": "v0003", **knows})
    assert zarr.open_array(take.root.at("takes/walk.zarr/cameras/c0/alpha/teacher")).attrs["capmat"]["labels"]
    exr, png = export_mattes(take, "teacher", out, ("exr", "png"), what=["alpha"], cameras=["c0"], frames=[3]).files
    header, _ = _exr(out.at(exr))
    with Image.open(out.at(png)) as image:
        text = image.text
    for name, value in {**knows, "model": "bg_vitmatte_s", "version": "v0003", "camera": "c0", "frame": 3}.items():
        assert header[f"capmat.{name}"] == value
        assert text[f"capmat.{name}"] == str(value)
    assert read_grey(Path(out.at(png))).dtype == np.uint16  # and it is still the same picture


@pytest.mark.parametrize("form", ["png", "tiff"])
def test_png_and_tiff_hold_sixteen_bits_of_matte_and_straight_colour(take: Take, out: Root, form: str) -> None:
    alpha, rgba = export_mattes(take, "teacher", out, (form,), cameras=["c0"], frames=[3]).files
    if form == "tiff":
        grey, colour = (tifffile.imread(out.at(name)) for name in (alpha, rgba))
        with tifffile.TiffFile(out.at(rgba)) as file:
            assert json.loads(file.pages[0].description)["run"] == "teacher"
            assert file.pages[0].extrasamples == (tifffile.EXTRASAMPLE.UNASSALPHA,)
    else:
        grey, colour = read_grey(Path(out.at(alpha))), read_rgba(Path(out.at(rgba)))
    assert grey.dtype == colour.dtype == np.uint16
    np.testing.assert_array_equal(grey, np.rint(PHA * 65535))
    np.testing.assert_array_equal(colour[..., 3], grey)
    soft = PHA > 0.2
    assert np.abs(colour[soft][:, :3] / 65535 - encode_srgb(SUBJECT)).max() < 2e-3


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
    assert np.abs(pictures[0][PHA > 0.2][:, :3] / 65535 - encode_srgb(SUBJECT)).max() < 0.02


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


def test_what_is_not_there_is_said_before_anything_is_written(take: Take, out: Root) -> None:
    take.start_run("student", {})
    take.write_alphas("student", "c0", {3: PHA})
    for message, options in {
        "take walk camera c0 frame 4: run student has no matte": {"run": "student"},
        "no run of mattes is called other; the take has: student, teacher": {"run": "other"},
        "no camera is called c7; the take has: c0, c1": {"cameras": ["c0", "c7"]},
        "no frame is called 9; the take has: 3 to 4": {"frames": [3, 9]},
    }.items():
        with pytest.raises(NotFound, match=message):
            export_mattes(take, **{"run": "teacher", "out": out, **options})  # type: ignore[arg-type]
    assert out.list() == []


def test_too_little_room_is_said_before_anything_is_written(
    take: Take, out: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.export.mattes._free", lambda folder: 4000)
    with pytest.raises(StoreError, match="needs about 0.0 GB, the disk has 0.0 GB left"):
        export_mattes(take, "teacher", out)
    assert out.list() == []


def test_a_folder_that_cannot_be_used_is_named(take: Take, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    for form in ("png", "exr", "mp4"):
        with pytest.raises(StoreError, match="out"):
            export_mattes(take, "teacher", Root(tmp_path / "out"), (form,))


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("the export format tga is not known", {"formats": ("tga",)}),
        ("mp4 cannot hold rgba", {"formats": ("mp4",), "what": ["rgba"]}),
        ("no field {shot}", {"name": "{camera}/{shot}.{frame}.{ext}"}),
        ("no {frame}", {"name": "{camera}.{ext}"}),
        ("no {camera}", {"name": "{frame}.{ext}"}),
        ("at its end", {"name": "{camera}.{frame}.png"}),
        ("cannot be written as", {"name": "{camera!r}.{frame}.{ext}"}),
        ("cannot be written as", {"name": "{camera}.{frame:>9}.{ext}"}),
        ("is not a template", {"name": "{camera.{ext}"}),
        ("below the folder", {"name": "../{camera}{frame}.{ext}"}),
        ("below the folder", {"name": "/{camera}{frame}.{ext}"}),
        ("2 files would be called", {"formats": ("png",), "name": "{camera}/{frame}.{ext}"}),
    ],
)
def test_names_that_are_no_good_are_refused(take: Take, out: Root, words: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=words):
        export_mattes(take, "teacher", out, **options)
    assert out.list() == []


def test_an_export_run_again_writes_only_what_changed(root: Root, request: pytest.FixtureRequest) -> None:
    take, out = make_take(root), Root(f"{root.url}-out")
    formats = ("exr", "mp4")
    first = export_mattes(take, "teacher", out, formats)
    assert sorted(first.files) == first.written
    assert export_mattes(take, "teacher", out, formats).written == []
    take.write_alphas("teacher", "c1", {4: PHA * np.float32(0.5)})
    changed = ["walk/c1/c1_comp.mp4", "walk/c1/c1_rgba.000004.exr"]
    assert export_mattes(take, "teacher", out, formats).written == changed
    out.remove("walk/c0/c0_rgba.000003.exr")
    out.write("walk/c0/c0_comp.mp4", b"cut off")
    damaged = ["walk/c0/c0_comp.mp4", "walk/c0/c0_rgba.000003.exr"]
    assert export_mattes(take, "teacher", out, formats, compression="zip").written == damaged
    assert len(export_mattes(take, "teacher", out, ("exr",), compression="piz").written) == 4
    assert export_mattes(take, "teacher", out, ("mp4",)).written == []


_EXPORT = """
import sys
from storage.export.mattes import export_mattes
from storage.store.root import Root
from storage.takes.take import Take

if __name__ == "__main__":
    store, out = map(Root, sys.argv[1:])
    export_mattes(Take.open(store, "walk"), "teacher", out, ("exr", "png"), workers=2)
"""


def test_a_killed_export_leaves_no_half_file_and_goes_on(folder: Root, out: Root, tmp_path: Path) -> None:
    take = make_take(folder, frames=64)
    script = tmp_path / "export.py"
    script.write_text(_EXPORT)
    command = [sys.executable, str(script), folder.url, out.url]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(command, env=environment)
    while not list(Path(out.url).glob(".capmat-export/walk/*.json")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for name in out.list():
        if name.endswith(".exr") and not Path(name).name.startswith("."):
            assert _exr(out.at(name))[1].shape == (HEIGHT, WIDTH, 4)
    time.sleep(0.3)  # the workers notice
    done = export_mattes(take, "teacher", out, ("exr", "png"))
    assert 0 < len(done.written) < len(done.files) == 2 * 64 * 3
    assert sorted(n for n in out.list() if not n.startswith(".capmat-export")) == sorted(done.files)
    assert read_grey(Path(out.at("walk/c1/c1_alpha.000066.png"))).max() == 65535


def test_side_by_side_or_alone_the_files_are_the_same(take: Take, tmp_path: Path) -> None:
    alone, together = Root(tmp_path / "alone"), Root(tmp_path / "together")
    export_mattes(take, "teacher", alone, ("png", "tiff"))
    seen: list[tuple[int, int]] = []
    done = export_mattes(take, "teacher", together, ("png", "tiff"), workers=2, progress=lambda *n: seen.append(n))
    assert seen[-1] == (len(done.files), len(done.files))
    assert all(alone.read(name) == together.read(name) for name in done.files)


def test_odd_sides_are_grown_for_h264(tmp_path: Path) -> None:
    picture = np.full((31, 41, 3), 30000, np.uint16)
    with video_file(tmp_path / "a.mp4", "mp4", (31, 41), Fraction(25)) as add:
        add(picture, 0)
    (shown,) = _video(str(tmp_path / "a.mp4"))[1]
    assert shown.shape[:2] == (32, 42)
    assert np.abs(shown[..., :3].astype(float) - 30000).max() < 600
