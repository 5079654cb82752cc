"""Takes that an earlier version wrote are read, checked and kept as they are.

take_schema_1.zip was written by the version with schema capmat.take/1: a session of two cameras and three frames,
and its store with a run of mattes, all files dated 2001-09-09.
"""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import NotFound, StoreError
from storage.pictures.files import read_image
from storage.store.ledger import group_document
from storage.store.root import Root
from storage.takes.take import Take
from storage.upkeep.verify import verify
from tasks.ingest.take import ingest_take
from tests.storage.raw_pictures import read_raw
from tests.storage.tiny_session import tree

RUN = "student-m-v0001"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with zipfile.ZipFile(Path(__file__).with_name("take_schema_1.zip")) as archive:
        archive.extractall(tmp_path)
    for file in (tmp_path / "session").rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    return tmp_path


def test_an_old_take_is_read_bit_for_bit(old: Path) -> None:
    take = Take.open(Root(old / "store"), "walk")
    assert (take.schema, take.timecode, take.sensors) == ("capmat.take/1", "", take.cameras)
    for camera in take.cameras:
        for frame in take.frames:
            picture = read_image(old / f"session/takes/walk/{camera}/{frame:04d}.png")
            np.testing.assert_array_equal(read_raw(take, camera, frame), picture)
            assert np.abs(take.read_alpha(RUN, camera, frame) - (frame + 1) / 4).max() < 1e-5
    with pytest.raises(NotFound, match="preview of take walk"):
        take.read_preview("c00", 0)


def test_mattes_are_added_to_an_old_take_in_its_own_layout(old: Path) -> None:
    take = Take.open(Root(old / "store"), "walk")
    take.write_alphas(RUN, "c00", {1: np.full((16, 24), 0.9)})
    assert take.read_alpha(RUN, "c00", 1).mean() == pytest.approx(0.9, abs=1e-4)
    assert take.read_alpha(RUN, "c00", 0).mean() == pytest.approx(0.25, abs=1e-4)


def test_an_old_store_is_verified(old: Path) -> None:
    root = Root(old / "store")
    assert verify(root, deep=True).found == []
    file = "takes/walk.zarr/cameras/c01/rgb/c/2/0/0/0"
    data = bytearray(root.read(file))
    data[len(data) // 2] ^= 4
    root.write(file, bytes(data))
    assert [(f.file, f.frame) for f in verify(root, deep=True).damaged] == [(file, 2)]


def test_an_old_take_is_not_ingested_again_and_not_mixed_with_other_files(old: Path) -> None:
    before = tree(old / "store")
    done = ingest_take(str(old / "store"), old / "session", "walk")
    assert (done["written"], done["kept"]) == ([], ["c00", "c01"])
    assert tree(old / "store") == before
    os.utime(old / "session/takes/walk/c01/0002.png")
    with pytest.raises(StoreError, match="take walk camera c01: .*earlier version, from other files"):
        ingest_take(str(old / "store"), old / "session", "walk")
    assert tree(old / "store") == before


def test_a_take_of_a_later_version_is_refused(old: Path) -> None:
    root = Root(old / "store")
    attributes = {"schema": "capmat.take/99", "complete": True}
    root.write("takes/walk.zarr/zarr.json", group_document(attributes))
    with pytest.raises(StoreError, match="schema capmat.take/99, this capmat reads up to capmat.take/2"):
        Take.open(root, "walk")
