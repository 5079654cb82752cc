"""The gate promotes what is better, holds what is not clearly better, rejects what is worse."""

import json
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
from tasks.validate.promote import alike, ask_gate, incumbents, promote, verdict_text


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
        ((2e-3,), (1e-3,), "PROMOTE", "by 1 picture; fewer than 6 say too little about others"),
        ((2e-3,) * 5, (1e-3,) * 5, "PROMOTE", "by 5 pictures; fewer than 6 say too little about others"),
        ((2e-3,) * 6, (1e-3,) * 6, "PROMOTE", "0.50 of the champion's (95 % interval 0.50 to 0.50)"),
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
    title, text = verdict_text(store, [first, second])  # as the page of the run shows it
    assert title == "student student@v0002 is in use now; student student@v0003 was rejected"
    assert "compared with student@v0001" in text
    assert all(reason[:20] in text for reason in (first["reasons"][0], second["reasons"][0]))


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


def three_in_turn(store: str) -> Registry:
    """v0002 and then v0003 were promoted; a fourth version waits for the gate."""
    registry = Registry(Root(store))
    registry.add("student", b"4", {"number": 4})
    for number in (2, 3):
        registry.promote("student", "student", f"v000{number}", {"decision": "PROMOTE"})
    return registry


BETTER = {"student_base": 4e-3, "student_champion": 2e-3, "student_refined": 1e-3}


def pointers(store: str) -> list[str]:
    """The versions that were in use, read from the files themselves."""
    files = sorted(Path(store, "promotions/student").glob("p*.json"))
    return [json.loads(file.read_bytes())["version"] for file in files]


def test_a_challenger_is_held_if_the_model_that_it_has_beaten_was_rolled_back_meanwhile(store: str) -> None:
    registry = three_in_turn(store)
    champion = beaten(store, ref(4))
    registry.roll_back("student", {"by": "ada", "reasons": ["flickers"]})
    verdict = promote(store, "student", champion, ref(4), validation(**BETTER), Gate())
    assert verdict["decision"] == "HOLD"
    assert verdict["reasons"][-1] == (
        "student@v0002 is in use now, but student@v0004 was compared with student@v0003; "
        "to compare the two: capmat validate student@v0004 --gate student --promote"
    )
    assert pointers(store) == ["v0001", "v0002", "v0003", "v0002"]
    assert registry.verdicts("student")[-1]["verdict"]["decision"] == "HOLD"
    registry.promote("student", "student", "v0003", {"by": "hand"})
    assert promote(store, "student", champion, ref(4), validation(**BETTER), Gate())["decision"] == "PROMOTE"


