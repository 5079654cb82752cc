"""The gate promotes what is better, holds what is not clearly better, rejects what is worse."""

from pathlib import Path

import pytest

from storage.registry import Registry
from storage.root import Root
from tasks.config import Gate
from tasks.models import Ref
from tasks.promote import decide, incumbents, promote
from tasks.step import Record


def scores(*mse: float) -> dict[str, dict[str, float]]:
    return {f"c{i}/1": {"mse": value} for i, value in enumerate(mse)}


@pytest.mark.parametrize(
    ("champion", "challenger", "decision", "word"),
    [
        ((2e-3, 2e-3), (1e-3, 1e-3), "PROMOTE", "0.50"),
        ((2e-3, 2e-3), (1.98e-3, 1.98e-3), "HOLD", "margin"),
        ((2e-3, 2e-3), (3e-3, 2e-3), "REJECT", "worse"),
        ((8e-3, 1e-3), (1e-3, 2.5e-3), "HOLD", "c1/1"),
        ((8e-3, 1e-6), (1e-3, 9e-6), "PROMOTE", "0.13"),  # from perfect to nearly perfect spoils nothing
        ((0.0, 0.0), (1e-4, 1e-4), "REJECT", "worse"),
    ],
)
def test_decision(champion: tuple[float, ...], challenger: tuple[float, ...], decision: str, word: str) -> None:
    verdict = decide(scores(*champion), scores(*challenger), Gate())
    assert verdict["decision"] == decision
    assert word in " ".join(verdict["reasons"])


def validation(**mse: float) -> Record:
    """One picture; rows by name, such as `student_base`."""
    rows = {row: scores(value) for row, value in mse.items()}
    return {"digest": str(sorted(mse.items())), "per_image": rows}


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Three versions of a student; the first, its base, is in use."""
    url = str(tmp_path / "store")
    registry = Registry(Root(url))
    for number in range(3):
        registry.add("student", bytes([number]), {"number": number})
    registry.promote("student", "student", "v0001", {"reasons": ["first of its role"]})
    return url


def ref(number: int) -> Ref:
    return Ref(name="student", version=f"v000{number}")


def beaten(store: str, challenger: Ref) -> Ref:
    return incumbents(store, {"student": ref(1)}, {"student": challenger})["student"]


def test_a_challenger_has_to_beat_the_model_in_use_and_not_only_its_base(store: str) -> None:
    assert beaten(store, ref(2)) == ref(1)
    first = promote(store, "student", ref(1), ref(2), validation(student_base=4e-3, student_refined=2e-3), Gate())
    assert first["decision"] == "PROMOTE"
    assert beaten(store, ref(3)) == ref(2)
    worse = validation(student_base=4e-3, student_champion=2e-3, student_refined=3e-3)  # but better than its base
    second = promote(store, "student", ref(2), ref(3), worse, Gate())
    assert second["decision"] == "REJECT"
    assert Registry(Root(store)).champion("student") == ("student", "v0002")


def test_a_round_that_is_repeated_gives_the_same_verdict_and_promotes_once(store: str) -> None:
    measured = validation(student_base=4e-3, student_refined=2e-3)
    first = promote(store, "student", beaten(store, ref(2)), ref(2), measured, Gate())
    again = promote(store, "student", beaten(store, ref(2)), ref(2), measured, Gate())
    assert again["reused"]
    assert (again["decision"], again["champion"]) == (first["decision"], first["champion"])
    assert len(Registry(Root(store)).history("student")) == 2


def test_a_kill_between_promotion_and_record_leaves_one_promotion(store: str) -> None:
    measured = validation(student_base=4e-3, student_refined=2e-3)
    promote(store, "student", ref(1), ref(2), measured, Gate())
    Root(store).delete("ledger")  # as if it had never been recorded
    again = promote(store, "student", beaten(store, ref(2)), ref(2), measured, Gate())
    assert again["decision"] == "PROMOTE"
    assert not again["reused"]
    assert len(Registry(Root(store)).history("student")) == 2


def test_after_a_promotion_by_hand_that_model_is_the_one_to_beat(store: str) -> None:
    Registry(Root(store)).promote("student", "student", "v0003", {"by": "hand", "champion": ref(1)})
    assert beaten(store, ref(2)) == ref(3)
    assert beaten(store, ref(3)) == ref(1)


def test_a_role_that_nothing_was_promoted_in_starts_from_its_base(tmp_path: Path) -> None:
    assert incumbents(str(tmp_path), {"teacher": ref(1)}, {"teacher": ref(2)}) == {"teacher": ref(1)}
