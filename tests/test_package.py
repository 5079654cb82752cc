"""capmat installed as a package, without its clone: what a user gets from `pip install`."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.project import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git tracks, so that nothing is left in the clone."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        if not name.startswith(("samples/", "docs/", "tests/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    build = f"from setuptools.build_meta import build_wheel; print(build_wheel({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages that holds the wheel and nothing else; the dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    return folder


def _capmat(site: Path, where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    start = "import sys; from flows.command.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-P", "-c", start, *words],
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_user_gets_no_tools_and_the_licence(site: Path) -> None:
    info = next(site.glob("capmat-*.dist-info"))
    lines = (info / "METADATA").read_text().splitlines()
    needed = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    always = " ".join(line for line in needed if "extra ==" not in line)
    for tool in ("pytest", "hypothesis", "moto", "ruff", "mypy", "boto3", "mitsuba", "dask-jobqueue", "setuptools"):
        assert tool not in always
    assert "License-Expression: Apache-2.0" in lines
    assert (info / "licenses" / "LICENSE").read_text().strip().startswith("Apache License")
    assert "capmat = flows.command.main:main" in (info / "entry_points.txt").read_text()
    assert all((site / wing / "py.typed").exists() for wing in ("flows", "tasks", "capmat_models", "storage"))


def test_the_words_of_a_stranger_work_in_a_folder_with_packages_of_the_same_names(site: Path, tmp_path: Path) -> None:
    for wing in ("tasks", "storage", "flows", "capmat_models"):
        (tmp_path / wing).mkdir()
        (tmp_path / wing / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    assert "doctor" in _capmat(site, tmp_path, "--help").stdout
    assert _capmat(site, tmp_path, "--version").stdout.startswith("capmat 0.")
    doctor = _capmat(site, tmp_path, "doctor")
    assert "Traceback" not in doctor.stderr, doctor.stderr
    assert "bgmv2_mobilenetv2_xs" in doctor.stdout


def test_a_photograph_is_matted_with_the_weights_of_the_package(site: Path, tmp_path: Path) -> None:
    plate = np.full((96, 128, 3), 90, np.uint8)
    subject = plate.copy()
    subject[24:72, 40:88] = (200, 40, 40)
    Image.fromarray(plate).save(tmp_path / "plate.png")
    Image.fromarray(subject).save(tmp_path / "subject.png")
    words = ("matte", "--image", "subject.png", "--plate", "plate.png", "--out", "out")
    done = _capmat(site, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    alpha = np.asarray(Image.open(next((tmp_path / "out").glob("*alpha*"))).convert("L"))
    assert alpha[30:66, 46:82].mean() > 128 > 64 > alpha[:16].mean()


def test_what_needs_the_clone_says_so_in_one_line(site: Path, tmp_path: Path) -> None:
    done = _capmat(site, tmp_path, "demo")
    assert done.returncode == 2, done.stdout[-500:] + done.stderr[-500:]
    assert len([line for line in done.stderr.splitlines() if not line.endswith("so far")]) == 1
    assert "sample" in done.stderr


def test_the_deployments_travel_with_the_package(site: Path, tmp_path: Path) -> None:
    code = "from flows.service.deploy import deployment_file; print(deployment_file())"
    words = [sys.executable, "-P", "-c", code]
    env = {**os.environ, "PYTHONPATH": str(site)}
    found = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(found).is_relative_to(site)
    assert Path(found).read_text() == (ROOT / "prefect.yaml").read_text()
