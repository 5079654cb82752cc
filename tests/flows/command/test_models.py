"""`capmat models`: other people's weights come in, are used like our own, and go out again."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flows.command.main import main
from storage.pictures.files import read_grey
from storage.pictures.png import encode_png
from storage.registry import Registry
from storage.store.root import Root
from tests.project import WEIGHTS

STUDENT = "bgmv2_mobilenetv2_xs"
VERBS = ("list", "show", "import", "export", "promote", "rollback")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_models_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["models", verb, "--help"])
    assert done.value.code == 0
    assert f"models {verb}" in capsys.readouterr().out


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command in a folder of its own that must succeed; what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        capsys.readouterr()
        assert main(words) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A picture and its plate, in the folder of the command."""
    rng = np.random.default_rng(0)
    for name in ("image", "plate"):
        picture = rng.integers(0, 255, (40, 56, 3)).astype(np.uint8)
        (tmp_path / f"{name}.png").write_bytes(encode_png(picture))
    return tmp_path / "image.png"


def test_published_weights_are_brought_in_shown_used_promoted_and_handed_out(
    said: Callable[..., str], photograph: Path
) -> None:
    released = WEIGHTS / STUDENT / "model.safetensors"
    assert f"{STUDENT}@v0001" in said("models", "import", str(released), "--as", STUDENT)
    card = said("models", "show", STUDENT)
    assert "published" in card
    assert hashlib.sha256(released.read_bytes()).hexdigest() in card
    mine = said(
        "models", "import", str(released), "--as", STUDENT, "--name", "mine", "--field", "refine_threshold=0.2"
    )
    assert "mine@v0001" in mine
    assert "refine_threshold 0.2" in said("models", "show", "mine@v0001")

    pair = ("matte", "--image", "image.png", "--plate", "plate.png")
    assert "image_alpha.png" in said(*pair, "--model", "mine@v0001", "--out", "one")
    said(*pair, "--model", STUDENT, "--out", "two")
    assert Path("one/image_alpha.png").read_bytes() == Path("two/image_alpha.png").read_bytes()

    assert "student: mine@v0001" in said("models", "promote", "student", "mine", "--reason", "the new stage")
    assert "before: mine@v0001" in said("models", "promote", "student", STUDENT, "--reason", "no, the old one")
    entries = json.loads(said("models", "--json"))
    assert [(e["name"], e["champion"]) for e in entries] == [(STUDENT, True), ("mine", False)]
    assert said("models", "list", "--json") == said("models", "--json")
    (first, second) = Registry(Root(".capmat/store")).history("student")
    assert first["record"] == {"decision": "PROMOTE", "by": "hand", "reasons": ["the new stage"]}
    assert second["record"]["champion"] == {"name": "mine", "version": "v0001"}

    assert "student: mine@v0001; taken back" in said("models", "rollback", "student", "--reason", "a hole in the hat")
    last = Registry(Root(".capmat/store")).history("student")[-1]["record"]
    assert (last["decision"], last["reasons"]) == ("ROLLBACK", ["a hole in the hat"])
    assert last["by"]
    assert main(["models", "rollback", "student", "--reason", "and again"]) == 2

    assert "out.safetensors" in said(
        "models", "export", "mine", "--format", "safetensors", "--out", "out.safetensors"
    )
    again = said("models", "import", "out.safetensors", "--as", STUDENT, "--name", "again")
    assert "again@v0001" in again


def test_an_exported_student_comes_back_and_mattes_alike(said: Callable[..., str], photograph: Path) -> None:
    said("models", "export", STUDENT, "--format", "torchscript", "--size", "56x40", "--out", "student.pt")
    said("models", "import", "student.pt", "--as", "theirs", "--contract", "rgb+plate")
    assert "baseline   theirs" in said("models")
    pair = ("matte", "--image", "image.png", "--plate", "plate.png")
    said(*pair, "--model", STUDENT, "--out", "one")
    said(*pair, "--model", "theirs", "--out", "two")
    one, two = (read_grey(Path(folder, "image_alpha.png")).astype(int) for folder in ("one", "two"))
    assert np.abs(one - two).max() <= 7  # of 65535


def test_cards_without_the_usual_fields_are_listed_and_shown(said: Callable[..., str], tmp_path: Path) -> None:
    Registry(Root(tmp_path / ".capmat/store")).add("bare", b"weights", {})
    assert "bare" in said("models")
    assert "sha256" in said("models", "show", "bare")


def test_every_start_of_a_training_is_shown_on_a_line_of_its_own(said: Callable[..., str], tmp_path: Path) -> None:
    card = {"start": {"date": "third", "start": {"date": "second", "start": {"date": "first"}}}}
    Registry(Root(tmp_path / ".capmat/store")).add("bare", b"weights", card)
    lines = [line for line in said("models", "show", "bare").splitlines() if line.startswith("start")]
    assert lines == [f"start        date {name}" for name in ("third", "second", "first")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["models", "import", "none.pth", "--as", STUDENT], "none.pth"),
        (["models", "import", "none.onnx", "--as", "modnet"], "--contract"),
        (["models", "import", "none.pth", "--as", "nobody"], "no network is called 'nobody'"),
        (["models", "import", "none.pth", "--as", "bimatting"], "--contract recurrent"),
        (["models", "import", "x.pt", "--as", "x", "--contract", "rgb", "--adapt", "background"], "--adapt"),
        (["models", "show", "nobody"], "nobody"),
        (["models", "export", STUDENT, "--format", "onnx", "--out", "x.onnx"], "--size"),
        (["models", "export", "diffmatte_xs", "--format", "onnx", "--size", "64x64", "--out", "x.onnx"], "trimap"),
        (["models", "promote", "student", "nobody", "--reason", "x"], "nobody"),
        (["models", "rollback", "student", "--reason", "x"], "no model is in use"),
        (["validate", "--promote"], "--promote needs --gate"),
        (["validate", "--benchmark", "gold"], "no benchmark is called gold; the store has: none"),
        (["validate", "nobody"], "no model is called nobody"),
        (["validate", "--gate", "student"], "asks about one model"),
        (["matte", "--image", "image.png", "--model", "bg_vitmatte_xs", "--out", "out"], "needs --plate"),
        (["matte", "--image", "image.png", "--model", "nobody", "--out", "out"], "no model is called nobody"),
        (["matte", "walk", "--plate", "plate.png"], "a take does not use --plate"),
    ],
)
def test_models_refuse_in_one_line_and_leave_nothing(
    words: list[str], says: str, photograph: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photograph.parent)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert sorted(p.name for p in photograph.parent.iterdir()) == ["image.png", "plate.png"]


def test_a_model_that_a_role_cannot_use_is_not_promoted(
    said: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    weights = WEIGHTS / "diffmatte_xs/model.safetensors"
    said("models", "import", str(weights), "--as", "diffmatte_xs")
    assert main(["models", "promote", "student", "diffmatte_xs", "--reason", "why not"]) == 2
    assert "takes src and trimap, a student gets src and bgr" in capsys.readouterr().err
