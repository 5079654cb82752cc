"""Scenes of still pictures, every picture a camera: COLMAP, Nerfstudio, Blender.

The reconstruction names its pictures; those that it does not name were not placed, and are left out.
"""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from capmat_errors import CalibrationError, SessionError
from storage.calibration.formats.files import open_calibration
from storage.pictures.files import IMAGE_SUFFIXES
from storage.recordings.video import VIDEO_SUFFIXES
from storage.session.layouts.parts import Found, describe_file, pictures_of, visible, with_suffix


def colmap(folder: Path) -> Found | None:
    """COLMAP: `images/`, and a model in `sparse/0`, in `sparse`, or beside it."""
    for model in ("sparse/0", "sparse", "."):
        if any((folder / model / f"images{end}").is_file() for end in (".bin", ".txt")):
            break
    else:
        return None
    found = Found({"calibration.format": "colmap", "calibration.path": model})
    cameras = open_calibration("colmap", model, folder).cameras
    _pictures(found, folder, list(cameras), list(pictures_of(folder / "images")), "images/")
    found.notes.append("COLMAP scenes have no plates")
    return found


def nerfstudio(folder: Path) -> Found | None:
    """Nerfstudio, and Blender's NeRF scenes: `transforms.json`, or `transforms_train.json`."""
    for name in ("transforms.json", "transforms_train.json"):
        file = folder / name
        if file.is_file():
            break
    else:
        return None
    found = Found({"calibration.format": "nerfstudio", "calibration.path": name})
    cameras = open_calibration("nerfstudio", name, folder).cameras
    frames = json.loads(file.read_text(encoding="utf-8"))["frames"]
    first = PurePosixPath(frames[0]["file_path"].replace("\\", "/"))
    # Blender leaves the ending away; paths of other machines lead nowhere and are refused below.
    beside = folder / first.parent
    pictures = list(pictures_of(beside)) if not first.is_absolute() and ".." not in first.parts else []
    _pictures(found, folder, list(cameras), pictures, str(first))
    found.notes.append("scenes of transforms.json have no plates")
    return found


def _pictures(found: Found, folder: Path, cameras: Sequence[str], pictures: Sequence[Path], where: str) -> None:
    """Fill in the take: the one template that leads to the pictures of all cameras."""
    for part in ("stem", "folder"):
        named = {(p.stem if part == "stem" else p.parent.name): p for p in pictures}
        mine = [named[camera] for camera in cameras if camera in named]
        templates = {_template(path.relative_to(folder), part) for path in mine}
        if mine and len(templates) == 1:
            found.fields["take.path"] = templates.pop()
            if rest := sorted({*named} - {*cameras}):
                found.fields["take.without"] = rest
                found.notes.append(f"left out, since the reconstruction did not place them: {', '.join(rest)}")
            found.ask_unit()
            found.still()
            describe_file(found, mine[0])
            return
        if len(templates) > 1:
            raise SessionError(
                "the pictures lie in several folders, or have several endings",
                where=str(folder),
                fix="Put them side by side as one kind of file, or write a session.toml.",
            )
    raise CalibrationError(
        f"none of the {len(cameras)} pictures of the reconstruction is there ({where})",
        where=str(folder),
        fix="Copy the pictures beside it; `capmat calibration` reads it without them.",
    )


def _template(path: Path, part: str) -> str:
    if part == "stem":
        return (path.parent / f"{{camera}}{path.suffix}").as_posix()
    return (path.parent.parent / "{camera}" / path.name).as_posix()


_OTHERS = ("background", "checkerboard", "chessboard", "calibration", "intrinsics")


def opencv(folder: Path) -> Found | None:
    """Folders that each hold a cv2.FileStorage with a pose, a video or picture, and perhaps `background.*`."""
    cameras = [path for path in visible(folder) if path.is_dir() and with_suffix(path, (".xml", ".yml"))]
    if not cameras:
        return None
    names = [path.name for path in cameras]
    storages = _in_all(cameras, (".xml", ".yml"))
    # Some keep the lens in a file of its own; the one that has the pose has both.
    posed = [name for name in storages if _has_poses(folder, name, names)]
    recorded = _in_all(cameras, (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES))
    takes = [name for name in recorded if Path(name).stem not in _OTHERS]
    if len(posed) != 1 or len(takes) != 1:
        return None
    found = Found(
        {
            "calibration.format": "opencv-xml",
            "calibration.path": f"{{camera}}/{posed[0]}",
            "take.path": f"{{camera}}/{takes[0]}",
        }
    )
    found.ask_unit()
    first = cameras[0] / takes[0]
    if first.suffix.lower() in IMAGE_SUFFIXES:
        found.still()
    describe_file(found, first)
    empty = [name for name in recorded if Path(name).stem == "background"]
    if empty:
        found.fields["plates.path"] = f"{{camera}}/{empty[0]}"
        if first.suffix.lower() in IMAGE_SUFFIXES and Path(empty[0]).suffix.lower() in VIDEO_SUFFIXES:
            # The empty stage may need to be told what its numbers mean although the take does not.
            plates = Found()
            describe_file(plates, cameras[0] / empty[0])
            found.open += [item for item in plates.open if item[0][0].startswith("video.")]
    else:
        found.notes.append("there is no background.* beside the takes, so no plates")
    return found


def _in_all(cameras: list[Path], suffixes: tuple[str, ...]) -> list[str]:
    """Names of files that every camera has."""
    return sorted(set.intersection(*({file.name for file in with_suffix(path, suffixes)} for path in cameras)))


def _has_poses(folder: Path, name: str, cameras: list[str]) -> bool:
    try:
        open_calibration("opencv-xml", f"{{camera}}/{name}", folder, cameras)
    except CalibrationError:
        return False
    return True
