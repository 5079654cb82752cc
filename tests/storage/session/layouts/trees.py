"""Folders of every known layout, with three small cameras."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.storage.calibration.calibrations import (
    Rig,
    actorshq,
    colmap_text,
    easyvolcap,
    make_rig,
    nerfstudio,
    pose2sim,
)
from tests.storage.tiny_session import HEIGHT, WIDTH, background, write_picture, write_video

NAMES = ("C01", "C02", "C03")
NUMBERS = ("00", "0", "000")


def tiny_rigs(names: tuple[str, ...] = NAMES) -> list[Rig]:
    rigs = [make_rig(seed, name, bend=0.0) for seed, name in enumerate(names)]
    for rig in rigs:
        rig.width, rig.height = WIDTH, HEIGHT
        rig.fx = rig.fy
        rig.cx, rig.cy = WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5
    return rigs


def picture_of(number: int, frame: int | None = None) -> Any:
    """What camera `number` sees, 8 bits; with somebody in it if it is a frame."""
    picture = (background(number) / 16).astype(np.uint8)
    if frame is not None:
        picture[12:40, 8 + 6 * frame : 26 + 6 * frame] = (90, 60, 40)
    return picture


def write_pictures(folder: Path, name: str, frames: int = 2) -> None:
    """Write pictures of every camera; `name` has {camera} and {frame}."""
    for number, camera in enumerate(NAMES):
        for frame in range(frames):
            path = folder / name.format(camera=camera, frame=frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(path, picture_of(number, frame))


def _plates(folder: Path, name: str) -> None:
    for number, camera in enumerate(NAMES):
        path = folder / name.format(camera=camera, frame=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, picture_of(number))


def _video(path: Path, number: int, frames: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [picture_of(number, frame) for frame in range(frames)])


def easyvolcap_tree(folder: Path) -> None:
    easyvolcap(folder, tiny_rigs())
    write_pictures(folder, "images/{camera}/{frame:06d}.jpg")
    _plates(folder, "bkgd/{camera}.jpg")


def _easyvolcap_numbers(folder: Path) -> None:
    easyvolcap(folder, [replace(rig, name=name) for rig, name in zip(tiny_rigs(), NUMBERS, strict=True)])
    (folder / "x").mkdir()
    easyvolcap_tree(folder / "x")
    for old, new in zip(NAMES, NUMBERS, strict=True):
        for name in (f"images/{old}", f"bkgd/{old}.jpg"):
            path = folder / name.replace(old, new)
            path.parent.mkdir(exist_ok=True, parents=True)
            (folder / "x" / name).rename(path)
    shutil.rmtree(folder / "x")


def _easymocap_background(folder: Path) -> None:
    easyvolcap(folder, tiny_rigs())
    write_pictures(folder, "images/{camera}/{frame:06d}.jpg")
    _plates(folder, "background1f/images/{camera}/{frame:06d}.jpg")


def _actorshq(folder: Path) -> None:
    actorshq(folder, tiny_rigs())
    write_pictures(folder, "rgbs/{camera}/{camera}_rgb{frame:06d}.jpg")
    write_pictures(folder, "masks/{camera}/{camera}_mask{frame:06d}.png")


def colmap_tree(folder: Path) -> None:
    (folder / "sparse/0").mkdir(parents=True)
    colmap_text(folder / "sparse/0", tiny_rigs(), "PINHOLE")
    write_pictures(folder, "images/{camera}.jpg", frames=1)


def _colmap_in_folders(folder: Path, pictures: str, named: str) -> None:
    """As `colmap_tree`, with pictures in folders; `named` replaces their names in its model."""
    colmap_tree(folder)
    shutil.rmtree(folder / "images")
    images = folder / "sparse/0/images.txt"
    images.write_text(re.sub(r"(C\d\d)\.jpg", named, images.read_text()))
    write_pictures(folder, f"images/{pictures}.jpg", frames=3)


def colmap_folders_tree(folder: Path) -> None:
    """One picture of every folder was placed, as with a camera that does not move."""
    _colmap_in_folders(folder, "{camera}/{frame:04d}", r"\1/0001.jpg")


def _colmap_folder_per_frame(folder: Path) -> None:
    _colmap_in_folders(folder, "frame_{frame:04d}/{camera}", r"frame_0000/\1.jpg")


def _nerfstudio_folders(folder: Path) -> None:
    file = nerfstudio(folder, tiny_rigs())
    file.write_text(re.sub(r"images/(C\d\d)\.png", r"images/\1/\1_000.png", file.read_text()))
    write_pictures(folder, "images/{camera}/{camera}_{frame:03d}.png", frames=2)
    write_pictures(folder, "images_2/{camera}/{camera}_{frame:03d}.png", frames=2)


def _nerfstudio(folder: Path) -> None:
    nerfstudio(folder, tiny_rigs())
    write_pictures(folder, "images/{camera}.png", frames=1)


def _blender(folder: Path) -> None:
    frames = [{"file_path": f"./train/{rig.name}", "transform_matrix": np.eye(4).tolist()} for rig in tiny_rigs()]
    (folder / "transforms_train.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames}))
    write_pictures(folder, "train/{camera}.png", frames=1)


def _pose2sim(folder: Path) -> None:
    for part in ("calibration", "videos"):
        (folder / part).mkdir()
    pose2sim(folder / "calibration", tiny_rigs())
    for number, camera in enumerate(NAMES):
        _video(folder / f"videos/{camera}.mkv", number)


def _storage(path: Path, rig: Rig, posed: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    R, t = rig.to_camera
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    file.write("CameraMatrix", np.array([[rig.fx, 0, rig.cx], [0, rig.fy, rig.cy], [0, 0, 1]]))
    file.write("DistortionCoeffs", np.zeros((1, 5)))
    if posed:
        file.write("Rotation", cv2.Rodrigues(R)[0])
        file.write("Translation", t[:, None])
    file.release()


def _opencv(folder: Path) -> None:
    for number, rig in enumerate(tiny_rigs()):
        _storage(folder / rig.name / "config.xml", rig)
        _storage(folder / rig.name / "intrinsics.xml", rig, posed=False)
        _video(folder / rig.name / "video.mkv", number)
        write_video(folder / rig.name / "background.mkv", [picture_of(number)] * 2)
        write_video(folder / rig.name / "checkerboard.mkv", [picture_of(number)] * 2)


def _opencv_stills(folder: Path) -> None:
    for number, rig in enumerate(tiny_rigs()):
        _storage(folder / rig.name / "config.xml", rig)
        write_picture(folder / rig.name / "frame0.jpg", picture_of(number, 0))
        write_video(folder / rig.name / "background.mkv", [picture_of(number)] * 2)


def smc_tree(folder: Path, annotations: str) -> None:
    """Cameras 0 to 2 of two frames; the calibration may be in a file of its own."""
    import h5py

    with h5py.File(folder / "0012_11.smc", "w") as main, h5py.File(folder / annotations, "a") as beside:
        for number, rig in enumerate(tiny_rigs()):
            for frame in range(2):
                _, data = cv2.imencode(".jpg", picture_of(number, frame)[..., ::-1])
                main[f"Camera_5mp/{number}/color/{frame}"] = data.ravel()
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = rig.to_world, rig.centre
            lens = np.array([[rig.fx, 0, rig.cx], [0, rig.fy, rig.cy], [0, 0, 1]])
            for key, value in (("K", lens), ("D", np.zeros(5)), ("RT", pose)):
                beside[f"Camera_Parameter/{number:02d}/{key}"] = value


METRES, RATE, SRGB = "calibration.unit=m", "fps=50", "colour.transfer=srgb"
TREES: dict[str, tuple[str, Callable[[Path], None], list[str], int, int]] = {
    # layout, maker, what must be stated, frames, cameras with plates
    "easyvolcap": ("easyvolcap", easyvolcap_tree, [METRES, RATE], 2, 3),
    "easyvolcap with numbers": ("easyvolcap", _easyvolcap_numbers, [METRES, RATE], 2, 3),
    "easymocap background1f": ("easyvolcap", _easymocap_background, [METRES, RATE], 2, 3),
    "actorshq": ("actorshq", _actorshq, [METRES, RATE], 2, 0),
    "colmap": ("colmap", colmap_tree, ["calibration.scale=0.5"], 1, 0),
    "nerfstudio": ("nerfstudio", _nerfstudio, [METRES, SRGB], 1, 0),
    "colmap with a folder per camera": ("colmap", colmap_folders_tree, ["calibration.scale=0.5", RATE], 3, 0),
    "colmap with a folder per frame": ("colmap", _colmap_folder_per_frame, ["calibration.scale=0.5", RATE], 3, 0),
    "nerfstudio with a folder per camera": ("nerfstudio", _nerfstudio_folders, [METRES, SRGB, RATE], 2, 0),
    "blender": ("nerfstudio", _blender, [METRES, SRGB], 1, 0),
    "pose2sim": ("pose2sim", _pose2sim, [METRES], 2, 0),
    "opencv": ("opencv", _opencv, ["calibration.unit=mm"], 2, 3),
    "opencv stills": ("opencv", _opencv_stills, ["calibration.unit=mm"], 1, 3),
}
