"""One photograph, matted by any network: the quickest way to see what a model does."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CheckpointError, SizeMismatch
from capmat_models.stage.mend import find_change
from storage.pictures.colour import decode_srgb, encode_srgb
from storage.pictures.files import read_guide, read_header, read_shown
from storage.pictures.foreground import foreground
from storage.pictures.png import encode_png
from storage.registry import Registry
from storage.store.root import Root
from tasks.matte.coverage import coverage_note
from tasks.models.infer import check_inputs, infer, infer_camera
from tasks.models.networks import build, find_model, has_base_weights, load_network, read_base_weights
from tasks.show.sheet import comp_on_green


def read_display(path: Path) -> NDArray[np.float32]:
    """A photograph as networks want it: (3,H,W) float32, display-referred 0..1; see `read_shown`."""
    return np.array(read_shown(path).transpose(2, 0, 1), order="C")


def open_model(store: str, weights: Path, wanted: str) -> tuple[Any, str]:
    """A network by name, without writing anything: (network, its name and version).

    Args:
        store: URL of the store.
        weights: folder of the base weights, for a name that the registry does not have.
        wanted: NAME or NAME@VERSION.

    Raises:
        NotFound: no model has that name or version.
        CheckpointError: its weights cannot be used.
    """
    if "@" in wanted or wanted in Registry(Root(store)).names() or not has_base_weights(weights, wanted):
        model = find_model(store, str(weights), wanted)
        return load_network(store, model), f"{model['name']}@{model['version']}"
    return open_base(weights, wanted), wanted


def open_base(weights: Path, architecture: str) -> Any:
    """The network of some base weights.

    Raises:
        CheckpointError: the weights do not exist, or are of another network.
    """
    data, card = read_base_weights(weights, architecture)
    try:
        return build(data, {**card, "architecture": architecture})
    except CheckpointError as e:
        raise CheckpointError(e.what, where=str(weights / architecture), fix=e.fix) from e


def matte_picture(
    network: Any,
    name: str,
    image: Path,
    out: Path,
    *,
    plate: Path | None = None,
    trimap: Path | None = None,
    mask: Path | None = None,
    mend: str = "off",
) -> tuple[dict[str, Path], str]:
    """Matte one photograph and write pictures: alpha, RGBA cut-out, comp on green.

    Args:
        network: any, in evaluation mode.
        name: of the network, for messages.
        image: the picture with the subject, PNG, TIFF, EXR or JPEG.
        out: folder for the results.
        plate: the same view without the subject, of the same size and any bit depth.
        trimap: black stage, grey unknown, white subject; a grey picture of the same size.
        mask: a coarse alpha; a grey picture of the same size.
        mend: what to do with a plate that does not lie under the picture, see `stage.mend`.

    Returns:
        The files by kind, and a note on how they were made and how much the matte covers.

    Raises:
        ConfigError: the network needs another input, or takes no such input.
        SizeMismatch: the pictures differ in size.
        ImageUnreadable: a file is not a picture.
    """
    files = {key: path for key, path in (("bgr", plate), ("trimap", trimap), ("mask", mask)) if path}
    note = check_inputs(name, network.inputs, list(files))
    src = read_display(image)
    guides = {key: read_display(path) if key == "bgr" else read_guide(path) for key, path in files.items()}
    turns = [
        f"{path.name} was turned upright, as its orientation {header.orientation} says"
        for path in (image, *files.values())
        if (header := read_header(path, turn=True)).orientation > 1
    ]
    note = ". ".join(filter(None, (note, *turns)))
    for key, guide in guides.items():
        if guide.shape[-2:] != src.shape[-2:]:
            what = {"bgr": "plate"}.get(key, key)
            raise SizeMismatch(
                f"is {src.shape[2]} x {src.shape[1]}, its {what} {guide.shape[-1]} x {guide.shape[-2]}",
                where=str(image),
                fix="Record the plate with the same camera settings." if key == "bgr" else "Draw it on this picture.",
            )
    if plate and mend != "off":
        change = find_change(guides["bgr"], [src])
        if mend == "auto":
            guides["bgr"] = change.apply(guides["bgr"], np.ones(src.shape[1:], bool))[0]
        advice = '; stage.mend = "auto" would mend it' if change.words and mend == "warn" else ""
        note = ". ".join(filter(None, (note, (change.words or change.warning) + advice)))
    bgr = guides.get("bgr")
    if network.rig:  # as frames of a take: half the memory, and twice as fast
        pha = next(infer_camera(network, [src], bgr))
    else:
        pha = infer(network, src, bgr, trimap=guides.get("trimap"), mask=guides.get("mask"))["pha"]
    fgr = encode_srgb(foreground(decode_srgb(src), pha, None if bgr is None else decode_srgb(bgr)))
    pictures: dict[str, NDArray[Any]] = {
        "alpha": np.rint(pha * 65535).astype(np.uint16),
        "cutout": _bytes(np.concatenate([fgr, pha[None]])),
        "green": comp_on_green(fgr, pha),
    }
    folder = Root(out).checked()
    for kind, picture in pictures.items():
        folder.write(f"{image.stem}_{kind}.png", encode_png(picture, srgb=kind != "alpha"))
    note = ". ".join(filter(None, (note, coverage_note(float(pha.mean()), src, bgr))))
    return {kind: out / f"{image.stem}_{kind}.png" for kind in pictures}, note


def _bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0)
