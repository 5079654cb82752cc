"""`capmat scribbles`: labels in from anywhere, looked at, and out again."""

from pathlib import Path

import numpy as np
import pytest

from flows.command.main import main
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS, LabelSet, list_label_sets
from storage.labels.strokes import Drawing, Stroke
from storage.pictures.png import encode_png
from storage.store.root import Root
from tests.storage.labels import label_exports as tools
from tests.storage.tiny_session import HEIGHT, WIDTH
from tests.tasks.labels.conftest import stage, store  # noqa: F401
from tests.tasks.labels.test_in_use import overlay, put

MIA = Stroke("fg", 2.0, ((5.0, 5.0), (30.0, 5.0)), "Mia", "2026-03-01T10:00:00Z")


@pytest.fixture
def capmat(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # noqa: F811
    """Runs `capmat scribbles ...` and gives exit code and what was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    def run(*words: object) -> tuple[int, str]:
        code = main(["--set", f"store={store}", "--set", "scribbles=inbox", "scribbles", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_labels_go_in_are_shown_and_come_out_again(capmat, store: str, tmp_path: Path) -> None:  # noqa: F811
    assert capmat() == (0, "no labels yet; capmat scribbles import brings some in\n")
    label = np.full((HEIGHT, WIDTH), 255, np.uint8)
    label[3:9, 4:30], label[20:30, 4:30] = 1, 0
    export = tools.put(tmp_path / "task/annotations.xml", tools.cvat({"walk_c00_0001.jpg": label}))
    how = ("import", export, "--names", "{take}_{camera}_{frame}", "--foreground", "person", "--background", "floor")
    code, said = capmat(*how, "--dry-run")
    assert code == 0
    assert "foreground  5.08 %  background  8.46 %\n1 frame as cvat; nothing was stored" in said
    assert list_label_sets(Root(store)) == {}
    code, said = capmat(*how)
    assert "label set l0001: 1 frame, 13.54 % painted" in said
    assert "no Prefect server was told" in said
    freeze_labels(Root(store), LABELS, [Drawing("walk", "c01", 2, WIDTH, HEIGHT, (MIA,))])

    assert capmat("list")[1] == "l0001  1 frame: walk 1\nl0002  2 frames: walk 2\n"
    code, said = capmat("show", "--picture", tmp_path / "sheet.jpg")
    assert "walk             c00           1  foreground  5.08 %  background  8.46 %  painted" in said
    assert "1 strokes by Mia" in said
    assert (tmp_path / "sheet.jpg").read_bytes()[:3] == b"\xff\xd8\xff"

    for format in ("overlay", "label"):
        assert "2 files written" in capmat("export", "l0002", "--out", tmp_path / format, "--format", format)[1]
        before = LabelSet.open(Root(store), LABELS, "l0002")
        other = np.where(np.arange(WIDTH) < 3, 1, 255).astype(np.uint8) * np.ones((HEIGHT, 1), np.uint8)
        freeze_labels(Root(store), LABELS, [(*key, other) for key in before.keys], replace=True)
        assert capmat("import", tmp_path / format, "--replace")[0] == 0
        after = LabelSet.open(Root(store), LABELS)
        assert after.version > before.version
        assert [after.label(*key).tolist() for key in after.keys] == [
            before.label(*key).tolist() for key in before.keys
        ]
    code, said = capmat("export", "l0002", "--out", tmp_path / "strokes", "--format", "strokes")
    assert "1 file written" in said
    assert "1 frame with painted pixels" in said
    assert capmat("import", tmp_path / "strokes", "--replace")[0] == 0
    assert LabelSet.open(Root(store), LABELS).strokes("walk", "c01", 2) == Drawing(
        "walk", "c01", 2, WIDTH, HEIGHT, (MIA,)
    )


def test_the_inbox_is_the_default_and_holds_overlays(capmat, tmp_path: Path) -> None:
    put(tmp_path / "inbox", "walk/c00/0001.png", overlay())
    assert "label set l0001: 1 frame, 0.78 % painted\n" in capmat("import")[1]
    assert "label set l0001: 1 frame, 0.78 % painted; it was imported before" in capmat("import")[1]
    code, said = capmat("import", "--format", "trimap")
    assert code == 2
    assert "the inbox holds only overlays" in said


def test_names_that_were_not_explained_are_told(capmat, tmp_path: Path) -> None:
    shapes = [
        {"label": name, "shape_type": "rectangle", "points": [[0, y], [9, y + 5]]}
        for name, y in (("person", 0), ("lamp", 10), ("lamp", 20))
    ]
    tools.put(tmp_path / "walk/c00/0001.json", tools.labelme_json(*shapes, size=(HEIGHT, WIDTH)))
    assert "ignored, because neither --foreground nor --background names them: lamp 2" in capmat("import", "walk")[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("import", "nowhere"), "nowhere: the file or folder does not exist"),
        (("import", "walk", "--names", "{take}"), "--names: '{take}' lacks {camera}"),
        (("show",), "no labels are stored yet. Paint some with `capmat scribble`, or"),
        (("show", "l0009"), "no version is called l0009"),
        (("export", "l0009", "--out", "out"), "no version is called l0009"),
    ],
)
def test_what_cannot_be_done_is_refused_with_one_line(
    words: tuple[str, ...],
    says: str,
    capmat,
    tmp_path: Path,
) -> None:
    put(tmp_path, "walk/c00/0001.png", overlay())
    code, said = capmat(*words)
    assert code == 2
    assert says in said
    assert said.count("\n") == 1


def test_painted_frames_are_not_exported_as_strokes(capmat, tmp_path: Path) -> None:
    tools.put(tmp_path / "walk/c00/0001.png", encode_png(overlay()))
    capmat("import", "walk")
    code, said = capmat("export", "l0001", "--out", "out", "--format", "strokes")
    assert code == 2
    assert "no frame of l0001 was drawn" in said
