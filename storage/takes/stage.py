"""Clean plates: the empty stage of every camera, averaged, with its noise.

stages/<name>.zarr/zarr.json          attributes: schema, colour, cameras, source, complete
stages/<name>.zarr/cameras/<id>/...   mean, noise (c, y, x) float32 and valid (y, x) uint8
takes/<name>.zarr/cameras/<id>/plate  (c, y, x) uint16 sRGB and plate_valid (y, x) uint8: the plate as it lies under
                                      this take, if that had to be mended; the stage's own stays as it is
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound, PlateMissing, SizeMismatch, StoreError
from storage.calibration.camera import Camera
from storage.pictures.bayer import superpixel, superpixel_noise
from storage.pictures.colour import Colour
from storage.store.frame_array import FrameArray
from storage.store.ledger import Files, Ledger
from storage.store.root import Root, checked_name
from storage.store.shards import Layout, Window
from storage.takes.group import Group, OtherVersion
from storage.takes.plate import Plate
from storage.takes.take import Take
from storage.takes.views import display

SCHEMA = "capmat.stage/1"


class Stage(Group):
    """The plates of one set-up of a stage; make one with `Stage.create`, `Stage.open` or `Stage.under`."""

    kind = "stage"
    _take: Take | None = None
    _changes: dict[str, dict[str, Any] | None]

    @classmethod
    def under(cls, take: Take) -> "Stage":
        """The stage of a take, with plates as they lie under this take; errors as of `open`."""
        stage = cls.open(take.root, take.stage)
        stage._take, stage._changes = take, {}
        return stage

    def __reduce__(self) -> tuple[Any, ...]:
        return (Stage.under, (self._take,)) if self._take else super().__reduce__()

    @classmethod
    def create(
        cls, root: Root, name: str, *, cameras: dict[str, Camera], colour: Colour, source: dict[str, Any]
    ) -> "Stage":
        """Start a stage, or go on with one: stored plates stay. It is not sealed until `seal`."""
        for id in cameras:
            checked_name("camera", id, 100)
        attributes: dict[str, Any] = {
            "schema": SCHEMA,
            "name": name,
            "colour": colour.to_json(),
            "source": source,
            "complete": False,
            "cameras": {id: camera.to_json() for id, camera in cameras.items()},
        }
        return cls._start(root, name, attributes, afresh=False)

    @staticmethod
    def _readable(attributes: dict[str, Any], where: str) -> dict[str, Any]:
        if attributes.get("schema") != SCHEMA:
            raise OtherVersion(
                f"the stage has schema {attributes.get('schema')}, this capmat reads {SCHEMA}",
                where=where,
                fix="Ingest its plates again with this version.",
            )
        return attributes

    def write_plate(self, camera: str, plate: Plate) -> Files:
        """Store one camera's plate, replacing an older one; returns the files written, for the ledger."""
        size = (self.camera(camera).height, self.cameras[camera].width)
        if plate.valid.shape != size:
            raise SizeMismatch(
                f"the plate is {plate.valid.shape}, the camera {size}",
                where=f"plate of camera {camera}",
                fix="Export plates and takes at one size.",
            )
        files: Files = {}
        for part, picture in _parts(plate).items():
            array = self._array(camera, part)
            files |= array.create() | array.write(0, {0: np.ascontiguousarray(picture)})
        return files

    def holds(self, camera: str, plate: Plate) -> bool:
        """Whether a plate is the stored one of a camera, to the bit."""
        try:
            return all(np.array_equal(self._read(camera, part), made) for part, made in _parts(plate).items())
        except (NotFound, StoreError):
            return False

    @property
    def recorded(self) -> list[str]:
        """The cameras that have a plate."""
        return [id for id in self.cameras if self._has_plate(id)]

    def _has_plate(self, camera: str) -> bool:
        return camera in self.source.get("manifests", (camera,))

    def plate(self, camera: str, window: Window | None = None) -> NDArray[np.float32]:
        """The clean plate, display-referred: (3, H, W) float32 0..1, or the part (y0, y1, x0, x1) of it.

        Raises:
            NotFound: the stage has no such camera, or the plate was never written.
            PlateMissing: the stage was ingested without plates.
        """
        if self.change(camera):
            return self._mended(camera, "plate", window).astype(np.float32) / np.float32(65535)
        size = self.camera(camera).height, self.cameras[camera].width
        return display(self.colour, size, window, lambda part: self._read(camera, "mean", part))

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
        own = not self.change(camera)
        return (self._read(camera, "valid") if own else self._mended(camera, "plate_valid")).astype(bool)

    def change(self, camera: str) -> dict[str, Any] | None:
        """How a camera's plate was changed to lie under the take, as `write_mended` was told; None if it was not."""
        if self._take is None:
            return None
        if camera not in self._changes:
            self._changes[camera] = Ledger(self.root).done(self._change_key(camera))
        return self._changes[camera]

    def write_mended(
        self, camera: str, plate: NDArray[np.float32], valid: NDArray[np.bool_], change: dict[str, Any]
    ) -> None:
        """Store a camera's plate as it lies under the take, beside the stage's own.

        Args:
            camera: its name.
            plate: (3, H, W) display-referred 0..1.
            valid: (H, W), where it can be trusted.
            change: plain JSON, with a `manifest` that stands for it.
        """
        self.forget_mended(camera)
        files: Files = {}
        for part, picture in (
            ("plate", np.rint(plate * 65535).astype(np.uint16)),
            ("plate_valid", valid.astype(np.uint8)),
        ):
            array = self._mended_array(camera, part)
            files |= array.create() | array.write(0, {0: np.ascontiguousarray(picture)})
        Ledger(self.root).record(self._change_key(camera), {**change, "files": files})
        self._changes.clear()

    def forget_mended(self, camera: str) -> None:
        """Remove what `write_mended` stored, if it did; the take's plate is then the stage's own."""
        if self.change(camera):
            Ledger(self.root).forget(self._change_key(camera))
            for part in ("plate", "plate_valid"):
                self.root.delete(self._mended_array(camera, part).key)
            self._changes.clear()

    def _change_key(self, camera: str) -> str:
        assert self._take
        return f"ingest/{self._take.name}/{camera}/plate"

    def _mended(self, camera: str, part: str, window: Window | None = None) -> NDArray[Any]:
        assert self._take
        return self._mended_array(camera, part).read(0, f"take {self._take.name} camera {camera} {part}", window)

    def _mended_array(self, camera: str, part: str) -> FrameArray:
        assert self._take
        size = (self.camera(camera).height, self.cameras[camera].width)
        layout = Layout((1, 3, *size), "uint16", "small") if part == "plate" else Layout((1, *size), "uint8", "small")
        return FrameArray(self.root, f"{self._take.key}/cameras/{camera}/{part}", layout)

    def _read(self, camera: str, part: str, window: Window | None = None) -> NDArray[Any]:
        where = f"stage {self.name} camera {self.camera(camera).id}"
        if not self._has_plate(camera):
            raise PlateMissing(
                "the empty stage was not recorded",
                where=where,
                fix="Set [plates] in session.toml and ingest again, or choose a network that needs no plate.",
            )
        return self._array(camera, part).read(0, f"{where} {part}", window)

    def _array(self, camera: str, part: str) -> FrameArray:
        size = (self.cameras[camera].height, self.cameras[camera].width)
        layout = Layout((1, self.colour.channels, *size), "float32", "small")
        if part == "valid":
            layout = Layout((1, *size), "uint8", "small")
        return FrameArray(self.root, f"{self.key}/cameras/{camera}/{part}", layout)


def _parts(plate: Plate) -> dict[str, NDArray[Any]]:
    """The arrays of a plate as they are stored."""
    mean, noise = plate.mean.transpose(2, 0, 1), plate.noise.transpose(2, 0, 1)
    return {"mean": mean, "noise": noise, "valid": plate.valid.astype(np.uint8)}
