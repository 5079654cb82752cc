"""Any models on any benchmarks: every picture is measured once, apart by what it is measured against."""

import copy
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capmat_errors import ConfigError, SizeMismatch
from capmat_models.networks.factory import create_model
from capmat_models.weights.state import dump_weights
from flows.command.validate import lines
from storage.benchmark import freeze_benchmark
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Gate, Reconstruction
from tasks.ingest.session import ingest, plates, take_record
from tasks.matte.take import matte, open_run, snap
from tasks.models.infer import infer
from tasks.models.networks import Ref, Run, load_network, read_base_weights
from tasks.validate.measure import check_measurable, hull_score, matte_entries, measure
from tasks.validate.page import hull_text
from tasks.validate.report import summarise, write_validation
from tests.ellipsoid_take import add_run, store_take
from tests.ellipsoids import ring
from tests.project import WEIGHTS
from tests.storage.tiny_session import CAMERAS, HEIGHT, WIDTH, write_session
from tests.tasks.validate.test_benchmark import trimap

STUDENT = Ref(name="bgmv2_mobilenetv2_xs", version="v0001")
OTHER = Ref(name="bgmv2_mobilenetv2_xs", version="v0002")
RUN = "student-bgmv2_mobilenetv2_xs-v0001"
GOLD = "gold@b0001"


