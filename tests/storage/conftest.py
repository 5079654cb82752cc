"""The same promises hold in a folder and on S3."""

from pathlib import Path

import pytest

from storage.store.root import Root


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    """An empty store, once in a folder and once on S3."""
    if request.param == "folder":
        return Root(tmp_path / "store")
    place: Root = request.getfixturevalue("s3_root")
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Root:
    """An empty store in a folder."""
    return Root(tmp_path / "store")
