"""One exported frame as a radiance field: what a matte is worth downstream (paper, Sec. 5.4).

Two backends read the same folder and are judged by the same figures. Nerfstudio's Instant-NGP is the paper's and
needs a GPU and an environment of its own; a small voxel grid runs anywhere. The record names the backend, because
figures of the two must not be compared with each other.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError
from storage.export.read_scene import Scene, read_scene
from storage.pictures.files import read_grey, read_image
from storage.pictures.png import encode_png
from storage.store.errors import store_errors
from tasks.config import Reconstruction
from tasks.geometry.box import torch_view
from tasks.geometry.nerfstudio.install import compiler_problem, nerfstudio_python, versions
from tasks.geometry.nerfstudio.run import METHOD, PRESETS, Preset, Render, run_nerfstudio
from tasks.runtime.checkpoint import StoreCheckpointer
from tasks.runtime.progress import Progress

NERFSTUDIO = f"nerfstudio {METHOD} (GPU)"
VOXEL_GRID = "voxel-grid (CPU, not Instant-NGP, not comparable with the paper)"
COMPARABLE = "the paper's settings"
NOT_COMPARABLE = "not comparable with the paper"
LOG = "nerfstudio/nerfstudio.log"
"""The log of Nerfstudio, in the work folder."""


def choose_backend(config: Reconstruction) -> str:
    """`nerfstudio` or `voxel-grid`.

    Raises:
        ConfigError: Nerfstudio is asked for and cannot run here, or it is installed without a working CUDA compiler.
    """
    if config.backend == "voxel-grid":
        return "voxel-grid"
    import torch

    python = nerfstudio_python(config.nerfstudio)
    if python is not None and torch.cuda.is_available():
        if problem := compiler_problem(versions(python)):
            raise ConfigError(
                problem,
                where="reconstruction.backend",
                fix="Put that nvcc on PATH, or choose voxel-grid.",
            )
        return "nerfstudio"
    if config.backend == "nerfstudio":
        missing = "an environment of its own" if python is None else "a GPU, and torch sees none"
        raise ConfigError(
            f"Nerfstudio needs {missing}",
            where="reconstruction.backend",
            fix=f"{'Run `capmat reconstruct --install`, or choose' if python is None else 'Choose'} voxel-grid.",
        )
    return "voxel-grid"


def learn_field(folder_in: Path, folder_out: Path, config: Reconstruction, seed: int = 0) -> dict[str, Any]:
    """Learn a radiance field from an exported folder and render its held-out cameras.

    Args:
        folder_in: folder from `storage.export.scene`.
        folder_out: gets `rgb/<camera>.png` (8 bit, on black) and `accumulation/<camera>.png` (16 bit), checkpoints
            and logs; a run that was killed goes on in the same one.
        config: backend, preset, resolution, iterations.
        seed: of the run.

    Returns:
        Record with `backend` (its label), `preset`, `iterations`, `resolution`, `background`,
        `appearance_embedding`, `comparable`, `seed`, `train`, `test` and `fit_s` (of this call).

    Raises:
        ConfigError: Nerfstudio is asked for and cannot run here.
        MatteError: the mattes agree on no place inside the box.
        TrainingError: training failed.
        StoreError: the renders cannot be written, or the disk is full.
    """
    scene = read_scene(folder_in)
    backend = choose_backend(config)
    start = time.perf_counter()
    if backend == "nerfstudio":
        python, preset = nerfstudio_python(config.nerfstudio), PRESETS[config.preset]
        assert python is not None, "choose_backend checked it"
        renders = run_nerfstudio(python, folder_in, folder_out / "nerfstudio", preset, seed, scene.test)
        how = _by_nerfstudio(preset)
    else:
        renders, how = _voxel_grid(scene, config, seed, folder_out)
    took = time.perf_counter() - start
    with store_errors(str(folder_out)):
        for name, (rgb, accumulation) in renders.items():
            _write(folder_out / "rgb" / f"{name}.png", np.round(rgb.transpose(1, 2, 0) * 255).astype(np.uint8))
            _write(folder_out / "accumulation" / f"{name}.png", np.round(accumulation * 65535).astype(np.uint16))
    split = {"train": list(scene.train), "test": list(scene.test)}
    return {"preset": config.preset, **how, "seed": seed, **split, "fit_s": round(took, 1)}


def _by_nerfstudio(preset: Preset) -> dict[str, Any]:
    return {
        "backend": NERFSTUDIO,
        "iterations": preset.iterations,
        "resolution": preset.max_resolution,
        "background": preset.background,
        # Nerfstudio 1.1.5 inverts its switch: by default it trains one per picture, and renders with zeros
        "appearance_embedding": True,
        "comparable": COMPARABLE if preset == PRESETS["paper"] else NOT_COMPARABLE,
    }


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """A folder that is removed when the block ends well, and kept for the next try when it fails or is killed.

    Raises:
        StoreError: it cannot be made.
    """
    with store_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def read_renders(folder: Path) -> dict[str, Render]:
    """The renders that `learn_field` left in a folder, by camera."""
    renders: dict[str, Render] = {}
    for path in sorted((folder / "rgb").glob("*.png")):
        rgb = read_image(path).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        grey = read_grey(folder / "accumulation" / path.name)
        renders[path.stem] = (rgb, grey.astype(np.float32) / np.float32(65535))
    return renders


def _voxel_grid(
    scene: Scene, config: Reconstruction, seed: int, work: Path
) -> tuple[dict[str, Render], dict[str, Any]]:
    import torch

    from capmat_models.geometry.field import VoxelConfig, fit, render

    # `quick` asks for a third of the steps on voxels twice as large
    coarse = (max(16, config.resolution // 32 * 16), max(1, config.iterations // 3))
    resolution, iterations = coarse if config.preset == "quick" else (config.resolution, config.iterations)
    background = PRESETS[config.preset].background
    settings = VoxelConfig(resolution=resolution, iterations=iterations, background=background, seed=seed)
    progress = Progress("voxel grid", iterations, "iterations")
    saved = StoreCheckpointer(str(work), "voxel-grid")
    renders: dict[str, Render] = {}
    threads = torch.get_num_threads()
    # its steps are short: threads that share cores with other workers spend six times the work on waiting
    torch.set_num_threads(1)
    try:
        views = [torch_view(scene.views[name]) for name in scene.train]
        grid = fit(views, settings, lambda step, loss: progress(step + 1, f"loss {loss:.4f}"), saved)
        for name in scene.test:
            rgb, accumulation = render(grid, torch_view(scene.views[name]))
            renders[name] = (np.asarray(rgb, np.float32), np.asarray(accumulation, np.float32))
    finally:
        torch.set_num_threads(threads)
    saved.forget()
    return renders, {
        "backend": VOXEL_GRID,
        "iterations": iterations,
        "resolution": resolution,
        "background": background,
        "appearance_embedding": False,
        "comparable": NOT_COMPARABLE,
    }


def _write(path: Path, image: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(image))
