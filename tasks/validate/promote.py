"""The gate: a refined model takes the place of the one in use only if the benchmark says it is better."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from capmat_errors import ConfigError, MatteError
from storage.registry import Registry
from storage.store.root import Root
from tasks.config import Gate
from tasks.models.networks import Ref, card_of
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.validate.score import Scores

Pair = Mapping[str, Any]
"""Something of both models: `champion` and `challenger`."""


def decide(
    champion: Mapping[str, Scores] | None,
    challenger: Mapping[str, Scores],
    gate: Gate,
    *,
    latency: Pair | None = None,
    hull: Pair | None = None,
) -> dict[str, Any]:
    """PROMOTE, HOLD or REJECT, with the reasons in words.

    Args:
        champion: scores per benchmark picture of the model in use; None where none is.
        challenger: the same of the candidate, on the same pictures.
        gate: the margins.
        latency: the time of a frame with both, see `tasks.models.speed`; None where it is known to be the same.
        hull: how much of their silhouettes does not fit together, see `tasks.validate.measure`; None where nobody
            asked.

    Returns:
        `decision` and `reasons`. REJECT when the challenger is worse or has no scores that are numbers, HOLD when it
        is not better by the margin, spoils a single picture, is too slow, or its mattes fit together less. Without a
        champion there is nothing to beat: PROMOTE.

    Raises:
        MatteError: the two were measured on different pictures, or on none.
    """
    pictures = sorted(challenger)
    if not pictures or (champion is not None and sorted(champion) != pictures):
        odd = sorted(set(challenger) ^ set(champion or {}))
        raise MatteError(
            "champion and challenger were not measured on the same pictures",
            where=", ".join(odd[:3]) or "no picture",
            fix="Validate both on one version of a benchmark.",
        )
    if broken := [p for p in pictures if not math.isfinite(challenger[p]["mse"])]:
        return _verdict("REJECT", [f"the challenger's error is no number on {_some(broken)}"])
    new = _mean(challenger)
    if champion is None:
        said = f"benchmark MSE {new * 1e4:.2f}e-4 on {len(pictures)} pictures"
        return _verdict("PROMOTE", [said, "no model is in use for this role: there is nothing to beat"])
    old = _mean(champion)
    if not math.isfinite(old):
        return _verdict("HOLD", ["the champion's error is no number: measure it again"])
    share = new / old if old else (math.inf if new else 1.0)
    reasons = [
        f"benchmark MSE {new * 1e4:.2f}e-4 against {old * 1e4:.2f}e-4: {share:.2f} of the champion's"
        + _how_sure(champion, challenger)
    ]
    if share > 1:
        return _verdict("REJECT", [*reasons, "the challenger is worse"])
    against = []
    # a picture that was nearly perfect may get worse by a factor without anybody seeing it
    spoilt = [p for p in pictures if challenger[p]["mse"] > gate.worst * max(champion[p]["mse"], 0.1 * old)]
    if spoilt:
        against.append(f"more than {gate.worst:g} times worse on {_some(spoilt)}")
    if share > gate.margin:
        against.append(f"not below the margin of {gate.margin:g}")
    for said, bad in [*_speed(latency or {}, gate), *_fit(hull or {}, gate)]:
        (against if bad else reasons).append(said)
    return _verdict("HOLD" if against else "PROMOTE", [*reasons, *against])


def _verdict(decision: str, reasons: list[str]) -> dict[str, Any]:
    return {"decision": decision, "reasons": reasons}


def _mean(each: Mapping[str, Scores]) -> float:
    return sum(each[p]["mse"] for p in sorted(each)) / len(each)


def _some(pictures: list[str]) -> str:
    return ", ".join(pictures[:3]) + (f" and {len(pictures) - 3} more" if len(pictures) > 3 else "")


def _how_sure(champion: Mapping[str, Scores], challenger: Mapping[str, Scores]) -> str:
    from capmat_models.confidence import LEVEL, ratio_interval

    pictures = sorted(champion)
    if len(pictures) < 2:
        return ", by one picture, which says nothing about others"
    found = ratio_interval([challenger[p]["mse"] for p in pictures], [champion[p]["mse"] for p in pictures])
    return f" ({100 * LEVEL:.0f} % interval {found[0]:.2f} to {found[1]:.2f})" if found else ""


def _speed(latency: Pair, gate: Gate) -> list[tuple[str, bool]]:
    """What is said of the time of a frame, and whether it speaks against the challenger; nothing if not measured."""
    if not latency:
        return []
    old, new = latency["champion"], latency["challenger"]
    if any(old[key] != new[key] for key in ("hardware", "threads", "size")):
        return [("the times of the two were measured on different machines or sizes: measure them again", True)]
    factor = new["ms"] / old["ms"]
    said = f"{new['ms']:.1f} ms a frame against {old['ms']:.1f} on {new['hardware']}: {factor:.2f} of the champion's"
    slow = factor > gate.latency
    return [(f"{said}, more than {gate.latency:g}" if slow else said, slow)]


def _fit(hull: Pair, gate: Gate) -> list[tuple[str, bool]]:
    """What is said of the hull scores, and whether it speaks against the challenger; nothing where there are none."""
    old, new = hull.get("champion") or {}, hull.get("challenger") or {}
    if "score" not in old:
        return []
    if "score" not in new:
        return [(f"the challenger has no hull score: {new.get('absent', 'not measured')}", True)]
    said = f"{100 * new['score']:.2f} % of its silhouettes do not fit together against {100 * old['score']:.2f} %"
    worse = new["score"] > old["score"] + gate.hull
    return [(f"{said}, worst {new['worst']}" if worse else said, worse)]


def check_role(role: str, model: Ref, inputs: tuple[str, ...]) -> None:
    """A role's flows hand over certain inputs; a model that wants others would stop them in the night.

    Raises:
        ConfigError: the model takes others.
    """
    wanted = ("src", "trimap") if role == "supervisor" else ("src", "bgr")
    if inputs != wanted:
        raise ConfigError(
            f"{model['name']} takes {' and '.join(inputs)}, a {role} gets {' and '.join(wanted)}",
            where=f"{model['name']}@{model['version']}",
            fix="Promote a model of that form.",
        )


def alike(store: str, one: Ref, other: Ref) -> bool:
    """Whether two models are the same network with other weights, and so equally fast."""
    cards = [card_of(store, model) for model in (one, other)]
    first, second = ((card.get("architecture"), card.get("config", {})) for card in cards)
    return first == second and first[0] not in (None, "exported")


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


def promote(
    store: str,
    role: str,
    champion: Ref | None,
    challenger: Ref,
    validation: Record,
    gate: Gate,
    latency: Pair | None = None,
    hull: Pair | None = None,
) -> Record:
    """Apply the gate to one role and move its pointer if the challenger wins.

    Args:
        store: URL of the store.
        role: `teacher` or `student`.
        champion: the model to beat, from `incumbents`. Its rows are `<role>_champion`, or `<role>_base` where it is
            the base model. None where no model is in use.
        challenger: the model of the rows `<role>_refined`.
        validation: record of the validation that scored both.
        gate: the margins.
        latency: see `decide`.
        hull: see `decide`.

    Returns:
        Record with `decision`, `reasons` and both models.
    """
    each, taken_back = validation["per_image"], _taken_back(store, role, challenger)

    def work() -> dict[str, Any]:
        old = (each.get(f"{role}_champion") or each[f"{role}_base"]) if champion else None
        verdict = decide(old, each[f"{role}_refined"], gate, latency=latency, hull=hull)
        verdict |= {"role": role, "champion": champion, "challenger": challenger}
        return settle(store, role, verdict, validation["digest"], move=True)

    inputs = {
        "champion": champion,
        "challenger": challenger,
        "validation": validation["digest"],
        "gate": gate.model_dump(),
        **({"latency": latency} if latency else {}),
        **({"hull": hull} if hull else {}),
        **({"taken_back": taken_back} if taken_back else {}),
    }
    return run_once(store, "promote", role, inputs, work)


def ask_gate(store: str, role: str, measured: Mapping[str, Record], gate: Gate, move: bool) -> dict[str, Any]:
    """Let the gate decide about a model that was measured beside the one in use, on any benchmarks.

    Args:
        store: URL of the store.
        role: such as `student`.
        measured: records of `tasks.validate.measure.measure`: `challenger`, and `champion` where a model is in use.
        gate: the margins.
        move: whether to put the challenger in use on PROMOTE.

    Returns:
        The verdict: `decision`, `reasons`, `role`, both models (None without champion), and the `benchmarks`.
    """
    challenger = measured["challenger"]["model"]
    champion = measured["champion"]["model"] if "champion" in measured else None
    pictures = {
        who: {
            f"{name}: {picture}": scores
            for name, found in record["benchmarks"].items()
            for picture, scores in found["supervisor"].items()
        }
        for who, record in measured.items()
    }
    first = next(iter(measured["challenger"]["benchmarks"]))
    times = None
    if champion and not alike(store, champion, challenger):
        times = {who: record["benchmarks"][first]["latency"] for who, record in measured.items()}
    benchmarks = list(measured["challenger"]["benchmarks"])
    hull = {who: _of_all(record["benchmarks"].values()) for who, record in measured.items()}
    verdict = decide(pictures.get("champion"), pictures["challenger"], gate, latency=times, hull=hull)
    verdict |= {"role": role, "champion": champion, "challenger": challenger, "benchmarks": benchmarks}
    return settle(store, role, verdict, digest([record["digest"] for record in measured.values()]), move=move)


def _of_all(benchmarks: Iterable[Record]) -> dict[str, Any]:
    """One hull score for several benchmarks, each with the weight of its pictures."""
    found = [(record["hull"], len(record["supervisor"])) for record in benchmarks if "hull" in record]
    for one, _ in found:
        if "absent" in one:
            return dict(one)
    if not found:
        return {}
    total = sum(weight for _, weight in found)
    worst = max(found, key=lambda one: one[0]["score"])[0]["worst"]
    return {"score": sum(one["score"] * weight for one, weight in found) / total, "worst": worst}


def settle(store: str, role: str, verdict: dict[str, Any], validation: str, *, move: bool) -> dict[str, Any]:
    """Keep a verdict, and move the pointer if it says so. A model that a person took back is not put in use again.

    Args:
        store: URL of the store.
        role: such as `student`.
        verdict: of `decide`, with `champion` and `challenger`.
        validation: digest of what it rests on.
        move: whether to move the pointer on PROMOTE.

    Returns:
        The verdict as it was kept.
    """
    registry, challenger = Registry(Root(store)), verdict["challenger"]
    if verdict["decision"] == "PROMOTE" and (said := _taken_back(store, role, challenger)):
        verdict = {**verdict, "decision": "HOLD", "reasons": [*verdict["reasons"], said]}
    # it is in use already if a run was killed right after it was promoted
    now = challenger["name"], challenger["version"]
    if move and verdict["decision"] == "PROMOTE" and registry.champion(role) != now:
        registry.promote(role, *now, {**verdict, "validation": validation})
    registry.add_verdict(role, verdict)
    return verdict


def _taken_back(store: str, role: str, model: Ref) -> str:
    """Why a model must not be put in use again by the gate; "" if nothing speaks against it."""
    said = ""
    for entry in Registry(Root(store)).history(role):
        record = entry["record"]
        if record.get("taken_back") == model:
            said = (
                f"it was taken back on {entry['time'][:10]} by {record.get('by', 'somebody')}: "
                f"{'; '.join(record.get('reasons', []))}; promote it by hand if that is over"
            )
        elif (entry["name"], entry["version"]) == (model["name"], model["version"]):
            said = ""
    return said


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


ask_gate_task = retryable("ask the gate", "gate {role}")(ask_gate)
promote_task = retryable("gate", "gate {role} {challenger[version]}")(promote)
incumbents_task = retryable("models to beat")(incumbents)
newest_pair_task = retryable("models to compare")(newest_pair)
keep_reconstruction_task = retryable("note the reconstruction", "note the reconstruction of {role}")(
    keep_reconstruction
)
