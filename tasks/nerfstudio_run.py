"""Instant-NGP by Nerfstudio, in an environment of its own (paper, Sec. 5.4).

Nerfstudio pins libraries that capmat needs newer, so it lives in another environment and is called as a
program. It is started as the paper did: `instant-ngp-bounded`, largest grid 2^16, 100,000 iterations. Two
settings are ours. Every automatic change of poses is off, because the export has scaled them. And the
background is random in training: before its default, black, dark holes cost nothing and models collapse.
"""

import gzip
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError, TrainingError
from tasks.hang import allow

ITERATIONS = 100_000
MAX_RESOLUTION = 2**16
METHOD = "instant-ngp-bounded"
OFFLINE = Path(__file__).with_name("nerfstudio_offline.py")
# nerfacc 0.5.2 names a function object that CUDA 13 took away
CUB = """#if defined(__CUDACC_VER_MAJOR__) && __CUDACC_VER_MAJOR__ >= 13
#include <cuda/std/functional>
namespace cub { using Equality = ::cuda::std::equal_to<>; }
#endif
"""

Render = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Premultiplied colour (3, H, W) on black and accumulation (H, W), both 0..1."""


def nerfstudio_python(setting: str = "") -> Path | None:
    """The Python that has Nerfstudio, or None.

    Args:
        setting: the configured path; empty: the environment variable `CAPMAT_RECONSTRUCTION__NERFSTUDIO`.

    Raises:
        ConfigError: a path is given and nothing is there.
    """
    given = setting or os.environ.get("CAPMAT_RECONSTRUCTION__NERFSTUDIO", "")
    if not given:
        return None
    path = Path(given).expanduser()
    path = path / "bin" / "python" if path.is_dir() else path
    if not path.is_file():
        raise ConfigError(
            "there is no Python here to run Nerfstudio with",
            where=str(path),
            fix="Correct reconstruction.nerfstudio, or leave it empty.",
        )
    return path.absolute()  # not resolved: the link is what makes it that environment


def train_command(python: Path, scene: Path, work: Path, seed: int) -> list[str]:
    """The command that trains; the data parser and its flags must stand last."""
    return [
        *(str(python), str(OFFLINE), "train", METHOD),
        *("--output-dir", str(work), "--experiment-name", "scene", "--timestamp", "run"),
        *("--vis", "tensorboard", "--machine.seed", str(seed)),
        *("--max-num-iterations", str(ITERATIONS), "--pipeline.model.max-res", str(MAX_RESOLUTION)),
        *("--pipeline.model.background-color", "random"),
        *("--steps-per-eval-all-images", str(10 * ITERATIONS), "--steps-per-eval-image", "5000"),
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


def run_nerfstudio(python: Path, scene: Path, work: Path, seed: int, timeout: float) -> dict[str, Render]:
    """Train on an exported folder and render its held-out cameras.

    Args:
        python: the interpreter of Nerfstudio's environment.
        scene: folder from `storage.nerfstudio`.
        work: folder for checkpoints, renders and `nerfstudio.log`.
        seed: of the run.
        timeout: seconds for each of the two commands.

    Returns:
        Renders by camera.

    Raises:
        TrainingError: it failed or took too long; the message holds its last words and where the log is.
    """
    work = work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    (work / "cub_compat.h").write_text(CUB)
    log = work / "nerfstudio.log"
    log.unlink(missing_ok=True)
    call(train_command(python, scene.absolute(), work, seed), log, timeout)
    call(render_command(python, work), log, timeout)
    return read_renders(work / "renders" / "test")


def read_renders(folder: Path) -> dict[str, Render]:
    """Read what the render command wrote: `raw-rgb/<camera>.npy.gz` and `raw-accumulation/<camera>.npy.gz`.

    Raises:
        TrainingError: there are no renders.
    """
    found: dict[str, Render] = {}
    for path in sorted((folder / "raw-rgb").glob("*.npy.gz")):
        with gzip.open(path) as colour, gzip.open(folder / "raw-accumulation" / path.name) as amount:
            rgb, accumulation = np.load(colour), np.load(amount)
        found[path.name.removesuffix(".npy.gz")] = (
            np.clip(rgb.transpose(2, 0, 1), 0, 1).astype(np.float32),
            np.clip(accumulation[..., 0], 0, 1).astype(np.float32),
        )
    if not found:
        raise TrainingError("Nerfstudio rendered nothing", where=str(folder), fix="Read nerfstudio.log.")
    return found


def call(command: Sequence[str], log: Path, timeout: float) -> None:
    """Run a command with its output in `log`; when it takes too long, it and its children are killed.

    Raises:
        TrainingError: it failed or took too long.
    """
    environment = {
        **os.environ,
        "NVCC_APPEND_FLAGS": f"-include {log.with_name('cub_compat.h')}",
        "PYTHONUNBUFFERED": "1",
    }
    with log.open("ab") as out:
        out.write(f"$ {' '.join(command)}\n".encode())
        out.flush()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=log.parent,
            start_new_session=True,
        )
        try:
            allow(timeout)
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TrainingError(
                f"Nerfstudio did not finish in {timeout:.0f} s",
                where=str(log),
                fix="Give it more time, or look at the log for why it stands still.",
            ) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise TrainingError(
            f"Nerfstudio ended with code {code}: {lines[-1][:200]}", where=str(log), fix="Read the log."
        )
