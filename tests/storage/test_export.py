"""Exported mattes say what they are, and hold what the store holds."""

from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from capmat_errors import ConfigError, NotFound, StoreError
from storage.camera import Camera
from storage.colour import Colour
from storage.export import export_mattes
from storage.frames import read_grey, read_rgba
from storage.root import Root
from storage.take import Take

PHA = np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)


@pytest.fixture
def take(folder: Root) -> Take:
    K = np.array([[50.0, 0, 20], [0, 50, 15], [0, 0, 1]])
    camera = Camera("c0", 40, 30, K, np.zeros(5), np.eye(3), np.zeros(3))
    take = Take.create(
        folder,
        "walk",
        stage="ring",
        cameras={"c0": camera},
        colour=Colour(12, "linear", 64),
        frames=[3, 4],
        fps=25.0,
        dtype="uint16",
        source={},
    )
    take.start_run("teacher", {"model": "bg_vitmatte_s v0003"})
    for frame in take.frames:
        take.write_raw("c0", frame, np.full((30, 40, 3), 700 * (frame - 2), np.uint16))
        take.write_alpha("teacher", "c0", frame, PHA)
    return take


def test_png_holds_the_matte_and_straight_colour(take: Take, tmp_path: Path) -> None:
    files = export_mattes(take, "teacher", tmp_path / "out", ("png",))
    assert [f.relative_to(tmp_path / "out").as_posix() for f in files] == [
        "c0/000003_alpha.png",
        "c0/000003_rgba.png",
        "c0/000004_alpha.png",
        "c0/000004_rgba.png",
    ]
    assert np.abs(read_grey(files[0]) / 65535 - PHA).max() < 1e-5
    rgba = read_rgba(files[1])
    np.testing.assert_array_equal(rgba[..., :3], np.rint(take.read("c0", 3) * 255).transpose(1, 2, 0))
    assert np.abs(rgba[..., 3] / 255 - PHA).max() <= 0.51 / 255


def test_exr_is_linear_premultiplied_half_and_says_where_it_comes_from(take: Take, tmp_path: Path) -> None:
    files = export_mattes(take, "teacher", tmp_path / "out", ("exr",))
    with OpenEXR.File(str(files[1])) as exr:
        header, rgba = dict(exr.header()), exr.channels()["RGBA"].pixels.copy()
    assert rgba.dtype == np.float16
    light = (1400 - 64) / (4095 - 64)
    np.testing.assert_allclose(rgba[..., 0], light * PHA, atol=1e-3)
    np.testing.assert_allclose(rgba[..., 3], PHA, atol=1e-3)
    said = {name: header[f"capmat.{name}"] for name in ("take", "camera", "frame", "run", "model")}
    assert said == {"take": "walk", "camera": "c0", "frame": 4, "run": "teacher", "model": "bg_vitmatte_s v0003"}


def test_an_unfinished_run_is_not_exported_in_part(take: Take, tmp_path: Path) -> None:
    take.start_run("student", {})
    take.write_alpha("student", "c0", 3, PHA)
    with pytest.raises(NotFound, match="take walk camera c0 frame 4: run student has no matte"):
        export_mattes(take, "student", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(NotFound, match="no run other; there is student, teacher"):
        export_mattes(take, "other", tmp_path / "out")


def test_unknown_formats_and_unusable_folders_are_refused(take: Take, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tga is no export format"):
        export_mattes(take, "teacher", tmp_path / "out", ("tga",))  # type: ignore[arg-type]
    (tmp_path / "out").write_text("a file")
    for form in ("png", "exr"):
        with pytest.raises(StoreError, match="out"):
            export_mattes(take, "teacher", tmp_path / "out", (form,))  # type: ignore[arg-type]
