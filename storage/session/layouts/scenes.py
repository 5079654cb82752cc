"""Scenes that COLMAP, Nerfstudio or Blender placed: every picture a camera, or a folder per camera or frame.

The reconstruction names the pictures that it could place; other cameras are left out.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from capmat_errors import CalibrationError, SessionError
from storage.calibration.formats.files import open_calibration
from storage.recordings.recording import Recording, find_recordings
from storage.session.layouts.parts import Draft, describe_file, draft_of, numbered, pictures_of


def colmap(folder: Path) -> Draft | None:
    """COLMAP: `images/`, and a model in `sparse/0`, in `sparse`, or beside it."""
    for model in ("sparse/0", "sparse", "."):
        if any((folder / model / f"images{end}").is_file() for end in (".bin", ".txt")):
            break
    else:
        return None
    draft = draft_of("colmap", model)
    placed = open_calibration("colmap", model, folder).pictures
    _take(draft, folder, {camera: f"images/{name}" for camera, name in placed.items()}, folder / "images")
    draft.notes.append("COLMAP scenes have no plates")
    return draft


def nerfstudio(folder: Path) -> Draft | None:
    """Nerfstudio, and Blender's NeRF scenes: `transforms.json`, or `transforms_train.json`."""
    for name in ("transforms.json", "transforms_train.json"):
        if (folder / name).is_file():
            break
    else:
        return None
    draft = draft_of("nerfstudio", name)
    placed = open_calibration("nerfstudio", name, folder).pictures
    first = PurePosixPath(next(iter(placed.values())).replace("\\", "/"))
    # A path of another machine finds no pictures here, and is refused below.
    here = not first.is_absolute() and ".." not in first.parts
    _take(draft, folder, placed, folder / (first.parts[0] if len(first.parts) > 1 else "") if here else None)
    draft.notes.append("scenes of transforms.json have no plates")
    return draft


def _take(draft: Draft, folder: Path, placed: Mapping[str, str], within: Path | None) -> None:
    """Fill in the take: the one template that matches the pictures of all cameras.

    Args:
        draft: receives it.
        folder: of the session.
        placed: path of each camera's picture below the folder.
        within: the folder that holds the pictures; None if it is not here.
    """
    pictures = [file.relative_to(folder) for file in pictures_of(within)] if within else []
    mine = {camera: found for camera, name in placed.items() if (found := _find(name, pictures))}
    if not mine:
        raise CalibrationError(
            f"none of the {len(placed)} pictures of the reconstruction exists ({next(iter(placed.values()))})",
            where=str(folder),
            fix="Copy the pictures beside it; `capmat calibration` reads it without them.",
        )
    if all(picture.parent.name == camera for camera, picture in mine.items()):
        templates = {(picture.parent.parent / "{camera}" / numbered(mine)).as_posix() for picture in mine.values()}
    else:
        templates = {(picture.parent / f"{{camera}}{picture.suffix}").as_posix() for picture in mine.values()}
    recordings = find_recordings(folder, template := templates.pop())
    if (frames := _folder_per_frame(template)) and _has_many(all_frames := find_recordings(folder, frames)):
        recordings, template = all_frames, frames
    if templates or not recordings.keys() >= mine.keys():
        raise SessionError(
            "the pictures lie in several folders, or have several endings",
            where=str(folder),
            fix="Put them side by side as one kind of file, or write a session.toml.",
        )
    draft.fields["take.path"] = template
    if _has_many(recordings):
        draft.ask("fps", "frames per second of the pictures")
        draft.notes.append("the pose of a camera's placed picture holds for all its frames")
    else:
        draft.still()
    if rest := sorted(recordings.keys() - placed.keys()):
        draft.fields["take.without"] = rest
        draft.notes.append(f"left out, because the reconstruction did not place them: {', '.join(rest)}")
    describe_file(draft, folder / next(iter(mine.values())))


def _folder_per_frame(template: str) -> str:
    """The template of pictures that lie in a folder per frame, `frame_0003/C01.png`; "" for other pictures."""
    parent, _, name = template.rpartition("/")
    number = re.fullmatch(r"(|.*/|.*\D(?=\d\d))(\d+)", parent)
    return f"{number[1]}{{frame:0{len(number[2])}d}}/{name}" if number and "{frame" not in name else ""


def _has_many(recordings: Mapping[str, Recording]) -> bool:
    return any(len(recording.frames) > 1 for recording in recordings.values())


def _find(name: str, pictures: list[Path]) -> Path | None:
    """The picture of this name, whatever its ending; else the only one with its stem."""
    wanted = PurePosixPath(name.replace("\\", "/"))
    for stem in (wanted, wanted.with_suffix("")):  # Blender omits the ending
        if found := [path for path in pictures if path.with_suffix("") == Path(stem)]:
            return found[0]
    found = [path for path in pictures if path.stem in (wanted.name, wanted.stem)]
    return found[0] if len(found) == 1 else None
