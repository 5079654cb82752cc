"""One frame of a stage, cut out by its mattes, as a folder in Nerfstudio's own data format.

The folder holds `images/<camera>.png` (straight-alpha RGBA, 8 bit, display-referred sRGB: Nerfstudio's loader forces
8 bit and composites by itself), `transforms.json`, and for other trainers the same cameras as COLMAP's text files in
`sparse/0`, in the unit of the calibration. In `transforms.json` every pose is scaled so that the subject box is the
cube of -1..1. Switch off every automatic change of poses when training: by default Nerfstudio guesses orientation,
centre and scale from the cameras, and guesses anew for every set of cameras.

`storage.calibration.formats.transforms` converts between our camera convention (OpenCV) and Nerfstudio's (OpenGL).
"""

import json
import shutil
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CameraMissing, ConfigError, MatteError, SizeMismatch, StoreError
from storage.calibration.box import check_views
from storage.calibration.camera import Camera
from storage.calibration.formats.colmap import colmap_files
from storage.calibration.formats.transforms import frame_entry, picture_file
from storage.export.frame import Cut, Source
from storage.pictures.colour import encode_srgb
from storage.pictures.png import encode_png
from storage.store.errors import store_errors
from storage.takes.take import Take

Floats = NDArray[np.float64]
_MIN_TRAIN = 3  # two silhouettes do not bound a volume


@dataclass(frozen=True)
class Cutout:
    """One camera's picture and its matte, in memory.

    Attributes:
        camera: its calibration.
        image: (3, H, W) float32, straight display-referred sRGB, 0..1.
        alpha: (H, W) float32, 0..1; None where the run wrote no matte.
        origin: take and frame, for messages; "" if unknown.
    """

    camera: Camera
    image: NDArray[np.float32]
    alpha: NDArray[np.float32] | None
    origin: str = ""

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.origin} camera {self.camera.id}" if self.origin else self.camera.id


def export_frame(
    out: Path,
    take: Take,
    frame: int,
    run: str,
    *,
    train: Sequence[str],
    test: Sequence[str],
    box_centre: Sequence[float],
    box_size: float,
) -> Path:
    """Export one frame of a take with the mattes of a run; return the folder.

    Args:
        out: folder to create; an earlier export there is replaced.
        take: the take.
        frame: source frame number.
        run: name of the alpha run.
        train: cameras to train on; this and the rest as in `export_cutouts`.
        test: cameras held out.
        box_centre: of the subject box.
        box_size: of the subject box.
    """
    cutouts = [read_cutout(take, name, frame, run) for name in dict.fromkeys([*train, *test])]
    origin = {"take": take.name, "frame": frame, "run": run}
    return export_cutouts(
        out, cutouts, train=train, test=test, box_centre=box_centre, box_size=box_size, origin=origin
    )


def read_cutout(take: Take, camera: str, frame: int, run: str) -> Cutout:
    """Return one camera's matte, and the colour of its subject, which is the whole picture without a matte.

    Raises:
        CameraMissing: the camera is not in the take.
        NotFound: the frame is not in the take.
    """
    _check_names([camera], take.cameras)
    origin = f"take {take.name} frame {frame}"
    if not take.has_alpha(run, camera, frame):
        return Cutout(take.cameras[camera], take.read(camera, frame), None, origin)
    source = Source(take, camera, run, {})
    cut = Cut(source, frame, source.pha(frame), source.plates())
    return Cutout(take.cameras[camera], encode_srgb(cut.light), cut.pha, origin)


