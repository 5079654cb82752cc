"""What a training leaves behind: a model with a card, and figures and pictures of how it went."""

import json
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from capmat_errors import CheckpointError, ScribbleError, TrainingError
from capmat_models.networks.factory import create_model
from capmat_models.networks.inputs import SmallFrames
from capmat_models.training.loop import Hooks
from capmat_models.training.teacher import finetune_teacher
from capmat_models.weights.state import dump_weights
from storage.benchmark import freeze_benchmark
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS
from storage.pictures.png import encode_png
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Cluster, Config, Student, Teacher
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tasks.labels.in_use import newest_labels, split_labels
from tasks.labels.incoming import INBOX, import_labels
from tasks.models.networks import Ref
from tasks.runtime.checkpoint import StoreCheckpointer
from tasks.runtime.step import Record
from tasks.train.held_back import HeldBack, label_error
from tasks.train.no_teacher import scribble_student
from tasks.train.plates import window
from tasks.train.student import distill
from tasks.train.teacher import finetune
from tasks.train.watch import benchmark_frames, hold_out
from tests.capmat_models.training.test_training import FINETUNE, network
from tests.capmat_models.training_data import base_data, composites, scribbles, subject
from tests.storage.tiny_session import CAMERAS, HEIGHT, WIDTH, edit_toml, write_session

