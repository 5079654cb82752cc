"""Mattes as files that other programs open.

<camera>/<frame>_alpha.png   16-bit grey matte
<camera>/<frame>_rgba.png    8-bit sRGB colour with straight alpha
<camera>/<frame>.exr         half-float, linear light, premultiplied R, G, B, A; header says what it is
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError, NotFound, StoreError
from storage.frames import encode_png
from storage.root import Root
from storage.store_errors import store_errors
from storage.take import Take


def export_mattes(
    take: Take, run: str, out: Path, formats: Sequence[Literal["png", "exr"]] = ("png", "exr")
) -> list[Path]:
    """Write every matte of a run.

    Args:
        take: the take.
        run: whose mattes.
        out: folder to write into; files of these names are replaced.
        formats: "png" (matte, and colour with alpha) and "exr".

    Returns:
        The files, in order.

    Raises:
        ConfigError: a format is not known.
        NotFound: there is no such run, or a matte of it is missing; nothing has been written then.
        StoreError: the folder cannot be written to.
    """
    if unknown := set(formats) - {"png", "exr"}:
        raise ConfigError(f"{', '.join(sorted(unknown))} is no export format", fix="Use png or exr.")
    runs = take.alpha_runs()
    if run not in runs:
        raise NotFound(
            f"there is no run {run}; there is {', '.join(runs) or 'none'}",
            where=f"take {take.name}",
            fix="Matte the take first.",
        )
    wanted = [(camera, frame) for camera in take.cameras for frame in take.frames]
    for camera, frame in wanted:
        if not take.has_alpha(run, camera, frame):
            raise NotFound(
                f"run {run} has no matte",
                where=f"take {take.name} camera {camera} frame {frame}",
                fix="Finish the run first.",
            )
    target = Root(out)
    model = str(runs[run].get("model", ""))
    written = []
    for camera, frame in wanted:
        pha = take.read_alpha(run, camera, frame)
        stem = f"{camera}/{frame:06d}"
        if "png" in formats:
            grey = np.rint(pha * 65535).astype(np.uint16)
            colour = np.concatenate([take.read(camera, frame), pha[None]])
            rgba = np.rint(colour * 255).astype(np.uint8).transpose(1, 2, 0)
            target.write(f"{stem}_alpha.png", encode_png(grey))
            target.write(f"{stem}_rgba.png", encode_png(rgba))
            written += [out / f"{stem}_alpha.png", out / f"{stem}_rgba.png"]
        if "exr" in formats:
            light = take.light(camera, frame).transpose(1, 2, 0)
            said = {"take": take.name, "camera": camera, "frame": frame, "run": run, "model": model}
            write_exr(out / f"{stem}.exr", light, pha, said)
            written.append(out / f"{stem}.exr")
    return written


def write_exr(path: Path, light: NDArray[np.float32], pha: NDArray[np.float32], said: dict[str, Any]) -> None:
    """Write half-float R, G, B, A, premultiplied.

    Args:
        path: the file.
        light: (H, W, 3) linear light 0..1, not premultiplied.
        pha: (H, W) 0..1.
        said: goes into the header, each name with "capmat." before it.

    Raises:
        StoreError: the file cannot be written.
    """
    import OpenEXR

    header: dict[str, Any] = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    header |= {f"capmat.{name}": value for name, value in said.items()}
    rgba = np.concatenate([light * pha[..., None], pha[..., None]], axis=2).astype(np.float16)
    part = path.with_name(f".{path.name}.partial")
    with store_errors(str(path), remote=False):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with store_errors(str(path), remote=False):
            with OpenEXR.File(header, {"RGBA": np.ascontiguousarray(rgba)}) as file:
                file.write(str(part))
            part.replace(path)
    except RuntimeError as error:
        # OpenEXR reports a full disk as a RuntimeError without errno.
        raise StoreError(
            f"the EXR cannot be written ({error})", where=str(path), fix="Check that the disk is not full."
        ) from error
    finally:
        part.unlink(missing_ok=True)
