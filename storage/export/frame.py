"""One frame of a camera as an export writes it: the subject's colour, its matte, and where both come from.

Straight colour goes with alpha beside it (PNG, TIFF, ProRes, `fg`); premultiplied colour goes into EXR. Most programs
read each format that way.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound
from storage.export.exr import Compression, write_exr
from storage.export.names import Output
from storage.pictures.colour import decode_srgb, encode_srgb
from storage.pictures.foreground import foreground
from storage.pictures.png import encode_png, png_with_text
from storage.pictures.tiff import srgb_profile
from storage.recordings.timecode import exact_rate, timecode_after
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take

_GREY = decode_srgb(np.full((), 0.5, np.float32))  # looks half as bright as white


class Plates(NamedTuple):
    """The empty stage of one camera: linear light (3, H, W), and where it is valid (H, W); None if not stored."""

    light: NDArray[np.float32] | None
    valid: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Source:
    """Where exported frames come from: one camera of a take, with the mattes of one run.

    Attributes:
        take: the take.
        camera: the camera.
        run: name of the run.
        info: what the take keeps about the run, see `Take.alpha_runs`.
    """

    take: Take
    camera: str
    run: str
    info: Mapping[str, Any]

    def plates(self) -> Plates:
        """Read the plates that belong to the take; they may be missing in this store."""
        try:
            stage = Stage.under(self.take)
            return Plates(decode_srgb(stage.plate(self.camera)), stage.valid(self.camera))
        except NotFound:
            return Plates(None, None)

    def pha(self, frame: int) -> NDArray[np.float32]:
        """Read the matte of a frame, (H, W) 0..1."""
        return self.take.read_alpha(self.run, self.camera, frame)

    def lineage(self, plates: bool) -> dict[str, str]:
        """Return where the mattes come from, for headers and for telling whether a file is out of date.

        Args:
            plates: whether the plate said what shines through, see `storage.pictures.foreground`.
        """
        info, take = self.info, self.take
        values = {
            "take": take.name,
            "camera": self.camera,
            "run": self.run,
            "model": info.get("model") or info.get("name"),
            "version": info.get("version"),
            "weights": info.get("weights"),
            **{name: info.get(name) for name in ("labels", "config", "stage", "plates", "hull", "code")},
            "mended plate": (info.get("mended") or {}).get(self.camera),
            "session": take.source.get("session"),
            "source": take.source.get("path"),
            "colour": json.dumps(take.colour.to_json(), sort_keys=True),
            "foreground": "freed from the plate" if plates else "freed from a guessed stage",
            "capmat": version("capmat"),
        }
        return {name: str(value) for name, value in values.items() if value}


@dataclass(frozen=True)
class Cut:
    """The subject of one frame, cut out by its matte (H, W) 0..1."""

    source: Source
    frame: int
    pha: NDArray[np.float32]
    plates: Plates

    @cached_property
    def light(self) -> NDArray[np.float32]:
        """Its straight colour, (3, H, W) linear light; an alpha alone needs none."""
        return foreground(self.source.take.light(self.source.camera, self.frame), self.pha, *self.plates)

    def display(self, what: str) -> NDArray[np.uint16]:
        """Return what PNG, TIFF and videos hold, sRGB-encoded: (H, W) for alpha, (H, W, 3), or (H, W, 4) for rgba."""
        if what == "alpha":
            return _sixteen_bits(self.pha)
        if what == "comp":
            return _sixteen_bits(encode_srgb(self._over_grey()))
        colour = _sixteen_bits(_channels_last(encode_srgb(self.light)))
        return colour if what == "fg" else np.dstack([colour, _sixteen_bits(self.pha)])

    def linear(self, what: str) -> NDArray[np.float32]:
        """Return what EXR holds, in linear light; shapes as in `display`, rgba premultiplied."""
        if what == "alpha":
            return self.pha
        if what == "comp":
            return self._over_grey()
        if what == "fg":
            return _channels_last(self.light)
        return _channels_last(np.concatenate([self.light * self.pha, self.pha[None]]))

    def _over_grey(self) -> NDArray[np.float32]:
        return _channels_last(self.light * self.pha + (1 - self.pha) * _GREY)


def write_picture(out: Root, name: str, output: Output, cut: Cut, compression: Compression) -> None:
    """Write one frame as a PNG, TIFF or EXR file called `name`.

    Raises:
        StoreError: `out` cannot be written to.
    """
    out.sweep(name)
    header: dict[str, str | int] = {**cut.source.lineage(cut.plates.light is not None), "frame": cut.frame}
    if output.form == "exr":
        take = cut.source.take
        with out.file(name) as path:
            write_exr(
                path,
                cut.linear(output.what),
                header,
                rate=exact_rate(take.fps),
                timecode=timecode_after(take.timecode, cut.frame - take.frames[0], take.fps),
                rec709=take.colour.matrix is not None and output.what != "alpha",
                compression=compression,
            )
        return
    picture = cut.display(output.what)
    if output.form == "png":
        out.write(name, png_with_text(encode_png(picture, srgb=output.what != "alpha"), header))
    else:
        out.write(name, _tiff(picture, header))


def _tiff(picture: NDArray[np.uint16], header: Mapping[str, str | int]) -> bytes:
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
        iccprofile=None if picture.ndim == 2 else srgb_profile(),
        description=json.dumps(header),
        metadata=None,
        maxworkers=1,
    )
    return file.getvalue()


def _channels_last(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


def _sixteen_bits(unit: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.rint(unit * np.float32(65535)).astype(np.uint16)
