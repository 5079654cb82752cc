"""Clean plates: the empty stage of every camera, averaged, with its noise.

    stages/<name>.zarr/zarr.json          attributes: schema, colour, cameras, source, complete
    stages/<name>.zarr/cameras/<id>/...   mean, noise (c, y, x) float32 and valid (y, x) uint8

The mean is robust: a person who crosses the empty stage, or a bird, is left out pixel by pixel.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound, PlateMissing, SizeMismatch, StoreError
from storage.calibration.camera import Camera
from storage.pictures.bayer import superpixel, superpixel_noise
from storage.pictures.colour import Colour
from storage.store.frame_array import FrameArray
from storage.store.ledger import Files, Ledger, group_document, seal_key, set_seal
from storage.store.root import Root, checked_name
from storage.store.shards import Layout, Window
from storage.takes.plate import Plate
from storage.takes.views import display_window

SCHEMA = "capmat.stage/1"


class Stage:
    """The plates of one set-up of a stage; make one with `Stage.create` or `Stage.open`.

    Attributes:
        root: the store.
        name: the stage's name.
        sensors: calibration by camera name, in the size of what was recorded.
        cameras: calibration of the pictures; for Bayer mosaics half the size, else the same.
        colour: what the numbers mean.
        source: where the plates came from.
        complete: whether all plates are there.
    """

    def __init__(self, root: Root, name: str, attributes: dict[str, Any]) -> None:
        self.root, self.name = root, name
        self.colour = Colour.from_json(attributes["colour"])
        self.sensors = {id: Camera.from_json(id, data) for id, data in attributes["cameras"].items()}
        self.cameras = {id: camera.halved() if self.colour.cfa else camera for id, camera in self.sensors.items()}
        self.source: dict[str, Any] = attributes["source"]
        self.complete: bool = attributes["complete"]

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.root, self.name)

    @classmethod
    def create(
        cls, root: Root, name: str, *, cameras: dict[str, Camera], colour: Colour, source: dict[str, Any]
    ) -> "Stage":
        """Start a stage, or go on with one: plates that are there stay. Not sealed until `seal`."""
        key = _key(name)
        for id in cameras:
            checked_name("camera", id)
        attributes: dict[str, Any] = {
            "schema": SCHEMA,
            "name": name,
            "colour": colour.to_json(),
            "source": source,
            "complete": False,
            "cameras": {id: camera.to_json() for id, camera in cameras.items()},
        }
        Ledger(root).forget(seal_key(key))
        root.sweep(f"{key}/zarr.json")
        root.write(f"{key}/zarr.json", group_document(attributes))
        return cls(root, name, attributes)

    @classmethod
    def open(cls, root: Root, name: str, *, sealed: bool = True) -> "Stage":
        """Open a stage that is there.

        Raises:
            NotFound: there is no such stage.
            StoreError: not all of its plates are there yet.
        """
        key = _key(name)
        if not root.exists(f"{key}/zarr.json"):
            there = ", ".join(item.removesuffix(".zarr") for item in root.names("stages")) or "none"
            raise NotFound(
                f"there is no stage {name}; there is {there}",
                where=root.at(key),
                fix="Ingest its plates first.",
            )
        attributes = json.loads(root.read(f"{key}/zarr.json")).get("attributes", {})
        if attributes.get("schema") != SCHEMA:
            raise StoreError(
                f"the stage has schema {attributes.get('schema')}, this capmat reads {SCHEMA}",
                where=root.at(key),
                fix="Ingest its plates again with this version.",
            )
        if sealed and not attributes["complete"]:
            raise StoreError(
                "the stage is not complete, its ingest has not finished",
                where=root.at(key),
                fix="Run the ingest again; it goes on where it stopped.",
            )
        return cls(root, name, attributes)

    def seal(self) -> None:
        """Declare all plates there. The last write of an ingest."""
        set_seal(self.root, _key(self.name), True)
        self.complete = True

    def write_plate(self, camera: str, plate: Plate) -> Files:
        """Store one camera's plate, replacing an older one; returns the files written, for the ledger."""
        size = (self._camera(camera).height, self.cameras[camera].width)
        if plate.valid.shape != size:
            raise SizeMismatch(
                f"the plate is {plate.valid.shape}, the camera {size}",
                where=f"plate of camera {camera}",
                fix="Export plates and takes at one size.",
            )
        files: Files = {}
        for part in ("mean", "noise"):
            picture = np.ascontiguousarray(getattr(plate, part).transpose(2, 0, 1))
            files |= self._write(camera, part, picture, "float32")
        return files | self._write(camera, "valid", plate.valid.astype(np.uint8), "uint8")

    def plate(self, camera: str, window: Window | None = None) -> NDArray[np.float32]:
        """The clean plate, display-referred: (3, H, W) float32 0..1, or the part (y0, y1, x0, x1) of it.

        Raises:
            NotFound: there is no such camera, or its plate was never written.
            PlateMissing: the stage was ingested without plates.
        """
        if window is None:
            return self.colour.display(self._read(camera, "mean"))
        size = self._camera(camera).height, self.cameras[camera].width
        return display_window(self.colour, size, window, lambda part: self._read(camera, "mean", part))

    def noise(self, camera: str) -> NDArray[np.float32]:
        """Standard deviation of one frame's noise, in display-referred units: (3, H, W) float32."""
        mean, noise, colour = self._read(camera, "mean"), self._read(camera, "noise"), self.colour
        if colour.cfa:
            mean, noise = superpixel(mean, colour.cfa), superpixel_noise(noise, colour.cfa)
            colour = replace(colour, cfa="")
        # The curve is steep in the dark; half the spread of one deviation up and down follows it there.
        spread = colour.display(mean + noise) - colour.display(mean - noise)
        return spread * np.float32(0.5)

    def valid(self, camera: str) -> NDArray[np.bool_]:
        """Where the plate can be trusted: (H, W) bool."""
        return self._read(camera, "valid").astype(bool)

    def _write(self, camera: str, part: str, picture: NDArray[Any], dtype: str) -> Files:
        key = f"{_key(self.name)}/cameras/{camera}/{part}"
        array = FrameArray(self.root, key, Layout((1, *picture.shape), dtype, "small"))
        return array.create() | array.write(0, {0: picture})

    def _read(self, camera: str, part: str, window: Window | None = None) -> NDArray[Any]:
        view = self._camera(camera)
        if camera not in self.source.get("manifests", (camera,)):
            raise PlateMissing(
                "the empty stage was not recorded",
                where=f"stage {self.name} camera {camera}",
                fix="Set [plates] in session.toml and ingest again, or choose a network that needs no plate.",
            )
        size = (1, view.height, view.width) if part == "valid" else (1, self.colour.channels, view.height, view.width)
        layout = Layout(size, "uint8" if part == "valid" else "float32", "small")
        key = f"{_key(self.name)}/cameras/{camera}/{part}"
        return FrameArray(self.root, key, layout).read(0, f"stage {self.name} camera {camera} {part}", window)

    def _camera(self, camera: str) -> Camera:
        if camera not in self.cameras:
            raise NotFound(
                f"there is no camera {camera}; there is {', '.join(self.cameras)}",
                where=f"stage {self.name}",
                fix="Check the name.",
            )
        return self.cameras[camera]


def _key(name: str) -> str:
    return f"stages/{checked_name('stage', name)}.zarr"


def _reopen(root: Root, name: str) -> Stage:
    return Stage.open(root, name, sealed=False)
