"""Instant-NGP by Nerfstudio, in an environment of its own (paper, Sec. 5.4).

Nerfstudio pins older libraries than capmat needs, so it lives in another environment and is called as a program.
Every automatic change of poses is off, because the export has scaled them. Checkpoints stay in the work folder, so a
killed run goes on from its newest whole one.
"""

import gzip
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capmat_errors import StoreError, TrainingError
from storage.store.errors import store_errors
from tasks.geometry.nerfstudio.call import Heard, Interrupted, alone, call
from tasks.geometry.nerfstudio.install import OFFLINE
from tasks.runtime.progress import Progress, say

METHOD = "instant-ngp-bounded"
WORK_GB = 2.0  # two checkpoints of 0.2 GB, events, renders
RENDER_S = 3600.0

Render = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Premultiplied colour (3, H, W) on black and accumulation (H, W), both 0..1."""


@dataclass(frozen=True)
class Preset:
    """How long and how fine.

    Attributes:
        iterations: of Adam.
        max_resolution: of the finest grid of the hash encoding, across the box.
        background: `black`, the method's default, or `random`, another colour behind every ray. In front of black,
            dark holes cost nothing and models collapse.
        timeout_s: seconds after which training is stopped.
        flags: further flags of the method.
    """

    iterations: int
    max_resolution: int
    background: str
    timeout_s: float
    flags: tuple[str, ...] = ()

    @property
    def save_every(self) -> int:
        """Iterations between two checkpoints: the method's own 2000, or fewer in short runs."""
        return max(1, min(2000, self.iterations // 5))


PRESETS = {
    "paper": Preset(100_000, 2**16, "black", 6 * 3600.0),
    "carve": Preset(100_000, 2**16, "random", 6 * 3600.0),
    "quick": Preset(5_000, 2048, "random", 3600.0),
}


def train_command(
    python: Path, scene: Path, work: Path, preset: Preset, seed: int, done: int = 0, device: str = "cuda"
) -> list[str]:
    """The command that trains; the data parser and its flags must come last.

    Args:
        python: of Nerfstudio's environment.
        scene: the exported folder.
        work: for checkpoints.
        preset: how long and how fine.
        seed: of the run.
        done: iterations of the newest checkpoint, from which it goes on.
        device: "cuda", or "cpu" with a stand-in for nerfacc.
    """
    # It counts iterations from the checkpoint, and not from 0. It takes the newest one by itself; a --load-step would
    # be kept in config.yml, and the renderer would look for that checkpoint after it was replaced.
    resume = ("--load-dir", str(checkpoints(work))) if done else ()
    return [
        *(str(python), str(OFFLINE), "train", METHOD),
        *("--output-dir", str(work), "--experiment-name", "scene", "--timestamp", "run"),
        *("--vis", "tensorboard", "--machine.seed", str(seed), "--machine.device-type", device),
        *("--max-num-iterations", str(preset.iterations - done), "--steps-per-save", str(preset.save_every)),
        *("--logging.local-writer.max-log-size", "0", *resume),
        *("--pipeline.model.max-res", str(preset.max_resolution)),
        *("--pipeline.model.background-color", preset.background),
        *("--steps-per-eval-all-images", str(10 * preset.iterations), "--steps-per-eval-image", "5000"),
        *preset.flags,
        *("nerfstudio-data", "--data", str(scene), "--downscale-factor", "1"),
        *("--orientation-method", "none", "--center-method", "none", "--auto-scale-poses", "False"),
    ]


def render_command(python: Path, work: Path) -> list[str]:
    """The command that renders the held-out cameras, as numbers and not as pictures."""
    return [
        *(str(python), str(OFFLINE), "render", "dataset", "--split", "test"),
        *("--load-config", str(work / "scene" / METHOD / "run" / "config.yml")),
        *("--output-path", str(work / "renders"), "--rendered-output-names", "raw-rgb", "raw-accumulation"),
    ]


def checkpoints(work: Path) -> Path:
    """Where training leaves its checkpoints."""
    return work / "scene" / METHOD / "run" / "nerfstudio_models"


def iterations_done(work: Path) -> int:
    """Iterations of the newest whole checkpoint, else 0. Half-written ones are removed."""
    for path in sorted(checkpoints(work).glob("step-*.ckpt"), reverse=True):
        if _whole(path):
            return int(path.stem.removeprefix("step-")) + 1
        path.unlink()  # the renderer takes the newest
    return 0


def _whole(path: Path) -> bool:
    """Whether a checkpoint, a zip archive, is complete and its checksums are right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except zipfile.BadZipFile:
        return False


def run_nerfstudio(
    python: Path, scene: Path, work: Path, preset: Preset, seed: int, cameras: Sequence[str], device: str = "cuda"
) -> dict[str, Render]:
    """Train on an exported folder, or go on with it, and render its held-out cameras.

    Args:
        python: the interpreter of Nerfstudio's environment.
        scene: folder from `storage.export.scene`.
        work: folder for checkpoints, renders and `nerfstudio.log`; one for one scene, preset and seed.
        preset: how long and how fine.
        seed: of the run.
        cameras: those that the folder holds out.
        device: "cuda", or "cpu" with a stand-in for nerfacc.

    Returns:
        Renders by camera.

    Raises:
        TrainingError: it failed or took too long; the message quotes its last line and names the log.
        StoreError: the disk is full.
    """
    work, scene = work.absolute(), scene.absolute()
    log, progress = work / "nerfstudio.log", Progress("nerfstudio", preset.iterations, "iterations")
    with store_errors(str(work)), alone(work / "in-use") as held:
        if (free := shutil.disk_usage(work).free / 1e9) < WORK_GB:
            raise StoreError(
                f"{free:.1f} GB are free, a run needs {WORK_GB:g} GB", where=str(work), fix="Free some space."
            )

        def train() -> None:
            done = iterations_done(work)
            if done < preset.iterations:
                if done:
                    say(f"nerfstudio goes on from iteration {done}")
                command = train_command(python, scene, work, preset, seed, done, device)
                call(command, log, preset.timeout_s, held=held, heard=_towards(progress, preset.iterations))
            if iterations_done(work) < preset.iterations:
                raise TrainingError("Nerfstudio left no final checkpoint", where=str(log), fix="Read the log.")

        try:
            train()
        except Interrupted as error:
            say(f"{error.what}; starting it once more")
            train()
        shutil.rmtree(work / "renders", ignore_errors=True)
        call(render_command(python, work), log, RENDER_S, held=held)
        return read_renders(work / "renders" / "test", cameras)


def _towards(progress: Progress, total: int) -> Heard:
    def heard(done: int, rate: str) -> None:
        speed = float(rate.partition(" ")[0]) if rate else 0
        left = f", {(total - done) / speed / 60:.1f} min left" if speed else ""
        progress(done, f"{rate}{left}")

    return heard


def read_renders(folder: Path, cameras: Sequence[str]) -> dict[str, Render]:
    """Read what the render command wrote: `raw-rgb/<camera>.npy.gz` and `raw-accumulation/<camera>.npy.gz`.

    Args:
        folder: of the split.
        cameras: those that were held out.

    Raises:
        TrainingError: one of them has no render.
    """
    renders: dict[str, Render] = {}
    for camera in cameras:
        kinds = [folder / kind / f"{camera}.npy.gz" for kind in ("raw-rgb", "raw-accumulation")]
        if len(cameras) == 1 and not kinds[0].exists():  # file names are what their paths do not share
            kinds = [path.parent.with_suffix(".npy.gz") for path in kinds]
        if not all(path.is_file() for path in kinds):
            raise TrainingError(
                f"Nerfstudio rendered nothing for {camera}", where=str(folder), fix="Read nerfstudio.log."
            )
        with gzip.open(kinds[0]) as colour, gzip.open(kinds[1]) as amount:
            rgb, accumulation = np.load(colour), np.load(amount)
        renders[camera] = (
            np.clip(rgb.transpose(2, 0, 1), 0, 1).astype(np.float32),
            np.clip(accumulation[..., 0], 0, 1).astype(np.float32),
        )
    return renders
