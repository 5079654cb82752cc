"""Nerfstudio's own environment: one command makes it, and it is used without a setting.

Its pins exclude what capmat needs, so it lives beside capmat and is called as a program. nerfstudio.lock lists its
packages, file by file with a hash.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capmat_errors import ConfigError, StoreError
from storage.store.errors import store_errors
from tasks.geometry.nerfstudio.call import inherited
from tasks.runtime.progress import say

LOCK = Path(__file__).with_name("nerfstudio.lock")
OFFLINE = Path(__file__).with_name("offline.py")
HOME = Path(".capmat/nerfstudio")  # below the working folder
VARIABLE = "CAPMAT_RECONSTRUCTION__NERFSTUDIO"
PYTHON = ">=3.11.5,<3.12"  # the lock was resolved for this one; soupsieve wants the .5
SIZE_GB = 7.6  # measured; torch brings its CUDA libraries
SPARE_GB = 1.4
READY = "capmat-ready.json"
NAME = "capmat-nerfstudio"


def nerfstudio_python(setting: str = "") -> Path | None:
    """The Python that has Nerfstudio, or None.

    Args:
        setting: the configured path, a Python or its environment's folder. If it is empty, the environment variable
            `CAPMAT_RECONSTRUCTION__NERFSTUDIO` counts, then what `capmat reconstruct --install` made here.

    Raises:
        ConfigError: the given path has no Python.
    """
    given = setting or os.environ.get(VARIABLE, "")
    if not given:
        return (HOME / "bin" / "python").absolute() if (HOME / READY).is_file() else None
    path = Path(given).expanduser()
    path = path / "bin" / "python" if path.is_dir() else path
    if not path.is_file():
        raise ConfigError(
            "no Python here to run Nerfstudio with",
            where=str(path),
            fix="Correct reconstruction.nerfstudio, or leave it empty.",
        )
    return path.absolute()  # not resolved: the link selects the environment


def install(folder: Path | None = None) -> Path:
    """Make the environment, or finish one that was half made.

    Args:
        folder: where; None for `.capmat/nerfstudio`, which needs no setting.

    Returns:
        Its Python.

    Raises:
        ConfigError: uv or a fitting Python is missing on this machine, or Nerfstudio does not import afterwards.
        StoreError: the folder holds something else, the disk is too full, or another process installs here.
    """
    folder = (folder or HOME).absolute()
    python, ready = folder / "bin" / "python", folder / READY
    uv = _uv()
    if folder.exists() and not _ours(folder):
        raise StoreError("the folder holds something else", where=str(folder), fix="Name another folder.")
    with store_errors(str(folder)), _alone(folder):
        wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
        if ready.is_file() and json.loads(ready.read_text())["lock"] == wanted:
            say(f"Nerfstudio is installed in {folder}")
            return python
        ready.unlink(missing_ok=True)
        _room(folder)
        say(f"installing Nerfstudio into {folder}: {SIZE_GB} GB, mostly torch with CUDA")
        half = folder.exists()
        try:
            installed = _make(uv, folder)
        except ConfigError:
            if not half:
                raise
            say("the unfinished environment cannot be completed; making it anew")
            shutil.rmtree(folder)
            installed = _make(uv, folder)
        fresh = ready.with_suffix(".partial")
        fresh.write_text(json.dumps({"lock": wanted, **installed}, indent=1))
        fresh.rename(ready)
    say(f"Nerfstudio {installed['nerfstudio']} with torch {installed['torch']} is ready")
    return python


def versions(python: Path) -> dict[str, str]:
    """What an environment holds, without importing any of it.

    Returns:
        Versions of `nerfstudio`, `nerfacc`, `torch`, `cuda` (torch's, else empty) and `python`; and `compiled`, not
        empty if nerfacc came with its CUDA part.

    Raises:
        ConfigError: it has no Nerfstudio, or does not run.
    """
    return _ask(python, "versions", 60)


def check(python: Path) -> dict[str, str]:
    """Import all that a run needs, as a run does it, and return the versions. Takes half a minute.

    Raises:
        ConfigError: it does not import.
    """
    return _ask(python, "check", 1800)


def compiler_problem(installed: dict[str, str]) -> str:
    """Why nerfacc, which compiles itself at its first use, cannot do so; empty if it can.

    Args:
        installed: from `versions`.
    """
    if installed["compiled"]:
        return ""
    cuda = installed["cuda"]
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return f"no nvcc on PATH; nerfacc compiles itself and needs that of CUDA {_major(cuda)}"
    version = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False).stdout
    release = re.search(r"release (\d+)", version)
    if release is None or release[1] != _major(cuda):
        have = f"CUDA {release[1]}" if release else "an unknown CUDA"
        return f"nvcc is of {have}, torch in Nerfstudio's environment of CUDA {_major(cuda)}; the majors must agree"
    return ""


def _major(version: str) -> str:
    return version.partition(".")[0]


def _ask(python: Path, what: str, timeout: float) -> dict[str, str]:
    command = [str(python), "-I", str(OFFLINE), what]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, env=inherited())
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"it does not run ({error})", where=str(python), fix=_AGAIN) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ConfigError(f"this Python has no working Nerfstudio: {last[:200]}", where=str(python), fix=_AGAIN)
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


_AGAIN = "Make one with `capmat reconstruct --install`."


def _uv() -> str:
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    if (uv := beside or shutil.which("uv")) is None:
        raise ConfigError("uv, which installs Nerfstudio, is missing", fix="pip install uv")
    return uv


def _ours(folder: Path) -> bool:
    """Whether nothing of others is in the folder: an installation removes whatever the lock does not name."""
    if not folder.is_dir():
        return False
    settings = folder / "pyvenv.cfg"
    return not any(folder.iterdir()) or (settings.is_file() and f"prompt = {NAME}" in settings.read_text())


def _make(uv: str, folder: Path) -> dict[str, str]:
    """Make the environment unless it exists, install what the lock says, and check that it works."""
    python = folder / "bin" / "python"
    works = python.exists() and subprocess.run([str(python), "-V"], capture_output=True, check=False).returncode == 0
    if not works:
        made = subprocess.run(
            [
                *(uv, "venv", "--quiet", "--clear", "--no-python-downloads"),
                *("--prompt", NAME, "--python", PYTHON, str(folder)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            raise ConfigError(
                f"no environment could be made: {' '.join(made.stderr.split())[:300]}",
                where=str(folder),
                fix=f"Install a Python {PYTHON}: Nerfstudio's packages exist for no other.",
            )
    command = [uv, "pip", "sync", "--python", str(python), "--require-hashes", str(LOCK)]
    if subprocess.run(command, check=False).returncode != 0:  # its own progress goes to the terminal
        raise ConfigError(
            "the packages could not be installed; the lines above say why",
            where=str(folder),
            fix="Check that the package index can be reached, and run it again.",
        )
    say("checking that it imports, without a network; half a minute or more")
    return check(python)


def _room(folder: Path) -> None:
    present = sum(f.lstat().st_size for f in folder.rglob("*") if f.is_file()) / 1e9 if folder.exists() else 0.0
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free, wanted = shutil.disk_usage(existing).free / 1e9, max(SIZE_GB - present, 0) + SPARE_GB
    if free < wanted:
        what = f"{free:.1f} GB are free, {wanted:.1f} GB are needed"
        raise StoreError(what, where=str(folder), fix="Free some space.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second installation out; the system releases the lock of a killed one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.installing").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                "another process is installing here", where=str(folder), fix="Wait until it ends."
            ) from error
        yield
