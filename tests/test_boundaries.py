"""The table of docs/architecture.md holds: no folder imports what it does not allow, and libraries have one home."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.project import ROOT

WINGS = ("flows", "tasks", "capmat_models", "storage")
HOMES = {  # which folders alone may import a library
    "prefect": ("tasks", "flows"),
    "prefect_dask": ("flows",),
    "dask": ("flows",),
    "distributed": ("flows",),
    "zarr": ("storage",),
    "fsspec": ("storage",),
    "s3fs": ("storage",),
    "imageio": ("storage",),
    "cv2": ("storage", "capmat_models/stage"),
    "rawpy": ("storage",),
    "h5py": ("storage",),
    "timm": ("capmat_models",),
    "onnxruntime": ("capmat_models",),
    "mitsuba": ("tasks/sim",),
}
FILES = sorted(file.relative_to(ROOT) for wing in WINGS for file in (ROOT / wing).rglob("*.py"))
FOLDERS = sorted({file.parent.as_posix() for file in FILES})


def _table() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `([\w/]+)` \| (.+) \|$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    return {folder: set(re.findall(r"`([\w/.]+)`", allowed)) for folder, allowed in rows}


@cache
def _modules(file: Path) -> tuple[str, ...]:
    """Every module that a file imports, at any depth, also for type checking."""
    found: list[str] = []
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports relatively"
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def _source(module: str) -> Path | None:
    """The file of this project that a dotted name leads to."""
    parts = module.split(".")
    while parts and parts[0] in WINGS:
        path = Path(*parts)
        if (ROOT / path.with_suffix(".py")).is_file():
            return path.with_suffix(".py")
        if (ROOT / path / "__init__.py").is_file():
            return path / "__init__.py"
        parts.pop()
    return None


def test_the_table_names_every_folder_and_no_other() -> None:
    assert sorted(_table()) == FOLDERS


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_the_table_allows(folder: str) -> None:
    allowed = _table()[folder]
    for file in (file for file in FILES if file.parent.as_posix() == folder):
        for module in _modules(file):
            source = _source(module)
            if source is None or source.parent.as_posix() == folder:
                continue
            names = {source.as_posix(), source.parent.as_posix(), source.parts[0]}
            assert names & allowed, f"{file} imports {module}; docs/architecture.md does not allow it"


def test_no_import_runs_in_a_circle() -> None:
    graph = {file: {s for module in _modules(file) if (s := _source(module)) and s != file} for file in FILES}
    done: set[Path] = set()

    def walk(file: Path, above: tuple[Path, ...]) -> None:
        assert file not in above, " -> ".join(str(f) for f in (*above[above.index(file) :], file))
        if file not in done:
            for other in graph[file]:
                walk(other, (*above, file))
            done.add(file)

    for file in FILES:
        walk(file, ())


@pytest.mark.parametrize("library", HOMES)
def test_every_library_has_one_home(library: str) -> None:
    for file in FILES:
        if any(module.split(".")[0] == library for module in _modules(file)):
            assert file.as_posix().startswith(HOMES[library]), f"{file} imports {library}"


def test_a_package_says_what_it_is_for_and_hands_nothing_on() -> None:
    for file in (file for file in FILES if file.name == "__init__.py"):
        tree = ast.parse((ROOT / file).read_text())
        assert ast.get_docstring(tree), f"{file} does not say what the folder is for"
        if str(file) not in ("flows/__init__.py", "tasks/__init__.py"):  # they silence Prefect before it is imported
            assert len(tree.body) == 1, f"{file} is a second door"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_can_be_taken_in_at_a_glance(folder: str) -> None:
    entries = [p for p in (ROOT / folder).iterdir() if p.name not in ("__init__.py", "__pycache__", "py.typed")]
    assert len(entries) <= 14, f"{folder} has {len(entries)} entries: a folder is missing"


def test_a_file_holds_one_idea() -> None:
    long = {str(file): n for file in FILES if (n := len((ROOT / file).read_text().splitlines())) > 350}
    assert not long


@pytest.mark.parametrize(
    ("statement", "must_not_load"),
    [
        ("import storage", ["torch", "prefect", "zarr"]),
        ("import storage.takes.take, storage.session.plan, storage.registry", ["torch", "prefect"]),
        ("import capmat_models", ["torch", "timm"]),
        ("from flows.command.main import main; main(['doctor', '--help'])", ["torch", "prefect", "zarr", "numpy"]),
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
