"""Models are kept as they were, and exactly one is the champion at any time."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from capmat_errors import NotFound, Overtaken, StoreError
from storage.registry import Model, Registry
from storage.store.ledger import Ledger
from storage.store.root import Root


def test_models_come_back_by_version(root: Root) -> None:
    registry = Registry(root)
    assert registry.names() == []
    assert registry.add("student", b"one", {"epochs": 1}) == "v0001"
    assert registry.add("student", b"two", {"epochs": 2}) == "v0002"
    assert registry.add("student", b"one", {"epochs": 1}) == "v0001"
    assert registry.load("student", "v0001") == (b"one", {"epochs": 1})
    assert (registry.names(), registry.versions("student")) == (["student"], ["v0001", "v0002"])


def test_the_same_model_is_kept_once_also_when_its_card_holds_tuples(folder: Root) -> None:
    registry = Registry(folder)
    for _ in range(2):
        assert registry.add("m", b"w", {"size": (3, 4)}) == "v0001"


def test_a_name_without_version_is_the_one_in_use_or_the_newest(folder: Root) -> None:
    registry = Registry(folder)
    for weights in (b"one", b"two"):
        registry.add("m", weights, {})
    assert registry.resolve("m") == "v0002"
    registry.promote("student", "m", "v0001", {})
    assert (registry.resolve("m"), registry.resolve("m", "v0002")) == ("v0001", "v0002")
    with pytest.raises(NotFound, match="no version is called v0003; the store has: v0001, v0002"):
        registry.resolve("m", "v0003")
    with pytest.raises(NotFound):
        registry.resolve("other")


def test_the_champion_changes_by_promotion_alone_and_can_go_back(root: Root) -> None:
    registry = Registry(root)
    for weights in (b"one", b"two"):
        registry.add("student", weights, {})
    assert registry.champion("student") is None
    for version in ("v0001", "v0002", "v0001"):
        registry.promote("student", "student", version, {"mse": 0.1})
    assert registry.champion("student") == ("student", "v0001")
    assert registry.load("student")[0] == b"one"
    assert [entry["version"] for entry in registry.history("student")] == ["v0001", "v0002", "v0001"]
    assert registry.history("student")[0]["record"] == {"mse": 0.1}


def three_in_use(root: Root) -> Registry:
    registry = Registry(root)
    for weights in (b"one", b"two", b"three"):
        registry.promote("student", "student", registry.add("student", weights, {}), {"decision": "PROMOTE"})
    return registry


def test_going_back_goes_one_further_each_time_and_says_what_it_took_back(root: Root) -> None:
    registry = three_in_use(root)
    why = {"by": "ada", "reasons": ["flickers"]}
    assert registry.roll_back("student", why) == (("student", "v0003"), ("student", "v0002"))
    assert registry.champion("student") == ("student", "v0002")
    said = registry.history("student")[-1]
    assert said["record"] == {
        **why, "decision": "ROLLBACK", "taken_back": {"name": "student", "version": "v0003"}
    }  # fmt: skip
    assert said["time"]
    registry.roll_back("student", why)
    assert registry.champion("student") == ("student", "v0001")  # and not v0003 again
    with pytest.raises(NotFound, match="student@v0001 is the first model, nothing was in use before it"):
        registry.roll_back("student", why)
    registry.promote("student", "student", "v0003", {})
    registry.promote("student", "student", "v0003", {})  # said twice
    assert registry.roll_back("student", why)[1] == ("student", "v0001")
    assert len(registry.history("student")) == 7  # what is said twice is one entry
    with pytest.raises(NotFound, match="no model is in use"):
        registry.roll_back("teacher", why)


def test_two_who_go_back_at_once_never_skip_a_model(root: Root) -> None:
    registry = three_in_use(root)

    def go_back(_: int) -> bool:
        try:
            registry.roll_back("student", {})
        except StoreError:
            return False
        return True

    with ThreadPoolExecutor(2) as people:
        went = sum(people.map(go_back, range(2)))
    assert went >= 1
    assert registry.champion("student") == ("student", f"v000{3 - went}")


def test_who_goes_back_a_moment_after_somebody_else_is_told_that_nothing_was_done(
    folder: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, late = three_in_use(folder), Registry(folder)
    before = [late.history("student")]  # read once before the other writes, afterwards as it is
    monkeypatch.setattr(late, "history", lambda role: before.pop() if before else registry.history(role))
    registry.roll_back("student", {"by": "ada"})
    with pytest.raises(Overtaken):
        late.roll_back("student", {"by": "ada"})
    assert registry.champion("student") == ("student", "v0002")
    assert len(registry.history("student")) == 4


def test_a_model_replaces_only_the_one_that_it_has_beaten_and_says_which(root: Root) -> None:
    registry = three_in_use(root)
    one, two, three = (Model("student", f"v000{number}") for number in (1, 2, 3))
    for beaten in ([two], []):
        with pytest.raises(Overtaken, match="role student: another model was put in use at the same time"):
            registry.promote("student", *one, {}, beaten)
    assert registry.champion("student") == three
    assert registry.promote("student", *one, {"by": "gate"}, [three]) == three
    assert registry.promote("student", *two, {"by": "hand"}) == one  # a person is free to
    files = [json.loads(root.read(f"promotions/student/p000{number}.json")) for number in range(1, 6)]
    replaced = [file["record"].get("champion", {}).get("version") for file in files]
    assert replaced == [None, "v0001", "v0002", "v0003", "v0001"]


def test_of_many_who_have_beaten_the_same_model_at_once_one_is_put_in_use(root: Root) -> None:
    registry = Registry(root)
    versions = [registry.add("student", bytes([number]), {}) for number in range(6)]
    registry.promote("student", "student", versions[0], {})

    def won(version: str) -> bool:
        try:
            registry.promote("student", "student", version, {}, [Model("student", versions[0])])
        except Overtaken:
            return False
        return True

    with ThreadPoolExecutor(5) as gates:
        winners = [
            version for version, first in zip(versions[1:], gates.map(won, versions[1:]), strict=True) if first
        ]
    assert len(winners) == 1
    assert root.names("promotions/student") == ["p0001.json", "p0002.json"]
    assert registry.champion("student") == ("student", winners[0])


def test_models_that_are_added_at_once_are_all_kept(root: Root) -> None:
    registry = Registry(root)
    with ThreadPoolExecutor(5) as trainers:
        versions = list(trainers.map(lambda n: registry.add("m", bytes([n]), {"n": n}), range(5)))
    assert sorted(versions) == [f"v000{n}" for n in range(1, 6)]
    assert all(registry.load("m", version) == (bytes([n]), {"n": n}) for n, version in enumerate(versions))


def test_damaged_weights_are_not_handed_out(folder: Root) -> None:
    registry = Registry(folder)
    registry.add("m", b"weights", {})
    (file,) = Path(folder.url, "models/m/weights").iterdir()
    file.write_bytes(b"weightz")
    with pytest.raises(StoreError, match="the weights of m v0001 are damaged"):
        registry.load("m", "v0001")


@pytest.mark.parametrize("written", [b"", b'{"name": ', b"[]", b"null", b"\xff\xfe"])
def test_a_damaged_record_is_named_and_never_taken_for_another(root: Root, written: bytes) -> None:
    registry = Registry(root)
    registry.promote("student", "m", registry.add("m", b"weights", {}), {})
    for key, use in (("promotions/student/p0001", lambda: registry.champion("student")),
                     ("models/m/v0001", lambda: registry.load("m", "v0001"))):  # fmt: skip
        root.write(f"{key}.json", written)
        with pytest.raises(StoreError, match="the file is damaged") as error:
            use()
        assert f"{root.url}/{key}.json" in str(error.value)


def test_unknown_models_are_answered_with_those_there_are(folder: Root) -> None:
    registry = Registry(folder)
    registry.add("m", b"w", {})
    with pytest.raises(NotFound, match="no version is called v0009; the store has: v0001"):
        registry.load("m", "v0009")
    with pytest.raises(NotFound, match="no version of m is champion. Name one of v0001"):
        registry.load("m")
    with pytest.raises(NotFound):
        registry.promote("student", "m", "v0002", {})
    assert registry.champion("student") is None


def test_the_ledger_knows_what_is_done_until_it_is_taken_back(root: Root) -> None:
    ledger = Ledger(root)
    assert ledger.done("ingest/walk/c0") is None
    ledger.record("ingest/walk/c0", {"frames": 3})
    assert Ledger(root).done("ingest/walk/c0") == {"frames": 3}
    ledger.forget("ingest/walk/c0")
    assert ledger.done("ingest/walk/c0") is None
