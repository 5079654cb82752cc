"""One take in the store: its pictures as recorded, its mattes, and all that is needed to understand them.

    takes/<name>.zarr/zarr.json               attributes: schema, stage, fps, colour, frames, cameras, source
    takes/<name>.zarr/cameras/<id>/rgb        (frame, c, y, x) uint8 or uint16, the camera's own integers
    takes/<name>.zarr/cameras/<id>/alpha/RUN  (frame, y, x) uint16, 65535 is opaque
    takes/<name>.zarr/runs/RUN.json           how a run's mattes were made

Frames are named by their number in the recording, everywhere. A take is sealed when all of it is there; an
unsealed one is not opened by mistake.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound, SizeMismatch, StoreError
from storage.camera import Camera
from storage.colour import Colour
from storage.ledger import Files, Ledger, stored
from storage.pixel_arrays import Window, create_array, has_frame, open_array, read_frame, write_frame
from storage.root import Root, checked_name
from storage.seal import seal_key, set_seal

SCHEMA = "capmat.take/1"


class Take:
    """An open take; make one with `Take.create` or `Take.open`. Pickles as its address.

    Attributes:
        root: the store.
        name: the take's name.
        stage: name of the stage whose plates belong to it.
        cameras: calibration by camera name.
        frames: frame numbers, rising.
        colour: what the stored integers mean.
        fps: frames per second.
        source: where it came from.
        complete: whether it is sealed.
    """

    def __init__(self, root: Root, name: str, attributes: dict[str, Any]) -> None:
        self.root, self.name = root, name
        self.stage: str = attributes["stage"]
        self.cameras = {id: Camera.from_json(id, data) for id, data in attributes["cameras"].items()}
        self.frames: list[int] = list(attributes["frames"])
        self.colour = Colour.from_json(attributes["colour"])
        self.fps: float = attributes["fps"]
        self.source: dict[str, Any] = attributes["source"]
        self.complete: bool = attributes["complete"]
        self._places = {frame: index for index, frame in enumerate(self.frames)}
        self._arrays: dict[tuple[int, str], Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.root, self.name)

    def __repr__(self) -> str:
        return f"Take({self.name!r}, {len(self.cameras)} cameras, {len(self.frames)} frames, {self.root.url!r})"

    @classmethod
    def create(
        cls,
        root: Root,
        name: str,
        *,
        stage: str,
        cameras: dict[str, Camera],
        colour: Colour,
        frames: Sequence[int],
        fps: float,
        dtype: str,
        source: dict[str, Any],
    ) -> "Take":
        """Start a take: its attributes and empty arrays. Not sealed until `seal`.

        Args:
            root: the store.
            name: the take's name; an unsealed take of this name is replaced.
            stage: name of the stage whose plates belong to it.
            cameras: calibration by name, with sizes.
            colour: what the integers mean.
            frames: frame numbers, rising, the same for all cameras.
            fps: frames per second.
            dtype: "uint8" or "uint16".
            source: anything worth keeping about where it came from; plain json.

        Raises:
            StoreError: a sealed take of this name is there, or the store cannot be written to.
        """
        key = _key(name)
        if (old := _attributes(root, key)) and old["complete"]:
            raise StoreError(
                "a take of this name is in the store",
                where=root.at(key),
                fix="Choose another name, or delete that one first.",
            )
        if sorted(set(frames)) != list(frames) or not frames:
            raise ValueError("frames must be rising numbers, at least one")
        Ledger(root).forget(seal_key(key))
        root.delete(key)
        group = root.group(key, "a")
        with_sizes = {checked_name("camera", id): camera.to_json() for id, camera in cameras.items()}
        for id, camera in cameras.items():
            create_array(
                root,
                f"{key}/cameras/{id}/rgb",
                (len(frames), 3, camera.height, camera.width),
                dtype,
                codec="fast",
            )
        attributes: dict[str, Any] = {
            "schema": SCHEMA,
            "name": name,
            "stage": stage,
            "fps": fps,
            "colour": colour.to_json(),
            "frames": [int(frame) for frame in frames],
            "cameras": with_sizes,
            "source": source,
            "complete": False,
        }
        group.update_attributes(attributes)  # one write; attrs.update makes one per entry
        return cls(root, name, attributes)

    @classmethod
    def open(cls, root: Root, name: str, *, sealed: bool = True) -> "Take":
        """Open a take that is there.

        Args:
            root: the store.
            name: the take's name.
            sealed: refuse a take that is not complete yet.

        Raises:
            NotFound: there is no such take; the message lists those there are.
            StoreError: its ingest has not finished, or another version of capmat wrote it.
        """
        key = _key(name)
        attributes = _attributes(root, key)
        if attributes is None:
            there = ", ".join(list_takes(root)) or "none"
            raise NotFound(f"there is no take {name}; there is {there}", where=root.at(key), fix="Ingest it first.")
        if attributes.get("schema") != SCHEMA:
            raise StoreError(
                f"the take has schema {attributes.get('schema')}, this capmat reads {SCHEMA}",
                where=root.at(key),
                fix="Ingest it again with this version.",
            )
        if sealed and not attributes["complete"]:
            raise StoreError(
                "the take is not complete, its ingest has not finished",
                where=root.at(key),
                fix="Run the ingest again; it goes on where it stopped.",
            )
        return cls(root, name, attributes)

    def seal(self) -> None:
        """Declare the take complete. The last write of an ingest."""
        set_seal(self.root, _key(self.name), True)
        self.complete = True

    def unseal(self) -> None:
        """Take the seal off while frames are replaced."""
        set_seal(self.root, _key(self.name), False)
        self.complete = False

    def empty_raw(self, camera: str) -> Files:
        """Make room for all pictures of a camera; what lies there, whole or damaged, is removed."""
        size = self._camera(camera).height, self.cameras[camera].width
        name = f"cameras/{camera}/rgb"
        self._arrays.pop((os.getpid(), name), None)
        shape = (len(self.frames), 3, *size)
        return create_array(self.root, f"{_key(self.name)}/{name}", shape, self.colour.dtype, codec="fast")

    def write_raw(self, camera: str, frame: int, picture: NDArray[Any]) -> Files:
        """Store a picture as the camera made it: (H, W, 3) integers of the take's dtype.

        Returns:
            The file written, for the ledger.

        Raises:
            SizeMismatch: it is of another size or type than the take's.
            NotFound: the take has no such camera or frame.
            StoreError: the store cannot be written to.
        """
        array, key = self._array(f"cameras/{self._camera(camera).id}/rgb")
        index = self._index(frame)
        _, channels, height, width = array.shape
        if picture.shape != (height, width, channels) or picture.dtype != array.dtype:
            raise SizeMismatch(
                f"the picture is {picture.shape} {picture.dtype}, the take holds "
                f"{(height, width, channels)} {array.dtype}",
                where=self._what(camera, frame),
                fix="Export it like the others.",
            )
        return write_frame(self.root, key, array, index, np.ascontiguousarray(picture.transpose(2, 0, 1)))

    def read_raw(self, camera: str, frame: int, window: Window | None = None) -> NDArray[Any]:
        """The camera's integers, (H, W, 3), or the part (y0, y1, x0, x1) of them.

        Raises:
            NotFound: no such camera or frame, or the frame was never written.
            StoreError: the stored frame is damaged.
        """
        return np.ascontiguousarray(self._planar(camera, frame, window).transpose(1, 2, 0))

    def read(self, camera: str, frame: int, window: Window | None = None) -> NDArray[np.float32]:
        """Display-referred picture, (3, H, W) float32 0..1; arguments and errors as in `read_raw`."""
        return self.colour.display(self._planar(camera, frame, window))

    def light(self, camera: str, frame: int) -> NDArray[np.float32]:
        """Linear light, (3, H, W) float32, 0..1 (of half floats also beyond); errors as in `read_raw`."""
        return self.colour.light(self._planar(camera, frame, None))

    def has_raw(self, camera: str, frame: int) -> bool:
        """Whether this frame was written."""
        array, key = self._array(f"cameras/{self._camera(camera).id}/rgb")
        return has_frame(self.root, key, array, self._index(frame))

    def start_run(self, run: str, info: dict[str, Any]) -> None:
        """Make room for a run's mattes. Call it once, before workers write; calling it again keeps them.

        Args:
            run: the run's name.
            info: how the mattes are made (model, version, settings), plain json.
        """
        checked_name("run", run)
        for id, camera in self.cameras.items():
            key = f"{_key(self.name)}/cameras/{id}/alpha/{run}"
            if not self.root.exists(f"{key}/zarr.json"):
                create_array(self.root, key, (len(self.frames), camera.height, camera.width), "uint16", codec="small")
        self.root.write(f"{_key(self.name)}/runs/{run}.json", json.dumps(info, indent=1).encode())

    def alpha_runs(self) -> dict[str, dict[str, Any]]:
        """What was said to `start_run`, by run."""
        folder = f"{_key(self.name)}/runs"
        return {
            name.removesuffix(".json"): json.loads(self.root.read(f"{folder}/{name}"))
            for name in self.root.names(folder)
        }

    def run_files(self, run: str) -> Files:
        """The files that announce a run, for the ledger: what made it, and what describes its mattes."""
        places = [f"{_key(self.name)}/cameras/{id}/alpha/{run}/zarr.json" for id in self.cameras]
        return stored(self.root, f"{_key(self.name)}/runs/{run}.json", *places)

    def write_alpha(self, run: str, camera: str, frame: int, pha: NDArray[Any]) -> Files:
        """Store a matte: (H, W) float 0..1, kept as 16-bit integers.

        Returns:
            The file written, for the ledger.

        Raises:
            SizeMismatch: it has not the camera's size.
            ValueError: it holds nan, or values outside 0..1.
            NotFound: the run was not started, or there is no such camera or frame.
            StoreError: the store cannot be written to.
        """
        array, key = self._array(f"cameras/{self._camera(camera).id}/alpha/{run}")
        if pha.shape != array.shape[1:]:
            raise SizeMismatch(
                f"the matte is {pha.shape}, the camera {array.shape[1:]}",
                where=self._what(camera, frame),
                fix="Compute it at the camera's size.",
            )
        # Written so that nan fails too.
        if not (pha.min() >= 0 and pha.max() <= 1):
            raise ValueError(f"{self._what(camera, frame)}: the matte holds nan or values outside 0..1")
        integers = np.rint(pha.astype(np.float32) * 65535).astype(np.uint16)
        return write_frame(self.root, key, array, self._index(frame), integers)

    def read_alpha(self, run: str, camera: str, frame: int, window: Window | None = None) -> NDArray[np.float32]:
        """A matte, (H, W) float32 0..1; errors as in `read_raw`."""
        array, key = self._array(f"cameras/{self._camera(camera).id}/alpha/{run}")
        what = f"{self._what(camera, frame)} run {run}"
        integers = read_frame(self.root, key, array, self._index(frame), what, window)
        return integers.astype(np.float32) / np.float32(65535)

    def has_alpha(self, run: str, camera: str, frame: int) -> bool:
        """Whether this matte was written."""
        key = f"{_key(self.name)}/cameras/{self._camera(camera).id}/alpha/{run}"
        if not self.root.exists(f"{key}/zarr.json"):
            return False
        array, _ = self._array(f"cameras/{camera}/alpha/{run}")
        return has_frame(self.root, key, array, self._index(frame))

    def _planar(self, camera: str, frame: int, window: Window | None) -> NDArray[Any]:
        array, key = self._array(f"cameras/{self._camera(camera).id}/rgb")
        return read_frame(self.root, key, array, self._index(frame), self._what(camera, frame), window)

    def _array(self, name: str) -> tuple[Any, str]:
        """The open array and its key; opened afresh in every process, because S3 handles die in a fork."""
        key = f"{_key(self.name)}/{name}"
        mine = (os.getpid(), name)
        if mine not in self._arrays:
            self._arrays[mine] = open_array(self.root, key)
        return self._arrays[mine], key

    def _camera(self, camera: str) -> Camera:
        if camera not in self.cameras:
            raise NotFound(
                f"there is no camera {camera}; there is {', '.join(self.cameras)}",
                where=f"take {self.name}",
                fix="Check the name.",
            )
        return self.cameras[camera]

    def _index(self, frame: int) -> int:
        if frame not in self._places:
            raise NotFound(
                f"there is no frame {frame}; there is {self.frames[0]}..{self.frames[-1]}",
                where=f"take {self.name}",
                fix="Check the number.",
            )
        return self._places[frame]

    def _what(self, camera: str, frame: int) -> str:
        return f"take {self.name} camera {camera} frame {frame}"


def list_takes(root: Root, *, sealed: bool = True) -> list[str]:
    """Names of the takes in the store; only complete ones unless `sealed` is False."""
    names = [name.removesuffix(".zarr") for name in root.names("takes") if name.endswith(".zarr")]
    return [name for name in names if (a := _attributes(root, _key(name))) and (a["complete"] or not sealed)]


def _key(name: str) -> str:
    return f"takes/{checked_name('take', name)}.zarr"


def _attributes(root: Root, key: str) -> dict[str, Any] | None:
    """Attributes of the group at `key`, as plain json: one request, no zarr. None if there is no take."""
    if not root.exists(f"{key}/zarr.json"):
        return None
    attributes: dict[str, Any] = json.loads(root.read(f"{key}/zarr.json")).get("attributes", {})
    return attributes if "complete" in attributes else None


def _reopen(root: Root, name: str) -> Take:
    return Take.open(root, name, sealed=False)
