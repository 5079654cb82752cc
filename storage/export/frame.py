"""One frame of a take as it leaves the store: subject, matte, and what is to be said about both.

Straight colour goes with alpha beside it (PNG, TIFF, ProRes, `fg`), premultiplied colour into EXR, as each is read by
most programs.
"""

import io
import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound
from storage.export.exr import Compression, write_exr
from storage.export.names import Output
from storage.pictures.colour import decode_srgb, encode_srgb
from storage.pictures.png import encode_png, png_with_text
from storage.recordings.timecode import exact_rate, timecode_after
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take

# Below this the division makes more noise than colour. The mixture taken there is wrong by less than this share of
# the difference between subject and stage.
LEAST_ALPHA = 0.02


def foreground(
    light: NDArray[np.float32],
    pha: NDArray[np.float32],
    plate: NDArray[np.float32] | None = None,
    valid: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Straight foreground colour, F = (I - (1 - a) B) / a where 0.02 <= a < 1.

    Elsewhere it is the frame's own colour: exact where the matte is solid, and of no weight where it is empty; there
    it leaves a compositor free to pull another matte. The same goes for pixels whose plate cannot be trusted.

    Args:
        light: (3, H, W) linear light of the frame.
        pha: (H, W) 0..1.
        plate: (3, H, W) linear light of the empty stage; None if there is none.
        valid: (H, W), where the plate can be trusted; None for everywhere.

    Returns:
        (3, H, W) linear light. Where it was computed it lies in 0..1, or up to the frame's own highlight.
    """
    if plate is None:
        return light
    soft = (pha >= LEAST_ALPHA) & (pha < 1)
    if valid is not None:
        soft &= valid
    out: NDArray[Any] = light.copy()
    seen, a = light[:, soft], pha[soft]
    out[:, soft] = np.clip((seen - (1 - a) * plate[:, soft]) / a, 0, np.maximum(seen, 1))
    return out


_GREY = decode_srgb(np.full((), 0.5, np.float32))  # looks like half of white


class Plates(NamedTuple):
    """The empty stage of one camera in linear light (3, H, W), and where it can be trusted (H, W); or nothing."""

    light: NDArray[np.float32] | None
    valid: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Cut:
    """The subject of one frame: straight linear light (3, H, W), and its matte (H, W) 0..1."""

    light: NDArray[np.float32]
    pha: NDArray[np.float32]

    def premultiplied(self) -> NDArray[np.float32]:
        """(H, W, 4) linear light times alpha, and alpha."""
        return _last(np.concatenate([self.light * self.pha, self.pha[None]]))

    def display(self) -> NDArray[np.uint16]:
        """(H, W, 3) straight colour, sRGB-encoded."""
        return _sixteen(_last(encode_srgb(self.light)))

    def over_grey(self) -> NDArray[np.float32]:
        """(H, W, 3) linear light of the subject before mid grey."""
        return _last(self.light * self.pha + (1 - self.pha) * _GREY)

    def picture(self, what: str) -> NDArray[np.uint16]:
        """What goes into PNG, TIFF and videos: (H, W) for alpha, (H, W, 3), or (H, W, 4) for rgba."""
        if what == "alpha":
            return _sixteen(self.pha)
        if what == "comp":
            return _sixteen(encode_srgb(self.over_grey()))
        if what == "fg":
            return self.display()
        return np.concatenate([self.display(), _sixteen(self.pha)[..., None]], axis=2)

    def linear(self, what: str) -> NDArray[np.float32]:
        """What goes into EXR; shapes as in `picture`."""
        if what == "alpha":
            return self.pha
        if what == "comp":
            return self.over_grey()
        return _last(self.light) if what == "fg" else self.premultiplied()


def read_plates(take: Take, camera: str) -> Plates:
    """The plates that the take was recorded before; nothing if they are not in this store."""
    try:
        stage = Stage.open(take.root, take.stage)
        return Plates(decode_srgb(stage.plate(camera)), stage.valid(camera))
    except NotFound:
        return Plates(None, None)


def read_cut(take: Take, pha: NDArray[np.float32], camera: str, frame: int, plates: Plates) -> Cut:
    """The subject of a frame, given its matte."""
    return Cut(foreground(take.light(camera, frame), pha, *plates), pha)


def lineage(take: Take, run: str, info: dict[str, Any], camera: str, plates: bool) -> dict[str, Any]:
    """Where the mattes of a camera come from, for headers and for telling whether a file is out of date.

    Args:
        take: the take.
        run: the run.
        info: what was said when the run was started.
        camera: the camera.
        plates: whether the foreground was freed from the plate.
    """
    said = {
        "take": take.name,
        "camera": camera,
        "run": run,
        "model": info.get("model") or info.get("name"),
        "version": info.get("version"),
        "weights": info.get("weights"),
        **{name: info.get(name) for name in ("labels", "config", "stage", "plates", "code")},
        "session": take.source.get("session"),
        "source": take.source.get("path"),
        "colour": json.dumps(take.colour.to_json(), sort_keys=True),
        "foreground": "freed from the plate" if plates else "the frame's own colour",
        "capmat": version("capmat"),
    }
    return {name: str(value) for name, value in said.items() if value}


def write_picture(
    out: Root,
    name: str,
    output: Output,
    cut: Cut,
    take: Take,
    frame: int,
    said: dict[str, Any],
    compression: Compression,
) -> None:
    """Write one frame as a PNG, TIFF or EXR file called `name`.

    Raises:
        StoreError: `out` cannot be written to.
    """
    out.sweep(name)
    if output.form == "exr":
        with out.file(name) as path:
            write_exr(
                path,
                cut.linear(output.what),
                {**said, "frame": frame},
                rate=exact_rate(take.fps),
                timecode=timecode_after(take.timecode, frame - take.frames[0], take.fps),
                rec709=take.colour.matrix is not None and output.what != "alpha",
                compression=compression,
            )
        return
    picture, said = cut.picture(output.what), {**said, "frame": frame}
    out.write(name, png_with_text(encode_png(picture), said) if output.form == "png" else _tiff(picture, said))


def _tiff(picture: NDArray[np.uint16], said: dict[str, Any]) -> bytes:
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(
        file,
        picture,
        photometric="minisblack" if picture.ndim == 2 else "rgb",
        extrasamples=["unassalpha"] if picture.shape[2:] == (4,) else None,
        compression="adobe_deflate",
        compressionargs={"level": 1},
        predictor=True,
        description=json.dumps(said),
        metadata=None,
        maxworkers=1,
    )
    return file.getvalue()


def _last(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


def _sixteen(unit: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.rint(unit * np.float32(65535)).astype(np.uint16)
