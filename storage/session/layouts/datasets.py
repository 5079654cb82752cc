"""Recordings of a stage in layouts of other programs and data sets: EasyMocap, ActorsHQ, DNA-Rendering and others.

Each recogniser looks at names, and returns None for a folder in another layout.
"""

from pathlib import Path

from capmat_errors import CalibrationError
from storage.calibration.formats.files import open_calibration
from storage.pictures.files import IMAGE_SUFFIXES
from storage.recordings.video import VIDEO_SUFFIXES
from storage.session.layouts.parts import (
    Draft,
    describe_file,
    draft_of,
    numbered,
    recordings_below,
    visible,
    with_suffix,
)

_OTHERS = ("background", "checkerboard", "chessboard", "calibration", "intrinsics")
_NO_PLATES = "the empty stage was not recorded, so the stage has no plates"


def easyvolcap(folder: Path) -> Draft | None:
    """EasyMocap, EasyVolcap, ZJU: `images/` or `videos/` beside `intri.yml` and `extri.yml`.

    The empty stage is in `bkgd/` or `background1f/`, if it was recorded.
    """
    if not all(any((folder / f"{half}{end}").is_file() for end in (".yml", ".xml")) for half in ("intri", "extri")):
        return None
    # If both exist, the pictures were made from the videos.
    for name in ("videos", "images"):
        if below := recordings_below(folder / name):
            break
    else:
        return None
    draft = draft_of("easyvolcap", ".", f"{name}/{below[0]}")
    if name == "images":
        draft.ask("fps", "frames per second of the pictures")
    describe_file(draft, below[1])
    for empty in ("bkgd", "background1f/videos", "background1f/images", "background1f"):
        if plates := recordings_below(folder / empty):
            draft.fields["plates.path"] = f"{empty}/{plates[0]}"
            break
    else:
        draft.notes.append("neither bkgd/ nor background1f/ exists, so the stage has no plates")
    return draft


def actorshq(folder: Path) -> Draft | None:
    """ActorsHQ: `rgbs/Cam001/Cam001_rgb000000.jpg` and `calibration.csv`."""
    cameras = visible(folder / "rgbs")
    if not cameras or not (folder / "calibration.csv").is_file():
        return None
    pictures = with_suffix(cameras[0], (".jpg", ".png"))
    if not pictures:
        return None
    template = f"rgbs/{{camera}}/{numbered({cameras[0].name: pictures[0]})}"
    draft = draft_of("actorshq", "calibration.csv", template)
    draft.ask("fps", "frames per second of the pictures")
    describe_file(draft, pictures[0])
    draft.notes.append(
        "ActorsHQ has no plates, because the background was removed from its pictures (masks/ is not read)"
    )
    return draft


def smc(folder: Path) -> Draft | None:
    """DNA-Rendering: `0012_11.smc`, and `0012_11_annots.smc` if the calibration is a file of its own."""
    files = with_suffix(folder, (".smc",))
    main = [file for file in files if not file.stem.endswith("_annots")]
    if len(main) != 1:
        return None
    annotations = folder / f"{main[0].stem}_annots.smc"
    calibration = annotations if annotations in files else main[0]
    draft = draft_of("smc", calibration.name, main[0].name)
    draft.jpeg()
    draft.ask("fps", "frames per second; the file does not say it")
    draft.notes.append(_NO_PLATES)
    return draft


def n3dv(folder: Path) -> Draft | None:
    """Neural 3D Video: `cam00.mp4` and so on, beside `poses_bounds.npy`."""
    videos = [file for file in with_suffix(folder, (".mp4",)) if file.stem.startswith("cam")]
    if not videos or not (folder / "poses_bounds.npy").is_file():
        return None
    draft = draft_of("llff", "poses_bounds.npy", "{camera:cam[^/]*}.mp4")
    describe_file(draft, videos[0])
    draft.notes.append(_NO_PLATES)
    return draft


def pose2sim(folder: Path) -> Draft | None:
    """Pose2Sim: one `Calib*.toml` and the videos, in `calibration/` and `videos/` or side by side."""
    for calibration, videos in (("calibration/", "videos/"), ("", "")):
        files = [file for file in with_suffix(folder / calibration, (".toml",)) if file.name.startswith("Calib")]
        recorded = with_suffix(folder / videos, VIDEO_SUFFIXES)
        if len(files) == 1 and recorded:
            break
    else:
        return None
    draft = draft_of("pose2sim", f"{calibration}{files[0].name}", f"{videos}{{camera}}{recorded[0].suffix}")
    describe_file(draft, recorded[0])
    draft.notes.append(_NO_PLATES)
    return draft


def opencv(folder: Path) -> Draft | None:
    """Folders that each hold a cv2.FileStorage with a pose, a video or picture, and perhaps `background.*`."""
    cameras = [path for path in visible(folder) if path.is_dir() and with_suffix(path, (".xml", ".yml"))]
    if not cameras:
        return None
    names = [path.name for path in cameras]
    storages = _in_all(cameras, (".xml", ".yml"))
    # Some cameras have two files: one with the lens, one with lens and pose.
    posed = [name for name in storages if _has_poses(folder, name, names)]
    recorded = _in_all(cameras, (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES))
    takes = [name for name in recorded if Path(name).stem not in _OTHERS]
    if len(posed) != 1 or len(takes) != 1:
        return None
    draft = draft_of("opencv-xml", f"{{camera}}/{posed[0]}", f"{{camera}}/{takes[0]}")
    first = cameras[0] / takes[0]
    if first.suffix.lower() in IMAGE_SUFFIXES:
        draft.still()
    describe_file(draft, first)
    empty = [name for name in recorded if Path(name).stem == "background"]
    if empty:
        draft.fields["plates.path"] = f"{{camera}}/{empty[0]}"
        if first.suffix.lower() in IMAGE_SUFFIXES and Path(empty[0]).suffix.lower() in VIDEO_SUFFIXES:
            # A video of the empty stage may leave open what its numbers mean, although the take does not.
            plates = Draft()
            describe_file(plates, cameras[0] / empty[0])
            draft.open += [item for item in plates.open if item[0][0].startswith("video.")]
    else:
        draft.notes.append("no background.* lies beside the takes, so the stage has no plates")
    return draft


def _in_all(cameras: list[Path], suffixes: tuple[str, ...]) -> list[str]:
    """Names of files that every camera has."""
    return sorted(set.intersection(*({file.name for file in with_suffix(path, suffixes)} for path in cameras)))


def _has_poses(folder: Path, name: str, cameras: list[str]) -> bool:
    try:
        open_calibration("opencv-xml", f"{{camera}}/{name}", folder, cameras)
    except CalibrationError:
        return False
    return True
