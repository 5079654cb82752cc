"""One photograph and its plate, matted with the default weights: the quickest way to see what capmat does."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CheckpointError, SizeMismatch
from storage.frames import encode_png, read_image
from storage.root import Root
from tasks.contact_sheet import comp_on_green
from tasks.matte import infer
from tasks.models import read_base_weights


def read_display(path: Path) -> NDArray[np.float32]:
    """A photograph as networks want it: (3,H,W) float32, display-referred 0..1, as it is encoded in the file."""
    image = read_image(path)
    top = np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else 1
    return np.ascontiguousarray((image.astype(np.float32) / top).clip(0, 1).transpose(2, 0, 1))


def matte_pair(image: Path, plate: Path, out: Path, architecture: str, weights: Path) -> dict[str, Path]:
    """Matte one photograph with its plate and write pictures: alpha, RGBA cut-out, comp on green.

    Args:
        image: the picture with the subject, PNG, TIFF, EXR or JPEG.
        plate: the same view without the subject, same size.
        out: folder for the results.
        architecture: which network; its base weights lie in `weights`.
        weights: folder of base weights.

    Raises:
        SizeMismatch: image and plate differ in size.
        ImageUnreadable: a file is no picture.
        CheckpointError: there are no weights for the architecture.
    """
    from capmat_models import create_model
    from capmat_models.state import load_weights

    src, bgr = read_display(image), read_display(plate)
    if src.shape != bgr.shape:
        raise SizeMismatch(
            f"is {src.shape[2]} x {src.shape[1]}, its plate {bgr.shape[2]} x {bgr.shape[1]}",
            where=str(image),
            fix="Record the plate with the same camera settings",
        )
    data, _ = read_base_weights(weights, architecture)
    network = create_model(architecture).eval()
    try:
        load_weights(network, data)
    except CheckpointError as e:
        raise CheckpointError(e.what, where=str(weights / architecture), fix=e.fix) from e
    pha = infer(network, src, bgr)["pha"]
    pictures = {
        "alpha": np.rint(pha * 65535).astype(np.uint16),
        "cutout": _bytes(np.concatenate([src, pha[None]])),
        "green": comp_on_green(src, pha),
    }
    folder = Root(out).checked()
    for name, picture in pictures.items():
        folder.write(f"{image.stem}_{name}.png", encode_png(picture))
    return {name: out / f"{image.stem}_{name}.png" for name in pictures}


def _bytes(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0)
