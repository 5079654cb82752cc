"""Versions of what a take says about itself, and what each camera's group says to zarr and OME-Zarr viewers.

A change of the layout gets a new version and a function here that makes the old description readable; pixels are
never rewritten for it.
"""

from typing import Any

from storage.calibration.camera import Camera
from storage.pictures.colour import Colour
from storage.store.ledger import group_document
from storage.store.shards import Layout
from storage.takes.group import OtherVersion
from storage.takes.views import preview_size

SCHEMA = "capmat.take/2"
BLOCK = 8
"""Frames of one camera that are stored, recorded and resumed together."""


def upgraded(attributes: dict[str, Any], where: str) -> dict[str, Any]:
    """The description in the words of this version; its `schema` still says which layout the pixels have.

    Version 1 had no time code, no previews, one file per matte, and only RGB.

    Raises:
        OtherVersion: a later version of capmat wrote it, or none.
    """
    schema = attributes.get("schema")
    if schema == "capmat.take/1":
        return {"timecode": "", **attributes}
    if schema != SCHEMA:
        raise OtherVersion(
            f"the take has schema {schema}, this capmat reads up to {SCHEMA}",
            where=where,
            fix="Use a later capmat, or ingest it again with this one.",
        )
    return attributes


def array_layout(name: str, frames: int, camera: Camera, colour: Colour, schema: str) -> Layout:
    """What an array of a camera looks like: `raw`, `rgb`, `preview`, or else the mattes of a run."""
    size = (camera.height, camera.width)
    if name in ("raw", "rgb"):
        return Layout((frames, colour.channels, *size), colour.dtype, "fast")
    if name == "preview":
        return Layout((frames, 3, *preview_size(*size)), "uint8", "small", tile=0, block=BLOCK)
    if schema == "capmat.take/1":
        return Layout((frames, *size), "uint16", "small")
    return Layout((frames, *size), "uint16", "small", tile=512, block=BLOCK)


def camera_group(sensor: Camera, colour: Colour, fps: float) -> bytes:
    """The zarr.json of a camera's group: its calibration, and the OME-Zarr 0.5 description of its pictures.

    RGB and its preview are two levels of one image; a mosaic has no second level of its kind and stands alone.
    """
    levels = [_level("raw" if colour.cfa else "rgb", fps, 1.0, 1.0)]
    if not colour.cfa:
        small = preview_size(sensor.height, sensor.width)
        levels.append(_level("preview", fps, sensor.height / small[0], sensor.width / small[1]))
    axes = [
        {"name": "frame", "type": "time", "unit": "second"},
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space"},
        {"name": "x", "type": "space"},
    ]
    ome = {"version": "0.5", "multiscales": [{"name": sensor.id, "axes": axes, "datasets": levels}]}
    attributes = {"ome": ome, "sensor": sensor.to_json(), "colour": colour.to_json()}
    return group_document(attributes)


def _level(path: str, fps: float, y: float, x: float) -> dict[str, Any]:
    """A level whose pixels are y by x of the picture's, their centres where those of what they stand for lie."""
    scale = {"type": "scale", "scale": [1 / fps, 1.0, y, x]}
    shift = {"type": "translation", "translation": [0.0, 0.0, (y - 1) / 2, (x - 1) / 2]}
    return {"path": path, "coordinateTransformations": [scale, shift]}
