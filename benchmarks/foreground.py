"""How clean are cut-outs of the rendered stage over white, grey, black and red, and what does a clean colour cost?

    python -m benchmarks.foreground                                   # with the true mattes
    python -m benchmarks.foreground --model bgmv2_mobilenetv2_xs      # with those of base weights

The error is that of composites in linear light against the true foreground: RMS of sRGB levels (0 to 255) where the
matte is soft, mean over four backgrounds and the cameras of the benchmark take. With a model, composites of both
colours have the model's matte, so that only the colour differs. Seconds are those of the processor.
"""

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from storage.pictures.colour import decode_srgb, encode_srgb
from storage.pictures.foreground import foreground
from tasks.matte.picture import open_base
from tasks.models.infer import infer
from tests.project import WEIGHTS
from tests.storage.pictures.rims import Floats, naive, rendered, rim

Way = Callable[[Floats, Floats, Floats], Floats]


def multi_level(light: Floats, pha: Floats, plate: Floats) -> Floats:
    """PyMatting's estimate (Germer et al. 2020), which knows no plate, of display values."""
    from pymatting import estimate_foreground_ml

    shown = np.ascontiguousarray(encode_srgb(light).transpose(1, 2, 0))
    return decode_srgb(estimate_foreground_ml(shown, pha).transpose(2, 0, 1))


def ways() -> dict[str, Way]:
    """The ways to a foreground."""
    found: dict[str, Way] = {
        "the frame's own colour": lambda light, pha, plate: light,
        "F = (I - (1-a) B) / a": naive,
    }
    if find_spec("pymatting"):
        found["PyMatting, multi-level"] = multi_level
    return found | {"capmat without plate": lambda light, pha, plate: foreground(light, pha), "capmat": foreground}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="NAME", help="base weights whose mattes are taken")
    parser.add_argument("--cameras", type=int, default=12, metavar="N", help="the first N of 12")
    given = parser.parse_args()
    network = open_base(WEIGHTS, given.model) if given.model else None
    rims: dict[str, list[float]] = {}
    spent: dict[str, float] = {}
    pixels = 0
    for number in range(1, given.cameras + 1):
        light, plate, true_pha, true = rendered(f"C{number:02d}")
        made: dict[str, Any] = infer(network, encode_srgb(light), encode_srgb(plate)) if network else {}
        # beyond the subject its true colour is not known
        pha = np.where(true_pha > 0.02, made["pha"], 0).astype(np.float32) if made else true_pha
        pixels += pha.size if number > 1 else 0
        for name, way in ways().items():
            start = time.process_time()
            fgr = way(light, made.get("pha", pha), plate)
            # the first frame also pays for imports and compilation
            spent[name] = spent.get(name, 0.0) + (time.process_time() - start if number > 1 else 0.0)
            rims.setdefault(name, []).append(rim(fgr, true, pha))
        if "fgr" in made:
            rims.setdefault(f"fgr of {given.model}", []).append(rim(decode_srgb(made["fgr"]), true, pha))
    for name, levels in rims.items():
        cost = f"{spent[name] / pixels * 1e6:8.3f} s/MP" if pixels and name in spent else ""
        print(f"{name:32} {np.mean(levels):6.2f} levels {cost}")


if __name__ == "__main__":
    main()
