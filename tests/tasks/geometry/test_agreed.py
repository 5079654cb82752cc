"""Mattes that all cameras agree on: what one camera alone saw is gone, the rest is as it was."""

from pathlib import Path

import numpy as np
import pytest

from capmat_errors import NotFound
from storage.store.root import Root
from storage.takes.take import Take
from storage.upkeep.verify import verify
from tasks.config import Reconstruction
from tasks.geometry.agreed import agree
from tests.ellipsoid_take import add_run, cutout, store_take
from tests.ellipsoids import ring
from tests.storage.tiny_session import tree

CAMERAS = ring(12, 48, 64)
SPOT = (slice(50, 58), slice(4, 12))
"""Where no camera sees the subject."""


def _with_spot(camera: str, alpha: np.ndarray) -> np.ndarray:
    if camera == "C03":
        alpha[SPOT] = 0.9
    return alpha


@pytest.fixture
def take(tmp_path: Path) -> Take:
    take = store_take(Root(tmp_path / "store"), CAMERAS, frames=range(9))  # more than one block
    add_run(take, CAMERAS, "net", _with_spot)
    return take


def _agree(take: Take, run: str = "net", made: str = "1") -> dict:
    return dict(agree(take.root.url, take.name, run, [made], Reconstruction()))


def test_what_no_other_camera_supports_is_removed_and_the_rest_stays(take: Take) -> None:
    assert cutout(CAMERAS[3]).alpha[SPOT].max() == 0
    done = _agree(take)
    assert (done["run"], done["alone"]) == ("net-hull", [])
    assert max(done["removed"], key=done["removed"].__getitem__) == "C03"
    assert take.run_info("net-hull")["hull"] == "net"
    for camera in CAMERAS:
        for frame in (0, 8):
            after = take.read_alpha("net-hull", camera.id, frame)
            np.testing.assert_allclose(after, cutout(camera).alpha, atol=1e-4)  # the truth, in 16 bits
            assert take.read_alpha("net", camera.id, frame)[SPOT].max() == pytest.approx(
                0.9 if camera.id == "C03" else 0, abs=1e-4
            )


def test_what_is_stored_is_not_made_again_unless_the_mattes_are_new(
    take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Take.write_alphas, list[tuple[str, ...]]()

    def counted(self: Take, run: str, camera: str, mattes: dict) -> dict:
        if len(written) == 15:
            raise KeyboardInterrupt
        written.append((run, camera))
        return write(self, run, camera, mattes)

    monkeypatch.setattr(Take, "write_alphas", counted)
    with pytest.raises(KeyboardInterrupt):  # in the second block
        _agree(take)
    monkeypatch.setattr(Take, "write_alphas", write)
    first = {key: data for key, data in tree(Path(take.root.url)).items() if "/c/0/" in key and "net-hull" in key}
    done = _agree(take)
    whole = tree(Path(take.root.url))
    assert len(first) == 12
    assert first.items() <= whole.items()
    monkeypatch.setattr(Take, "write_alphas", lambda *_: pytest.fail("a matte was made again"))
    assert _agree(take) == done
    assert tree(Path(take.root.url)) == whole
    with pytest.raises(pytest.fail.Exception):
        _agree(take, made="2")


def test_frames_without_a_subject_are_kept_as_they_are(take: Take) -> None:
    add_run(take, CAMERAS, "early", lambda _, alpha: alpha * 0)
    take.write_alphas("early", "C03", {1: _with_spot("C03", np.zeros((64, 48), np.float32))})
    add_run(take, CAMERAS[:2], "two", lambda _, alpha: alpha)
    assert _agree(take, "two")["alone"] == list(range(9))
    assert take.matted("two-hull", "C02") == []
    done = _agree(take, "early")
    assert done["alone"] == list(range(9))
    assert set(done["removed"].values()) == {0}
    assert take.read_alpha("early-hull", "C03", 1).max() > 0.5


def test_a_take_of_two_cameras_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    take = store_take(Root(tmp_path / "store"), CAMERAS[:2])
    with pytest.raises(NotFound, match="2 cameras; mattes are compared between 3 or more"):
        _agree(take, "true")
    assert list(take.alpha_runs()) == ["true"]


def test_a_lost_matte_is_found_and_the_command_that_makes_it_again_is_named(take: Take) -> None:
    take.start_run("net", {"role": "student", "name": "net", "version": "v0001"})
    _agree(take)
    take.root.delete(f"{take.key}/cameras/C05/alpha/net-hull/c/0/0/0")
    lost = [finding for finding in verify(Root(take.root.url)).found if "net-hull" in finding.file]
    assert [(finding.camera, finding.again) for finding in lost] == [
        ("C05", "capmat matte solids --role student --hull")
    ]
