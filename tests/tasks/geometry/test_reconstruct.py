"""The step that reconstructs one frame of a take: a killed one goes on, and a failed one leaves its log."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capmat_errors import TrainingError
from capmat_models.geometry import field as voxel_grid
from storage.pictures.colour import Colour
from storage.pictures.png import decode_png
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry import reconstruct as module
from tasks.geometry.field import LOG
from tasks.geometry.reconstruct import reconstruct
from tasks.runtime.checkpoint import StoreCheckpointer
from tests.ellipsoids import BOX_CENTRE, BOX_SIZE, cutout, ring
from tests.storage.raw_pictures import write_raw

HOW = Reconstruction(
    backend="voxel-grid", resolution=32, iterations=8, held_out=("C02",), box_centre=BOX_CENTRE, box_size=BOX_SIZE
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    monkeypatch.chdir(tmp_path)
    root = Root(str(tmp_path / "store"))
    cameras = {camera.id: camera for camera in ring(6)}
    take = Take.create(
        root, "day", stage="ring", cameras=cameras, colour=Colour(8, "srgb", 0), frames=[7], fps=25.0, source={}
    )
    take.start_run("student", {})
    for camera in cameras.values():
        seen = cutout(camera)
        write_raw(take, camera.id, 7, np.round(seen.image.transpose(1, 2, 0) * 255).astype(np.uint8))
        assert seen.alpha is not None
        take.write_alphas("student", camera.id, {7: seen.alpha})
    take.seal()
    return root


def _run(root: Root, seed: int = 0) -> dict[str, Any]:
    return reconstruct(str(root), {"take": "day", "digest": "d"}, 7, "student", HOW, seed)


def _left() -> list[str]:
    return [path.name for path in Path(".capmat/reconstruction").iterdir() if path.is_dir()]


def _seen(root: Root, record: dict[str, Any]) -> list[np.ndarray]:
    return [decode_png(root.read(f"{record['folder']}/{kind}/C02.png"), kind) for kind in ("rgb", "accumulation")]


def test_a_killed_reconstruction_goes_on_to_the_same_picture_and_leaves_nothing(
    store: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _run(store)
    wanted = _seen(store, whole)
    assert (whole["preset"], whole["background"], whole["test"]) == ("carve", "random", ["C02"])
    assert _left() == []
    store.delete("ledger")
    store.delete(whole["folder"])
    monkeypatch.setattr(voxel_grid, "SAVE_S", 0)
    save = StoreCheckpointer.save

    def killed(self: StoreCheckpointer, data: bytes) -> None:
        save(self, data)
        raise KeyboardInterrupt

    monkeypatch.setattr(StoreCheckpointer, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        _run(store)
    assert len(_left()) == 1
    monkeypatch.setattr(StoreCheckpointer, "save", save)
    again = _run(store)
    assert not again["reused"]
    assert all(np.array_equal(a, b) for a, b in zip(_seen(store, again), wanted, strict=True))
    assert _left() == []
    assert _run(store)["reused"]


def test_the_log_of_a_failed_run_is_in_the_store(store: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder_in: Path, folder_out: Path, *_: object) -> None:
        (folder_out / LOG).parent.mkdir()
        (folder_out / LOG).write_text("its last words")
        raise TrainingError("no")

    monkeypatch.setattr(module, "learn_field", fail)
    with pytest.raises(TrainingError):
        _run(store)
    (log,) = (key for key in store.list("reconstruction") if key.endswith(LOG))
    assert store.read(log) == b"its last words"
