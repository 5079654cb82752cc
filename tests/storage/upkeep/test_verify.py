"""Whatever happens to a file in the store is found: what is gone or cut short at once, the rest by a deep look."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import NotFound
from storage.labels.marks import Mark, keep_mark
from storage.labels.queue import write_queue
from storage.store.ledger import Ledger, stored
from storage.store.root import Root
from storage.takes.take import Take
from storage.upkeep.files import part_of
from storage.upkeep.findings import forget_damage
from storage.upkeep.verify import verify
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tests.storage.tiny_session import write_session


def _ingest(root: Root, session: Path) -> None:
    ingest_plates(root.url, session)
    ingest_take(root.url, session, "walk")


@pytest.fixture
def local(folder: Root, tmp_path: Path) -> Root:
    _ingest(folder, write_session(tmp_path / "session"))
    return folder


def _damage(root: Root, file: str, harm: str, random_: random.Random) -> None:
    data = bytearray(root.read(file))
    if harm == "delete":
        root.remove(file)
        return
    if harm == "cut":
        data = data[: random_.randrange(1, len(data))]
    elif harm == "longer":
        data += b"\0"
    elif harm == "empty":
        data = bytearray()
    elif harm == "zeros":
        data = bytearray(len(data))
    elif harm == "bit":
        data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
    root.write(file, bytes(data))


def _everything(root: Root) -> Iterator[str]:
    """Every file of pixels, and every one that describes them."""
    yield from root.sizes("takes/")
    yield from root.sizes("stages/")


def test_a_store_that_nobody_touched_is_well(local: Root) -> None:
    for deep in (False, True):
        findings = verify(local, deep=deep)
        assert (findings.takes, findings.found) == (["walk"], [])
    sizes = local.sizes("takes/walk.zarr/") | local.sizes("stages/ring.zarr/")
    assert (findings.files, findings.bytes) == (len(sizes), sum(sizes.values()))


def test_every_file_of_pixels_is_in_the_ledger_as_it_lies_in_the_store(local: Root) -> None:
    listed = {}
    for entry in Ledger(local).entries("").values():
        assert entry is not None
        listed |= entry["files"]
    assert listed == stored(local, *_everything(local))


@pytest.mark.parametrize("harm", ["delete", "cut", "longer", "empty", "zeros", "bit"])
def test_any_damage_to_any_file_is_found_where_it_is(local: Root, harm: str) -> None:
    chance = random.Random(harm)
    for file in chance.sample(list(_everything(local)), 16):
        before = local.read(file)
        _damage(local, file, harm, chance)
        needs_deep = harm in ("zeros", "bit") and not file.endswith(".json")
        findings = verify(local, ["walk"], deep=needs_deep)
        assert {f.file for f in findings.damaged} == {file}
        assert not needs_deep or not verify(local, ["walk"]).damaged
        at = part_of(file.split("/", 2)[2])
        for finding in findings.damaged:
            assert finding.camera == at.camera
            assert finding.frame == (at.block if file.startswith("takes/") else None)
            assert finding.again.startswith("capmat ingest ")
            assert "session.toml" in finding.again
        local.write(file, before)


def test_damage_on_s3_is_found(s3_root: Root, tmp_path: Path) -> None:
    _ingest(s3_root, write_session(tmp_path / "session"))
    chance = random.Random(1)
    for harm in ("delete", "cut", "empty", "bit"):
        file = chance.choice([key for key in s3_root.sizes("takes/") if "/rgb/c/" in key])
        before = s3_root.read(file)
        _damage(s3_root, file, harm, chance)
        assert [f.file for f in verify(s3_root, deep=harm == "bit").damaged] == [file]
        s3_root.write(file, before)


def test_a_damaged_or_lost_ledger_entry_is_found(local: Root) -> None:
    for key in ("ingest/walk/c01/00000", "ingest/walk/c01/layout", "plates/ring/c02"):
        file = f"ledger/{key}.json"
        before = local.read(file)
        for harm in ("delete", "cut", "empty"):
            _damage(local, file, harm, random.Random(2))
            assert [(f.camera, f.entries) for f in verify(local).damaged][0] == (key.split("/")[2][:3], (key,))
            local.write(file, before)
    assert verify(local).found == []


def test_no_flipped_bit_of_an_entry_is_believed(tmp_path: Path) -> None:
    ledger, entry = Ledger(Root(tmp_path)), {"files": {"takes/walk/0": [12, 345]}, "fps": 1.5}
    ledger.record("ingest/walk", entry)
    file = tmp_path / "ledger/ingest/walk.json"
    before = file.read_bytes()
    for bit in range(8 * len(before)):
        flipped = bytearray(before)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        assert ledger.done("ingest/walk") in (None, entry), bit  # equal: only the space between words changed


def test_a_damaged_copy_of_a_description_is_found_and_not_used(local: Root) -> None:
    description = local.read("takes/walk.zarr/zarr.json")
    file = "ledger/seal/takes/walk.zarr.json"
    for old, new in ((b"60.0", b"61.0"), (b"{", b"")):
        before = local.read(file)
        local.write(file, before.replace(old, new))
        (finding,) = verify(local).damaged
        assert finding.what == "the ledger's copy of the description is damaged"
        local.write(file, before)
    local.write(file, before.replace(b"60.0", b"61.0"))
    forget_damage(local, verify(local).found)
    opened = local.read("takes/walk.zarr/zarr.json")
    assert opened == description.replace(b'"complete": true', b'"complete": false')


@pytest.mark.parametrize("folder_", ["takes/walk.zarr", "stages/ring.zarr"])
def test_a_copy_of_a_description_that_is_lost_is_found_and_ingest_makes_it_again(
    local: Root, tmp_path: Path, folder_: str
) -> None:
    seal, whole = f"ledger/seal/{folder_}.json", local.read(f"{folder_}/zarr.json")
    before = json.loads(local.read(seal))
    local.remove(seal)
    (finding,) = verify(local).damaged
    assert finding.what == "the ledger's copy of the description is missing"
    assert finding.again == f"capmat ingest {tmp_path / 'session' / 'session.toml'}" + " walk" * ("walk" in folder_)
    forget_damage(local, verify(local).found)
    _ingest(local, tmp_path / "session")
    assert verify(local, deep=True).found == []
    assert (json.loads(local.read(seal)), local.read(f"{folder_}/zarr.json")) == (before, whole)


def test_no_flipped_bit_of_a_description_passes_when_its_copy_is_lost_too(local: Root, tmp_path: Path) -> None:
    """Not even where it is still JSON. What cannot be read as a take any more is made again from the session."""
    file, dice = "takes/walk.zarr/zarr.json", random.Random(4)
    whole = {key: local.read(key) for key in local.sizes("")}
    for old, new in ((b'"fps"', b'"fqs"'), (b'"bits"', b'"bytes"'), (b'"K"', b'"k"'), (b"1.0", b"1.5"), (b"", b"")):
        local.remove("ledger/seal/takes/walk.zarr.json")
        local.write(file, whole[file].replace(old, new, 1))
        if not old:
            _damage(local, file, "bit", dice)
        found = verify(local, ["walk"]).damaged
        assert any(f.unseal == "takes/walk.zarr" for f in found)
        forget_damage(local, found)
        _ingest(local, tmp_path / "session")
        assert verify(local, deep=True).found == []
        assert local.read(file) == whole[file]


def test_a_frame_that_is_missing_in_the_list_is_found(local: Root) -> None:
    ledger = Ledger(local)
    entry = ledger.done("ingest/walk/c00/00000")
    assert entry is not None
    del entry["files"]["takes/walk.zarr/cameras/c00/rgb/c/1/0/0/0"]
    ledger.record("ingest/walk/c00/00000", entry)
    assert [(f.camera, f.frame, f.what) for f in verify(local).damaged] == [("c00", 1, "is not in the ledger's list")]


def test_files_that_nobody_recorded_are_named_and_are_no_damage(local: Root) -> None:
    strays = [
        "stages/ring.zarr/cameras/c00/mean/old",
        "takes/walk.zarr/cameras/c00/rgb/c/1/0/0/.0.12.partial",
        "takes/walk.zarr/cameras/c00/rgb/c/77/0/0/0",
        "takes/walk.zarr/cameras/c09/rgb/zarr.json",
        "takes/walk.zarr/notes.txt",
    ]
    for file in strays:
        local.write(file, b"x")
    findings = verify(local, deep=True)
    assert sorted(f.file for f in findings.found) == strays
    assert findings.damaged == []


def test_boxes_and_marks_of_people_belong_to_the_take(local: Root) -> None:
    write_queue(local, "walk", [], {})
    keep_mark(local, Take.open(local, "walk"), Mark("c00", 1, (0, 0, 4, 4), "right"))
    assert verify(local, deep=True).found == []


def test_records_from_before_files_were_listed_are_held_to_presence(local: Root) -> None:
    ledger = Ledger(local)
    for key, entry in ledger.entries("").items():
        assert entry is not None
        if key.startswith("seal/"):
            ledger.forget(key)
        else:
            ledger.record(key, {name: value for name, value in entry.items() if name not in ("files", "session")})
    note = "6 records were made before files were listed: only presence can be checked"
    assert [(f.what, f.damage) for f in verify(local).found] == [(note, False)]
    for file in _everything(local):
        before = local.read(file)
        for harm, what in (("delete", "is missing"), ("empty", "is empty")):
            _damage(local, file, harm, random.Random(3))
            assert [(f.file, f.what) for f in verify(local).damaged] == [(file, what)]
            local.write(file, before)
    _damage(local, "takes/walk.zarr/cameras/c01/rgb/zarr.json", "zeros", random.Random(3))
    assert [f.what for f in verify(local).damaged] == ["is damaged"]


def test_a_take_that_vanished_as_a_whole_is_found(local: Root) -> None:
    local.delete("takes")
    findings = verify(local)
    assert findings.takes == ["walk"]
    assert len(findings.damaged) == 1 + 3 * (
        1 + 1 + 3 + 2
    )  # its description; per camera that, three frames, previews
    with pytest.raises(NotFound, match="no take is called run"):
        verify(local, ["run"])


def test_a_take_of_a_similar_name_is_not_mixed_up(local: Root, tmp_path: Path) -> None:
    from tests.storage.tiny_session import edit_toml

    edit_toml(tmp_path / "session", "[takes.walk]", "[takes.walk-2]")
    ingest_take(local.url, tmp_path / "session", "walk-2")
    local.delete("takes/walk-2.zarr/cameras/c00")
    assert verify(local, ["walk"]).found == []
    assert {f.take for f in verify(local).damaged} == {"walk-2"}


def test_a_run_that_was_announced_and_not_finished_is_said_and_is_no_damage(local: Root) -> None:
    take = Take.open(local, "walk")
    take.start_run("student-m-v0001", {"role": "student", "name": "m", "version": "v0001"})
    take.write_alphas("student-m-v0001", "c00", {1: np.ones((48, 64))})
    (finding,) = verify(local).found
    assert finding.what == "run student-m-v0001 is not finished: 0 of 9 mattes"
    assert (finding.damage, finding.again) == (False, "capmat matte walk --role student")


@pytest.mark.parametrize("deep", [False, True])
def test_mattes_that_another_writer_replaced_are_damage_and_can_be_made_again(local: Root, deep: bool) -> None:
    take, ledger, ones = Take.open(local, "walk"), Ledger(local), np.ones((48, 64))
    take.start_run("r", {"role": "teacher", "name": "m", "version": "v0001"})
    file = "takes/walk.zarr/cameras/c00/alpha/r/c/0/0/0"

    def write(key: str, frames: list[int]) -> None:
        files = take.write_alphas("r", "c00", dict.fromkeys(frames, ones))
        ledger.record(f"matte/walk-c00-r/{key}", {"run": "r", "camera": "c00", "numbers": frames, "files": files})

    write("few", [take.frames[1]])
    write("first", [take.frames[0]])
    local.remove(file)  # as if this writer had read the block before the others wrote it
    write("all", take.frames[::2])
    assert [take.has_alpha("r", "c00", frame) for frame in take.frames] == [True, False, True]
    (finding,) = verify(local, deep=deep).damaged
    assert finding.what == f"lacks mattes that the ledger lists, of frames: {take.frames[1]}"
    assert (finding.camera, finding.frame, finding.file) == ("c00", take.frames[1], file)
    assert finding.again == "capmat matte walk --role teacher"
    forget_damage(local, [finding])
    assert sorted(ledger.entries("matte/")) == ["matte/walk-c00-r/all", "matte/walk-c00-r/first"]
    write("few", [take.frames[1]])
    assert verify(local, deep=deep).damaged == []
    assert take.matted("r", "c00") == take.frames


def test_an_entry_that_lists_more_mattes_than_its_file_ever_held_is_found_by_a_deep_look(local: Root) -> None:
    take = Take.open(local, "walk")
    take.start_run("r", {"role": "teacher", "name": "m", "version": "v0001"})
    files = take.write_alphas("r", "c00", dict.fromkeys(take.frames[:2], np.ones((48, 64))))
    entry = {"run": "r", "camera": "c00", "numbers": take.frames, "files": files}
    Ledger(local).record("matte/walk-c00-r/0", entry)
    assert verify(local).damaged == []
    assert [(f.camera, f.frame) for f in verify(local, deep=True).damaged] == [("c00", take.frames[2])]


def test_forgetting_opens_the_take_and_keeps_every_file(local: Root) -> None:
    description = json.loads(local.read("takes/walk.zarr/zarr.json"))
    local.write("takes/walk.zarr/zarr.json", b"{")
    local.remove("takes/walk.zarr/cameras/c01/rgb/c/0/0/0/0")
    before = local.sizes("takes/")
    forget_damage(local, verify(local).found)
    assert local.sizes("takes/").keys() == before.keys()
    description["attributes"]["complete"] = False
    assert json.loads(local.read("takes/walk.zarr/zarr.json")) == description
    lost = "ingest/walk/c01/00000"
    assert lost not in Ledger(local).entries("ingest/")
    assert sorted([lost, *Ledger(local).entries("ingest/")]) == [
        f"ingest/walk/{camera}/{part}" for camera in ("c00", "c01", "c02") for part in ("00000", "layout")
    ]
    assert [(f.what, f.damage) for f in verify(local).found] == [
        ("the take is not complete, its ingest has not finished", False)
    ]


def test_a_look_costs_no_request_per_frame(s3_root: Root, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def requests(frames: int) -> int:
        place = Root(f"{s3_root.url}/{frames}")
        _ingest(place, write_session(tmp_path / f"{frames}", frames=frames))
        caplog.clear()  # the server logs a line per request
        assert verify(place, ["walk"]).found == []
        return sum(record.name == "werkzeug" for record in caplog.records)

    caplog.set_level("INFO", "werkzeug")
    few, many = requests(2), requests(8)
    assert abs(many - few) <= 1  # the server's line of a request may come a moment after the answer
    assert 0 < few < 75
