"""What the tests with the true Nerfstudio share: its Python with the stand-in in its way, a scene, a small preset."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from storage.calibration.camera import Camera
from storage.export.scene import export_cutouts
from tasks.geometry.nerfstudio.run import Preset
from tests.ellipsoids import BOX_CENTRE, BOX_SIZE, cutout, ring

STANDIN = Path(__file__).parent / "standin"
TEST = ("C02", "C07")
TINY = Preset(
    iterations=15,
    max_resolution=128,
    background="random",
    timeout_s=1200,
    flags=(
        *("--pipeline.target-num-samples", "4096", "--pipeline.max-num-samples-per-ray", "64"),
        *("--pipeline.model.grid-resolution", "24", "--pipeline.model.log2-hashmap-size", "12"),
        *("--pipeline.model.render-step-size", "0.05"),
    ),
)
"""So small that a CPU does it: the method, its files and its words are the true ones."""

SMALL = replace(
    TINY,
    iterations=300,
    max_resolution=256,
    flags=(
        *("--pipeline.target-num-samples", "16384", "--pipeline.max-num-samples-per-ray", "128"),
        *("--pipeline.model.grid-resolution", "32", "--pipeline.model.log2-hashmap-size", "14"),
        *("--pipeline.model.render-step-size", "0.03"),
    ),
)
"""So small that a CPU takes minutes, and large enough to learn the ellipsoids."""


def python_for_cpu(python: Path, folder: Path) -> Path:
    """A Python of Nerfstudio's environment that finds the stand-in; the process stays the same one."""
    script = folder / "python"
    # one thread: on cores that others use too, several wait for each other longer than they work
    way = f"OMP_NUM_THREADS=1 PYTHONPATH={shlex.quote(str(STANDIN))}"
    way += f" TORCH_EXTENSIONS_DIR={shlex.quote(str(folder / 'extensions'))}"
    script.write_text(f'#!/bin/sh\n{way} exec {shlex.quote(str(python))} "$@"\n')
    script.chmod(0o755)
    return script


def cameras() -> list[Camera]:
    """A ring with bent lenses, no two alike; `cutout` knows nothing of lenses."""
    lens = np.array([-0.08, 0.02, 0.001, -0.002, 0.01])
    return [replace(c, dist=lens * (1 + i / 10)) for i, c in enumerate(ring(10, 36, 48))]


def export(folder: Path, rig: Sequence[Camera]) -> Path:
    """The ellipsoids as cameras see them."""
    seen = [cutout(camera) for camera in rig]
    train = [c.camera.id for c in seen if c.camera.id not in TEST]
    return export_cutouts(folder, seen, train=train, test=TEST, box_centre=BOX_CENTRE, box_size=BOX_SIZE)
