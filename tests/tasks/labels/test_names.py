"""Which frame a picture of an export is, and what is proposed where its name does not fit; the ground of overlays."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capmat_errors import CapmatError, ConfigError, ScribbleError
from storage.labels.formats.read import Reading
from storage.labels.label_set import LABELS, LabelSet
from storage.pictures.png import encode_png
from storage.store.root import Root
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tasks.labels.incoming import check_labels, import_labels
from tests.storage.labels import label_exports as tools
from tests.storage.tiny_session import HEIGHT, WIDTH, write_session
from tests.tasks.labels.broken_exports import NAME, SIZE, SOUND

CASES = Path(__file__).parents[2] / "cases"
WHAT = Reading(foreground=("person",), background=("floor",))


def labelled(store: str) -> list[Any]:
    return LabelSet.open(Root(store), LABELS).keys


def polygon(name: str, *, upload: bool = False) -> list[Any]:
    """A task of Label Studio with one person."""
    value = {"points": [[10, 10], [60, 10], [60, 60]], "polygonlabels": ["person"]}
    result = {"id": "r", "type": "polygonlabels", "original_width": WIDTH, "original_height": HEIGHT, "value": value}
    image = f"/data/upload/1/{name}" if upload else f"/data/local-files/?d=frames/{name}"
    return [{"id": 1, "data": {"image": image}, "annotations": [{"id": 1, "result": [result]}]}]


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with takes "walk" and "20231120-walk", whose frames start at 0, and "late", whose frames start at 5."""
    folder = tmp_path_factory.mktemp("dated")
    session = write_session(folder / "day")
    late = shutil.copytree(session / "takes/walk", session / "takes/late")
    for file in sorted(late.rglob("*.png"), reverse=True):
        file.rename(file.with_name(f"{int(file.stem) + 5:04}.png"))
    toml, walk = session / "session.toml", '[takes.walk]\npath = "takes/walk/'
    described = toml.read_text().partition(walk)
    assert described[1]
    takes = {"walk": "walk", "20231120-walk": "walk", "late": "late"}
    toml.write_text(described[0] + "".join(
        f'[takes.{name}]\npath = "takes/{files}/{described[2]}' for name, files in takes.items()
    ))  # fmt: skip
    ingest_plates(str(folder / "store"), session)
    for name in takes:
        ingest_take(str(folder / "store"), session, name)
    return str(folder / "store")


NAMES = "{take}_{camera}_{frame}"


@pytest.mark.parametrize(
    ("name", "upload", "take"),
    [
        ("20231120-walk_c00_0001.png", False, "20231120-walk"),
        ("20231120-walk_c00_0001.png", True, "20231120-walk"),
        ("0a1b2c3d-20231120-walk_c00_0001.png", True, "20231120-walk"),
        ("0a1b2c3d-walk_c00_0001.png", True, "walk"),
        ("84731120-walk_c00_0001.png", True, "walk"),  # digits, but no day
    ],
)
def test_a_take_that_begins_with_a_date_keeps_it(
    name: str, upload: bool, take: str, dated: str, tmp_path: Path
) -> None:
    file = tools.put(tmp_path / "export.json", polygon(name, upload=upload))
    _, found = check_labels(dated, file, Reading(names=NAMES))
    assert [key for key, _, _ in found.frames] == [(take, "c00", 1)]


def test_a_date_is_not_taken_off_to_find_another_take(store: str, tmp_path: Path) -> None:
    files = [CASES / "07-dates/ls_date.json"]
    for upload in (False, True):
        tasks = polygon("20231120-walk_c00_0001.png", upload=upload)
        files.append(tools.put(tmp_path / f"{upload}.json", tasks))
    for file in files:
        with pytest.raises(ScribbleError, match="no take is called 20231120-walk; the store has: walk"):
            import_labels(store, file, Reading(names=NAMES))


