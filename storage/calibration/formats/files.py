"""Calibration files of other programs, brought to `Camera`'s one convention: metres, OpenCV, world to camera.

The json of "capmat" is read here; every other format has a `calibration_<format>.py` of its own, with its traps at
the top.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

from capmat_errors import CalibrationError, ConfigError, StoreError
from storage.calibration.camera import Camera
from storage.calibration.formats.actorshq import read_actorshq
from storage.calibration.formats.colmap import read_colmap
from storage.calibration.formats.colmap_text import colmap_files
from storage.calibration.formats.easyvolcap import easyvolcap_files, read_easyvolcap
from storage.calibration.formats.llff import read_llff
from storage.calibration.formats.metashape import read_metashape
from storage.calibration.formats.opencv import read_opencv_xml
from storage.calibration.formats.parts import Calibration, file_text
from storage.calibration.formats.smc import read_smc
from storage.calibration.formats.toml import read_toml
from storage.calibration.formats.transforms import read_transforms, transforms_files
from storage.descriptor import Format
from storage.store.errors import store_errors

_READERS: dict[str, Callable[[Path], Calibration]] = {
    "easyvolcap": read_easyvolcap,
    "actorshq": read_actorshq,
    "colmap": read_colmap,
    "nerfstudio": read_transforms,
    "metashape": read_metashape,
    "caliscope": read_toml,
    "pose2sim": read_toml,
    "llff": read_llff,
    "smc": read_smc,
}
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}


def read_calibration(
    format: Format, path_template: str, root: Path, cameras: list[str] | None, unit: str = "m", scale: float = 1.0
) -> dict[str, Camera]:
    """Every camera's calibration, by name; see `open_calibration`."""
    return open_calibration(format, path_template, root, cameras, unit, scale).cameras


def open_calibration(
    format: str,
    path_template: str,
    root: Path,
    cameras: list[str] | None = None,
    unit: str = "m",
    scale: float = 1.0,
) -> Calibration:
    """Read every camera's calibration, and what its reader has to remark.

    Args:
        format: one of `Format`.
        path_template: path below `root`, a file or, for "easyvolcap" and "colmap", a folder; with {camera} for
            "opencv-xml".
        root: the session's folder.
        cameras: read only these ("opencv-xml"); None for all that are there.
        unit: unit of translations, "m", "cm" or "mm"; "capmat" carries its own and this is ignored for it.
        scale: how many of these units one unit of the file is, for reconstructions that have none.

    Returns:
        Cameras by name, in metres. Width and height are 0 where the file does not tell them.

    Raises:
        ConfigError: the format is not known.
        CalibrationError: a file is missing, unreadable, incomplete, or its numbers make no camera.
    """
    if format not in get_args(Format):
        raise ConfigError(
            f"the calibration format {format!r} is not known", fix=f"Use {', '.join(get_args(Format))}."
        )
    if unit not in METRES:
        raise CalibrationError(f"unit {unit!r} is not known", where=path_template, fix="Use m, cm or mm.")
    if not (math.isfinite(scale) and scale > 0):
        raise CalibrationError(f"scale is {scale}", where=path_template, fix="Give metres per unit, above 0.")
    if format == "capmat":
        if scale != 1:
            fix = "Leave scale out."
            raise CalibrationError("the file has units of its own", where=path_template, fix=fix)
        return Calibration(_read_json(root / path_template))
    metres = METRES[unit] * scale
    if format in _READERS:
        found, notes = _READERS[format](root / path_template)
        return Calibration({id: _scaled(camera, metres) for id, camera in found.items()}, notes)
    return Calibration(read_opencv_xml(path_template, root, cameras, metres))


def write_calibration(format: str, cameras: Mapping[str, Camera], folder: Path) -> list[Path]:
    """Write cameras for other programs, in metres.

    Args:
        format: "easyvolcap" (intri.yml, extri.yml), "colmap" (text), "nerfstudio" (transforms.json), or
            "capmat" (calibration.json).
        cameras: by name.
        folder: made if it is not there; files in it are never replaced.

    Returns:
        The files.

    Raises:
        ConfigError: nothing is written in this format.
        CalibrationError: the format has no place for one of the cameras.
        StoreError: a file of that name is there already, or the disk refuses.
    """
    if format not in WRITERS:
        raise ConfigError(f"calibrations are not written as {format!r}", fix=f"Use {', '.join(WRITERS)}.")
    texts = {folder / name: text for name, text in WRITERS[format](cameras).items()}
    for path in texts:
        if path.exists():
            raise StoreError("there is a file already", where=str(path), fix="Name another folder.")
    with store_errors(str(folder), remote=False):
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    return list(texts)


def _capmat_files(cameras: Mapping[str, Camera]) -> dict[str, str]:
    data = {"units": "m", "cameras": {name: camera.to_json() for name, camera in cameras.items()}}
    return {"calibration.json": json.dumps(data, indent=1, allow_nan=False) + "\n"}


WRITERS: dict[str, Callable[[Mapping[str, Camera]], dict[str, str]]] = {
    "easyvolcap": easyvolcap_files,
    "colmap": colmap_files,
    "nerfstudio": transforms_files,
    "capmat": _capmat_files,
}


def _read_json(path: Path) -> dict[str, Camera]:
    try:
        data = json.loads(file_text(path))
    except (ValueError, RecursionError) as error:
        raise CalibrationError(
            f"the calibration is no readable json ({error})", where=str(path), fix="Export it again."
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("cameras"), dict) or not data["cameras"]:
        raise CalibrationError("the calibration lists no cameras", where=str(path), fix='Add "cameras".')
    scale = METRES.get(data.get("units", ""))
    if scale is None:
        raise CalibrationError(f"units are {data.get('units')!r}", where=str(path), fix="Use m, cm or mm.")
    found = {}
    for id, numbers in data["cameras"].items():
        try:
            camera = Camera.from_json(id, numbers)
        except (TypeError, ValueError) as error:
            what = error.what if isinstance(error, CalibrationError) else str(error)
            raise CalibrationError(
                what, where=f"camera {id} in {path}", fix="Calibrate this camera again."
            ) from error
        found[id] = _scaled(camera, scale)
    return found


def _scaled(camera: Camera, scale: float) -> Camera:
    if scale == 1.0:
        return camera
    return Camera(camera.id, camera.width, camera.height, camera.K, camera.dist, camera.R, camera.t * scale)
