"""A store with one take "walk", for tests that import labels."""

import shutil
from pathlib import Path

import pytest

from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tests.storage.tiny_session import write_session


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stage")
    session = write_session(folder / "day")
    ingest_plates(str(folder / "store"), session)
    ingest_take(str(folder / "store"), session, "walk")
    return folder


@pytest.fixture
def store(stage: Path, tmp_path: Path) -> str:
    """The same take for every test, and labels of its own."""
    (tmp_path / "store").mkdir()
    for part in ("takes", "stages"):
        (tmp_path / "store" / part).symlink_to(stage / "store" / part)
    shutil.copytree(stage / "store/ledger", tmp_path / "store/ledger")
    return str(tmp_path / "store")
