"""The tiny session in every format that pictures come in: three cameras, three frames, two of the empty stage."""

import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from storage.pictures.files import read_image
from storage.recordings.raw_pixels import pack
from tests.storage.pictures.packed_tiff import write_packed_tiff
from tests.storage.pictures.test_formats import _dng, _dpx
from tests.storage.tiny_session import CAMERAS, HEIGHT, WIDTH, calibrated, edit_toml, write_picture, write_session
from tests.storage.tiny_session import write_video as _video

FORMATS = {
    "png": ".png",
    "tiff": ".tif",
    "tiff12": ".tif",
    "exr": ".exr",
    "dpx": ".dpx",
    "jpeg": ".jpg",
    "dng": ".dng",
    "raw": ".raw",
}
"""Formats of one file per picture, with their endings."""
WITH_HEADERS = [form for form in FORMATS if form != "raw"]


def write_sources(top: Path) -> dict[str, Path]:
    """A session folder per format below `top`, also "video" and "smc"."""
    plain = write_session(top / "png")
    found = {"png": plain, "video": _videos(plain, top / "video"), "smc": _smc(top / "smc")}
    for form, suffix in FORMATS.items():
        if form != "png":
            found[form] = _converted(plain, top / form, form, suffix)
    return found


def mosaic(picture: np.ndarray) -> np.ndarray:
    """What an RGGB sensor sees of a picture."""
    out = picture[..., 1].copy()
    out[::2, ::2], out[1::2, 1::2] = picture[::2, ::2, 0], picture[1::2, 1::2, 2]
    return out


_WRITERS: dict[str, Callable[[Path, np.ndarray], Any]] = {
    "tiff": write_picture,
    "tiff12": lambda path, picture: write_packed_tiff(path, picture, 12),
    "exr": lambda path, picture: write_picture(path, picture / 4096),
    "dpx": lambda path, picture: _dpx(path, picture >> 2, 10),
    "jpeg": lambda path, picture: write_picture(path, (picture >> 4).astype(np.uint8)),
    "dng": lambda path, picture: _dng(path, mosaic(picture)),
    "raw": lambda path, picture: path.write_bytes(pack(mosaic(picture), "lsb")),
}
_COLOURS = {
    "exr": 'bits = 16\ntransfer = "linear"\nhalf = true',
    "dpx": 'bits = 10\ntransfer = "linear"',
    "jpeg": 'bits = 8\ntransfer = "srgb"',
    "video": 'bits = 8\ntransfer = "srgb"',
    "dng": 'bits = 12\ntransfer = "linear"\nblack = 64\ncfa = "RGGB"',
    "raw": 'bits = 12\ntransfer = "linear"\nblack = 64\ncfa = "RGGB"',
}
_PLAIN = 'bits = 12\ntransfer = "linear"\nblack = 64'


def _converted(plain: Path, folder: Path, form: str, suffix: str) -> Path:
    shutil.copytree(plain, folder)
    for old in sorted(folder.rglob("*.png")):
        _WRITERS[form](old.with_suffix(suffix), read_image(old))
        old.unlink()
    edit_toml(folder, ".png", suffix)
    edit_toml(folder, _PLAIN, _COLOURS.get(form, _PLAIN))
    if form == "raw":
        raw = f'[raw]\nwidth = {WIDTH}\nheight = {HEIGHT}\npixel_format = "BayerRG12p"\n'
        edit_toml(folder, "[plates]", f"{raw}[plates]")
    return folder


def _videos(plain: Path, folder: Path) -> Path:
    shutil.copytree(plain, folder)
    for part in ("plates", "takes/walk"):
        for camera in CAMERAS:
            files = sorted((folder / part / camera).glob("*.png"))
            _video(folder / part / f"{camera}.avi", [(read_image(file) >> 4).astype(np.uint8) for file in files])
            shutil.rmtree(folder / part / camera)
    edit_toml(folder, "/{frame:04d}.png", ".avi")
    edit_toml(folder, _PLAIN, _COLOURS["video"])
    return folder


def _smc(folder: Path) -> Path:
    import h5py
    from PIL import Image

    folder.mkdir()
    with h5py.File(folder / "take.smc", "w") as file:
        for number in range(3):
            camera = calibrated(number)
            for frame in range(3):
                out = BytesIO()
                Image.fromarray(np.full((HEIGHT, WIDTH, 3), 40 * number + frame, np.uint8)).save(out, "jpeg")
                file[f"Camera_5mp/{number}/color/{frame}"] = np.frombuffer(out.getvalue(), np.uint8)
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = camera["R"], camera["t"]
            file[f"Camera_Parameter/{number:02d}/K"] = np.array(camera["K"])
            file[f"Camera_Parameter/{number:02d}/D"] = np.array(camera["dist"])
            file[f"Camera_Parameter/{number:02d}/RT"] = pose
    (folder / "session.toml").write_text(
        'name = "day"\nstage = "ring"\nfps = 25.0\n[colour]\nbits = 8\ntransfer = "srgb"\n'
        '[calibration]\nformat = "smc"\npath = "take.smc"\n[takes.walk]\npath = "take.smc"\n'
    )
    return folder
