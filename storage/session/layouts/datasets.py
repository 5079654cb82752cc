"""Folders of other programs and published recordings: EasyMocap and its kin, ActorsHQ, DNA-Rendering and so on.

Each recogniser looks at names only and returns None for a folder that is not its own.
"""

from pathlib import Path

from storage.recordings.video import VIDEO_SUFFIXES
from storage.session.layouts.parts import Found, describe_file, numbered, recordings_below, visible, with_suffix


def easyvolcap(folder: Path) -> Found | None:
    """EasyMocap, EasyVolcap, ZJU: `images/` or `videos/` beside `intri.yml` and `extri.yml`.

    The empty stage is in `bkgd/` or `background1f/`, where there is one.
    """
    if not all(any((folder / f"{half}{end}").is_file() for end in (".yml", ".xml")) for half in ("intri", "extri")):
        return None
    # Videos are the source where there are both: pictures were made from them.
    for name in ("videos", "images"):
        if below := recordings_below(folder / name):
            break
    else:
        return None
    found = Found({"calibration.format": "easyvolcap", "calibration.path": ".", "take.path": f"{name}/{below[0]}"})
    found.ask_unit()
    if name == "images":
        found.ask("fps", "frames per second of the pictures")
    describe_file(found, below[1])
    for empty in ("bkgd", "background1f/videos", "background1f/images", "background1f"):
        if plates := recordings_below(folder / empty):
            found.fields["plates.path"] = f"{empty}/{plates[0]}"
            break
    else:
        found.notes.append("there is no bkgd/ or background1f/, so no plates")
    return found


def actorshq(folder: Path) -> Found | None:
    """ActorsHQ: `rgbs/Cam001/Cam001_rgb000000.jpg` and `calibration.csv`."""
    cameras = visible(folder / "rgbs")
    if not cameras or not (folder / "calibration.csv").is_file():
        return None
    pictures = with_suffix(cameras[0], (".jpg", ".png"))
    if not pictures:
        return None
    template = f"rgbs/{{camera}}/{numbered(pictures[0], cameras[0].name)}"
    found = Found({"calibration.format": "actorshq", "calibration.path": "calibration.csv", "take.path": template})
    found.ask_unit()
    found.ask("fps", "frames per second of the pictures")
    describe_file(found, pictures[0])
    found.notes.append("ActorsHQ has no plates: the background was removed from its pictures (masks/ are not read)")
    return found


def smc(folder: Path) -> Found | None:
    """DNA-Rendering: `0012_11.smc`, with `0012_11_annots.smc` for the calibration where that is a file of its own."""
    files = with_suffix(folder, (".smc",))
    main = [file for file in files if not file.stem.endswith("_annots")]
    if len(main) != 1:
        return None
    annotations = folder / f"{main[0].stem}_annots.smc"
    calibration = annotations if annotations in files else main[0]
    found = Found(
        {
            "calibration.format": "smc",
            "calibration.path": calibration.name,
            "take.path": main[0].name,
            "colour.bits": 8,
            "colour.transfer": "srgb",
        }
    )
    found.ask_unit()
    found.ask("fps", "frames per second; the file does not say it")
    found.notes.append("JPEG pictures are taken as sRGB, as JFIF has it")
    found.notes.append("SMC files have no recording of the empty stage, so no plates")
    return found


def n3dv(folder: Path) -> Found | None:
    """Neural 3D Video: `cam00.mp4` and so on, beside `poses_bounds.npy`."""
    videos = [file for file in with_suffix(folder, (".mp4",)) if file.stem.startswith("cam")]
    if not videos or not (folder / "poses_bounds.npy").is_file():
        return None
    path = "{camera:cam[^/]*}.mp4"
    found = Found({"calibration.format": "llff", "calibration.path": "poses_bounds.npy", "take.path": path})
    found.ask_unit()
    describe_file(found, videos[0])
    found.notes.append("there is no recording of the empty stage, so no plates")
    return found


def pose2sim(folder: Path) -> Found | None:
    """Pose2Sim: one `Calib*.toml` and the videos, in `calibration/` and `videos/` or side by side."""
    for calibration, videos in (("calibration/", "videos/"), ("", "")):
        files = [file for file in with_suffix(folder / calibration, (".toml",)) if file.name.startswith("Calib")]
        recorded = with_suffix(folder / videos, VIDEO_SUFFIXES)
        if len(files) == 1 and recorded:
            break
    else:
        return None
    path = f"{videos}{{camera}}{recorded[0].suffix}"
    found = Found(
        {"calibration.format": "pose2sim", "calibration.path": f"{calibration}{files[0].name}", "take.path": path}
    )
    found.ask_unit()
    describe_file(found, recorded[0])
    found.notes.append("there is no recording of the empty stage, so no plates")
    return found
