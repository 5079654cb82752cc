"""Scenes of still pictures, every picture a camera: COLMAP, Nerfstudio, Blender.

The reconstruction names the pictures that it could place; the others are left out.
"""

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from capmat_errors import CalibrationError, SessionError
from storage.calibration.formats.files import open_calibration
from storage.session.layouts.parts import Draft, describe_file, draft_of, pictures_of


def colmap(folder: Path) -> Draft | None:
    """COLMAP: `images/`, and a model in `sparse/0`, in `sparse`, or beside it."""
    for model in ("sparse/0", "sparse", "."):
        if any((folder / model / f"images{end}").is_file() for end in (".bin", ".txt")):
            break
    else:
        return None
    draft = draft_of("colmap", model)
    cameras = open_calibration("colmap", model, folder).cameras
    _pictures(draft, folder, list(cameras), list(pictures_of(folder / "images")), "images/")
    draft.notes.append("COLMAP scenes have no plates")
    return draft


def nerfstudio(folder: Path) -> Draft | None:
    """Nerfstudio, and Blender's NeRF scenes: `transforms.json`, or `transforms_train.json`."""
    for name in ("transforms.json", "transforms_train.json"):
        file = folder / name
        if file.is_file():
            break
    else:
        return None
    draft = draft_of("nerfstudio", name)
    cameras = open_calibration("nerfstudio", name, folder).cameras
    frames = json.loads(file.read_text(encoding="utf-8-sig"))["frames"]
    first = PurePosixPath(frames[0]["file_path"].replace("\\", "/"))
    # Blender omits the suffix. A path of another machine finds no pictures here, and is refused below.
    beside = folder / first.parent
    pictures = list(pictures_of(beside)) if not first.is_absolute() and ".." not in first.parts else []
    _pictures(draft, folder, list(cameras), pictures, str(first))
    draft.notes.append("scenes of transforms.json have no plates")
    return draft


def _pictures(draft: Draft, folder: Path, cameras: Sequence[str], pictures: Sequence[Path], where: str) -> None:
    """Fill in the take: the one template that matches the pictures of all cameras."""
    for part in ("stem", "folder"):
        named = {(p.stem if part == "stem" else p.parent.name): p for p in pictures}
        mine = [named[camera] for camera in cameras if camera in named]
        templates = {_template(path.relative_to(folder), part) for path in mine}
        if mine and len(templates) == 1:
            draft.fields["take.path"] = templates.pop()
            if rest := sorted({*named} - {*cameras}):
                draft.fields["take.without"] = rest
                draft.notes.append(f"left out, because the reconstruction did not place them: {', '.join(rest)}")
            draft.still()
            describe_file(draft, mine[0])
            return
        if len(templates) > 1:
            raise SessionError(
                "the pictures lie in several folders, or have several endings",
                where=str(folder),
                fix="Put them side by side as one kind of file, or write a session.toml.",
            )
    raise CalibrationError(
        f"none of the {len(cameras)} pictures of the reconstruction exists ({where})",
        where=str(folder),
        fix="Copy the pictures beside it; `capmat calibration` reads it without them.",
    )


def _template(path: Path, part: str) -> str:
    if part == "stem":
        return (path.parent / f"{{camera}}{path.suffix}").as_posix()
    return (path.parent.parent / "{camera}" / path.name).as_posix()
