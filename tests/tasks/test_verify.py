"""What `verify` finds damaged, the ordinary commands make again: that and no more, bit for bit."""

import random
from pathlib import Path

import pytest
import torch

from capmat_models.networks.factory import create_model
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.upkeep.findings import forget_damage
from storage.upkeep.verify import verify
from tasks.ingest.plates import ingest_plates
from tasks.ingest.session import ingest, plates, take_record
from tasks.ingest.take import ingest_take
from tasks.matte.take import matte, open_run
from tasks.models.imported import import_weights
from tasks.models.networks import Ref, Run
from tests.storage.tiny_session import tree, write_session

ROUNDS, EACH = 5, 9
HARMS = ["delete", "cut", "empty", "zeros", "bit"]


@pytest.fixture
def session(tmp_path: Path) -> str:
    return str(write_session(tmp_path / "session") / "session.toml")


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def _register(store: str, tmp_path: Path) -> Ref:
    torch.manual_seed(0)
    torch.save(create_model("bgmv2_mobilenetv2_xs").state_dict(), tmp_path / "weights.pth")
    return import_weights(store, tmp_path / "weights.pth", "bgmv2_mobilenetv2_xs")


def _commands(store: str, session: str, model: Ref | None) -> None:
    """What `capmat ingest` and `capmat matte TAKE` do."""
    ingest(store, session, "walk", plates(store, session)["digest"])
    if model:
        record = take_record(store, "walk")
        open_run(store, "walk", Run(model["name"], model))
        matte(store, "walk", record["cameras"], record["frames"], Run(model["name"], model), record["digest"])


def _harm(file: Path, chance: random.Random) -> None:
    data, harm = bytearray(file.read_bytes()), chance.choice(HARMS)
    if harm == "delete":
        file.unlink()
        return
    if harm == "bit":
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    size = {"cut": chance.randrange(1, len(data)), "empty": 0}.get(harm, len(data))
    file.write_bytes(bytes(size) if harm == "zeros" else data[:size])


def _pixels(store: str) -> dict[str, bytes]:
    return {key: data for key, data in tree(Path(store)).items() if key.startswith(("takes/", "stages/"))}


def test_many_damages_are_found_and_mended_bit_for_bit(store: str, session: str, tmp_path: Path) -> None:
    model = _register(store, tmp_path)
    _commands(store, session, model)
    whole = _pixels(store)
    chance = random.Random(20)
    for _ in range(ROUNDS):
        files = chance.sample(sorted(whole), EACH)
        for file in files:
            _harm(Path(store, file), chance)
        findings = verify(Root(store), deep=True)
        assert {f.file for f in findings.damaged} == {f for f in files if _pixels(store).get(f) != whole[f]}
        forget_damage(Root(store), findings.found)
        _commands(store, session, model)
        assert verify(Root(store), deep=True).found == []
        assert _pixels(store) == whole


def test_only_the_damaged_camera_is_made_again(store: str, session: str, tmp_path: Path) -> None:
    model = _register(store, tmp_path)
    _commands(store, session, model)
    alpha = "takes/walk.zarr/cameras/c02/alpha/bgmv2_mobilenetv2_xs-v0001/c/0/0/0"
    for file in ("takes/walk.zarr/cameras/c01/rgb/c/0/0/0/0", "stages/ring.zarr/cameras/c00/mean/c/0/0/0/0", alpha):
        Path(store, file).write_bytes(b"")
    ages = {file: Path(store, file).stat().st_mtime_ns for file in _pixels(store)}
    forget_damage(Root(store), verify(Root(store)).found)
    _commands(store, session, model)
    newer = {file for file, age in ages.items() if Path(store, file).stat().st_mtime_ns != age}
    frames = {file.split("/c/")[0] for file in newer if "/c/" in file}
    assert frames == {
        "takes/walk.zarr/cameras/c01/rgb",
        "takes/walk.zarr/cameras/c01/preview",
        "takes/walk.zarr/cameras/c02/alpha/bgmv2_mobilenetv2_xs-v0001",
        *(f"stages/ring.zarr/cameras/c00/{part}" for part in ("mean", "noise", "valid")),
    }


def test_damage_on_s3_is_mended(s3_root: Root, session: str) -> None:
    _commands(s3_root.url, session, None)
    files = ["takes/walk.zarr/cameras/c01/rgb/c/0/0/0/0", "takes/walk.zarr/zarr.json", "stages/ring.zarr/zarr.json"]
    whole = [s3_root.read(file) for file in files]
    s3_root.remove(files[0])
    s3_root.write(files[1], whole[1][:-9])
    s3_root.write(files[2], whole[2].replace(b"12", b"13", 1))
    findings = verify(s3_root)
    assert {f.file for f in findings.damaged} == set(files)
    forget_damage(s3_root, findings.found)
    _commands(s3_root.url, session, None)
    assert verify(s3_root, deep=True).found == []
    assert [s3_root.read(file) for file in files] == whole


def test_what_older_stores_recorded_is_mended_too(store: str, session: str) -> None:
    _commands(store, session, None)
    whole, ledger = _pixels(store), Ledger(Root(store))
    for key, entry in ledger.entries("").items():
        ledger.forget(key)
        if entry and not key.startswith("seal/"):
            ledger.record(key, {name: said for name, said in entry.items() if name not in ("files", "session")})
    Path(store, "takes/walk.zarr/zarr.json").write_bytes(b"")
    Path(store, "stages/ring.zarr/cameras/c01/valid/c/0/0/0").unlink()
    findings = verify(Root(store))
    assert [f.again for f in findings.damaged] == [
        "capmat ingest SESSION.toml walk",
        "capmat ingest SESSION.toml",
    ]
    forget_damage(Root(store), findings.found)
    ingest(store, session, "walk", plates(store, session)["digest"])
    forget_damage(Root(store), verify(Root(store)).found)
    _commands(store, session, None)
    assert _pixels(store) == whole


def test_a_take_that_is_made_anew_does_not_answer_for_the_mattes_of_the_old_one(
    store: str, session: str, tmp_path: Path
) -> None:
    model = _register(store, tmp_path)
    _commands(store, session, model)
    whole = _pixels(store)
    Root(store).delete("takes/walk.zarr")
    ingest_plates(store, session)
    ingest_take(store, session, "walk")
    assert [f.what for f in verify(Root(store)).found] == []
    _commands(store, session, model)
    assert _pixels(store) == whole