TEACHER = Teacher(iterations=8, batch=5, crop=32)
STUDENT = Student(base_iterations=4, joint_iterations=4, batch=4, crop=48)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two takes, a label set of one, mattes of it, and networks with fresh weights; base data."""
    folder = tmp_path_factory.mktemp("made")
    store, session = str(folder / "store"), write_session(folder / "day")
    edit_toml(session, "[takes.walk]", '[takes.jump]\npath = "takes/walk/{camera}/{frame:04d}.png"\n[takes.walk]')
    ingest_plates(store, session)
    root = Root(store)
    overlay = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    overlay[14:20, 10:24], overlay[2:6, 2:30] = (0, 255, 0, 255), (255, 0, 0, 255)
    for camera in CAMERAS[:2]:
        file = folder / "inbox" / "walk" / camera / "0000.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(encode_png(overlay))
    for name in ("walk", "jump"):
        ingest_take(store, session, name)
    take = Take.open(root, "walk")
    take.start_run("teacher-v0001", {})
    pha = np.zeros((HEIGHT, WIDTH), np.float32)
    pha[12:40, 8:26] = 1
    for camera in CAMERAS:
        for frame in take.frames:
            take.write_alphas("teacher-v0001", camera, {frame: pha})
    for name in ("bg_vitmatte_xs", "bgmv2_mobilenetv2_xs"):
        torch.manual_seed(0)
        Registry(root).add(name, dump_weights(create_model(name)), {"architecture": name, "kind": "base"})
    trimap = np.where(pha > 0, 255, 0).astype(np.uint8)
    trimap[10:14] = 128
    freeze_benchmark(root, "day-jump", [("jump", camera, 0, trimap, pha) for camera in CAMERAS], {})
    rng = np.random.default_rng(3)
    for part in ("foregrounds", "backgrounds"):
        (folder / "base" / part).mkdir(parents=True)
    for index in range(3):
        picture = rng.integers(0, 256, (80, 90, 3)).astype(np.uint8)
        (folder / "base" / "foregrounds" / f"{index}.png").write_bytes(encode_png(subject(rng)))
        (folder / "base" / "backgrounds" / f"{index}.png").write_bytes(encode_png(picture))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of all that, to train in."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def benchmark() -> Record:
    return {
        "benchmark": "day-jump",
        "version": "b0001",
        "take": "jump",
        "entries": [(camera, 0) for camera in CAMERAS],
    }


def settings(folder: Path) -> Config:
    cluster = Cluster(train_threads=1)  # other tests run beside these
    folders = {"store": str(folder / "store"), "base_data": str(folder / "base")}
    return Config(**folders, cluster=cluster, teacher=TEACHER, student=STUDENT)


def teacher(folder: Path, bench: Record | None) -> Record:
    store, ref = str(folder / "store"), Ref(name="bg_vitmatte_xs", version="v0001")
    labels = import_labels(store, folder / "inbox", INBOX)
    return finetune(settings(folder), ref, labels, bench)


def student(folder: Path, bench: Record | None) -> Record:
    ref = Ref(name="bgmv2_mobilenetv2_xs", version="v0001")
    pseudo = {"run": "teacher-v0001", "take": "walk", "digest": "1"}
    return distill(settings(folder), ref, [pseudo], bench)


def looks(record: Record) -> list[dict[str, float]]:
    return [r for r in record["history"] if r["stage"] == "validation"]


def test_crops_are_as_large_as_the_network_sees_them(folder):
    root, network = Root(folder / "store"), create_model("bg_vitmatte_xs")
    assert window(root, ["walk", "jump"], network, 192) == {"crop": 96, "enlarge": 2}
    network.enlarge = 1
    assert window(root, ["walk"], network, 190) == {"crop": 190, "enlarge": 1}
    assert create_model("bg_vitmatte_xs").times((576, 448)) == 1


def test_a_crop_that_the_refiner_cannot_divide_is_refused_as_it_was_given(folder):
    config = settings(folder).model_copy(update={"student": STUDENT.model_copy(update={"crop": 50})})
    ref, pseudo = (
        Ref(name="bgmv2_mobilenetv2_xs", version="v0001"),
        {"run": "teacher-v0001", "take": "walk", "digest": "1"},
    )
    with pytest.raises(TrainingError, match="a crop of 50 pixels is not a multiple of 4"):
        distill(config, ref, [pseudo], None)


@pytest.mark.parametrize("train", [teacher, student])
def test_a_training_is_measured_eight_times_on_what_is_held_out_and_before_it(folder, train):
    record = train(folder, benchmark())
    found = looks(record)
    assert [r["iteration"] for r in found] == list(range(9))
    figures = {"base_mse", "base_sad", "stage_mse", "stage_sad"}
    assert all(set(r) == {"iteration", "stage", *figures} for r in found)
    assert all(0 <= r[name] <= 1 for r in found for name in figures)
    assert any(a["stage_mse"] != b["stage_mse"] for a, b in pairwise(found))


@pytest.mark.parametrize("train", [teacher, student])
def test_the_pictures_of_a_training_lie_in_the_store(folder, train):
    record = train(folder, benchmark())
    root, name = Root(folder / "store"), record["pictures"]["sheet"].rpartition("/")[0]
    assert root.names(name) == [*(f"{i:06d}.jpg" for i in range(9)), "curves.svg", "figures.json"]
    assert root.read(record["pictures"]["sheet"]).startswith(b"\xff\xd8")
    kept = json.loads(root.read(f"{name}/figures.json"))
    assert [kept[str(r["iteration"])]["stage_mse"] for r in looks(record)] == [r["stage_mse"] for r in looks(record)]
    text = "".join(ET.fromstring(root.read(record["pictures"]["curves"])).itertext())
    assert all(words in text for words in ("MSE", "SAD", "held-out composites", "benchmark frames"))


@pytest.mark.parametrize(("train", "left"), [(teacher, {"base"}), (student, {"base", "teacher"})])
def test_the_benchmark_has_no_influence_on_the_weights(folder, made, tmp_path, train, left):
    other = Path(shutil.copytree(made, tmp_path / "other"))
    with_it, without = train(folder, benchmark()), train(other, None)
    weights = [
        Registry(Root(place / "store")).load(**record["model"])[0]
        for place, record in ((folder, with_it), (other, without))
    ]
    assert weights[0] == weights[1]
    # without a benchmark a student is compared with the mattes that it learns from, and the figure is named so
    assert {name.split("_")[0] for name in looks(without)[0] if "_" in name} == left


def test_a_benchmark_of_a_take_that_is_trained_on_measures_nothing(made):
    assert benchmark_frames(Root(made / "store"), benchmark(), ["walk", "jump"]) == []
    frames = benchmark_frames(Root(made / "store"), benchmark(), ["walk"])
    assert [frame.label for frame in frames] == [f"jump {camera} frame 0" for camera in CAMERAS]


def test_what_is_measured_on_is_not_learned_from():
    learn, held = hold_out(base_data(3))
    assert (len(learn.foregrounds), len(held.foregrounds)) == (2, 1)
    assert hold_out(base_data(1))[1] is None


@pytest.mark.parametrize("strategy", ["scribbles_only", "frozen_refiner"])
def test_a_student_without_a_teacher_is_registered_with_its_strategy(folder, strategy):
    store, ref = str(folder / "store"), Ref(name="bgmv2_mobilenetv2_xs", version="v0001")
    labels = import_labels(store, folder / "inbox", INBOX)
    words = (settings(folder), strategy, ref, labels, benchmark())
    record = scribble_student(*words)
    _, card = Registry(Root(store)).load(**record["model"])
    assert (card["kind"], card["role"], card["parent"]) == (strategy, "student", ref)
    assert card["labels"] == labels["labels"]
    assert len(looks(record)) == 9
    assert scribble_student(*words)["reused"]


def test_labels_of_validation_takes_are_measured_on_and_never_learned_from(folder):
    store, ref = str(folder / "store"), Ref(name="bg_vitmatte_xs", version="v0001")
    import_labels(store, folder / "inbox", INBOX)
    alone = newest_labels(store)
    kept_back = np.full((HEIGHT, WIDTH), 255, np.uint8)
    kept_back[14:20, 10:24], kept_back[2:6, 2:30] = 1, 0
    freeze_labels(Root(store), LABELS, [("jump", CAMERAS[0], 1, kept_back)])
    labels = newest_labels(store, "", ["ju*"])
    assert labels["validation_takes"] == ["jump"]
    assert split_labels(store, labels) == (
        [("walk", camera, 0) for camera in CAMERAS[:2]],
        [("jump", CAMERAS[0], 1)],
    )

    short = settings(folder).model_copy(update={"teacher": TEACHER.model_copy(update={"iterations": 2})})
    trained = [finetune(short, ref, given) for given in (alone, labels)]
    weights = [Registry(Root(store)).load(**record["model"])[0] for record in trained]
    assert weights[0] == weights[1]  # as if the other take had no labels
    assert "label_error" not in trained[0]
    found = trained[1]["label_error"]
    assert (found["takes"], found["frames"]) == (["jump"], 1)
    assert found["before"] != found["after"]
    for part in (found["before"], found["after"]):
        assert part["error"] == pytest.approx((part["foreground"] + part["background"]) / 2)
        assert 0 < part["error"] < 1
    assert Registry(Root(store)).load(**trained[1]["model"])[1]["label_error"] == found


def test_the_error_on_labels_is_what_alpha_is_off_by_where_somebody_said_something(folder):
    store = str(folder / "store")
    label = np.full((HEIGHT, WIDTH), 255, np.uint8)
    label[:10, :10], label[20, :4] = 0, 1
    freeze_labels(Root(store), LABELS, [("walk", CAMERAS[0], 0, label), ("jump", CAMERAS[0], 1, label)])

    class Grey(SmallFrames):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor(0.25))

        def forward(self, src: torch.Tensor, bgr: torch.Tensor) -> dict[str, torch.Tensor]:
            assert not self.training
            return {"pha": self.weight.expand(1, 1, *src.shape[-2:])}

    found = label_error(store, newest_labels(store, "", ["jump"]), Grey())
    assert found == HeldBack(["jump"], 1, {"error": 0.5, "foreground": 0.75, "background": 0.25})
    assert label_error(store, newest_labels(store), Grey()) is None


def test_a_trained_network_is_measured_on_whole_frames_as_it_is_used_on_them(folder):
    store = str(folder / "store")
    label = np.full((HEIGHT, WIDTH), 255, np.uint8)
    label[:10, :10], label[20, :4] = 0, 1
    freeze_labels(Root(store), LABELS, [("walk", CAMERAS[0], 0, label), ("jump", CAMERAS[0], 1, label)])
    trained, used = network("teacher", double_below=32), network("teacher", double_below=32)
    finetune_teacher(trained, composites(), scribbles(), replace(FINETUNE, iterations=2, enlarge=2))
    used.load_state_dict(trained.state_dict())
    labels = newest_labels(store, "", ["jump"])
    assert label_error(store, labels, trained) == label_error(store, labels, used.eval())
    assert trained.times((8, 8)) == trained.times((HEIGHT, WIDTH)) == 2  # what measures crops still sees them so


def test_a_damaged_checkpoint_is_named_so_that_it_can_be_deleted(tmp_path):
    keeper = StoreCheckpointer(str(tmp_path), "finetune-1")
    keeper.save(b"half a file")
    with pytest.raises(CheckpointError) as raised:
        finetune_teacher(network("teacher"), composites(), scribbles(), FINETUNE, hooks=Hooks(keeper))
    (tmp_path / raised.value.where.removeprefix(f"{tmp_path}/")).unlink()
    assert keeper.load() is None


def test_a_split_that_leaves_nothing_to_learn_is_refused(folder):
    store = str(folder / "store")
    with pytest.raises(ScribbleError, match=r"label set l0001: all labels are of validation takes \(walk\)"):
        newest_labels(store, str(folder / "inbox"), ["walk"])
