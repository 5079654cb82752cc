"""All formats of labels: recognise an export, choose its files, and read them as `Annotated` pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from storage.labels.formats.archive import Export
from storage.labels.formats.coco import read_coco
from storage.labels.formats.cvat import read_cvat
from storage.labels.formats.davis import read_davis
from storage.labels.formats.labelme import read_labelme_json, read_labelme_xml
from storage.labels.formats.names import usual_template
from storage.labels.formats.parse import read_document, refused, without_ending
from storage.labels.formats.pictures import (
    flat_channel,
    has_palette,
    overlay_colours,
    read_label,
    read_overlay,
    read_trimap,
)
from storage.labels.formats.shapes import Annotated, Label, Meaning, Overlap
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
_JSON_KEYS = {
    "strokes": {"capmat", "strokes"},
    "labelme": {"shapes", "imageHeight"},
    "coco": {"images", "annotations"},
    "davis": {"sequence", "scribbles"},
}
"""Keys by which the JSON of a format is recognised."""
_XML_ROOTS = {"annotations": "cvat", "annotation": "labelme"}
_MEANINGS = {
    "overlay": Meaning(("00ff00",), ("ff0000",)),
    "davis": Meaning(("*",), ("0",)),
}
_USUAL = Meaning(("foreground", "fg", "subject", "person"), ("background", "bg"))


@dataclass(frozen=True)
class Reading:
    """How an export is read.

    Attributes:
        format: one of `FORMATS`, or "auto".
        names: template of the pictures' names, see `storage.labels.formats.names`; empty for the usual one.
        take: of all pictures, where their names do not tell it.
        camera: of all pictures, where their names do not tell it.
        offset: added to the number in the name, for tools that count a take's frames from 0; None for 0, where that
            is no guess.
        foreground: names of the subject (of an overlay: its colour); empty: see docs/labels.md.
        background: names of the background (of an overlay: its colour).
        ground: of overlays without alpha: the colour that means nothing.
        radius: of lines without a width and of points, in pixels.
        overlap: what becomes of pixels that are foreground and background: refuse, later, open.
    """

    format: str = "auto"
    names: str = ""
    take: str = ""
    camera: str = ""
    offset: int | None = None
    foreground: tuple[str, ...] = ()
    background: tuple[str, ...] = ()
    ground: str = ""
    radius: float = 3.0
    overlap: Overlap = "refuse"

    @property
    def template(self) -> str:
        """The template of the pictures' names."""
        return self.names or usual_template(self.take, self.camera)

    @property
    def meaning(self) -> Meaning:
        """Which names are foreground and which are background."""
        usual = _MEANINGS.get(self.format, _USUAL)
        if not self.foreground and not self.background:
            return usual
        # Naming one side replaces the defaults of both, except for colours, of which there must always be two.
        kept = usual if self.format == "overlay" else Meaning((), ())
        return Meaning(self.foreground or kept.foreground, self.background or kept.background)


def format_of(export: Export) -> str:
    """Return the format of an export, recognised by the first file that tells.

    Raises:
        ScribbleError: no file tells.
    """
    for file in export.files:
        if file.suffix.lower() in (".xml", ".json") and (format := _document_format(export, file)):
            return format
    pictures = [file for file in export.files if file.suffix.lower() in _PICTURE_ENDINGS]
    if not pictures:
        fix = f"Give --format: {', '.join(FORMATS)}."
        raise refused("no file in it is of a known format", export.name, fix)
    return _picture_format(pictures[0], export.where(pictures[0]))


def _document_format(export: Export, file: Path) -> str:
    """Return the format of an XML or JSON file; empty if it is another kind of file."""
    document = read_document(file, export.where(file))
    if isinstance(document, Element):
        return _XML_ROOTS.get(document.tag, "")
    if isinstance(document, list):
        is_task = document and isinstance(document[0], dict) and {"annotations", "annotation_id"} & set(document[0])
        return "labelstudio" if is_task else ""
    keys = set(document) if isinstance(document, dict) else set()
    return next((format for format, needed in _JSON_KEYS.items() if needed <= keys), "")


def _picture_format(file: Path, where: str) -> str:
    channels = read_header(file).channels
    fix = "Say which it is: --format overlay, label or trimap; or --ground black, if black is under the strokes."
    if channels == 3 and has_palette(file):
        return "label"
    if channels == 4 and (read_rgba(file)[..., 3] == 0).any():
        return "overlay"
    grey = flat_channel(file, where) if channels > 1 else read_grey(file)
    if grey is None:
        if channels == 4:
            return "overlay"
        raise refused("the picture has no alpha, so it cannot be a painted overlay", where, fix)
    values = np.unique(grey)
    white = np.iinfo(values.dtype).max
    if 1 in values and set(values.tolist()) <= {0, 1, 255}:
        return "label"
    if values[0] == 0 and values[-1] == white and len(values) > 2:
        return "trimap"
    raise refused("its values fit neither a label nor a trimap", where, fix)


def files_of(export: Export, format: str) -> list[Path]:
    """Return the files of an export that hold its labels.

    Raises:
        ScribbleError: the export holds no such file.
    """
    files = [file for file in export.files if file.suffix.lower() in _ENDINGS[format]]
    if format not in PICTURES and len(files) > 1:
        # Files beside it (notes, tasks) may be of another kind.
        files = [file for file in files if _document_format(export, file) == format] or files
    if not files:
        raise refused(f"it holds no {' or '.join(_ENDINGS[format])} file", export.name, "Name another --format.")
    return files


def read_export(export: Export, reading: Reading) -> list[Annotated]:
    """Return what an export says, one entry per picture; masks and pictures are read when they are needed.

    Args:
        export: the files.
        reading: its format must be settled.

    Raises:
        ScribbleError: a file is broken; the error names file and entry.
        ImageUnreadable: a picture is broken.
    """
    files = files_of(export, reading.format)
    if reading.format in PICTURES:
        return [_picture(export, file, reading) for file in files]
    return [picture for file in files for picture in _document(export, file, reading)]


def _picture(export: Export, file: Path, reading: Reading) -> Annotated:
    where = export.where(file)
    header = read_header(file)
    if reading.format == "overlay":
        colours: Any = overlay_colours(reading.meaning.foreground, reading.meaning.background, reading.ground)

    def label() -> Label:
        if reading.format == "overlay":
            return read_overlay(file, where, *colours)
        return read_label(file, where) if reading.format == "label" else read_trimap(file, where)

    return Annotated(without_ending(export.path_of(file)), where, (header.height, header.width), label=label)


def _document(export: Export, file: Path, reading: Reading) -> list[Annotated]:
    where, radius = export.where(file), reading.radius
    document = read_document(file, where)
    match reading.format:
        case "cvat":
            return read_cvat(document, where, radius)
        case "labelstudio":
            return read_labelstudio(document, where, radius)
        case "coco":
            return read_coco(document, where)
        case "davis":
            return read_davis(document, where, radius)
        case "strokes":
            drawing = drawing_from(document, where)
            if not drawing.strokes:
                raise refused("nothing is drawn", where)
            return [Annotated("", where, (drawing.height, drawing.width), drawing=drawing)]
    if isinstance(document, Element):
        return [read_labelme_xml(document, where, export, radius)]
    return [read_labelme_json(document, where, export.path_of(file), radius)]
