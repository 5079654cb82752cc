"""A small take, and the folder that it is exported to."""

from pathlib import Path

import pytest

from storage.store.root import Root
from storage.takes.take import Take
from tests.storage.export.mixed_take import make_take


@pytest.fixture
def take(folder: Root) -> Take:
    return make_take(folder)


@pytest.fixture
def out(tmp_path: Path) -> Root:
    return Root(tmp_path / "out")
