"""One take in the store: its pictures as recorded, its mattes, and all that is needed to understand them.

    takes/<name>.zarr/zarr.json               attributes: schema, stage, fps, colour, frames, cameras, source
    takes/<name>.zarr/cameras/<id>/raw        (frame, plane, y, x) uint16, the four planes of a Bayer mosaic, or
    takes/<name>.zarr/cameras/<id>/rgb        (frame, c, y, x) uint8, uint16 or float16: the camera's own numbers
    takes/<name>.zarr/cameras/<id>/preview    (frame, c, y, x) uint8 sRGB, a quarter of the picture's size
    takes/<name>.zarr/cameras/<id>/alpha/RUN  (frame, y, x) uint16, 65535 is opaque
    takes/<name>.zarr/runs/RUN.json           how a run's mattes were made

A frame is named by its number in the recording, everywhere. Frames are stored in blocks of eight: a block is what one
entry of the ledger answers for.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError, MatteError, NotFound, SizeMismatch, StoreError, no_such
from storage.calibration.camera import Camera
from storage.pictures.colour import Colour
from storage.store.claim import claim
from storage.store.frame_array import FrameArray, write_document
from storage.store.json_file import read_object
from storage.store.ledger import Files, set_seal, stored
from storage.store.root import Root, checked_name
from storage.store.shards import Window
from storage.takes.group import Group, group_key, list_groups
from storage.takes.schema import BLOCK, SCHEMA, array_layout, camera_group, upgraded
from storage.takes.views import display

PATIENCE = 300.0
"""Seconds that a writer of mattes waits for others; each of them needs a few for a block."""


class Take(Group):
    """An open take; make one with `Take.create` or `Take.open`.

    Attributes beside those of `Group`:
        stage: name of the stage whose plates belong to it.
        frames: frame numbers, rising.
        fps: frames per second.
        timecode: of the first frame, "HH:MM:SS:FF"; "" if it is unknown.
        schema: version of the layout that it was written in.
    """

    kind = "take"
    _readable = staticmethod(upgraded)

    def __init__(self, root: Root, name: str, attributes: dict[str, Any]) -> None:
        super().__init__(root, name, attributes)
        self.stage: str = attributes["stage"]
        self.frames: list[int] = list(attributes["frames"])
        self.fps: float = attributes["fps"]
        self.timecode: str = attributes["timecode"]
        self.schema: str = attributes["schema"]
        self._indices = {frame: index for index, frame in enumerate(self.frames)}
        self._arrays: dict[str, FrameArray] = {}

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
        """Start a take: write what describes it. It is not sealed until `seal`.

        Args:
            root: the store.
            name: the take's name; an unsealed take of this name is replaced.
            stage: name of the stage whose plates belong to it.
            cameras: calibration by name, in the size of what was recorded.
            colour: what the numbers mean.
            frames: frame numbers, rising, the same for all cameras.
            fps: frames per second.
            source: anything worth keeping about where it came from; plain JSON.
            timecode: of the first frame.

        Raises:
            CalibrationError: a camera has no size, or that of a mosaic is odd.
            StoreError: the store has a sealed or damaged take of this name, or cannot be written to.
        """
        key = group_key("take", name)
        if (old := cls._stored(root, name)) and old["complete"]:
            raise StoreError(
                "a take of this name is in the store",
                where=root.at(key),
                fix="Choose another name, or delete that one first.",
            )
        if sorted(set(frames)) != list(frames) or not frames:
            raise ValueError("frames must be rising numbers, at least one")
        for id, camera in cameras.items():
            checked_name("camera", id, 100)
            if not camera.width or not camera.height or (colour.cfa and (camera.width % 2 or camera.height % 2)):
                raise CalibrationError(
                    f"the camera's size is {camera.width}x{camera.height}",
                    where=f"camera {id}",
                    fix="Give the size of its pictures; even, for a Bayer mosaic.",
                )
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
        return cls._start(root, name, attributes, afresh=True)

    def unseal(self) -> None:
        """Take the seal off while frames are replaced."""
        set_seal(self.root, self.key, False)
        self.complete = False

    @property
    def blocks(self) -> list[tuple[int, ...]]:
        """The frame numbers of every block."""
        return [tuple(self.frames[start : start + BLOCK]) for start in range(0, len(self.frames), BLOCK)]

    def seen(self, camera: str, frame: int) -> Camera:
        """The calibration of a picture's camera; raises NotFound if the take has no such camera or frame."""
        if camera not in self.cameras or frame not in self.frames:
            what = f"the take has no camera {camera} with frame {frame}"
            raise NotFound(what, where=f"take {self.name}", fix="Choose another one.")
        return self.cameras[camera]

    def describe(self, camera: str) -> Files:
        """Write what describes a camera and its arrays, for zarr and OME viewers, unless it is stored."""
        file = f"{self.key}/cameras/{self.camera(camera).id}/zarr.json"
        files = write_document(self.root, file, camera_group(self.sensors[camera], self.colour, self.fps))
        return files | self._recorded(camera).create() | self._array(camera, "preview").create()

    def raw_sizes(self, camera: str) -> dict[str, int]:
        """Bytes of every file in the store of a camera's pictures and previews, and of what describes them."""
        key = f"{self.key}/cameras/{self.camera(camera).id}"
        return {
            file: size
            for start in ("zarr.json", self._recorded(camera).key.rpartition("/")[2] + "/", "preview/")
            for file, size in self.root.sizes(f"{key}/{start}").items()
        }

    def write_planes(self, camera: str, frame: int, planes: NDArray[Any]) -> Files:
        """Store a picture as the camera made it, see `read_planes`; returns the file written, for the ledger.

        Raises:
            SizeMismatch: it is of another size or type than the take's.
            NotFound: the take has no such camera or frame.
            StoreError: the store cannot be written to.
        """
        array, index = self._recorded(camera), self._index(frame)
        shape, dtype = array.layout.shape[1:], array.layout.dtype
        if planes.shape != shape or planes.dtype != dtype:
            raise SizeMismatch(
                f"the picture is {planes.shape} {planes.dtype}, the take holds {shape} {dtype}",
                where=self._what(camera, frame),
                fix="Export it like the others.",
            )
        return array.write(index, {0: planes})

    def write_previews(self, camera: str, block: int, previews: Sequence[NDArray[np.uint8]]) -> Files:
        """Store the previews, (3, h, w) sRGB each, of all frames of a block."""
        return self._array(camera, "preview").write(block, dict(enumerate(previews)))

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
        size = self.camera(camera).height, self.cameras[camera].width
        return display(self.colour, size, window, lambda part: self.read_planes(camera, frame, part))

    def light(self, camera: str, frame: int) -> NDArray[np.float32]:
        """Linear light, (3, H, W) float32, 0..1 (of half floats also beyond); errors as in `read_planes`."""
        return self.colour.light(self.read_planes(camera, frame))

    def read_preview(self, camera: str, frame: int) -> NDArray[np.uint8]:
        """A small picture, (3, h, w) uint8 sRGB, a quarter of the size; errors as in `read_planes`.

        Raises:
            NotFound: the take is of an earlier schema, which had no previews.
        """
        return self._array(camera, "preview").read(self._index(frame), f"preview of {self._what(camera, frame)}")

    def start_run(self, run: str, info: dict[str, Any]) -> None:
        """Make room for a run's mattes. Call it once, before workers write; calling it again keeps them.

        Args:
            run: the run's name.
            info: how the mattes are made (model, version, settings), plain JSON; also in the attributes of the
                arrays, under `capmat`.
        """
        checked_name("run", run)
        for id in self.cameras:
            self._array(id, f"alpha/{run}").create(info)
        file = f"{self.key}/runs/{run}.json"
        self.root.sweep(file)
        self.root.write(file, json.dumps(info, indent=1).encode())

    def alpha_runs(self) -> dict[str, dict[str, Any]]:
        """How the mattes of every run are made, as `start_run` was told."""
        folder = f"{self.key}/runs"
        files = self.root.names(folder)
        return {file.removesuffix(".json"): read_object(self.root, f"{folder}/{file}") for file in files}

    def run_info(self, run: str) -> dict[str, Any]:
        """How the mattes of a run are made.

        Raises:
            NotFound: the take has no such run; the message lists those that it has.
        """
        runs = self.alpha_runs()
        if run not in runs:
            where, fix = f"take {self.name}", f"Run `capmat matte {self.name}` first, or check the name."
            raise no_such("run of mattes", run, sorted(runs), where=where, fix=fix, holder="the take")
        return runs[run]

    def run_files(self, run: str) -> Files:
        """The files that announce a run, for the ledger: how it is made, and what describes its mattes."""
        arrays = [f"{self.key}/cameras/{id}/alpha/{run}/zarr.json" for id in self.cameras]
        return stored(self.root, f"{self.key}/runs/{run}.json", *arrays)

    def write_alphas(self, run: str, camera: str, mattes: Mapping[int, NDArray[Any]]) -> Files:
        """Store mattes, (H, W) float 0..1 by frame number, kept as 16-bit integers.

        One file holds a block of frames; mattes of other frames in it are kept, unless the file is damaged. Writers
        of one run and camera take turns, so that none replaces what another one has just stored.

        Returns:
            The files written, for the ledger.

        Raises:
            SizeMismatch: one has not the camera's size.
            MatteError: one holds nan, or values outside 0..1.
            NotFound: the run was not started, or the take has no such camera or frame.
            StoreError: the store cannot be written to, or another writer does not end.
        """
        view = self.camera(camera)
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
            block, inside = divmod(self._index(frame), array.layout.block)
            blocks.setdefault(block, {})[inside] = np.rint(pha.astype(np.float32) * 65535).astype(np.uint16)
        files: Files = {}
        with claim(self.root, array.key, "matting", PATIENCE):
            for block, new in blocks.items():
                files |= array.write(block, self._others(array, block, new) | new)
        return files

    def read_alpha(self, run: str, camera: str, frame: int, window: Window | None = None) -> NDArray[np.float32]:
        """A matte, (H, W) float32 0..1; arguments and errors as in `read_planes`."""
        what = f"{self._what(camera, frame)} run {run}"
        integers = self._run(run, camera).read(self._index(frame), what, window)
        return integers.astype(np.float32) / np.float32(65535)

    def has_alpha(self, run: str, camera: str, frame: int) -> bool:
        """Whether this matte was written; its file may be damaged all the same."""
        array = self._array(self.camera(camera).id, f"alpha/{run}")
        return self.root.exists(f"{array.key}/zarr.json") and array.has(self._index(frame))

    def matted(self, run: str, camera: str) -> list[int]:
        """The frames whose matte was written, rising; on S3 one listing and a small read per block.

        Their files may be damaged all the same.
        """
        array = self._array(self.camera(camera).id, f"alpha/{run}")
        if not self.root.exists(f"{array.key}/zarr.json"):
            return []
        return [self.frames[index] for index in array.written()]

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
        path = f"cameras/{self.camera(camera).id}/{name}"
        if path not in self._arrays:
            layout = array_layout(name, len(self.frames), self.cameras[camera], self.colour, self.schema)
            self._arrays[path] = FrameArray(self.root, f"{self.key}/{path}", layout)
        return self._arrays[path]

    def _index(self, frame: int) -> int:
        if frame not in self._indices:
            listed = f"{self.frames[0]}..{self.frames[-1]}"
            raise no_such("frame", frame, [listed], where=f"take {self.name}", holder="the take")
        return self._indices[frame]

    def _what(self, camera: str, frame: int) -> str:
        return f"take {self.name} camera {camera} frame {frame}"


def list_takes(root: Root, *, sealed: bool = True) -> list[str]:
    """Names of the takes in the store; only complete ones unless `sealed` is False."""
    return list_groups(root, "take", sealed=sealed)
