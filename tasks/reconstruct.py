"""One exported frame as a radiance field: what a matte is worth downstream (paper, Sec. 5.4).

Two backends read the same folder and are judged by the same figures: Nerfstudio's Instant-NGP, which the paper
used and which needs a GPU and an environment of its own, and a small voxel grid that runs anywhere. The record
says which it was, because their figures must never be compared with each other.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError
from storage.exported_scene import Scene, SceneView, read_scene
from storage.frames import encode_png, read_grey, read_image
from storage.store_errors import store_errors
from tasks.config import Reconstruction
from tasks.nerfstudio_run import (
    ITERATIONS,
    MAX_RESOLUTION,
    METHOD,
    Render,
    nerfstudio_python,
    run_nerfstudio,
)

NERFSTUDIO = f"nerfstudio {METHOD} (GPU)"
VOXEL_GRID = "voxel-grid (CPU, not Instant-NGP, not comparable with the paper)"
TIMEOUT = 6 * 3600.0  # seconds; 100,000 iterations take well under an hour on a recent GPU


def choose_backend(config: Reconstruction) -> str:
    """`nerfstudio` or `voxel-grid`.

    Raises:
        ConfigError: Nerfstudio is asked for and cannot run here.
    """
    if config.backend == "voxel-grid":
        return "voxel-grid"
    import torch

    ready = nerfstudio_python(config.nerfstudio) is not None and torch.cuda.is_available()
    if config.backend == "nerfstudio" and not ready:
        raise ConfigError(
            "Nerfstudio needs a GPU and an environment of its own",
            where="reconstruction.backend",
            fix="Set reconstruction.nerfstudio to its Python, or take voxel-grid.",
        )
    return "nerfstudio" if ready else "voxel-grid"


def reconstruct(folder_in: Path, folder_out: Path, config: Reconstruction, seed: int = 0) -> dict[str, Any]:
    """Learn a radiance field from an exported folder and render its held-out cameras.

    Args:
        folder_in: folder from `storage.nerfstudio`.
        folder_out: gets `rgb/<camera>.png` (8 bit, on black) and `accumulation/<camera>.png` (16 bit).
        config: backend, resolution, iterations.
        seed: of the run.

    Returns:
        Record with `backend` (its label), `iterations`, `resolution`, `background`, `train`, `test` and `fit_s`.

    Raises:
        ConfigError: Nerfstudio is asked for and cannot run here.
        MatteError: the mattes agree on no place inside the box.
        TrainingError: training failed.
        StoreError: the renders cannot be written.
    """
    scene = read_scene(folder_in)
    backend = choose_backend(config)
    start = time.perf_counter()
    if backend == "nerfstudio":
        python = nerfstudio_python(config.nerfstudio)
        assert python is not None, "choose_backend has seen it"
        renders = run_nerfstudio(python, folder_in, folder_out / "nerfstudio", seed, TIMEOUT)
        how = {"backend": NERFSTUDIO, "iterations": ITERATIONS, "resolution": MAX_RESOLUTION}
    else:
        renders = _voxel_grid(scene, config, seed)
        how = {"backend": VOXEL_GRID, "iterations": config.iterations, "resolution": config.resolution}
    took = time.perf_counter() - start
    with store_errors(str(folder_out), remote=False):
        for name, (rgb, accumulation) in renders.items():
            _write(folder_out / "rgb" / f"{name}.png", np.round(rgb.transpose(1, 2, 0) * 255).astype(np.uint8))
            _write(folder_out / "accumulation" / f"{name}.png", np.round(accumulation * 65535).astype(np.uint16))
    split = {"train": list(scene.train), "test": list(scene.test)}
    return {**how, "background": "random", "seed": seed, **split, "fit_s": round(took, 1)}


def read_renders(folder: Path) -> dict[str, Render]:
    """The renders that `reconstruct` left in a folder, by camera."""
    found: dict[str, Render] = {}
    for path in sorted((folder / "rgb").glob("*.png")):
        rgb = read_image(path).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        grey = read_grey(folder / "accumulation" / path.name)
        found[path.stem] = (rgb, grey.astype(np.float32) / np.float32(65535))
    return found


def _voxel_grid(scene: Scene, config: Reconstruction, seed: int) -> dict[str, Render]:
    import torch

    from capmat_models.voxel_grid import VoxelConfig, fit, render

    settings = VoxelConfig(resolution=config.resolution, iterations=config.iterations, seed=seed)
    renders: dict[str, Render] = {}
    threads = torch.get_num_threads()
    # its steps are short: threads that share cores with other workers spend six times the work on waiting
    torch.set_num_threads(1)
    try:
        grid = fit([_view(scene.views[name]) for name in scene.train], settings)
        for name in scene.test:
            rgb, accumulation = render(grid, _view(scene.views[name]))
            renders[name] = (np.asarray(rgb, np.float32), np.asarray(accumulation, np.float32))
    finally:
        torch.set_num_threads(threads)
    return renders


def _view(view: SceneView) -> Any:
    import torch

    from capmat_models.voxel_rays import View

    _, height, width = view.rgba.shape
    K, dist, pose = (torch.from_numpy(a) for a in (view.K, view.dist, view.camera_to_world))
    return View(view.name, width, height, K, dist, pose, torch.from_numpy(view.rgba))


def _write(path: Path, image: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(image))
