"""The gate: a refined model takes the place of the one in use only if the benchmark says it is better."""

from collections.abc import Mapping
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


def incumbents(store: str, base: Mapping[str, Ref], challengers: Mapping[str, Ref]) -> dict[str, Ref]:
    """Whom the challengers have to beat: the models in use.

    When a round is repeated its challenger may be in use already; then it is the one that it took the place of, so
    that the same round gives the same verdict.

    Args:
        store: URL of the store.
        base: base models by role, for a role that nothing was ever promoted in.
        challengers: candidates by role.
    """
    registry = Registry(Root(store))
    found: dict[str, Ref] = {}
    for role, challenger in challengers.items():
        newest = (registry.history(role) or [{"name": "", "version": "", "record": {}}])[-1]
        in_use = Ref(name=newest["name"], version=newest["version"])
        if in_use == challenger:
            in_use = newest["record"].get("champion") or base[role]
        found[role] = in_use if in_use["name"] else base[role]
    return found


def promote(store: str, role: str, champion: Ref, challenger: Ref, validation: Record, gate: Gate) -> Record:
    """Apply the gate to one role and move its pointer if the challenger wins.

    Args:
        store: URL of the store.
        role: `teacher` or `student`.
        champion: the model to beat, from `incumbents`. Its rows are `<role>_champion`, or `<role>_base` where it is
            the base model.
        challenger: the model of the rows `<role>_refined`.
        validation: record of the validation that scored both.
        gate: the margins.

    Returns:
        Record with `decision`, `reasons` and both models.
    """
    each = validation["per_image"]

    def work() -> dict[str, Any]:
        verdict = decide(each.get(f"{role}_champion", each[f"{role}_base"]), each[f"{role}_refined"], gate)
        verdict |= {"role": role, "champion": champion, "challenger": challenger}
        registry = Registry(Root(store))
        # it is in use already if a run was killed right after it was promoted
        if verdict["decision"] == "PROMOTE" and registry.champion(role) != (
            challenger["name"],
            challenger["version"],
        ):
            record = {**verdict, "validation": validation["digest"]}
            registry.promote(role, challenger["name"], challenger["version"], record)
        registry.add_verdict(role, verdict)
        return verdict

    inputs = {
        "champion": champion,
        "challenger": challenger,
        "validation": validation["digest"],
        "gate": gate.model_dump(),
    }
    return run_once(store, "promote", role, inputs, work)


def newest_pair(store: str, role: str, base: Ref) -> dict[str, Any]:
    """The two models of a role that are worth a comparison downstream: those of the gate's newest verdict.

    Args:
        store: URL of the store.
        role: such as `student`.
        base: its base model, which stands for the former one where nothing was ever judged.

    Returns:
        `base` and `refined` (references of models), and `verdict`, its number; "" where there is no verdict.
    """
    registry = Registry(Root(store))
    if verdicts := registry.verdicts(role):
        said = verdicts[-1]["verdict"]
        return {"base": said["champion"], "refined": said["challenger"], "verdict": verdicts[-1]["number"]}
    name, version = registry.champion(role) or (base["name"], base["version"])
    return {"base": base, "refined": Ref(name=name, version=version), "verdict": ""}


def keep_reconstruction(store: str, role: str, verdict: str, judged: Record) -> None:
    """Put what a radiance field made of both models' mattes beside the gate's verdict."""
    figures = ("psnr", "psnr_foreground", "ssim", "collapsed")
    how = ("black", "backend", "iterations", "resolution", "background", "held_out", "reference")
    record = {
        **{
            name: {key: judged[row][key] for key in figures}
            for name, row in (("champion", "base"), ("challenger", "refined"))
        },
        **{key: judged[key] for key in how},
    }
    Registry(Root(store)).add_measure(role, verdict, "reconstruction", record)


promote_task = retryable("gate", "gate {role} {challenger[version]}")(promote)
incumbents_task = retryable("models to beat")(incumbents)
newest_pair_task = retryable("models to compare")(newest_pair)
keep_reconstruction_task = retryable("note the reconstruction", "note the reconstruction of {role}")(
    keep_reconstruction
)
