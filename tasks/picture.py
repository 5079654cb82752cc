"""One photograph and its plate, matted with the default weights: the quickest way to see what capmat does."""

from pathlib import Path

import numpy as np

from capmat_errors import SizeMismatch
from storage.export import write_rgba
from storage.frames import read_picture, write_grey16
from tasks.matte import infer
from tasks.models import read_base_weights

GREEN = np.array([0.1, 0.7, 0.25], np.float32)[:, None, None]
"""Display-referred colour of the comp."""


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
    """
    from capmat_models import create_model
    from capmat_models.state import load_weights

    src, bgr = read_picture(image), read_picture(plate)
    if src.shape != bgr.shape:
        size = " x ".join(str(n) for n in bgr.shape[:0:-1])
        raise SizeMismatch(
            f"is {src.shape[2]} x {src.shape[1]}, its plate {size}",
            where=str(image),
            fix="Record the plate with the same camera settings",
        )
    data, card = read_base_weights(weights, architecture)
    network = create_model(architecture).eval()
    load_weights(network, data)
    pha = infer(network, src, bgr)["pha"]
    out.mkdir(parents=True, exist_ok=True)
    paths = {name: out / f"{image.stem}_{name}.png" for name in ("alpha", "cutout", "green")}
    write_grey16(paths["alpha"], pha)
    write_rgba(paths["cutout"], src, pha)
    green = pha * src + (1 - pha) * GREEN
    write_rgba(paths["green"], green, np.ones_like(pha))
    return paths
