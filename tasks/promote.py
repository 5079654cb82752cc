"""The gate: a refined model takes the place of the one in use only if the benchmark says it is better."""

from typing import Any

from storage.registry import Registry
from storage.root import Root
from tasks.config import Gate
from tasks.models import Ref
from tasks.step import Record, retryable, run_once
from tasks.validate import Scores


def decide(champion: dict[str, Scores], challenger: dict[str, Scores], gate: Gate) -> dict[str, Any]:
    """PROMOTE, HOLD or REJECT, with the reasons in words.

    Args:
        champion: scores per benchmark picture of the model in use.
        challenger: the same of the candidate, on the same pictures.
        gate: the margins.

    Returns:
        `decision` and `reasons`. REJECT when the challenger is worse, HOLD when it is not better by the margin
        or spoils a single picture.
    """
    pictures = sorted(champion)
    old = sum(champion[p]["mse"] for p in pictures) / len(pictures)
    new = sum(challenger[p]["mse"] for p in pictures) / len(pictures)
    share = new / old if old else float("inf")
    reasons = [f"benchmark MSE {new * 1e4:.2f}e-4 against {old * 1e4:.2f}e-4: {share:.2f} of the champion's"]
    if share > 1:
        return {"decision": "REJECT", "reasons": [*reasons, "the challenger is worse"]}
    # a picture that was nearly perfect may get worse by a factor without anybody seeing it
    spoilt = [p for p in pictures if challenger[p]["mse"] > gate.worst * max(champion[p]["mse"], 0.1 * old)]
    if spoilt:
        reasons.append(f"more than {gate.worst:g} times worse on {', '.join(spoilt)}")
    if share > gate.margin:
        reasons.append(f"not below the margin of {gate.margin:g}")
    hold = bool(spoilt) or share > gate.margin
    return {"decision": "HOLD" if hold else "PROMOTE", "reasons": reasons}


def promote(store: str, role: str, champion: Ref, challenger: Ref, validation: Record, gate: Gate) -> Record:
    """Apply the gate to one role and move its pointer if the challenger wins.

    Args:
        store: URL of the store.
        role: `teacher` or `student`.
        champion: the model that the rows `<role>_base` belong to.
        challenger: the model of the rows `<role>_refined`.
        validation: record of the validation that scored both.
        gate: the margins.

    Returns:
        Record with `decision`, `reasons` and both models.
    """
    each = validation["per_image"]

    def work() -> dict[str, Any]:
        verdict = decide(each[f"{role}_base"], each[f"{role}_refined"], gate)
        verdict |= {"role": role, "champion": champion, "challenger": challenger}
        if verdict["decision"] == "PROMOTE":
            record = {**verdict, "validation": validation["digest"]}
            Registry(Root(store)).promote(role, challenger["name"], challenger["version"], record)
        return verdict

    inputs = {
        "champion": champion,
        "challenger": challenger,
        "validation": validation["digest"],
        "gate": gate.model_dump(),
    }
    return run_once(store, "promote", role, inputs, work)


promote_task = retryable("gate", "gate {role}")(promote)
