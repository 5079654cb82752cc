"""One take in the store: its pictures as recorded, its mattes, and all that is needed to understand them.

    takes/<name>.zarr/zarr.json               attributes: schema, stage, fps, colour, frames, cameras, source
    takes/<name>.zarr/cameras/<id>/raw        (frame, plane, y, x) uint16, the four planes of a Bayer mosaic, or
    takes/<name>.zarr/cameras/<id>/rgb        (frame, c, y, x) uint8, uint16 or float16: the camera's own numbers
    takes/<name>.zarr/cameras/<id>/preview    (frame, c, y, x) uint8 sRGB, a quarter of the picture's size
    takes/<name>.zarr/cameras/<id>/alpha/RUN  (frame, y, x) uint16, 65535 is opaque
    takes/<name>.zarr/runs/RUN.json           how a run's mattes were made

Frames are named by their number in the recording, everywhere. They are stored in blocks of eight: a block is what
one entry of the ledger answers for. A take is sealed when all of it is there; an unsealed one is not opened by
mistake.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError, MatteError, NotFound, SizeMismatch, StoreError
from storage.calibration.camera import Camera
from storage.pictures.bayer import join, stored_planes
from storage.pictures.colour import Colour
from storage.store.frame_array import FrameArray
from storage.store.ledger import Files, Ledger, fingerprint, group_document, seal_key, set_seal, stored
from storage.store.root import Root, checked_name
from storage.store.shards import Layout, Window
from storage.takes.schema import SCHEMA, camera_group, upgraded
from storage.takes.views import display_window, preview_size

BLOCK = 8
"""Frames of one camera that are stored, recorded and resumed together."""


class Take:
    """An open take; make one with `Take.create` or `Take.open`. Pickles as its address.

    Attributes:
        root: the store.
        name: the take's name.
        stage: name of the stage whose plates belong to it.
        sensors: calibration by camera name, in the size of what was recorded.
        cameras: calibration of the pictures; for Bayer mosaics half the size, else the same.
        frames: frame numbers, rising.
        colour: what the stored numbers mean.
        fps: frames per second.
        timecode: of the first frame, "HH:MM:SS:FF"; "" where nobody said.
        source: where it came from.
        schema: version of the layout that it was written in.
        complete: whether it is sealed.
    """

    def __init__(self, root: Root, name: str, attributes: dict[str, Any]) -> None:
        self.root, self.name = root, name
        self.stage: str = attributes["stage"]
        self.colour = Colour.from_json(attributes["colour"])
        self.sensors = {id: Camera.from_json(id, data) for id, data in attributes["cameras"].items()}
        self.cameras = {id: camera.halved() if self.colour.cfa else camera for id, camera in self.sensors.items()}
        self.frames: list[int] = list(attributes["frames"])
        self.fps: float = attributes["fps"]
        self.timecode: str = attributes["timecode"]
        self.source: dict[str, Any] = attributes["source"]
        self.schema: str = attributes["schema"]
        self.complete: bool = attributes["complete"]
        self._places = {frame: index for index, frame in enumerate(self.frames)}
        self._arrays: dict[str, FrameArray] = {}

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
        source: dict[str, Any],
        timecode: str = "",
    ) -> "Take":
        """Start a take: what describes it. Not sealed until `seal`.

        Args:
            root: the store.
            name: the take's name; an unsealed take of this name is replaced.
            stage: name of the stage whose plates belong to it.
            cameras: calibration by name, in the size of what was recorded.
            colour: what the numbers mean.
            frames: frame numbers, rising, the same for all cameras.
            fps: frames per second.
            source: anything worth keeping about where it came from; plain json.
            timecode: of the first frame.

        Raises:
            CalibrationError: a camera has no size, or that of a mosaic is odd.
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
        for id, camera in cameras.items():
            checked_name("camera", id)
            if not camera.width or not camera.height or (colour.cfa and (camera.width % 2 or camera.height % 2)):
                raise CalibrationError(
                    f"the camera's size is {camera.width}x{camera.height}",
                    where=f"camera {id}",
                    fix="Give the size of its pictures; even, for a Bayer mosaic.",
                )
        Ledger(root).forget(seal_key(key))
        root.delete(key)
        attributes: dict[str, Any] = {
            "schema": SCHEMA,
            "name": name,
            "stage": stage,
            "fps": fps,
            "timecode": timecode,
            "colour": colour.to_json(),
            "frames": [int(frame) for frame in frames],
            "cameras": {id: camera.to_json() for id, camera in cameras.items()},
            "source": source,
            "complete": False,
        }
        root.write(f"{key}/zarr.json", group_document(attributes))
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
        attributes = upgraded(attributes, root.at(key))
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

    @property
    def blocks(self) -> list[tuple[int, ...]]:
        """The frame numbers of every block."""
        return [tuple(self.frames[start : start + BLOCK]) for start in range(0, len(self.frames), BLOCK)]

    def describe(self, camera: str) -> Files:
        """Write what describes a camera and its arrays, for zarr and OME viewers, unless it is there."""
        key = f"{_key(self.name)}/cameras/{self._camera(camera).id}"
        document = camera_group(self.sensors[camera], self.colour, self.fps)
        self.root.sweep(f"{key}/zarr.json")
        if self.root.size(f"{key}/zarr.json") != len(document) or self.root.read(f"{key}/zarr.json") != document:
            self.root.write(f"{key}/zarr.json", document)
        files = {f"{key}/zarr.json": fingerprint(document)}
        return files | self._recorded(camera).create() | self._array(camera, "preview").create()

    def raw_sizes(self, camera: str) -> dict[str, int]:
        """Bytes of every file in the store of a camera's pictures and previews, and of what describes them."""
        key = f"{_key(self.name)}/cameras/{self._camera(camera).id}"
        return {
            file: size
            for start in ("zarr.json", self._recorded(camera).key.rpartition("/")[2] + "/", "preview/")
            for file, size in self.root.sizes(f"{key}/{start}").items()
        }

    def write_raw(self, camera: str, frame: int, picture: NDArray[Any]) -> Files:
        """Store a picture as the camera made it.

        Args:
            camera: its name.
            frame: number of the frame.
            picture: (H, W, 3), or a Bayer mosaic (H, W), of the colour's dtype.

        Returns:
            The file written, for the ledger.

        Raises:
            SizeMismatch: it is of another size or type than the take's.
            NotFound: the take has no such camera or frame.
            StoreError: the store cannot be written to.
        """
        sensor = self.sensors[self._camera(camera).id]
        size = (sensor.height, sensor.width) if self.colour.cfa else (sensor.height, sensor.width, 3)
        if picture.shape != size or picture.dtype != self.colour.dtype:
            raise SizeMismatch(
                f"the picture is {picture.shape} {picture.dtype}, the take holds {size} {self.colour.dtype}",
                where=self._what(camera, frame),
                fix="Export it like the others.",
            )
        return self.write_planes(camera, frame, stored_planes(picture))

    def write_planes(self, camera: str, frame: int, planes: NDArray[Any]) -> Files:
        """Store a picture that was made into planes already, see `read_planes`; raises like `write_raw`."""
        array, index = self._recorded(camera), self._index(frame)
        if planes.shape != array.layout.shape[1:] or planes.dtype != array.layout.dtype:
            raise SizeMismatch(
                f"the planes are {planes.shape} {planes.dtype}, the take holds {array.layout.shape[1:]} "
                f"{array.layout.dtype}",
                where=self._what(camera, frame),
                fix="Export them like the others.",
            )
        return array.write(index, {0: planes})

    def write_previews(self, camera: str, block: int, previews: Sequence[NDArray[np.uint8]]) -> Files:
        """Store the previews, (3, h, w) sRGB each, of all frames of a block."""
        return self._array(camera, "preview").write(block, dict(enumerate(previews)))

    def read_raw(self, camera: str, frame: int) -> NDArray[Any]:
        """The camera's numbers as it made them: (H, W, 3), or a mosaic (H, W).

        Raises:
            NotFound: no such camera or frame, or the frame was never written.
            StoreError: the stored frame is damaged.
        """
        planes = self.read_planes(camera, frame)
        return join(planes) if self.colour.cfa else np.ascontiguousarray(planes.transpose(1, 2, 0))

    def read_planes(self, camera: str, frame: int, window: Window | None = None) -> NDArray[Any]:
        """The stored numbers: (3, H, W), or the four planes (4, H, W) of a mosaic at the picture's size.

        Args:
            camera: its name.
            frame: number of the frame.
            window: part (y0, y1, x0, x1) of the picture; None for all of it.

        Raises:
            NotFound: no such camera or frame, or the frame was never written.
            StoreError: the stored frame is damaged.
        """
        return self._recorded(camera).read(self._index(frame), self._what(camera, frame), window)

    def read(self, camera: str, frame: int, window: Window | None = None) -> NDArray[np.float32]:
        """Display-referred picture, (3, H, W) float32 0..1; arguments and errors as in `read_planes`."""
        if window is None:
            return self.colour.display(self.read_planes(camera, frame))
        size = self._camera(camera).height, self.cameras[camera].width
        return display_window(self.colour, size, window, lambda part: self.read_planes(camera, frame, part))

    def light(self, camera: str, frame: int) -> NDArray[np.float32]:
        """Linear light, (3, H, W) float32, 0..1 (of half floats also beyond); errors as in `read_planes`."""
        return self.colour.light(self.read_planes(camera, frame))

    def read_preview(self, camera: str, frame: int) -> NDArray[np.uint8]:
        """A small picture, (3, h, w) uint8 sRGB, a quarter of the size; errors as in `read_planes`.

        Raises:
            NotFound: the take is of an earlier schema, which had no previews.
        """
        return self._array(camera, "preview").read(self._index(frame), f"preview of {self._what(camera, frame)}")

    def has_raw(self, camera: str, frame: int) -> bool:
        """Whether this frame was written."""
        return self._recorded(camera).has(self._index(frame))

    def start_run(self, run: str, info: dict[str, Any]) -> None:
        """Make room for a run's mattes. Call it once, before workers write; calling it again keeps them.

        Args:
            run: the run's name.
            info: how the mattes are made (model, version, settings), plain json; also in the attributes of the
                arrays, under `capmat`.
        """
        checked_name("run", run)
        for id in self.cameras:
            self._array(id, f"alpha/{run}").create(info)
        file = f"{_key(self.name)}/runs/{run}.json"
        self.root.sweep(file)
        self.root.write(file, json.dumps(info, indent=1).encode())

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

    def write_alphas(self, run: str, camera: str, mattes: Mapping[int, NDArray[Any]]) -> Files:
        """Store mattes, (H, W) float 0..1 by frame number, kept as 16-bit integers.

        One file holds a block of frames; mattes of other frames in it are kept, unless the file is damaged. One
        worker at a time writes the mattes of a camera.

        Returns:
            The files written, for the ledger.

        Raises:
            SizeMismatch: one has not the camera's size.
            MatteError: one holds nan, or values outside 0..1.
            NotFound: the run was not started, or there is no such camera or frame.
            StoreError: the store cannot be written to.
        """
        view = self._camera(camera)
        array = self._run(run, camera)
        blocks: dict[int, dict[int, NDArray[Any]]] = {}
        for frame, pha in mattes.items():
            if pha.shape != (view.height, view.width):
                raise SizeMismatch(
                    f"the matte is {pha.shape}, the camera {(view.height, view.width)}",
                    where=self._what(camera, frame),
                    fix="Compute it at the camera's size.",
                )
            # Written so that nan fails too.
            if not (pha.min() >= 0 and pha.max() <= 1):
                raise MatteError(
                    f"the matte of run {run} holds nan or values outside 0..1",
                    where=self._what(camera, frame),
                    fix="Nothing of this block was stored: look at the model's weights, or matte with another one.",
                )
            block, place = divmod(self._index(frame), array.layout.block)
            blocks.setdefault(block, {})[place] = np.rint(pha.astype(np.float32) * 65535).astype(np.uint16)
        files: Files = {}
        for block, new in blocks.items():
            files |= array.write(block, self._others(array, block, new) | new)
        return files

    def write_alpha(self, run: str, camera: str, frame: int, pha: NDArray[Any]) -> Files:
        """Store one matte; see `write_alphas`."""
        return self.write_alphas(run, camera, {frame: pha})

    def read_alpha(self, run: str, camera: str, frame: int, window: Window | None = None) -> NDArray[np.float32]:
        """A matte, (H, W) float32 0..1; arguments and errors as in `read_planes`."""
        what = f"{self._what(camera, frame)} run {run}"
        integers = self._run(run, camera).read(self._index(frame), what, window)
        return integers.astype(np.float32) / np.float32(65535)

    def has_alpha(self, run: str, camera: str, frame: int) -> bool:
        """Whether this matte was written; its file may be damaged all the same."""
        array = self._array(self._camera(camera).id, f"alpha/{run}")
        return self.root.exists(f"{array.key}/zarr.json") and array.has(self._index(frame))

    def matted(self, run: str, camera: str) -> list[int]:
        """The frames whose matte was written, rising; on S3 one listing and a small read per block.

        Their files may be damaged all the same.
        """
        array = self._array(self._camera(camera).id, f"alpha/{run}")
        if not self.root.exists(f"{array.key}/zarr.json"):
            return []
        return [self.frames[place] for place in array.there()]

    def _others(self, array: FrameArray, block: int, new: dict[int, NDArray[Any]]) -> dict[int, NDArray[Any]]:
        """What lies in the block's file beside the new mattes; nothing, if the file is damaged."""
        if len(new) == min(array.layout.block, len(self.frames) - block * array.layout.block):
            return {}
        try:
            return array.read_block(block, "")
        except StoreError:
            return {}

    def _run(self, run: str, camera: str) -> FrameArray:
        array = self._array(camera, f"alpha/{checked_name('run', run)}")
        if not self.root.exists(f"{array.key}/zarr.json"):
            raise NotFound("nothing is stored here", where=self.root.at(array.key), fix="Check the name.")
        return array

    def _recorded(self, camera: str) -> FrameArray:
        return self._array(camera, "raw" if self.colour.cfa else "rgb")

    def _array(self, camera: str, name: str) -> FrameArray:
        """The array of a camera; what it looks like follows from the take, so this reads nothing."""
        path = f"cameras/{self._camera(camera).id}/{name}"
        if path not in self._arrays:
            self._arrays[path] = FrameArray(self.root, f"{_key(self.name)}/{path}", self._layout(camera, name))
        return self._arrays[path]

    def _layout(self, camera: str, name: str) -> Layout:
        count, size = len(self.frames), (self.cameras[camera].height, self.cameras[camera].width)
        if name in ("raw", "rgb"):
            return Layout((count, self.colour.channels, *size), self.colour.dtype, "fast")
        if name == "preview":
            return Layout((count, 3, *preview_size(*size)), "uint8", "small", tile=0, block=BLOCK)
        if self.schema == "capmat.take/1":
            return Layout((count, *size), "uint16", "small")
        return Layout((count, *size), "uint16", "small", tile=512, block=BLOCK)

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
