"""The gate: is a challenger better than the model in use? Scores in, a decision with its reasons out."""

import math
from collections.abc import Collection, Mapping
from typing import Any, TypedDict

from capmat_errors import MatteError
from tasks.config import Gate
from tasks.show.figures import counted
from tasks.validate.score import Scores

Pair = Mapping[str, Any]
"""Something of both models: `champion` and `challenger`."""


class Decision(TypedDict):
    """PROMOTE, HOLD or REJECT, and the reasons in words."""

    decision: str
    reasons: list[str]


def decide(
    champion: Mapping[str, Scores] | None,
    challenger: Mapping[str, Scores],
    gate: Gate,
    *,
    latency: Pair | None = None,
    hull: Pair | None = None,
    doubtful: Collection[str] = (),
) -> Decision:
    """Compare two models.

    Args:
        champion: scores per benchmark picture of the model in use; None where none is.
        challenger: the same of the candidate, on the same pictures.
        gate: the margins.
        latency: the time of a frame with both, see `tasks.models.latency`; None where both are equally fast.
        hull: the hull scores of both, see `tasks.validate.measure`; None where nobody asked.
        doubtful: pictures on which the supervisor may be wrong. They count like all others, and a reason names them.

    Returns:
        REJECT when the challenger is worse or a score is nan. HOLD when it is not better by the margin, spoils a
        single picture, is too slow, or its mattes fit together less. Without a champion PROMOTE.

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
        return _verdict("REJECT", [f"the challenger's error is nan or infinite on {_some(broken)}"])
    new = _mean(challenger)
    if champion is None:
        mse = f"benchmark MSE {new * 1e4:.2f}e-4 on {counted(len(pictures), 'picture')}"
        return _verdict("PROMOTE", [mse, "no model is in use for this role, so nothing has to be beaten"])
    old = _mean(champion)
    if not math.isfinite(old):
        return _verdict("HOLD", ["the champion's error is nan or infinite: measure it again"])
    share = new / old if old else (math.inf if new else 1.0)
    reasons = [
        f"benchmark MSE {new * 1e4:.2f}e-4 against {old * 1e4:.2f}e-4: {share:.2f} of the champion's"
        + _how_sure(champion, challenger),
        *_doubt(champion, challenger, sorted(doubtful)),
    ]
    if share > 1:
        return _verdict("REJECT", [*reasons, "the challenger is worse"])
    against = []
    # nobody sees a nearly perfect picture get worse by a factor
    spoilt = [p for p in pictures if challenger[p]["mse"] > gate.worst * max(champion[p]["mse"], 0.1 * old)]
    if spoilt:
        against.append(f"more than {gate.worst:g} times worse on {_some(spoilt)}")
    if share > gate.margin:
        against.append(f"not below the margin of {gate.margin:g}")
    for reason, bad in [*_speed(latency or {}, gate), *_fit(hull or {}, gate)]:
        (against if bad else reasons).append(reason)
    return _verdict("HOLD" if against else "PROMOTE", [*reasons, *against])


def _verdict(decision: str, reasons: list[str]) -> Decision:
    return {"decision": decision, "reasons": reasons}


def _mean(each: Mapping[str, Scores]) -> float:
    return sum(each[p]["mse"] for p in sorted(each)) / len(each)


def _doubt(champion: Mapping[str, Scores], challenger: Mapping[str, Scores], doubtful: list[str]) -> list[str]:
    """Where the supervisor may be wrong, and what the ratio is without these pictures."""
    if not doubtful:
        return []
    reason = f"the supervisor may be wrong on {_some(doubtful)}"
    sure = [picture for picture in challenger if picture not in doubtful]
    old, new = (
        _mean({picture: each[picture] for picture in sure}) if sure else 0.0 for each in (champion, challenger)
    )
    return [f"{reason}; on the others the challenger has {new / old:.2f} of the champion's" if old else reason]


def _some(pictures: list[str]) -> str:
    return ", ".join(pictures[:3]) + (f" and {len(pictures) - 3} more" if len(pictures) > 3 else "")


def _how_sure(champion: Mapping[str, Scores], challenger: Mapping[str, Scores]) -> str:
    from capmat_models.confidence import FEWEST, LEVEL, ratio_interval

    pictures = sorted(champion)
    if len(pictures) < FEWEST:
        return f", by {counted(len(pictures), 'picture')}; fewer than {FEWEST} say too little about others"
    interval = ratio_interval([challenger[p]["mse"] for p in pictures], [champion[p]["mse"] for p in pictures])
    return f" ({100 * LEVEL:.0f} % interval {interval[0]:.2f} to {interval[1]:.2f})" if interval else ""


def _speed(latency: Pair, gate: Gate) -> list[tuple[str, bool]]:
    """The reason from the time of a frame, and whether it speaks against the challenger; empty if not measured."""
    if not latency:
        return []
    old, new = latency["champion"], latency["challenger"]
    if any(old[key] != new[key] for key in ("hardware", "threads", "size")):
        return [("the times of the two were measured on different machines or sizes: measure them again", True)]
    share = new["ms"] / old["ms"]
    reason = f"{new['ms']:.1f} ms a frame against {old['ms']:.1f} on {new['hardware']}: {share:.2f} of the champion's"
    slow = share > gate.latency
    return [(f"{reason}, more than {gate.latency:g}" if slow else reason, slow)]


def _fit(hull: Pair, gate: Gate) -> list[tuple[str, bool]]:
    """The reason from the hull scores, and whether it speaks against the challenger; empty if not measured."""
    old, new = hull.get("champion") or {}, hull.get("challenger") or {}
    if "score" not in old:
        return []
    if "score" not in new:
        return [(f"the challenger has no hull score: {new.get('absent', 'not measured')}", True)]
    reason = f"{100 * new['score']:.2f} % of its silhouettes do not fit together against {100 * old['score']:.2f} %"
    worse = new["score"] > old["score"] + gate.hull
    return [(f"{reason}, worst {new['worst']}" if worse else reason, worse)]
