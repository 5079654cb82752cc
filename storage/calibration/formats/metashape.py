"""Agisoft Metashape's `cameras.xml` (Export Cameras, Agisoft XML).

The file's own traps: cx and cy count from the middle of the picture; the centre of the first pixel is (0.5, 0.5); p1
and p2 are OpenCV's p2 and p1; b1 and b2 are the difference of the two focal lengths and the skew; poses are camera to
chunk, and the chunk (or the camera's component) has its own rotation, shift and scale. In a rig only the master has a
pose; the others stand where the rotation and location of their sensor, to the master and in units of the chunk, put
them. Cameras that are disabled, or were not aligned and have no pose, are left out, and a note says so. The lens
model is the frame camera of the appendix of Metashape's manual.
"""

from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from storage.calibration.camera import Camera
from storage.calibration.formats.parts import (
    HALF,
    Calibration,
    Floats,
    built,
    collected,
    distortion,
    file_bytes,
    number,
    numbers,
    pinhole,
    pixels,
    refused,
)

_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".exr")
_UNSUPPORTED = ("k4", "p3", "p4")


def read_metashape(path: Path) -> Calibration:
    """Read a `cameras.xml` of one chunk. The unit is that of the chunk: metres where it was scaled by markers.

    Raises:
        CalibrationError: it is another kind of file, has several chunks, or components that are not aligned to each
            other; a value is missing or broken, a lens is not of the type "frame" or needs more than
            k1 k2 k3 p1 p2 b1 b2, or `Camera` refuses the numbers.
    """
    data = file_bytes(path)
    try:
        document = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise refused(f"the file is not XML ({error})", path) from error
    if document.tag not in ("document", "chunk"):
        raise refused("the file has no chunk", path, fix='Export the cameras as "Agisoft XML".')
    chunk = _chunk(document, path)
    whole = _placed(chunk.find("transform"), "the chunk", path)
    parts = {
        part.get("id", ""): _placed(part.find("transform"), f"component {part.get('id')}", path)
        for part in chunk.iterfind("components/component")
        if part.find("transform") is not None
    }
    sensors = {sensor.get("id", ""): sensor for sensor in chunk.iterfind("sensors/sensor")}
    every = {camera.get("id", ""): camera for camera in chunk.iterfind("cameras//camera")}
    cameras, notes, used = [], [], set()
    for camera in chunk.iterfind("cameras//camera"):
        name = _name(camera)
        if not name:
            raise refused("a camera has no label", path)
        if not _enabled(camera):
            notes.append(f"camera {name} is left out: it is disabled in Metashape")
            continue
        master = every.get(camera.get("master_id", ""))
        posed = camera if camera.find("transform") is not None or master is None else master
        if posed.find("transform") is None:
            notes.append(f"camera {name} is left out: it was not aligned and has no pose")
            continue
        sensor = sensors.get(camera.get("sensor_id", ""))
        if sensor is None:
            raise refused(f"its sensor {camera.get('sensor_id')} is not in the file", path, name)
        pose = numbers((posed.findtext("transform") or "").split(), (16,), "its transform", path, name).reshape(4, 4)
        if posed is not camera:
            pose = pose @ _in_rig(name, sensor, posed, path)
        component = posed.get("component_id", "")
        used.add(component)
        cameras.append(_camera(name, pose, sensor, parts.get(component, whole), path))
    if len(used) > 1 and not used <= parts.keys():
        what = f"its cameras lie in {len(used)} components, of which not all are placed in one space"
        raise refused(what, path, fix="Merge the components, or export one of them.")
    return collected(cameras, path, notes)


def _chunk(document: Element, path: Path) -> Element:
    """The chunk of a file; of several, the one that is enabled."""
    chunks = [document] if document.tag == "chunk" else document.findall("chunk")
    enabled = [chunk for chunk in chunks if _enabled(chunk)] if len(chunks) > 1 else chunks
    if len(enabled) != 1:
        labels = ", ".join(chunk.get("label", "?") for chunk in chunks)
        what = f"the file has {len(chunks)} chunks ({labels})" if chunks else "the file has no chunk"
        raise refused(what, path, fix='Export the cameras of one chunk as "Agisoft XML".')
    return enabled[0]


def _enabled(element: Element) -> bool:
    return element.get("enabled", "true").lower() not in ("false", "0")


