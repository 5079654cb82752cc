"""Mining finds what is wrong with a take's mattes, says why, asks the network only for a few, goes on when killed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capmat_errors import NotFound
from flows.command.main import main
from storage.labels.marks import Mark, keep_mark, remove_mark
from storage.labels.queue import read_queue
from storage.store.root import Root
from storage.takes.plate import Plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.mine import queue as mining
from tasks.labels.mine.queue import mine, mined_sheet, spread_frames
from tasks.models.networks import find_model
from tasks.runtime.settings import load_config
from tests.ellipsoid_take import add_run, store_take
from tests.ellipsoids import ring

CAMERAS = ring(10, 56, 72)  # voxels are as large as pixels or larger, so small pictures are quick
HOLE = (slice(34, 46), slice(23, 33))


def _holed(camera: str, alpha: np.ndarray) -> np.ndarray:
    if camera == "C03":
        alpha[HOLE] = 0
    return alpha


def _made(folder: Path, frames: tuple[int, ...] = (4,)) -> Root:
    """A store with the ellipsoids before a black stage; run `holed` has a hole in one camera."""
    root = Root(folder)
    take = store_take(root, CAMERAS, frames=frames)
    stage = Stage.create(root, take.stage, cameras=take.cameras, colour=take.colour, source={})
    for camera in take.cameras.values():
        size = (camera.height, camera.width)
        black, valid = np.zeros((*size, 3), np.float32), np.ones(size, bool)
        stage.write_plate(camera.id, Plate(black, np.ones_like(black), valid, 2))
    stage.seal()
    add_run(take, CAMERAS, "holed", _holed)
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    return _made(tmp_path_factory.mktemp("mine") / "store")


def test_the_hole_comes_first_with_its_reasons(root: Root) -> None:
    done = mine(root.url, "solids", Config(store=root.url), "holed", "true", top=3)
    queue = read_queue(root, "solids", done["queue"])
    first = queue.items[0]
    x0, y0, x1, y1 = first.box
    assert first.camera == "C03"
    assert min(x1, 33) - max(x0, 23) >= 7
    assert min(y1, 46) - max(y0, 34) >= 8
    assert "lost: 9 of 9 cameras see the subject here" in first.reasons
    assert "teacher and student disagree: alpha 1.00 and 0.00" in first.reasons
    assert first.score > 0.5
    assert done["items"] == len(queue.items) <= 3


def test_boxes_in_which_people_found_nothing_are_left_out_until_they_change_their_mind(root: Root) -> None:
    config, take = Config(store=root.url), Take.open(root, "solids")
    first = read_queue(root, "solids", mine(root.url, "solids", config, "holed", "true", top=3)["queue"]).items[0]
    keep_mark(root, take, Mark(first.camera, first.frame, first.box, "right", "Mia"))
    marked = mine(root.url, "solids", config, "holed", "true", top=3)
    for item in read_queue(root, "solids", marked["queue"]).items:
        apart = item.box[0] >= first.box[2] or item.box[2] <= first.box[0]
        assert item.camera != first.camera or apart or item.box[1] >= first.box[3] or item.box[3] <= first.box[1]
    remove_mark(root, take, first.camera, first.frame, first.box)
    again = mine(root.url, "solids", config, "holed", "true", top=3)
    assert read_queue(root, "solids", again["queue"]).items[0] == first


def test_mining_again_makes_no_second_queue(root: Root) -> None:
    config = Config(store=root.url)
    first = mine(root.url, "solids", config, "holed")
    again = mine(root.url, "solids", config, "holed")
    assert again["reused"]
    assert again["queue"] == first["queue"]


def test_a_run_with_true_mattes_promises_little(root: Root) -> None:
    done = mine(root.url, "solids", Config(store=root.url), "true")
    assert all(item.score < 0.1 for item in read_queue(root, "solids", done["queue"]).items)


def test_the_student_is_asked_again_for_as_many_pictures_as_the_settings_say(
    root: Root,
) -> None:
    student = find_model(root.url, Config().weights, "bgmv2_mobilenetv2_xs")
    take = Take.open(root, "solids")
    add_run(take, CAMERAS, "made", _holed)
    take.start_run("made", {"role": "student", **student})
    config = load_config(None, [f"store={root.url}", "mine.pictures=2"], {})
    done = mine(root.url, "solids", config, "made")
    found = [item for item in read_queue(root, "solids", done["queue"]).items if item.camera == "C03"]
    assert {"err", "residual", "unsteady", "soft", "halo", "hole"} <= set(found[0].signals)
    assert len({item.camera for item in read_queue(root, "solids", done["queue"]).items}) <= 2


def test_a_killed_run_goes_on_with_the_next_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _made(tmp_path / "store", frames=(4, 5))
    asked: list[int] = []
    real = mining.mine_frame

    def dies_at_the_second(*given: Any) -> list[dict[str, Any]]:
        asked.append(given[3])
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(mining, "mine_frame", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        mine(root.url, "solids", Config(store=root.url), "holed")
    assert mine(root.url, "solids", Config(store=root.url), "holed")["frames"] == [4, 5]
    assert asked == [4, 5, 5]


def test_frames_are_spread_over_the_take() -> None:
    assert spread_frames(range(100), 4) == [12, 37, 62, 87]
    assert spread_frames([3, 9], 8) == [3, 9]


def test_what_is_not_there_is_named(root: Root, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no run of mattes is called other; the take has: holed"):
        mine(root.url, "solids", Config(store=root.url), "other")
    bare = _bare(Root(tmp_path / "store"))
    with pytest.raises(NotFound, match="started has no mattes yet"):
        mine(bare.url, "solids", Config(store=bare.url), "started")


def _bare(root: Root) -> Root:
    take = store_take(root, CAMERAS[:3])
    take.start_run("started", {"role": "student"})
    return root


def test_the_command_prints_the_queue_and_draws_it(
    root: Root, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", f"store={root.url}", "mine", "solids", "--run", "holed", "--teacher-run", "true", "--top", "3"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "lost: 9 of 9 cameras see the subject here" in out
    (sheet,) = (tmp_path / "out").iterdir()
    assert sheet.read_bytes() == mined_sheet(root, "solids", sheet.stem.partition("-")[2])
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["items"][0]["camera"] == "C03"
    assert main(["--set", f"store={root.url}", "mine", "nothing"]) == 2


def test_a_night_looks_at_as_few_pictures_as_it_is_told(root: Root) -> None:
    config = load_config(None, [f"store={root.url}", "mine.night_pictures=3"], {})
    add_run(Take.open(root, "solids"), CAMERAS, "student-night", _holed)
    Take.open(root, "solids").start_run("student-night", {"role": "student"})
    done = mining.mine_night(root.url, "solids", config)
    assert (done["run"], done["pictures"]) == ("student-night", 3)
    assert read_queue(root, "solids", done["queue"]).items[0].camera == "C03"
