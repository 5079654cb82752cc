"""A small stage: a folder per camera with its take, its empty stage, and its calibration by OpenCV.

cam1/video.avi  (or frame0.jpg)    cam1/background.avi    cam1/config.xml
"""

from pathlib import Path

from capmat_errors import CalibrationError
from storage.calibration.formats.files import open_calibration
from storage.pictures.files import IMAGE_SUFFIXES
from storage.recordings.video import VIDEO_SUFFIXES
from storage.session.layouts.parts import Found, describe_file, visible, with_suffix

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
