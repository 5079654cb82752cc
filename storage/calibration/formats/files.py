"""The one door to calibration files: read and write any format, as `Camera`s in metres.

The JSON of "capmat" is read and written here; every other format has a module of its own in this folder, with its
traps at the top.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from capmat_errors import CalibrationError, ConfigError, StoreError
from storage.calibration.camera import Camera
from storage.calibration.formats.actorshq import read_actorshq
from storage.calibration.formats.colmap import colmap_files, read_colmap
from storage.calibration.formats.easyvolcap import easyvolcap_files, read_easyvolcap
from storage.calibration.formats.llff import read_llff
from storage.calibration.formats.metashape import read_metashape
from storage.calibration.formats.opencv import read_opencv
from storage.calibration.formats.parts import Calibration, file_text, parsed_json, refused
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


def open_calibration(
    format: str,
    path_template: str,
    root: Path,
    cameras: Sequence[str] | None = None,
    unit: str = "m",
    scale: float = 1.0,
) -> Calibration:
    """Read every camera's calibration, in metres, and the notes of the reader.

    Args:
        format: one of `Format`.
        path_template: path below `root`, a file or, for "easyvolcap" and "colmap", a folder; with {camera} for
            "opencv-xml".
        root: the session's folder.
        cameras: read only these ("opencv-xml"); None for all.
        unit: unit of translations, "m", "cm" or "mm"; "capmat" carries its own and ignores this.
        scale: how many of these units one unit of the file is, for reconstructions without a unit.

    Returns:
        Cameras by name, in metres. Width and height are 0 where the file does not tell them.

    Raises:
        ConfigError: the format is unknown.
        CalibrationError: a file is missing, unreadable or incomplete, or `Camera` refuses its numbers.
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
            raise CalibrationError("the file has its own unit", where=path_template, fix="Remove scale.")
        return _read_capmat(root / path_template)
    if format in _READERS:
        calibration = _READERS[format](root / path_template)
    else:
        calibration = read_opencv(path_template, root, cameras)
    return _in_metres(calibration, METRES[unit] * scale)


def write_calibration(format: str, cameras: Mapping[str, Camera], folder: Path) -> list[Path]:
    """Write cameras for other programs, in metres, and return the files.

    Args:
        format: "easyvolcap" (intri.yml, extri.yml), "colmap" (text), "nerfstudio" (transforms.json), or
            "capmat" (calibration.json).
        cameras: by name.
        folder: created if missing; files in it are never replaced.

    Raises:
        ConfigError: capmat does not write this format.
        CalibrationError: the format cannot represent one of the cameras.
        StoreError: a file of that name exists already, or the disk refuses.
    """
    if format not in WRITERS:
        raise ConfigError(f"calibrations are not written as {format!r}", fix=f"Use {', '.join(WRITERS)}.")
    texts = {folder / name: text for name, text in WRITERS[format](cameras).items()}
    for path in texts:
        if path.exists():
            raise StoreError("a file of this name exists already", where=str(path), fix="Name another folder.")
    with store_errors(str(folder)):
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


def _read_capmat(path: Path) -> Calibration:
    data = parsed_json(file_text(path), path)
    if not isinstance(data, dict) or not isinstance(data.get("cameras"), dict) or not data["cameras"]:
        raise refused("the calibration lists no cameras", path, fix='Add "cameras".')
    metres = METRES.get(str(data.get("units")))
    if metres is None:
        raise refused(f"units are {data.get('units')!r}", path, fix="Use m, cm or mm.")
    cameras = {}
    for name, numbers in data["cameras"].items():
        try:
            cameras[name] = Camera.from_json(name, numbers)
        except (TypeError, ValueError) as error:
            what = error.what if isinstance(error, CalibrationError) else str(error)
            raise refused(what, path, name, "Calibrate this camera again.") from error
    return _in_metres(Calibration(cameras), metres)


def _in_metres(calibration: Calibration, metres: float) -> Calibration:
    """Return the calibration with its translations times `metres`."""
    scaled = {name: replace(camera, t=camera.t * metres) for name, camera in calibration.cameras.items()}
    return calibration._replace(cameras=scaled)