def alpha(frame: int) -> np.ndarray:
    """The moving rectangle of the tiny session."""
    picture = np.zeros((HEIGHT, WIDTH), np.float32)
    picture[12:40, 8 + 6 * frame : 26 + 6 * frame] = 1
    return picture


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One take of three cameras and four frames, two students, and benchmarks."""
    place = tmp_path_factory.mktemp("measure")
    session = str(write_session(place / "session", frames=4) / "session.toml")
    store = str(place / "store")
    ingest(store, session, "walk", plates(store, session)["digest"])
    root = Root(store)
    weights, card = read_base_weights(WEIGHTS, STUDENT["name"])
    for number in range(2):
        Registry(root).add(STUDENT["name"], weights, {**card, "architecture": STUDENT["name"], "number": number})
    by = {"name": "diffmatte_xs", "version": "v0001"}
    constant = np.zeros((HEIGHT, WIDTH), np.float32)
    entries = [
        ("walk", "c00", 1, trimap(), alpha(1) * 0.9, by, alpha(1)),
        ("walk", "c00", 2, trimap(), alpha(2) * 0.9, by, alpha(2)),
        ("walk", "c01", 3, trimap(), constant, by),
    ]
    freeze_benchmark(root, "gold", entries, {})
    freeze_benchmark(root, "one", entries[2:], {})
    return store


@pytest.fixture(scope="module")
def measured(store: str) -> dict[str, Any]:
    benches = [("gold", "b0001"), ("one", "b0001")]
    return {
        row: measure(store, benches, Run("student", model)) for row, model in (("base", STUDENT), ("refined", OTHER))
    }


def test_every_picture_has_every_measure_that_it_allows(store: str, measured: dict[str, Any]) -> None:
    found = measured["base"]["benchmarks"][GOLD]
    assert set(found["supervisor"]) == {"walk/c00/1", "walk/c00/2", "walk/c01/3"}
    assert set(found["truth"]) == {"walk/c00/1", "walk/c00/2"}  # nobody knows the third
    with_flicker = {picture for picture, scores in found["supervisor"].items() if "flicker" in scores}
    assert with_flicker == {"walk/c00/2"}  # the only one whose frame before is there
    take = Take.open(Root(store), "walk")
    pha = {frame: take.read_alpha(RUN, "c00", frame) for frame in (1, 2)}
    assert found["truth"]["walk/c00/1"]["mse"] == pytest.approx(float(np.mean((pha[1] - alpha(1)) ** 2)), rel=1e-4)
    change = (pha[2] - pha[1]) - (alpha(2) - alpha(1))
    assert found["truth"]["walk/c00/2"]["flicker"] == pytest.approx(float(np.mean(change**2) ** 0.5), rel=1e-4)
    assert all(np.isfinite(list(scores.values())).all() for scores in found["supervisor"].values())
    assert {"mse", "sad", "grad", "conn"} <= set(found["supervisor"]["walk/c01/3"])  # its alpha is constant


def test_the_time_of_a_frame_is_said_with_what_it_was_measured_on(measured: dict[str, Any]) -> None:
    found = measured["base"]["benchmarks"][GOLD]["latency"]
    assert 0 < found["fastest"] <= found["ms"] <= found["slowest"]
    assert found["hardware"]
    assert (found["size"], found["threads"]) == ([HEIGHT, WIDTH], 1)


def test_only_what_is_missing_of_the_benchmark_is_matted(store: str, measured: dict[str, Any]) -> None:
    take = Take.open(Root(store), "walk")
    assert take.matted(RUN, "c00") == [1, 2]
    assert take.matted(RUN, "c02") == []
    record = take_record(store, "walk")
    night = open_run(store, "walk", Run("night", STUDENT))
    done = matte(store, "walk", list(CAMERAS), take.frames, Run("night", STUDENT), record["digest"])
    found = matte_entries(store, "walk", [("c00", 2), ("c01", 3)], Run("night", STUDENT))
    assert set(found) <= set(done["digest"])  # the night's own, and nothing was made
    assert take.matted(night, "c00") == take.frames


def test_mattes_that_the_other_cameras_contradict_cost_and_the_camera_is_named(tmp_path: Path) -> None:
    cameras, root = ring(8), Root(tmp_path / "store")
    take = store_take(root, cameras)

    def with_a_halo(camera: str, alpha: np.ndarray) -> np.ndarray:
        alpha[2:30, 2:12] = 1 if camera == "C05" else 0
        return alpha

    add_run(take, cameras, "halo", with_a_halo)
    add_run(take, cameras, "nowhere", lambda camera, alpha: np.zeros_like(alpha))
    frames, settings = {"solids": [4]}, Reconstruction()
    assert hull_score(root.url, frames, "true", settings)["score"] == 0
    found = hull_score(root.url, frames, "halo", settings)
    assert found["score"] > Gate().hull
    assert found["worst"] == "solids C05"
    assert "no place" in hull_score(root.url, frames, "nowhere", settings)["absent"]


def test_where_mattes_are_to_fit_together_all_cameras_are_matted(store: str) -> None:
    run = "fitted-bgmv2_mobilenetv2_xs-v0001"
    found = measure(store, [("one", "b0001")], Run("fitted", STUDENT), hull=Reconstruction(box_size=8))
    take = Take.open(Root(store), "walk")
    assert {camera: take.matted(run, camera) for camera in take.cameras} == dict.fromkeys(CAMERAS, [3])
    assert set(found["benchmarks"]["one@b0001"]["hull"]) in ({"score", "worst"}, {"absent"})
    told = summarise({"fitted": found}, {})
    assert hull_text(told["hull"]["one@b0001"], "fitted")


def test_a_network_with_a_memory_sees_its_camera_from_the_first_frame(store: str) -> None:
    network = create_model("rvm_mobilenetv3").eval()
    card = {"architecture": "rvm_mobilenetv3"}
    model = Ref(name="rvm", version=Registry(Root(store)).add("rvm", dump_weights(network), card))
    matte_entries(store, "walk", [("c01", 2)], Run("rvm", model))
    take, state = Take.open(Root(store), "walk"), None
    assert take.matted("rvm-v0001", "c01") == [0, 1, 2]
    for frame in range(3):
        out = infer(load_network(store, model), take.read("c01", frame), state=state)
        state = out["state"]
    assert np.allclose(take.read_alpha("rvm-v0001", "c01", 2), snap(out["pha"]), atol=1e-4)


def test_a_benchmark_of_another_size_than_the_take_is_refused_before_anything_is_matted(store: str) -> None:
    small = trimap()[:, ::2]
    freeze_benchmark(Root(store), "small", [("walk", "c02", 1, small, small / 255)], {})
    with pytest.raises(SizeMismatch, match="the frame is 64x48, in the benchmark 32x48") as error:
        measure(store, [("small", "b0001")], Run("fresh", STUDENT))
    assert "take walk camera c02 frame 1" in str(error.value)
    assert "fresh-bgmv2_mobilenetv2_xs-v0001" not in Take.open(Root(store), "walk").alpha_runs()
    freeze_benchmark(Root(store), "gone", [("walk", "c02", 9, trimap(), trimap() / 255)], {})
    with pytest.raises(SizeMismatch, match="not there"):
        measure(store, [("gone", "b0001")], Run("fresh", STUDENT))


def test_a_model_that_wants_trimaps_is_refused_without_being_loaded(store: str) -> None:
    version = Registry(Root(store)).add("diffmatte_xs", b"no weights", {"architecture": "diffmatte_xs"})
    with pytest.raises(ConfigError, match="diffmatte_xs@v0001 works from trimaps"):
        check_measurable(store, Ref(name="diffmatte_xs", version=version))
    check_measurable(store, STUDENT)


def test_means_have_intervals_and_few_pictures_say_that_they_have_none(measured: dict[str, Any]) -> None:
    found = summarise(measured, {})
    mean = found["scores"][GOLD]["supervisor"]["base"]["mse"]
    assert (mean["interval"], mean["pictures"]) == (None, 3)
    assert found["scores"][GOLD]["truth"]["base"]["mse"]["pictures"] == 2
    assert "truth" not in found["scores"]["one@b0001"]
    alone = found["scores"]["one@b0001"]["supervisor"]["base"]
    assert alone["mse"]["interval"] is None
    assert "flicker" not in alone
    printed = "\n".join(lines(found))
    assert all(count in printed for count in (" 1 picture ", " 2 pictures ", " 3 pictures "))
    many = copy.deepcopy(measured)
    for record in many.values():
        each = record["benchmarks"][GOLD]["supervisor"]
        each |= {f"{picture}{n}": scores for picture, scores in dict(each).items() for n in range(2)}
    mean = summarise(many, {})["scores"][GOLD]["supervisor"]["base"]["mse"]
    low, high = mean["interval"]
    assert low < mean["mean"] < high
    assert mean["pictures"] == 9


def test_the_comparison_lies_in_the_store_as_table_plot_and_pictures(store: str, measured: dict[str, Any]) -> None:
    done = write_validation(store, measured, {GOLD: {"walk/c01/3": 0.0125}})
    root, folder = Root(store), done["json"].removeprefix(f"{store}/").rpartition("/")[0]
    assert set(root.names(folder)) == {
        *("validation.json", "validation.html", "gold-b0001-supervisor.svg", "gold-b0001-truth.svg"),
        *("gold-b0001-base.jpg", "gold-b0001-refined.jpg", "one-b0001-base.jpg", "one-b0001-refined.jpg"),
        "one-b0001-supervisor.svg",
    }
    assert ET.fromstring(root.read(f"{folder}/gold-b0001-truth.svg")).tag.endswith("svg")
    assert "Fewer than 6 pictures have none" in done["text"]
    assert done["benchmarks"][GOLD] == {
        "entries": 3, "known": 2, "takes": ["walk"], "supervisors": ["diffmatte_xs@v0001"]
    }  # fmt: skip
    page = root.read(f"{folder}/validation.html").decode()
    assert "against the known truth, 2 pictures" in page
    assert page.count("data:image/jpeg") == 4 + 4 * 3  # sheets; four pictures by both models, and what they should be
    assert "walk/c01/3 (the supervisor may be wrong here)" in page
    assert "walk/c00/1 (" not in page
    assert "walk/c01/3: the supervisor may be wrong here; a second one differs by an MSE of 125e-4." in done["text"]