def test_a_worse_challenger_is_told_as_well_that_another_model_is_in_use(store: str) -> None:
    registry = three_in_turn(store)
    registry.roll_back("student", {})
    worse = validation(student_base=4e-3, student_champion=1e-3, student_refined=2e-3)
    verdict = promote(store, "student", ref(3), ref(4), worse, Gate())
    assert verdict["decision"] == "REJECT"
    assert "student@v0002 is in use now" in verdict["reasons"][-1]


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_change_while_the_gate_decides_holds_the_challenger(
    store: str, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = three_in_turn(store)
    seen: list[str] = []

    def slowly(*args: Any, **words: Any) -> Any:
        if not seen:
            if by_hand:
                registry.promote("student", "student", "v0001", {"by": "hand"})
            else:
                registry.roll_back("student", {})
        seen.append("asked")
        return decide(*args, **words)

    monkeypatch.setattr("tasks.validate.promote.decide", slowly)
    before = registry.champion("student")
    verdict = promote(store, "student", ref(3), ref(4), validation(**BETTER), Gate())
    assert verdict["decision"] == "HOLD"
    assert f"{'@'.join(registry.champion('student') or ())} is in use now" in verdict["reasons"][-1]
    assert registry.champion("student") != before
    assert "v0004" not in pointers(store)
    registry.promote("student", "student", "v0003", {"by": "hand"})  # as if nothing had happened
    assert promote(store, "student", ref(3), ref(4), validation(**BETTER), Gate())["decision"] == "PROMOTE"


def test_of_two_rounds_at_once_the_second_is_held(store: str) -> None:
    champion = beaten(store, ref(2))
    assert beaten(store, ref(3)) == champion
    rounds = [
        promote(store, "student", champion, ref(number), validation(student_base=4e-3, student_refined=mse), Gate())
        for number, mse in ((2, 1e-3), (3, 2e-3))  # the second is worse than the first
    ]
    assert [verdict["decision"] for verdict in rounds] == ["PROMOTE", "HOLD"]
    assert pointers(store) == ["v0001", "v0002"]


def test_a_repeated_round_has_to_beat_what_it_replaced_also_after_a_rollback_to_it(store: str) -> None:
    registry = three_in_turn(store)
    registry.promote("student", "student", "v0003", {"by": "hand"})  # said twice
    assert beaten(store, ref(3)) == ref(2)
    registry.promote("student", "student", "v0004", {})
    registry.roll_back("student", {})
    assert beaten(store, ref(3)) == ref(2)


def measured(model: Ref, *mse: float) -> Record:
    found = {"supervisor": {f"walk/c0/{i}": {"mse": value} for i, value in enumerate(mse)}, "latency": timed(5)}
    return {"model": model, "benchmarks": {"gold@b0001": found}, "digest": [str(mse)]}


def test_the_gate_can_be_asked_about_any_model_and_moves_nothing_unless_it_is_told_to(store: str) -> None:
    pair = {"champion": measured(ref(1), 4e-3, 4e-3), "challenger": measured(ref(3), 2e-3, 2e-3)}
    verdict = ask_gate(store, "student", pair, Gate(), False, {})
    assert verdict["decision"] == "PROMOTE"
    assert (verdict["champion"], verdict["challenger"]) == (ref(1), ref(3))
    assert verdict["benchmarks"] == ["gold@b0001"]
    registry = Registry(Root(store))
    assert registry.champion("student") == ("student", "v0001")
    assert registry.verdicts("student")[-1]["verdict"] == verdict
    for who, score in (("champion", 0.01), ("challenger", 0.2)):
        pair[who]["benchmarks"]["gold@b0001"]["hull"] = fits(score)
    assert ask_gate(store, "student", pair, Gate(), True, {})["decision"] == "HOLD"
    assert registry.champion("student") == ("student", "v0001")
    pair["challenger"]["benchmarks"]["gold@b0001"]["hull"] = fits(0.01)
    ask_gate(store, "student", pair, Gate(), True, {})
    assert registry.champion("student") == ("student", "v0003")
    doubted = ask_gate(store, "student", pair, Gate(), False, {"gold@b0001": {"walk/c0/1": 0.02}})
    assert any("may be wrong on gold@b0001: walk/c0/1; on the others" in reason for reason in doubted["reasons"])
    late = ask_gate(store, "student", {**pair, "challenger": measured(ref(2), 1e-3, 1e-3)}, Gate(), True, {})
    assert late["decision"] == "HOLD"  # v0001, which it has beaten, is not in use any more
    assert "student@v0003 is in use now, but student@v0002 was compared with student@v0001" in late["reasons"][-1]
    alone = ask_gate(store, "student", {"challenger": measured(ref(2), 1e-3)}, Gate(), True, {})
    assert (alone["decision"], alone["champion"]) == ("HOLD", None)
    assert "student@v0002 was compared with no model" in alone["reasons"][-1]
    assert registry.champion("student") == ("student", "v0003")
    first = ask_gate(store, "matter", {"challenger": measured(ref(2), 9e-2)}, Gate(), True, {})
    assert (first["decision"], first["champion"]) == ("PROMOTE", None)
    assert registry.champion("matter") == ("student", "v0002")


def test_networks_of_one_structure_are_equally_fast(store: str) -> None:
    registry = Registry(Root(store))
    cards = [{"architecture": "a"}, {"architecture": "a", "seed": 1}, {"architecture": "a", "config": {"depth": 2}}]
    one, same, deeper = (Ref(name="net", version=registry.add("net", bytes([i]), c)) for i, c in enumerate(cards))
    assert alike(store, one, same)
    assert not alike(store, one, deeper)
    assert not alike(store, ref(1), ref(2))  # of which nobody knows what they are