def test_a_take_or_camera_that_is_given_is_not_asked_of_the_names(store: str, tmp_path: Path) -> None:
    overlay = encode_png(tools.overlay(SOUND))
    for folder, how in (
        ("c00", {"take": "walk"}),
        ("walk", {"camera": "c00"}),
        (".", {"take": "walk", "camera": "c00"}),
    ):
        tools.put(tmp_path / "in" / folder / "0001.png", overlay)
        import_labels(store, tmp_path / "in", Reading(**how), anew=True)  # type: ignore[arg-type]
        assert labelled(store) == [("walk", "c00", 1)]
        shutil.rmtree(tmp_path / "in")


def test_the_template_and_the_offset_that_would_fit_are_proposed(store: str, tmp_path: Path) -> None:
    flat = tools.put(tmp_path / "walk_c00_0001.json", tools.labelme("walk_c00_0001.png", SOUND))
    with pytest.raises(ScribbleError, match=r"Give --names '\{take\}_\{camera\}_\{frame\}'"):
        import_labels(store, flat, WHAT)
    names = {f"walk/c00/{number:04}.png": SOUND for number in (1001, 1002, 1003)}
    film = tools.put(tmp_path / "film.xml", tools.cvat(names))
    with pytest.raises(ScribbleError, match="with frame 1001. Give --offset -1001, if frames start at 1001 in"):
        import_labels(store, film, WHAT)
    import_labels(store, film, replace(WHAT, offset=-1001))
    assert [frame for _, _, frame in labelled(store)] == [0, 1, 2]


def test_frames_that_a_tool_counts_itself_need_an_offset_where_the_take_does_not_start_at_0(
    dated: str, tmp_path: Path
) -> None:
    file = tools.put(tmp_path / "a.json", tools.davis("late_c00", 8, f6=[(1, [(0.1, 0.1)]), (0, [(0.9, 0.9)])]))
    reading = Reading(names="{take}_{camera}/{frame}")
    with pytest.raises(ScribbleError, match="counts frames from 0, and take late starts at 5. Give --offset 5, or"):
        check_labels(dated, file, reading)
    _, found = check_labels(dated, file, replace(reading, offset=0))
    assert found.frames[0][0] == ("late", "c00", 6)
    first = tools.put(tmp_path / "b.json", tools.davis("late_c00", 3, f0=[(1, [(0.1, 0.1)]), (0, [(0.9, 0.9)])]))
    with pytest.raises(ScribbleError, match="no camera c00 with frame 0. Give --offset 5, if frames start at 0"):
        check_labels(dated, first, reading)
    _, found = check_labels(dated, first, replace(reading, offset=5))
    assert found.frames[0][0] == ("late", "c00", 5)


@pytest.mark.parametrize("alpha", [False, True])
def test_an_overlay_without_alpha_is_read_where_its_ground_is_named(alpha: bool, store: str, tmp_path: Path) -> None:
    painted = np.zeros((*SIZE, 3 + alpha), np.uint8)
    painted[SOUND == 1, :3], painted[SOUND == 0, :3] = (0, 0, 255), (255, 0, 0)
    if alpha:
        painted[..., 3] = 255
    file = tools.put(tmp_path / f"{NAME}.png", encode_png(painted))
    for format in ("auto", "overlay"):
        with pytest.raises(CapmatError, match="the picture has no alpha.*--ground black|every pixel|% of what is"):
            import_labels(store, file, Reading(format, foreground=("blue",), background=("red",)))
    reading = Reading(foreground=("0000ff",), background=("ff0000",), ground="black")
    import_labels(store, file, reading)
    np.testing.assert_array_equal(LabelSet.open(Root(store), LABELS).label("walk", "c00", 1), SOUND)
    for wrong, says in (
        (replace(reading, ground="0000ee"), "too alike"),
        (replace(reading, ground="#12"), "'#12' is not a colour"),
        (replace(reading, format="trimap"), "only painted overlays have a ground"),
        (replace(reading, ground="white"), "is neither 0000ff nor red"),
    ):
        with pytest.raises((ConfigError, ScribbleError), match=says):
            import_labels(store, file, wrong, anew=True)
