"""A benchmark is made of trimaps by hand, grows without changing, and refuses what nothing can be measured on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capmat_errors import ConfigError, MatteError, NotFound, SizeMismatch
from flows.command.main import main
from storage.benchmark import Benchmark, freeze_benchmark, list_benchmarks
from storage.labels.freeze import freeze_labels
from storage.pictures.png import encode_png
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.take import Take
from tasks.ingest.session import ingest, plates
from tasks.models.networks import Ref, load_network, read_base_weights
from tasks.validate.benchmark import benchmark_sheets, drawn, grow, known, scribbled
from tasks.validate.supervise import supervise
from tests.project import WEIGHTS
from tests.storage.tiny_session import HEIGHT, WIDTH, write_session

SUPERVISOR = Ref(name="diffmatte_xs", version="v0001")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store (one take of three cameras and three frames, a supervisor) and trimaps of two of them."""
    from storage.registry import Registry

    place = tmp_path_factory.mktemp("benchmark")
    session = str(write_session(place / "day") / "session.toml")
    store = str(place / "store")
    ingest(store, session, "walk", plates(store, session)["digest"])
    for name in ("diffmatte_xs", "bg_vitmatte_xs"):
        weights, card = read_base_weights(WEIGHTS, name)
        Registry(Root(store)).add(name, weights, {**card, "architecture": name})
    put(place / "trimaps/c00/0001.png", trimap())
    put(place / "trimaps/c01/1.png", np.repeat(trimap()[..., None], 3, axis=2))  # grey, saved as colour
    put(place / "more/c00/0002.png", trimap())
    put(place / "truth/c00/1.png", (trimap() // 255 * 255).astype(np.uint8))
    return place


def trimap() -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    picture[10:42, 10:36] = 128
    picture[15:38, 16:30] = 255
    return picture


def put(file: Path, picture: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode_png(picture))


def make(place: Path, how: Any, name: str, folder: str, model: Ref = SUPERVISOR) -> Benchmark:
    store = str(place / "store")
    trimaps = drawn(store, "walk", place / folder)
    truth = known(store, "walk", place / "truth", list(trimaps)) if folder == "trimaps" else {}
    return grow(store, how, name, "walk", trimaps, truth, model, 2, 7)


def test_a_benchmark_says_what_made_each_matte_and_grows_without_changing(made: Path) -> None:
    store = str(made / "store")
    first = make(made, "create", "gold", "trimaps")
    assert first.keys == [("walk", "c00", 1), ("walk", "c01", 1)]
    said = first.supervisor("walk", "c00", 1)
    assert {key: said[key] for key in ("name", "version", "steps")} == {**SUPERVISOR, "steps": 2}
    src = Take.open(Root(store), "walk").read("c00", 1)
    again = supervise(load_network(store, SUPERVISOR), src, trimap(), 2, said["seed"], "")
    assert np.abs(again - first.alpha("walk", "c00", 1)).max() < 1e-4  # the record is enough to make it again

    assert first.known == [("walk", "c00", 1)]
    assert set(np.unique(first.truth("walk", "c00", 1))) == {0, 1}
    with pytest.raises(NotFound, match="not known"):
        first.truth("walk", "c01", 1)

    second = make(made, "add", "gold", "more")
    assert (second.version, len(second)) == ("b0002", 3)
    for key in first.keys:
        np.testing.assert_array_equal(second.alpha(*key), first.alpha(*key))
        assert second.supervisor(*key) == first.supervisor(*key)
    assert second.known == first.known
    assert make(made, "add", "gold", "more").version == "b0002"  # said twice: nothing is new
    assert Benchmark.open(Root(store), "gold", "b0001").keys == first.keys

    (sheet,) = benchmark_sheets(store, second)
    assert sheet.shape[0] > 3 * 216


def test_a_killed_command_repeats_no_matte_that_was_made(made: Path) -> None:
    root = Root(made / "store")
    make(made, "create", "killed", "trimaps")
    steps = Ledger(root).entries("supervise/killed")
    root.delete("benchmarks/killed/b0001.json")  # as if it had been killed before the version was written
    assert "killed" not in list_benchmarks(root)
    make(made, "create", "killed", "trimaps")
    assert Ledger(root).entries("supervise/killed") == steps


def test_scribbles_are_trimaps_with_much_left_open(made: Path) -> None:
    store = str(made / "store")
    label = np.full((HEIGHT, WIDTH), 255, np.uint8)
    label[:4], label[20:24, 20:24] = 0, 1
    freeze_labels(Root(store), "scribbles", [("walk", "c02", 0, label), ("other", "c00", 0, label)])
    (found,) = scribbled(store, "walk", None).items()
    assert found[0] == ("c02", 0)
    assert (found[1][:4] == 0).all()
    assert (found[1][20:24, 20:24] == 255).all()
    assert np.mean(found[1] == 128) > 0.9
    with pytest.raises(NotFound, match="no label in this take"):
        scribbled(store, "dance", None)


@pytest.mark.parametrize(
    ("file", "picture", "kind", "says"),
    [
        ("c00/0001.png", np.where(trimap() == 128, 255, trimap()), MatteError, "no unknown band"),
        ("c00/0001.png", np.where(trimap() == 128, 127, trimap()), MatteError, "holds 127"),
        ("c00/0001.png", trimap()[1:], SizeMismatch, "63x48|64x47"),
        ("c00/0009.png", trimap(), NotFound, "no camera c00 with frame 9"),
        ("c09/0001.png", trimap(), NotFound, "no camera c09"),
        ("0001.png", trimap(), MatteError, "its path does not name"),
        ("c00/first.png", trimap(), MatteError, "its path does not name"),
    ],
)
def test_trimaps_are_refused_by_file_before_the_supervisor_runs(
    made: Path, tmp_path: Path, file: str, picture: np.ndarray, kind: type[Exception], says: str
) -> None:
    put(tmp_path / file, picture.astype(np.uint8))
    with pytest.raises(kind, match=says) as error:
        drawn(str(made / "store"), "walk", tmp_path)
    assert file in str(error.value)


def test_trimaps_behind_a_link_to_a_camera_are_read(made: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/1.png", trimap())
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn/c00").symlink_to(tmp_path / "elsewhere")
    assert [*drawn(str(made / "store"), "walk", tmp_path / "drawn")] == [("c00", 1)]


def test_a_truth_that_is_no_alpha_of_these_frames_is_refused(made: Path, tmp_path: Path) -> None:
    store = str(made / "store")
    put(tmp_path / "c00/1.png", trimap()[:9])
    with pytest.raises(NotFound, match="no alpha of these frames"):
        known(store, "walk", tmp_path, [("c01", 1)])
    with pytest.raises(SizeMismatch, match="c00/1.png"):
        known(store, "walk", tmp_path, [("c00", 1)])


def test_what_is_there_is_not_made_over(made: Path, tmp_path: Path) -> None:
    make(made, "create", "taken", "trimaps")
    with pytest.raises(MatteError, match="of this name"):
        make(made, "create", "taken", "more")
    with pytest.raises(NotFound, match="no benchmark is called nobody"):
        make(made, "add", "nobody", "more")
    put(tmp_path / "c00/1.png", np.flipud(trimap()))
    trimaps = drawn(str(made / "store"), "walk", tmp_path)
    with pytest.raises(MatteError, match="another trimap"):
        grow(str(made / "store"), "add", "taken", "walk", trimaps, {}, SUPERVISOR, 2, 7)
    assert list_benchmarks(Root(made / "store"))["taken"] == ["b0001"]
    with pytest.raises(ConfigError, match="takes src and bgr"):
        make(made, "create", "wrong", "more", Ref(name="bg_vitmatte_xs", version="v0001"))


def test_a_benchmark_of_the_earlier_form_is_read_and_grows(made: Path) -> None:
    root = Root(made / "store")
    card = {"supervisor": {"name": "old", "version": "v0003"}, "steps": 10, "seed": 0}
    old = freeze_benchmark(root, "old", [("walk", "c02", 1, trimap(), trimap() / 255)], card)
    assert old.supervisor("walk", "c02", 1) == {"name": "old", "version": "v0003", "steps": 10, "seed": 0}
    assert old.known == []
    grown = make(made, "add", "old", "more")
    assert grown.supervisor("walk", "c02", 1)["name"] == "old"
    assert grown.supervisor("walk", "c00", 2)["name"] == "diffmatte_xs"


def test_the_commands_of_a_benchmark_say_what_they_did(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sets = ("--set", f"store={made / 'store'}", "--set", f"weights={WEIGHTS}", "benchmark")
    words = ("walk", "--trimaps", str(made / "trimaps"), "--steps", "1", "--model", "diffmatte_xs")
    assert main([*sets, "create", "said", *words]) == 0
    assert "said@b0001: 2 entries of walk, 0 with known alpha" in capsys.readouterr().out
    assert main([*sets, "show", "said", "--json", "--out", "pictures"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(e["camera"], e["frame"], e["truth"]) for e in said["entries"]] == [("c00", 1, False), ("c01", 1, False)]
    assert Path("pictures/said-b0001-1.jpg").read_bytes()[:2] == b"\xff\xd8"
    freeze_benchmark(Root(made / "store"), "one", [("walk", "c02", 1, trimap(), trimap() / 255)], {})
    assert main([*sets, "show"]) == 0
    shown = capsys.readouterr().out
    assert "said@b0001  2 entries of walk, 0 with known alpha\n" in shown
    assert "one@b0001  1 entry of walk, 0 with known alpha\n" in shown
    assert main([*sets, "create", "said2", "walk"]) == 2
    assert "--trimaps or --labels" in capsys.readouterr().err
