"""Every format that labels come in: which one it is, which files it is made of, and who reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from storage.labels.formats.archive import Export
from storage.labels.formats.coco import read_coco
from storage.labels.formats.cvat import read_cvat
from storage.labels.formats.davis import read_davis
from storage.labels.formats.labelme import read_labelme_json, read_labelme_xml
from storage.labels.formats.names import DEFAULT
from storage.labels.formats.parse import read_json, read_xml, refused, without_ending
from storage.labels.formats.pictures import colour_of, has_palette, read_flat, read_label, read_overlay, read_trimap
from storage.labels.formats.shapes import Annotated, Meaning, Overlap
from storage.labels.formats.studio import read_labelstudio
from storage.labels.strokes import drawing_from
from storage.pictures.files import read_grey, read_header, read_rgba

PICTURES = ("overlay", "label", "trimap")
FORMATS = (*PICTURES, "labelstudio", "cvat", "labelme", "coco", "davis", "strokes")
_PICTURE_ENDINGS = (".png", ".tif", ".tiff")
_ENDINGS = {
    **dict.fromkeys(PICTURES, _PICTURE_ENDINGS),
    "cvat": (".xml",),
    "labelme": (".xml", ".json"),
    **dict.fromkeys(("labelstudio", "coco", "davis", "strokes"), (".json",)),
}
_NAMES = {
    "overlay": Meaning(("00ff00",), ("ff0000",)),
    "davis": Meaning(("*",), ("0",)),
}
_USUAL = Meaning(("foreground", "fg", "subject", "person"), ("background", "bg"))


@dataclass(frozen=True)
class Reading:
    """How an export is read.

    Attributes:
        format: one of `FORMATS`, or "auto".
        names: template of the pictures' names, see `storage.labels.formats.names`.
        take: of all pictures, where their names do not say it.
        camera: of all pictures, where their names do not say it.
        offset: added to the number in the name, for tools that count a take's frames from 0.
        foreground: names of the subject (of an overlay: its colour); empty: see docs/labels.md.
        background: names of the background (of an overlay: its colour).
        radius: of lines without a width, in pixels.
        overlap: what becomes of pixels that are foreground and background: refuse, later, open.
    """

    format: str = "auto"
    names: str = DEFAULT
    take: str = ""
    camera: str = ""
    offset: int = 0
    foreground: tuple[str, ...] = ()
    background: tuple[str, ...] = ()
    radius: float = 3.0
    overlap: Overlap = "refuse"

    @property
    def meaning(self) -> Meaning:
        """Which names are what."""
        usual = _NAMES.get(self.format, _USUAL)
        if self.foreground or self.background:
            # Whoever names one side has thought about names; of colours there must always be two.
            kept = usual if self.format == "overlay" else Meaning((), ())
            return Meaning(self.foreground or kept.foreground, self.background or kept.background)
        return usual


def format_of(export: Export) -> str:
    """The format of an export, by what is in its first file that tells.

    Raises:
        ScribbleError: no file tells.
    """
    for file in export.files:
        if file.suffix.lower() in (".xml", ".json") and (found := _kind(export, file)):
            return found
    pictures = [file for file in export.files if file.suffix.lower() in _PICTURE_ENDINGS]
    if not pictures:
        raise refused(
            "no file in it is of a format that is known", export.name, f"There are {', '.join(FORMATS)}: --format."
        )
    return _picture_kind(pictures[0], export.where(pictures[0]))


def files_of(export: Export, format: str) -> list[Path]:
    """The files of an export that hold its labels.

    Raises:
        ScribbleError: there is none.
    """
    files = [file for file in export.files if file.suffix.lower() in _ENDINGS[format]]
    if format not in PICTURES and len(files) > 1:
        # What lies beside it (notes, tasks) may be of another kind.
        files = [file for file in files if _kind(export, file) == format] or files
    if not files:
        raise refused(f"there is no {' or '.join(_ENDINGS[format])} in it", export.name, "Name another --format.")
    return files


def read_export(export: Export, reading: Reading) -> list[Annotated]:
    """What an export says, one entry a picture; masks and pictures are read when they are needed.

    Args:
        export: the files.
        reading: its format must be known.

    Raises:
        ScribbleError: a file is not what it should be; it names file and entry.
        ImageUnreadable: a picture is none.
    """
    read = _PER_FILE[reading.format]
    return [found for file in files_of(export, reading.format) for found in read(export, file, reading)]


def _pixels(export: Export, file: Path, reading: Reading) -> list[Annotated]:
    where = export.where(file)
    header = read_header(file)
    size = header.height, header.width
    if reading.format == "overlay":
        sides = [reading.meaning.foreground, reading.meaning.background]
        if any(len(names) != 1 for names in sides):
            raise refused("a painted overlay has one colour for each side", where, "Give one colour each.")
        label: Callable[[], Any] = partial(read_overlay, file, size, *(colour_of(names[0]) for names in sides))
    else:
        label = partial(read_label if reading.format == "label" else read_trimap, file, where)
    return [Annotated(without_ending(export.place(file)), where, size, label=label)]


def _cvat(export: Export, file: Path, reading: Reading) -> list[Annotated]:
    return read_cvat(read_xml(file, export.where(file)), export.where(file), reading.radius)


def _labelme(export: Export, file: Path, reading: Reading) -> list[Annotated]:
    where = export.where(file)
    if file.suffix.lower() == ".json":
        return [read_labelme_json(read_json(file, where), where, export.place(file), reading.radius)]

    def mask(folder: str, name: str) -> Path | None:
        found = [other for other in export.files if other.name == name]
        return next((other for other in found if export.place(other).endswith(f"{folder}/{name}")), None)

    return [read_labelme_xml(read_xml(file, where), where, mask, reading.radius)]


def _studio(export: Export, file: Path, reading: Reading) -> list[Annotated]:
    return read_labelstudio(read_json(file, export.where(file)), export.where(file))


def _coco(export: Export, file: Path, reading: Reading) -> list[Annotated]:
    return read_coco(read_json(file, export.where(file)), export.where(file))


def _davis(export: Export, file: Path, reading: Reading) -> list[Annotated]:
    return read_davis(read_json(file, export.where(file)), export.where(file), reading.radius)


def _strokes(export: Export, file: Path, reading: Reading) -> list[Annotated]:
    where = export.where(file)
    drawing = drawing_from(read_json(file, where), where)
    if not drawing.strokes:
        raise refused("nothing is drawn", where)
    return [Annotated("", where, (drawing.height, drawing.width), drawing=drawing)]


_PER_FILE: dict[str, Callable[[Export, Path, Reading], list[Annotated]]] = {
    **dict.fromkeys(PICTURES, _pixels),
    "cvat": _cvat,
    "labelme": _labelme,
    "labelstudio": _studio,
    "coco": _coco,
    "davis": _davis,
    "strokes": _strokes,
}


def _kind(export: Export, file: Path) -> str:
    """Format of an XML or JSON file; empty if it is none of them."""
    where = export.where(file)
    if file.suffix.lower() == ".xml":
        return {"annotations": "cvat", "annotation": "labelme"}.get(read_xml(file, where).tag, "")
    data = read_json(file, where)
    if isinstance(data, list):
        is_task = data and isinstance(data[0], dict) and "annotations" in data[0]
        return "labelstudio" if is_task else ""
    keys = set(data) if isinstance(data, dict) else set()
    signs = {
        "strokes": {"capmat", "strokes"},
        "labelme": {"shapes", "imageHeight"},
        "coco": {"images", "annotations"},
        "davis": {"sequence", "scribbles"},
    }
    return next((format for format, needed in signs.items() if needed <= keys), "")


def _picture_kind(file: Path, where: str) -> str:
    channels = read_header(file).channels
    fix = "Say which it is: --format overlay, label or trimap."
    if channels == 3 and has_palette(file):
        return "label"
    if channels == 4 and (read_rgba(file)[..., 3] == 0).any():
        return "overlay"
    grey = read_flat(file, where) if channels > 1 else read_grey(file)
    if grey is None:
        if channels == 4:
            return "overlay"
        raise refused("the picture has no alpha, so it is no painted overlay", where, fix)
    values = np.unique(grey)
    white = np.iinfo(values.dtype).max
    if 1 in values and set(values.tolist()) <= {0, 1, 255}:
        return "label"
    if values[0] == 0 and values[-1] == white and len(values) > 2:
        return "trimap"
    raise refused("its values say neither that it is a label nor that it is a trimap", where, fix)
