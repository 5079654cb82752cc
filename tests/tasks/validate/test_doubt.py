"""A second supervisor is asked about every picture, and the pictures on which it disagrees are named everywhere."""

from pathlib import Path

import numpy as np
import pytest

from capmat_errors import CheckpointError, ConfigError
from capmat_models.networks.configs import ARCHITECTURES
from storage.benchmark import freeze_benchmark
from storage.registry import Registry
from storage.store.root import Root
from tasks.config import Gate
from tasks.ingest.session import ingest, plates
from tasks.models.networks import Ref, base_model, build
from tasks.validate.doubt import second_opinion
from tasks.validate.gate import decide
from tests.project import WEIGHTS
from tests.storage.tiny_session import HEIGHT, WIDTH, write_session
from tests.tasks.validate.test_measure import alpha

DIFFMATTE = {"name": "diffmatte_xs", "version": "v0001"}


def trimap(frame: int) -> np.ndarray:
    """Around the moving rectangle of the tiny session, with a band of two pixels on either side of its edge."""
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    left = 8 + 6 * frame
    picture[10:42, left - 2 : left + 20] = 128
    picture[14:38, left + 2 : left + 16] = 255
    return picture


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A take, and a benchmark whose maker lost the subject in one of two pictures."""
    place = tmp_path_factory.mktemp("doubt")
    session = str(write_session(place / "session", frames=3) / "session.toml")
    store = str(place / "store")
    ingest(store, session, "walk", plates(store, session)["digest"])
    lost = (trimap(2) == 255).astype(np.float32)
    entries = [
        ("walk", "c00", 1, trimap(1), alpha(1), DIFFMATTE),
        ("walk", "c00", 2, trimap(2), lost, DIFFMATTE),
    ]
    freeze_benchmark(Root(store), "gold", entries, {})
    return store


def models(store: str, *names: str) -> list[Ref]:
    return [base_model(store, str(WEIGHTS), name) for name in names]


def test_the_picture_on_which_the_supervisor_is_wrong_is_found(store: str) -> None:
    both = models(store, "diffmatte_xs", "closed_form")
    doubts = second_opinion(store, ("gold", "b0001"), both, 1, 0, 0.02)
    assert list(doubts) == ["walk/c00/2"]
    assert doubts["walk/c00/2"] > 0.02
    everywhere = second_opinion(store, ("gold", "b0001"), both, 1, 0, 0)
    assert set(everywhere) == {"walk/c00/1", "walk/c00/2"}
    assert everywhere["walk/c00/1"] < 0.02


def test_nobody_is_asked_about_his_own_mattes(store: str) -> None:
    assert second_opinion(store, ("gold", "b0001"), models(store, "diffmatte_xs"), 1, 0, 0) == {}


def test_a_model_that_takes_no_trimap_has_no_opinion(store: str) -> None:
    with pytest.raises(ConfigError, match="a supervisor gets src and trimap"):
        second_opinion(store, ("gold", "b0001"), models(store, "bg_vitmatte_xs"), 1, 0, 0.02)


def test_a_picture_that_the_other_cannot_matte_is_left_out_and_said(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one_kind = np.where(trimap(1) == 255, 128, trimap(1)).astype(np.uint8)
    freeze_benchmark(Root(store), "open", [("walk", "c01", 1, one_kind, alpha(1), DIFFMATTE)], {})
    assert second_opinion(store, ("open", "b0001"), models(store, "closed_form"), 1, 0, 0) == {}
    said = "".join(capsys.readouterr())
    assert "take walk camera c01 frame 1: the trimap has no foreground" in said


def test_the_gate_names_doubtful_pictures_and_decides_as_without_them() -> None:
    champion = {"a": {"mse": 4e-3}, "b": {"mse": 2e-3}}
    challenger = {"a": {"mse": 1e-3}, "b": {"mse": 1.9e-3}}
    verdict = decide(champion, challenger, Gate(), doubtful=["a"])
    assert verdict["decision"] == decide(champion, challenger, Gate())["decision"]
    reason = "the supervisor may be wrong on a; on the others the challenger has 0.95 of the champion's"
    assert reason in verdict["reasons"]
    assert (
        "the supervisor may be wrong on a, b" in decide(champion, challenger, Gate(), doubtful=["b", "a"])["reasons"]
    )


def test_a_method_without_weights_is_registered_by_its_package(tmp_path: Path) -> None:
    import pymatting

    (model,) = models(str(tmp_path), "closed_form")
    weights, card = Registry(Root(tmp_path)).load(model["name"], model["version"])
    assert (weights, card["method"]) == (b"", f"pymatting {pymatting.__version__}")
    assert card["role"] == ARCHITECTURES["closed_form"].role
    assert models(str(tmp_path), "closed_form") == [model]
    other = {**card, "method": "pymatting 0.1"}
    with pytest.raises(CheckpointError, match=r"it is pymatting 0\.1, installed is pymatting"):
        build(b"", other)
    assert Registry(Root(tmp_path)).add("closed_form", b"", other) != model["version"]
