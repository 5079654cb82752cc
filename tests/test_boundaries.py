"""Data flows one way: flows -> tasks -> {capmat_models, storage, sim}; nobody imports upwards."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

ALLOWED = {
    "capmat_errors": set(),
    "storage": {"storage", "capmat_errors"},
    "capmat_models": {"capmat_models", "capmat_errors"},
    "sim": {"sim", "storage", "capmat_errors"},
    "tasks": {"tasks", "sim", "storage", "capmat_models", "capmat_errors"},
    "flows": {"flows", "tasks", "sim", "storage", "capmat_models", "capmat_errors"},
}
FOREIGN = {  # who alone may know what
    "prefect": {"tasks", "flows"},
    "prefect_dask": {"flows"},
    "distributed": {"flows"},
    "zarr": {"storage"},
    "fsspec": {"storage"},
    "s3fs": {"storage"},
    "imageio": {"storage"},
    "cv2": {"storage"},
    "rawpy": {"storage"},
    "h5py": {"storage"},
    "timm": {"capmat_models"},
    "onnxruntime": {"capmat_models"},
    "mitsuba": {"sim"},
}


def _imports(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", [p for p in ALLOWED if p != "capmat_errors"])
def test_no_import_runs_up(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        up = (_imports(file) & set(ALLOWED)) - ALLOWED[package]
        assert not up, f"{file.relative_to(ROOT)} imports {up}"


@pytest.mark.parametrize("package", [p for p in ALLOWED if p != "capmat_errors"])
def test_every_library_has_one_home(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        for name in _imports(file) & set(FOREIGN):
            assert package in FOREIGN[name], f"{file.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize(
    ("statement", "must_not_load"),
    [
        ("import storage", ["torch", "prefect", "zarr"]),
        ("import storage.take, storage.session, storage.registry", ["torch", "prefect"]),
        ("import capmat_models", ["torch", "timm"]),
        ("from flows.cli import main; main(['doctor', '--help'])", ["torch", "prefect", "zarr", "numpy"]),
    ],
)
def test_an_import_costs_only_what_it_needs(statement: str, must_not_load: list[str]) -> None:
    code = (
        "import sys\n"
        "try:\n"
        f"    exec({statement!r})\n"
        "except SystemExit:\n"
        "    sys.stdout.write('')\n"
        f"print([m for m in {must_not_load!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout[-300:]
