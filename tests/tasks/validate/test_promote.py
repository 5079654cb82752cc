"""The gate promotes what is better, holds what is not clearly better, rejects what is worse."""

import math
from pathlib import Path
from typing import Any

import pytest

from capmat_errors import MatteError
from storage.registry import Registry
from storage.store.root import Root
from tasks.config import Gate
from tasks.models.networks import Ref
from tasks.runtime.step import Record
from tasks.validate.gate import decide
from tasks.validate.promote import alike, ask_gate, incumbents, promote


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
        ((0.0, 0.0), (0.0, 0.0), "HOLD", "margin"),  # nothing is better than perfect
        ((2e-3, 2e-3), (1e-3, math.nan), "REJECT", "nan or infinite on c1/1"),
        ((2e-3, math.nan), (1e-3, 1e-3), "HOLD", "champion's error is nan or infinite"),
        ((2e-3,), (1e-3,), "PROMOTE", "one picture, which says nothing about others"),
    ],
)
def test_decision(champion: tuple[float, ...], challenger: tuple[float, ...], decision: str, word: str) -> None:
    verdict = decide(scores(*champion), scores(*challenger), Gate())
    assert verdict["decision"] == decision
    assert word in " ".join(verdict["reasons"])


def test_the_first_model_of_a_role_has_nothing_to_beat() -> None:
    verdict = decide(None, scores(3e-2), Gate())
    assert verdict["decision"] == "PROMOTE"
    assert "no model is in use for this role" in verdict["reasons"][-1]
    assert decide(None, scores(math.nan), Gate())["decision"] == "REJECT"


@pytest.mark.parametrize("pictures", [(1e-3,), (1e-3, 1e-3, 1e-3), ()])
def test_models_that_were_measured_on_different_pictures_are_not_compared(pictures: tuple[float, ...]) -> None:
    with pytest.raises(MatteError, match="same pictures"):
        decide(scores(2e-3, 2e-3), scores(*pictures), Gate())


def timed(ms: float, hardware: str = "a machine") -> dict[str, Any]:
    return {"ms": ms, "hardware": hardware, "threads": 1, "size": [10, 10]}


def fits(score: float) -> dict[str, Any]:
    return {"score": score, "worst": "walk c3"}


@pytest.mark.parametrize(
    ("champion", "challenger", "decision", "word"),
    [
        (timed(10), timed(14.9), "PROMOTE", "14.9 ms a frame against 10.0 on a machine: 1.49 of the champion's"),
        (timed(10), timed(15.1), "HOLD", "more than 1.5"),
        (timed(10), timed(5), "PROMOTE", "0.50 of the champion's"),
        (timed(10), timed(5, "another machine"), "HOLD", "different machines"),
    ],
)
def test_a_better_model_that_is_too_slow_is_held(
    champion: dict[str, Any], challenger: dict[str, Any], decision: str, word: str
) -> None:
    times = {"champion": champion, "challenger": challenger}
    verdict = decide(scores(2e-3, 2e-3), scores(1e-3, 1e-3), Gate(), latency=times)
    assert verdict["decision"] == decision
    assert word in " ".join(verdict["reasons"])


@pytest.mark.parametrize(
    ("champion", "challenger", "decision", "word"),
    [
        (fits(0.010), fits(0.014), "PROMOTE", "1.40 % of its silhouettes do not fit together against 1.00 %"),
        (fits(0.010), fits(0.016), "HOLD", "worst walk c3"),
        (fits(0.010), {"absent": "take walk: the mattes agree on no place"}, "HOLD", "agree on no place"),
        ({"absent": "take walk: 2 cameras have a matte"}, fits(0.4), "PROMOTE", "0.50"),  # nothing to compare with
    ],
)
def test_a_better_model_whose_mattes_fit_together_less_is_held(
    champion: dict[str, Any], challenger: dict[str, Any], decision: str, word: str
) -> None:
    pair = {"champion": champion, "challenger": challenger}
    verdict = decide(scores(2e-3, 2e-3), scores(1e-3, 1e-3), Gate(), hull=pair)
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


def test_a_model_that_a_person_took_back_is_not_put_in_use_again_by_the_gate(store: str) -> None:
    measured, registry = validation(student_base=4e-3, student_refined=2e-3), Registry(Root(store))
    assert promote(store, "student", ref(1), ref(2), measured, Gate())["decision"] == "PROMOTE"
    registry.roll_back("student", {"by": "ada", "reasons": ["flickers at the feet"]})
    again = promote(store, "student", beaten(store, ref(2)), ref(2), measured, Gate())
    assert again["decision"] == "HOLD"
    assert "by ada: flickers at the feet" in again["reasons"][-1]
    assert registry.champion("student") == ("student", "v0001")
    registry.promote("student", "student", "v0002", {"by": "hand"})  # a person may
    registry.promote("student", "student", "v0001", {"by": "hand"})
    later = promote(store, "student", ref(1), ref(2), validation(student_base=5e-3, student_refined=2e-3), Gate())
    assert later["decision"] == "PROMOTE"


def measured(model: Ref, *mse: float) -> Record:
    found = {"supervisor": {f"walk/c0/{i}": {"mse": value} for i, value in enumerate(mse)}, "latency": timed(5)}
    return {"model": model, "benchmarks": {"gold@b0001": found}, "digest": [str(mse)]}


def test_the_gate_can_be_asked_about_any_model_and_moves_nothing_unless_it_is_told_to(store: str) -> None:
    pair = {"champion": measured(ref(1), 4e-3, 4e-3), "challenger": measured(ref(3), 2e-3, 2e-3)}
    verdict = ask_gate(store, "student", pair, Gate(), False)
    assert verdict["decision"] == "PROMOTE"
    assert (verdict["champion"], verdict["challenger"]) == (ref(1), ref(3))
    assert verdict["benchmarks"] == ["gold@b0001"]
    registry = Registry(Root(store))
    assert registry.champion("student") == ("student", "v0001")
    assert registry.verdicts("student")[-1]["verdict"] == verdict
    for who, score in (("champion", 0.01), ("challenger", 0.2)):
        pair[who]["benchmarks"]["gold@b0001"]["hull"] = fits(score)
    assert ask_gate(store, "student", pair, Gate(), True)["decision"] == "HOLD"
    assert registry.champion("student") == ("student", "v0001")
    pair["challenger"]["benchmarks"]["gold@b0001"]["hull"] = fits(0.01)
    ask_gate(store, "student", pair, Gate(), True)
    assert registry.champion("student") == ("student", "v0003")
    first = ask_gate(store, "matter", {"challenger": measured(ref(2), 9e-2)}, Gate(), True)
    assert (first["decision"], first["champion"]) == ("PROMOTE", None)
    assert registry.champion("matter") == ("student", "v0002")


def test_networks_of_one_structure_are_equally_fast(store: str) -> None:
    registry = Registry(Root(store))
    cards = [{"architecture": "a"}, {"architecture": "a", "seed": 1}, {"architecture": "a", "config": {"depth": 2}}]
    one, same, deeper = (Ref(name="net", version=registry.add("net", bytes([i]), c)) for i, c in enumerate(cards))
    assert alike(store, one, same)
    assert not alike(store, one, deeper)
    assert not alike(store, ref(1), ref(2))  # of which nobody knows what they are
