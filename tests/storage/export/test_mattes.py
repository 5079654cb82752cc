"""Exported mattes hold what the store holds, say what they are, and appear whole or not at all."""

import json
import signal
import subprocess
import sys
import time
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenEXR
import pytest
import tifffile
import zarr
from PIL import Image, ImageCms

from capmat_errors import ConfigError, NotFound, StoreError
from storage.export.mattes import export_mattes
from storage.pictures.colour import encode_srgb
from storage.pictures.files import read_grey, read_image, read_rgba, read_shown
from storage.store.root import Root
from storage.takes.take import Take
from tests.project import ROOT
from tests.storage.export.mixed_take import EMPTY, HEIGHT, PHA, SUBJECT, WIDTH, make_take


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
    np.testing.assert_allclose(rgba[..., :3], (SUBJECT * PHA)[..., None].repeat(3, 2), atol=0.02)
    with av.open(out.at(name)) as other:
        seen = next(other.decode(video=0)).to_ndarray(format="gbrapf32le")
    np.testing.assert_allclose(seen, rgba, atol=1e-3)


def test_the_cut_out_before_its_plate_is_the_frame_again(take: Take, out: Root) -> None:
    (name,) = export_mattes(take, "teacher", out, ("exr",), cameras=["c0"], frames=[3]).files
    rgba = _exr(out.at(name))[1].astype(np.float32)
    straight = encode_srgb(rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-3))
    again = rgba[..., 3:] * straight + (1 - rgba[..., 3:]) * encode_srgb(EMPTY)
    assert np.abs(again - take.read("c0", 3).transpose(1, 2, 0)).max() < 0.01


def test_without_a_plate_the_stage_is_guessed_and_the_header_says_so(folder: Root, out: Root) -> None:
    take = make_take(folder, plates=False)
    (name,) = export_mattes(take, "teacher", out, ("exr",), what=["fg"], cameras=["c0"], frames=[3]).files
    header, rgb = _exr(out.at(name))
    off, before = (np.abs(colour - SUBJECT).mean() for colour in (rgb, take.light("c0", 3)))
    assert off < before / 3
    assert header["capmat.foreground"] == "freed from a guessed stage"


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


def test_a_drop_frame_code_skips_two_numbers_and_says_so_in_the_header(folder: Root, out: Root) -> None:
    take = make_take(folder, frames=3, fps=29.97, timecode="01:02:59;28")
    names = export_mattes(take, "teacher", out, ("exr",), cameras=["c1"]).files
    code = _exr(out.at(names[2]))[0]["timeCode"]
    assert (code.hours, code.minutes, code.seconds, code.frame, code.dropFrame) == (1, 3, 0, 2, True)


@pytest.mark.parametrize(("fps", "start"), [(50, "01:02:59:28"), (60, "01:02:59:58"), (300, "01:02:59:298")])
def test_a_take_faster_than_a_time_code_can_count_is_exported_whole(
    folder: Root, out: Root, fps: float, start: str
) -> None:
    """OpenEXR ends at 29 frames, and the track of a MOV or MP4 at 255 numbers a second."""
    take = make_take(folder, frames=4, fps=fps, timecode=start)
    *pictures, mp4, mov = export_mattes(take, "teacher", out, ("exr", "mp4", "prores"), cameras=["c0"]).files
    codes = [_exr(out.at(name))[0].get("timeCode") for name in pictures]
    numbers = [(int(start[9:]) + index) % fps for index in range(4)]
    assert [code and code.frame for code in codes] == [n if n < 30 else None for n in numbers]
    for name in (mp4, mov):
        with av.open(out.at(name)) as file:
            said = file.streams.video[0].metadata.get("timecode")
            assert said == (start if fps < 256 else None)
            assert len(list(file.decode(video=0))) == 4


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
    assert np.abs(colour[..., :3] / 65535 - encode_srgb(SUBJECT)).max() < 0.02  # where alpha is 0 as well


@pytest.mark.parametrize("form", ["png", "tiff"])
def test_exported_colours_say_that_they_are_srgb_and_mattes_say_nothing(take: Take, out: Root, form: str) -> None:
    alpha, *colours = export_mattes(
        take, "teacher", out, (form,), what=("alpha", "rgba", "fg", "comp"), cameras=["c0"], frames=[3]
    ).files
    assert not Image.open(out.at(alpha)).info.keys() & {"srgb", "icc_profile", "gamma"}
    for name in colours:
        said = Image.open(out.at(name)).info
        if form == "png":
            assert said["srgb"] == 1
            continue
        profile = ImageCms.ImageCmsProfile(BytesIO(said["icc_profile"]))
        levels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
        seen = ImageCms.profileToProfile(Image.fromarray(levels), profile, ImageCms.createProfile("sRGB"))
        assert np.abs(np.asarray(seen).astype(int) - levels).max() <= 1
    assert np.abs(read_shown(Path(out.at(colours[-1]))) * 65535 - read_image(Path(out.at(colours[-1])))).max() <= 1


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
        ("{shot} is not a field", {"name": "{camera}/{shot}.{frame}.{ext}"}),
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


def test_an_export_that_stopped_half_way_over_another_runs_files_is_not_taken_for_that_run(
    folder: Root, out: Root
) -> None:
    """Files without compression are of one size, whatever they hold, so the size does not tell them apart."""
    take = make_take(folder, frames=4)
    take.start_run("studant", {"name": "bg_vitmatte_s", "version": "v0003"})
    take.write_alphas("studant", "c0", dict.fromkeys(take.frames, 1 - PHA))
    options: dict[str, Any] = {"cameras": ["c0"], "compression": "none"}
    names = export_mattes(take, "teacher", out, ("exr",), **options).files
    third = Path(out.at(names[2]))
    third.unlink()
    third.mkdir()  # nothing can be written there
    with pytest.raises(StoreError, match=third.name):
        export_mattes(take, "studant", out, ("exr",), **options)
    third.rmdir()
    export_mattes(take, "teacher", out, ("exr",), **options)
    assert {_exr(out.at(name))[0]["capmat.run"] for name in names} == {"teacher"}


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
