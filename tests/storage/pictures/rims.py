"""How wrong colours are at the rim of a subject, and frames of the rendered stage whose true colours are known."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.pictures.colour import Colour, decode_srgb, encode_srgb
from storage.pictures.files import read_grey, read_image
from tests.project import ROOT

Floats = NDArray[np.float32]
COUNTS = Colour(12, "linear", 64)
BACKGROUNDS = np.array([(1, 1, 1), (0.5, 0.5, 0.5), (0, 0, 0), (1, 0, 0)], np.float32)


def naive(light: Floats, pha: Floats, plate: Floats) -> Floats:
    """Equation 1 solved for F, and nothing else."""
    return np.clip((light - (1 - pha) * plate) / np.maximum(pha, 1e-6), 0, 1)


def rim(fgr: Floats, true: Floats, pha: Floats) -> float:
    """How wrong composites over white, grey, black and red are where alpha is soft: RMS in levels of 255."""
    soft = (pha * 255 > 1) & (pha * 255 < 254.5)
    behind = decode_srgb(BACKGROUNDS)[..., None, None]
    seen, wanted = (encode_srgb(pha * colour + (1 - pha) * behind)[..., soft] for colour in (fgr, true))
    return 255 * float(np.sqrt(np.square(seen - wanted).mean()))


def rendered(camera: str) -> tuple[Floats, Floats, Floats, Floats]:
    """A frame of the rendered stage, its plate, true alpha and true foreground."""
    session, truth = ROOT / "samples" / "session", ROOT / "samples" / "truth" / "cedar" / camera

    def counts(path: Path) -> Floats:
        return COUNTS.light(read_image(path).transpose(2, 0, 1))

    plate = np.mean([counts(path) for path in sorted((session / "plates" / camera).iterdir())], 0)
    pha = read_grey(truth / "0001_alpha.png").astype(np.float32) / 255
    true = decode_srgb(read_image(truth / "0001_fg.png").transpose(2, 0, 1) / np.float32(255))
    return counts(session / "takes" / "cedar" / camera / "0001.png"), plate, pha, true
