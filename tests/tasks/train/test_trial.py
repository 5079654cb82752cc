"""A trial of a training: its mattes come nearer to the strokes, and the store stays as it was, to the byte."""

import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import TrainingError
from storage.labels.drafts import save_draft
from storage.labels.strokes import Drawing, Stroke
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.models.networks import base_model
from tasks.train.background import Trials
from tasks.train.trial import Asked, try_out
from tests.flows.scribble.person import SIDE, lines
from tests.project import ROOT
from tests.rendered_take import FRAME, NAME, TEACHER, TRUTH, error, make_rendered


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("trial")
    config = Config(store=str(folder), base_data=str(ROOT / "samples/base"))
    make_rendered(Root(folder), cameras=("C01", "C05"))
    base_model(config.store, config.weights, "bg_vitmatte_xs")
    return config


def _asked(seconds: float) -> Asked:
    return Asked((NAME,), NAME, TEACHER, (("C01", FRAME), ("C05", FRAME)), seconds)


def _bytes(folder: str) -> dict[str, str]:
    return {
        str(file): sha256(file.read_bytes()).hexdigest() for file in sorted(Path(folder).rglob("*")) if file.is_file()
    }


@pytest.fixture
def painted(config: Config) -> Iterator[Config]:
    root = Root(config.store)
    take = Take.open(root, NAME)
    pha = take.read_alpha(TEACHER, "C01", FRAME)
    wrong = error(pha, "C01")
    y, x = np.unravel_index(wrong.argmax(), wrong.shape)
    height, width = pha.shape
    found = lines(pha, "C01", (0, 0, width, height))
    strokes = tuple(Stroke(label, 2.0, line, "Mia", "") for label, line in found.items())
    assert strokes, (y, x, SIDE)
    save_draft(root, Drawing(NAME, "C01", FRAME, width, height, strokes), 0)
    yield config
    root.delete("drafts")


def test_without_strokes_a_trial_says_so(config: Config) -> None:
    with pytest.raises(TrainingError, match="nothing is painted"):
        try_out(config, _asked(1), lambda said: None)


def test_a_trial_in_its_own_process_changes_the_matte_and_not_the_store(painted: Config) -> None:
    before, trials = _bytes(painted.store), Trials(painted)
    assert trials.start(_asked(4))["state"] == "running"
    with pytest.raises(TrainingError, match="running already"):
        trials.start(_asked(4))
    until = time.monotonic() + 120
    while (state := trials.state())["state"] == "running":
        assert time.monotonic() < until, state
        time.sleep(0.2)
    assert state["state"] == "done", state
    assert state["steps"] >= 1
    shown = state["frames"][0]
    assert shown["after"] < shown["before"]
    assert shown["changed"] > 0
    assert state["frames"][1]["before"] is None
    assert trials.png(0).startswith(b"\x89PNG")
    assert _bytes(painted.store) == before
    assert TRUTH("C01", FRAME).shape


def test_a_stopped_trial_is_gone(painted: Config) -> None:
    before, trials = _bytes(painted.store), Trials(painted)
    trials.start(_asked(300))
    process = trials._process
    assert trials.stop() == {"state": "none"}
    assert process.exitcode is not None
    assert _bytes(painted.store) == before
