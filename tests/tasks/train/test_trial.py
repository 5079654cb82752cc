"""A trial of a training: its mattes come nearer to the strokes, and the store stays as it was, to the byte."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capmat_errors import NotFound, TrainingError
from storage.labels.drafts import save_draft
from storage.labels.label_set import LABELS, LabelSet
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.desk import finish_scribbles
from tasks.models.networks import base_model
from tasks.train.background import Trials
from tasks.train.trial import Asked, painted_frames, try_out
from tests.flows.scribble.person import strokes_on
from tests.project import ROOT
from tests.rendered_take import FRAME, NAME, TEACHER, drawn, make_rendered

ASKED = Asked((NAME,), NAME, TEACHER, (("C01", FRAME), ("C05", FRAME)))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("trial")
    config = Config(store=str(folder), base_data=str(ROOT / "samples/base"))
    make_rendered(Root(folder), cameras=("C01", "C05"))
    base_model(config.store, config.weights, "bg_vitmatte_xs")
    return config


@pytest.fixture
def painted(config: Config) -> Iterator[Config]:
    root = Root(config.store)
    pha = Take.open(root, NAME).read_alpha(TEACHER, "C01", FRAME)
    save_draft(root, drawn("C01", strokes_on(pha, "C01")), 0)
    yield config
    for what in ("drafts", "labels", "ledger/scribbles"):
        root.delete(what)


def _bytes(config: Config) -> dict[str, str]:
    files = [file for file in sorted(Path(config.store).rglob("*")) if file.is_file()]
    return {str(file): sha256(file.read_bytes()).hexdigest() for file in files}


def _until(trials: Trials, found: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    until = time.monotonic() + 120
    while not found(state := trials.state()):
        assert time.monotonic() < until, state
        time.sleep(0.05)
    return state


def test_without_strokes_a_trial_says_so(config: Config) -> None:
    with pytest.raises(TrainingError, match=r"nothing is painted yet.*Paint a few strokes"):
        try_out(config, ASKED, lambda said: None)


def test_strokes_of_validation_takes_teach_nothing(painted: Config) -> None:
    with pytest.raises(TrainingError, match="nothing is painted yet that a training may use"):
        try_out(painted.model_copy(update={"validation_takes": ("am*",)}), ASKED, lambda said: None)


def test_drafts_count_as_new_until_they_are_labels(painted: Config) -> None:
    root, key = Root(painted.store), (NAME, "C01", FRAME)
    labels, new = painted_frames(root, [NAME])
    assert (list(labels), new) == ([key], [key])
    finish_scribbles(painted.store, [NAME])
    frozen, new = painted_frames(root, [NAME])
    assert new == []
    assert np.array_equal(frozen[key], labels[key])
    assert np.array_equal(frozen[key], LabelSet.open(root, LABELS).label(*key))


def test_a_trial_in_its_own_process_changes_the_matte_and_not_the_store(painted: Config) -> None:
    before, trials = _bytes(painted), Trials(painted, 2.0)
    assert trials.start("one", ASKED)["state"] == "running"
    with pytest.raises(TrainingError, match="somebody is training already"):
        trials.start("two", ASKED)
    assert trials.stop("two")["state"] == "running"
    state = _until(trials, lambda said: said["state"] != "running")
    assert state["state"] == "done", state
    assert state["steps"] >= 1
    strokes, none = state["frames"]
    assert strokes["after"] < strokes["before"]
    assert strokes["changed"] > 0
    assert none["before"] is None
    assert trials.png("one", 0).startswith(b"\x89PNG")
    for id, place in (("two", 0), ("one", 2)):
        with pytest.raises(NotFound, match="no longer has this training"):
            trials.png(id, place)
    assert _bytes(painted) == before


def test_a_trial_whose_process_fails_says_why_in_one_line_and_another_may_follow(painted: Config) -> None:
    before, trials = _bytes(painted), Trials(painted, 300.0)
    trials.start("one", ASKED)
    os.kill(trials._process.pid, signal.SIGKILL)
    state = _until(trials, lambda said: said["state"] != "running")
    assert state["state"] == "failed"
    assert state["error"] == "its process was ended from outside (Killed); the memory may be full"

    trials.start("two", ASKED)
    _until(trials, lambda said: said.get("steps"))
    used = int(Path(f"/proc/{trials._process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(trials._process.pid, resource.RLIMIT_AS, (used, used))
    state = _until(trials, lambda said: said["state"] != "running")
    assert state["error"] == "the memory is full. Close other programs, or wait for what they do."

    trials.start("three", ASKED)
    process = trials._process
    assert trials.stop("three") == {"state": "none"}
    assert process
    assert process.wait(60) == -signal.SIGKILL
    assert trials.state() == {"state": "none"}
    assert _bytes(painted) == before
