"""What was annotated elsewhere becomes the next label set, or is refused by file and entry with nothing stored."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capmat_errors import CapmatError, ConfigError, ScribbleError
from storage.labels.formats.read import Reading
from storage.labels.label_set import LABELS, LabelSet, list_label_sets
from storage.labels.strokes import Drawing, Stroke, encode_strokes
from storage.pictures.png import encode_png
from storage.store.root import Root
from tasks.labels.in_use import waiting
from tasks.labels.incoming import check_labels, import_labels
from tests.storage.labels import label_exports as tools
from tests.storage.tiny_session import HEIGHT, WIDTH
from tests.tasks.labels.broken_exports import FULL, NAME, REFUSED, SIZE, SOUND, link

WHAT = Reading(foreground=("person",), background=("floor",))


def label_of(store: str, *key: Any) -> np.ndarray:
    return LabelSet.open(Root(store), LABELS).label(*(key or ("walk", "c00", 1)))


def zipped(path: Path, *files: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


def test_an_export_becomes_the_next_label_set_once(store: str, tmp_path: Path) -> None:
    export = tools.put(tmp_path / "export/annotations.xml", tools.cvat({f"{NAME}.jpg": SOUND}))
    done = import_labels(store, export, WHAT)
    assert (done["labels"], done["frames"], done["left_out"]) == ("l0001", 1, {})
    assert done["painted_share"] == pytest.approx(24 / SOUND.size)
    np.testing.assert_array_equal(label_of(store), SOUND)
    assert import_labels(store, export, WHAT)["reused"]
    assert list_label_sets(Root(store)) == {LABELS: ["l0001"]}


def test_one_file_or_one_folder_of_many_is_enough(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tools.put(tmp_path / f"{NAME}.png", encode_png(tools.overlay(SOUND)))
    monkeypatch.chdir(file.parent)
    for place in (tmp_path / "walk", file.parent, file, Path(file.name), Path()):
        done = import_labels(store, place, Reading(), anew=True)
        assert (done["labels"], done["frames"]) == ("l0001", 1)  # it is the same
    assert LabelSet.open(Root(store), LABELS).keys == [("walk", "c00", 1)]


def test_a_zip_file_is_read_like_its_folder(store: str, tmp_path: Path) -> None:
    task = tools.cvat({f"{NAME}.jpg": SOUND}).encode()
    export = zipped(tmp_path / "task.zip", ("annotations.xml", task), ("images/walk/c00/0001.jpg", b"any"))
    import_labels(store, export, WHAT)
    np.testing.assert_array_equal(label_of(store), SOUND)


def test_a_zip_file_may_have_names_of_another_code_page(store: str, tmp_path: Path) -> None:
    names = (f"gr##e/{NAME}.png", "gr##e/notes.md", "gr##e/#######.md")
    export = zipped(tmp_path / "task.zip", *((name, encode_png(tools.overlay(SOUND))) for name in names))
    export.write_bytes(export.read_bytes().replace(b"#", b"\x81"))  # as Windows writes them, without the UTF-8 flag
    import_labels(store, export, Reading())
    np.testing.assert_array_equal(label_of(store), SOUND)


def test_labels_behind_a_link_to_a_folder_are_read(store: str, tmp_path: Path) -> None:
    tools.put(tmp_path / "elsewhere/0001.png", encode_png(tools.overlay(SOUND)))
    (tmp_path / "inbox/walk").mkdir(parents=True)
    (tmp_path / "inbox/walk/c00").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "inbox/walk/up").symlink_to(tmp_path / "inbox")
    assert waiting(store, str(tmp_path / "inbox"))
    assert import_labels(store, tmp_path / "inbox", Reading())["frames"] == 1
    np.testing.assert_array_equal(label_of(store), SOUND)


def test_an_overlay_in_a_zip_file_is_refused_by_its_path_in_there(store: str, tmp_path: Path) -> None:
    export = zipped(tmp_path / "task.zip", (f"{NAME}.png", encode_png(tools.overlay(FULL))))
    with pytest.raises(ScribbleError, match=rf"task\.zip: {NAME}\.png: every pixel is painted"):
        import_labels(store, export, Reading("overlay"))


def test_what_is_imported_later_is_painted_over_or_said_anew(store: str, tmp_path: Path) -> None:
    more = np.full(SIZE, 255, np.uint8)
    more[2, 2:8] = 0
    for n, label in enumerate((SOUND, more)):
        tools.put(tmp_path / f"{n}/{NAME}.png", encode_png(tools.overlay(label)))
        import_labels(store, tmp_path / str(n), Reading())
    np.testing.assert_array_equal(label_of(store), np.where(more == 255, SOUND, more))
    for n, label, version in ((1, more, "l0003"), (0, SOUND, "l0004"), (1, more, "l0005"), (1, more, "l0005")):
        assert import_labels(store, tmp_path / str(n), Reading(), anew=True)["labels"] == version
        np.testing.assert_array_equal(label_of(store), label)


def test_drawings_come_in_as_strokes(store: str, tmp_path: Path) -> None:
    stroke = Stroke("fg", 1.5, ((2.0, 2.0), (9.0, 2.0)), "Mia", "2026-03-01T10:00:00Z")
    drawing = Drawing("walk", "c00", 1, WIDTH, HEIGHT, (stroke,))
    tools.put(tmp_path / "drawn/any.json", encode_strokes(drawing))
    assert import_labels(store, tmp_path / "drawn", Reading())["frames"] == 1
    assert LabelSet.open(Root(store), LABELS).strokes("walk", "c00", 1) == drawing


def test_looking_first_stores_nothing_and_says_what_was_found(store: str, tmp_path: Path) -> None:
    tasks = tools.labelstudio({f"{NAME}.png": SOUND})
    tasks[0]["annotations"][0]["result"][0]["value"]["brushlabels"] = ["lamp"]
    tools.put(tmp_path / "export.json", tasks)
    format, found = check_labels(store, tmp_path / "export.json", WHAT)
    assert format == "labelstudio"
    assert found.frames == [(("walk", "c00", 1), pytest.approx(12 / SOUND.size), 0.0)]
    assert found.summary["left_out"] == {"lamp": 1}
    assert list_label_sets(Root(store)) == {}


def test_frames_counted_from_0_and_names_without_a_take_find_their_frame(store: str, tmp_path: Path) -> None:
    drawn = tools.davis("any", 3, f0=[(1, [(0.1, 0.1), (0.5, 0.1)]), (0, [(0.1, 0.9)])])
    tools.put(tmp_path / "001.json", drawn)
    import_labels(
        store, tmp_path / "001.json", Reading(names="{frame}", take="walk", camera="c01", offset=1, radius=1)
    )
    assert {0, 1} < set(np.unique(label_of(store, "walk", "c01", 1)).tolist())


def test_annotations_of_one_frame_are_put_together_and_it_is_said(store: str, tmp_path: Path) -> None:
    halves = [np.where(side == SOUND, SOUND, np.uint8(255)) for side in (0, 1)]
    export = tools.cvat({f"{n}/{NAME}.jpg": half for n, half in enumerate(halves)})
    done = import_labels(store, tools.put(tmp_path / "annotations.xml", export), WHAT)
    assert (done["frames"], done["several"]) == (1, 1)
    np.testing.assert_array_equal(label_of(store), SOUND)


def test_pixels_that_are_both_can_follow_a_rule(store: str, tmp_path: Path) -> None:
    shapes = [
        {"label": name, "shape_type": "rectangle", "points": [[0, y], [4, y + 3]]}
        for name, y in (("person", 0), ("floor", 2), ("person", 2))
    ]
    tools.put(tmp_path / f"{NAME}.json", tools.labelme_json(*shapes, size=SIZE))
    for overlap, column in (("later", [1, 1, 1, 1, 1]), ("open", [1, 1, 255, 255, 255])):
        reading = Reading(foreground=("person",), background=("floor",), overlap=overlap)  # type: ignore[arg-type]
        import_labels(store, tmp_path / "walk", reading, anew=True)
        assert label_of(store)[:5, 0].tolist() == column


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_refused_by_file_and_entry_and_nothing_is_stored(
    what: str, store: str, tmp_path: Path
) -> None:
    place, data, says = REFUSED[what]
    file = tools.put(tmp_path / "export" / place, encode_png(data) if isinstance(data, np.ndarray) else data)
    before = Root(store).names("ledger")
    with pytest.raises(CapmatError) as refusal:
        import_labels(store, tmp_path / "export", WHAT if file.suffix != ".png" else Reading())
    assert says in str(refusal.value)
    assert file.name in str(refusal.value) or what == "names that nobody explained"
    assert "\n" not in str(refusal.value)
    assert refusal.value.fix
    assert list_label_sets(Root(store)) == {}
    assert Root(store).names("ledger") == before


LIE = zipfile.ZipInfo("a.json")
LIE.compress_type = zipfile.ZIP_DEFLATED


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([("../evil.json", b"[]")], "../evil.json: this file would be written outside"),
        ([("/etc/evil.json", b"[]")], "this file would be written outside"),
        ([("a\\..\\evil.json", b"[]")], "this file would be written outside"),
        ([(link("a.json"), b"/etc/passwd")], "a.json: this is a link"),
        ([("a", b"1"), ("a/b.json", b"[]")], "two of its files collide"),
        ([("a.json", b"[]"), ("a.json", b"{}")], "two of its files collide"),
        ([(f"{n}.json", b"[]") for n in range(9)], "holds 9 files, more than 5"),
        ([("a.json", bytes(3_000_000))], "swells from"),
        ([("notes.txt", b"hello")], "no file in it is of a known format"),
        ([], "the export holds no file"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_file_that_is_up_to_something_is_refused_before_it_is_unpacked(
    files: list[Any], says: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.labels.formats.archive._MAX_FILES", 5)
    monkeypatch.setattr("storage.labels.formats.archive._SMALL", 2**20)
    export = zipped(tmp_path / "deep/down/export.zip", *files)
    before = sorted(tmp_path.rglob("*.json"))
    with pytest.raises(ScribbleError, match="export.zip") as refusal:
        import_labels(store, export, WHAT)
    assert says in str(refusal.value)
    assert sorted(tmp_path.rglob("*.json")) == before
    assert list_label_sets(Root(store)) == {}


def test_a_zip_file_that_lies_or_is_damaged_is_refused(store: str, tmp_path: Path) -> None:
    whole = zipped(tmp_path / "whole.zip", ("a.json", b"[" + b"1," * 5000 + b"1]")).read_bytes()
    for n, data in enumerate(
        (b"PK\x03\x04", whole[:-30], whole.replace(b"a.json", b"b.json", 1), io.BytesIO().read())
    ):
        damaged = tools.put(tmp_path / f"{n}.zip", data)
        with pytest.raises(ScribbleError, match=rf"{n}\.zip: it is not a complete zip file"):
            import_labels(store, damaged, WHAT)
    assert list_label_sets(Root(store)) == {}


def test_what_is_not_there_and_what_is_asked_wrongly_is_refused(store: str, tmp_path: Path) -> None:
    with pytest.raises(CapmatError, match="nowhere: the file or folder does not exist"):
        import_labels(store, tmp_path / "nowhere", WHAT)
    tools.put(tmp_path / f"{NAME}.png", encode_png(tools.overlay(SOUND)))
    for reading, says in (
        (Reading(names="{take}"), "lacks {camera}"),
        (Reading(foreground=("grass",)), "'grass' is not a colour"),
        (Reading("label"), "it is coloured or partly transparent"),
        (Reading("cvat"), "it holds no .xml file"),
        (Reading(foreground=("ff0000",)), "cannot be foreground and background"),
    ):
        with pytest.raises((ConfigError, ScribbleError)) as refusal:
            import_labels(store, tmp_path / "walk", reading)
        assert says in str(refusal.value)