def export_cutouts(
    out: Path,
    cutouts: Sequence[Cutout],
    *,
    train: Sequence[str],
    test: Sequence[str],
    box_centre: Sequence[float],
    box_size: float,
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write cut-outs and cameras as a folder that Nerfstudio reads; return the folder.

    The folder is built beside its final path and renamed, so a reader never sees half of it.

    Args:
        out: folder to create; an earlier export there is replaced, and other content is refused.
        cutouts: one per camera.
        train: cameras to train on, 3 or more.
        test: cameras held out, 1 or more; they are listed as `val` too.
        box_centre: (x, y, z) of the subject box, in the unit of the calibration.
        box_size: edge length of the box; the trainer cuts off whatever lies outside.
        origin: where the mattes come from; kept in `transforms.json` under `capmat`.

    Raises:
        ConfigError: too few cameras, a camera in both lists, or a box without a size.
        CameraMissing: a named camera has no cut-out.
        MatteError: a matte is missing, empty, full or not a number.
        CalibrationError: a camera does not see the box, all stand at one point, or Nerfstudio cannot represent one.
        SizeMismatch: picture, matte and calibration disagree.
        StoreError: the disk refuses, or something else lies at `out`.
    """
    by_name = {cutout.camera.id: cutout for cutout in cutouts}
    _check_split(by_name, train, test)
    centre = np.asarray(box_centre, dtype=np.float64)
    if centre.shape != (3,) or not np.isfinite(centre).all() or not (np.isfinite(box_size) and box_size > 0):
        raise ConfigError(
            f"the subject box is not valid (centre {list(box_centre)}, size {box_size})",
            fix="Give three numbers and a size above 0, in the unit of the calibration.",
        )
    check_views([by_name[name].camera for name in train], centre, float(box_size))
    check_views([by_name[name].camera for name in test], centre, float(box_size), apart=False)
    scale = 2.0 / float(box_size)
    names = sorted({*train, *test})
    pictures = {name: checked_rgba(by_name[name]) for name in names}
    meta = {
        "camera_model": "OPENCV",
        "frames": [frame_entry(by_name[name].camera, centre, scale) for name in names],
        "train_filenames": [picture_file(name) for name in train],
        "val_filenames": [picture_file(name) for name in test],
        "test_filenames": [picture_file(name) for name in test],
        # saved point = applied_scale * (applied_transform @ world point): the way back to the stage
        "applied_transform": np.column_stack([np.eye(3), -centre]).tolist(),
        "applied_scale": scale,
        "capmat": dict(origin or {}),
    }
    lenses = colmap_files({name: by_name[name].camera for name in names})
    _write_folder(out, meta, pictures, lenses)
    return out


def _check_split(by_name: Mapping[str, Cutout], train: Sequence[str], test: Sequence[str]) -> None:
    if len(set(train)) < _MIN_TRAIN or not test:
        raise ConfigError(
            f"{len(set(train))} training and {len(set(test))} held-out cameras are too few",
            fix=f"Name {_MIN_TRAIN} or more for training and 1 or more to hold out.",
        )
    if both := sorted(set(train) & set(test)):
        raise ConfigError(f"held-out cameras are also trained on: {', '.join(both)}", fix="Name each once.")
    _check_names([*train, *test], by_name)


def _check_names(wanted: Sequence[str], known: Collection[str]) -> None:
    if missing := [name for name in wanted if name not in known]:
        raise CameraMissing(f"no camera {', '.join(missing)}", fix=f"Choose from {', '.join(sorted(known))}.")


def checked_rgba(cutout: Cutout) -> NDArray[np.uint8]:
    """Check a cut-out and return it as (H, W, 4) uint8 with straight alpha.

    Raises:
        MatteError: the matte is missing, empty, full or not a number.
        SizeMismatch: picture, matte and calibration disagree.
    """
    camera, alpha = cutout.camera, cutout.alpha
    if alpha is None:
        raise MatteError("this run wrote no matte", where=cutout.where, fix="Matte this camera, or leave it out.")
    size = (camera.height, camera.width)
    if alpha.shape != size or cutout.image.shape != (3, *size):
        raise SizeMismatch(
            f"picture {cutout.image.shape[1:]}, matte {alpha.shape}, calibration {size}",
            where=cutout.where,
            fix="Use the calibration of this recording.",
        )
    if not (np.isfinite(alpha).all() and np.isfinite(cutout.image).all()):
        raise MatteError("the matte or the picture holds NaN", where=cutout.where, fix="Matte this frame again.")
    # One empty view carves everything away and a full one nothing, so a reconstruction would be black without a word.
    if alpha.max() < 0.5 or alpha.min() > 0.5:
        state = "empty" if alpha.max() < 0.5 else "full: it holds no background"
        raise MatteError(f"the matte is {state}", where=cutout.where, fix="Look at it, or leave the camera out.")
    rgba = np.concatenate([cutout.image, alpha[None]]).transpose(1, 2, 0)
    straight: NDArray[np.uint8] = np.round(np.clip(rgba, 0, 1) * 255).astype(np.uint8)
    return straight


def _write_folder(
    out: Path, meta: dict[str, Any], pictures: Mapping[str, NDArray[np.uint8]], lenses: Mapping[str, str]
) -> None:
    """Build the folder beside `out`, then rename it into place."""
    if out.exists() and not (out / "transforms.json").is_file() and (out.is_file() or any(out.iterdir())):
        raise StoreError("the folder holds something else than an export", where=str(out), fix="Name another folder.")
    fresh, stale = (out.with_name(f".{out.name}.{uuid.uuid4().hex}") for _ in range(2))
    with store_errors(str(out)):
        try:
            (fresh / "images").mkdir(parents=True)
            (fresh / "sparse/0").mkdir(parents=True)
            for name, text in lenses.items():
                (fresh / "sparse/0" / name).write_text(text)
            for name, rgba in pictures.items():
                (fresh / picture_file(name)).write_bytes(encode_png(rgba))
            (fresh / "transforms.json").write_text(json.dumps(meta, indent=1, allow_nan=False))
            if out.exists():
                out.rename(stale)
            fresh.rename(out)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.rmtree(stale, ignore_errors=True)