def _in_rig(name: str, sensor: Element, master: Element, path: Path) -> Floats:
    """Return (4, 4) of master camera = this @ camera, from the place of the sensor in its rig.

    Raises:
        CalibrationError: the sensor has none, or belongs to another master than the camera.
    """
    if sensor.get("master_id") not in (None, master.get("sensor_id")):
        what = (
            f"its master camera has sensor {master.get('sensor_id')}, its sensor the master {sensor.get('master_id')}"
        )
        raise refused(what, path, name, "Export the rig with one master.")
    turn, shift = (sensor.findtext(key) or "" for key in ("rotation", "location"))
    if not turn.split() or not shift.split():
        what = f"its sensor {sensor.get('id')} has no rotation and location in the rig"
        raise refused(what, path, name, "Align the rig, and export the cameras again.")
    pose = np.eye(4)
    pose[:3, :3] = numbers(turn.split(), (9,), "the rotation of its sensor", path, name).reshape(3, 3)
    pose[:3, 3] = numbers(shift.split(), (3,), "the location of its sensor", path, name)
    if not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-3):
        raise refused("the rotation of its sensor is not a rotation", path, name)
    return pose


def _name(camera: Element) -> str:
    label = camera.get("label", "")
    ending = next((e for e in _ENDINGS if label.lower().endswith(e)), "")
    return label[: len(label) - len(ending)]


def _placed(transform: Element | None, what: str, path: Path) -> Floats:
    """Return (3, 4) of world = this @ chunk; its first three columns carry the scale."""
    if transform is None:
        return np.eye(3, 4)
    turn, shift, scale = (transform.findtext(key) for key in ("rotation", "translation", "scale"))
    R = numbers(turn.split(), (9,), f"the rotation of {what}", path).reshape(3, 3) if turn else np.eye(3)
    t = numbers(shift.split(), (3,), f"the translation of {what}", path) if shift else np.zeros(3)
    s = number(scale, f"the scale of {what}", path) if scale else 1.0
    if s <= 0 or not np.allclose(R @ R.T, np.eye(3), atol=1e-3):
        raise refused(f"the transform of {what} is not a rotation with a scale", path)
    return np.column_stack([s * R, t])


def _camera(name: str, pose: Floats, sensor: Element, placed: Floats, path: Path) -> tuple[str, Camera]:
    size, K, dist = _lens(name, sensor, path)
    scale = np.linalg.norm(placed[:, 0])
    turn = (placed[:, :3] / scale @ pose[:3, :3]).T
    centre = placed[:, :3] @ pose[:3, 3] + placed[:, 3]
    return built(name, path, size, K, dist, turn, -turn @ centre)


def _lens(name: str, sensor: Element, path: Path) -> tuple[tuple[int, int], Floats, Floats]:
    options = sensor.findall("calibration")
    if not options:
        raise refused(f"its sensor {sensor.get('id')} has no calibration", path, name)
    lens = next((option for option in options if option.get("class") == "adjusted"), options[0])
    kind = lens.get("type") or sensor.get("type")
    if kind != "frame":
        raise refused(f"the lens type {kind} is not supported", path, name, 'Use the camera type "Frame".')
    f = lens.findtext("f")
    if f is None:
        raise refused("missing focal length f", path, name)
    shape = lens.find("resolution")
    shape = shape if shape is not None else sensor.find("resolution")
    if shape is None:
        raise refused("missing resolution", path, name)
    width, height = (pixels(shape.get(key), key, path, name) for key in ("width", "height"))
    value = {
        key: number(lens.findtext(key) or 0.0, key, path, name)
        for key in ("cx", "cy", "b1", "b2", "k1", "k2", "k3", "p1", "p2", *_UNSUPPORTED)
    }
    if more := [key for key in _UNSUPPORTED if value[key]]:
        raise refused(f"the lens uses {', '.join(more)}", path, name, "Optimise the cameras without them.")
    focal = number(f, "f", path, name)
    K = pinhole(
        focal + value["b1"], focal, width / 2 + value["cx"] - HALF, height / 2 + value["cy"] - HALF, value["b2"]
    )
    dist = distortion([value[key] for key in ("k1", "k2", "p2", "p1", "k3")], path, name)
    return (width, height), K, dist
