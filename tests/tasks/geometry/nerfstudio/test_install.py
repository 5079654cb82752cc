"""Nerfstudio's own environment: found where it was made, never half, and refused with the reason."""

import fcntl
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from capmat_errors import ConfigError, StoreError
from flows.service.doctor import _nerfstudio
from tasks.config import Config, Reconstruction
from tasks.geometry.nerfstudio import install as nerfstudio_install
from tasks.geometry.nerfstudio.install import (
    HOME,
    LOCK,
    READY,
    compiler_problem,
    install,
    nerfstudio_python,
    versions,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("CAPMAT_RECONSTRUCTION__NERFSTUDIO", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _environment(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder / "bin" / "python"


def test_it_is_found_by_setting_then_variable_then_where_it_is_installed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nerfstudio_python() is None
    installed = _environment(here / HOME)
    assert nerfstudio_python() is None  # half made: nothing says that it imported
    (here / HOME / READY).write_text("{}")
    assert nerfstudio_python() == installed
    by_variable, by_setting = _environment(here / "b"), _environment(here / "c")
    monkeypatch.setenv("CAPMAT_RECONSTRUCTION__NERFSTUDIO", str(by_variable))
    assert nerfstudio_python() == by_variable
    assert nerfstudio_python(str(here / "c")) == by_setting


def test_the_lock_names_every_file_by_its_hash_and_no_place_to_get_it_from() -> None:
    text = LOCK.read_text()
    assert "\nnerfstudio==1.1.5 \\\n" in text
    assert not re.search(r"://|--index|--find-links|@ ", text)
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert len(entries) > 200
    assert all("--hash=sha256:" in entry and "==" in entry.splitlines()[0] for entry in entries)


def test_a_folder_with_other_things_in_it_is_left_alone(here: Path) -> None:
    (here / "thesis").mkdir()
    (here / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="holds something else"):
        install(here / "thesis")
    assert (here / "thesis" / "thesis.tex").exists()
    with pytest.raises(StoreError, match="holds something else"):
        install(here / "thesis" / "thesis.tex")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", here / "mine"], check=True)
    with pytest.raises(StoreError, match="holds something else"):
        install(here / "mine")  # its packages would go


def test_too_little_room_is_said_before_anything_is_made(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100e9, 97e9, 3e9))
    with pytest.raises(StoreError, match="3.0 GB are free, 9.0 GB are needed"):
        install()
    assert not (here / HOME).exists()


def test_two_installations_at_once_are_refused(here: Path) -> None:
    HOME.parent.mkdir()
    with (HOME.parent / ".nerfstudio.installing").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another process is installing"):
            install()


def test_an_environment_that_does_not_import_is_not_called_ready(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("python3.11"):
        pytest.skip("no python3.11 here")
    lock = here / "empty.lock"
    lock.write_text("# nothing\n")
    monkeypatch.setattr(nerfstudio_install, "LOCK", lock)
    monkeypatch.setattr(nerfstudio_install, "SIZE_GB", 0.0)
    monkeypatch.setattr(nerfstudio_install, "SPARE_GB", 0.0)
    for _ in range(2):  # also when it goes on with what is there
        with pytest.raises(ConfigError, match="no working Nerfstudio|could not be installed"):
            install()
        assert (HOME / "pyvenv.cfg").exists()
        assert nerfstudio_python() is None


def test_a_python_without_nerfstudio_is_told_from_one_that_has_it() -> None:
    with pytest.raises(ConfigError, match="no working Nerfstudio: .*No package metadata was found for nerfstudio"):
        versions(Path(sys.executable))


def _nvcc(here: Path, monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    (here / "nvcc").write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.88'\n")
    (here / "nvcc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}:/bin:/usr/bin")


def test_a_compiler_of_another_cuda_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"cuda": "13.2", "compiled": ""}
    _nvcc(here, monkeypatch, "12.4")
    assert "nvcc is of CUDA 12, torch in Nerfstudio's environment of CUDA 13" in compiler_problem(found)
    _nvcc(here, monkeypatch, "13.0")
    assert compiler_problem(found) == ""
    monkeypatch.setenv("PATH", str(here / "empty"))
    assert "no nvcc on PATH" in compiler_problem(found)
    assert compiler_problem(found | {"compiled": "yes"}) == ""


def test_the_doctor_says_what_is_there_and_what_to_do(here: Path) -> None:
    found = _nerfstudio(Config())
    assert (found.state, found.needed) == ("missing", False)
    assert "capmat reconstruct --install" in found.fix
    found = _nerfstudio(Config(reconstruction=Reconstruction(nerfstudio=sys.executable)))
    assert found.state == "missing"
    assert "no working Nerfstudio" in found.detail
