"""Which model is in use: the gate's verdict moves the pointer of a role, and every verdict is stored."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NotRequired, TypedDict, cast

from capmat_errors import ConfigError, Overtaken
from storage.registry import Model, Registry
from storage.store.root import Root
from tasks.config import Gate
from tasks.models.networks import Ref, card_of
from tasks.runtime.step import Record, StepRecord, digest, retryable, run_once
from tasks.show.artifact import show_text
from tasks.show.markdown import plain
from tasks.validate.gate import Pair, decide
from tasks.validate.measure import HullScore, MeasureRecord, ScoresRecord
from tasks.validate.score import ValidationRecord


class VerdictRecord(StepRecord):
    """What the gate decided about two models of a role."""

    decision: str
    reasons: list[str]
    role: str
    champion: Ref | None  # None where no model is in use
    challenger: Ref
    benchmarks: NotRequired[list[str]]  # absent in a round, which has one


class ModelPair(TypedDict):
    """Two models of a role, to be compared."""

    base: Ref
    refined: Ref
    verdict: str  # number of the gate's verdict on them, or ""


def check_role(role: str, model: Ref, inputs: tuple[str, ...]) -> None:
    """Refuse a model that wants other inputs than the flows of a role hand over; it would stop them in the night.

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
    """The models that the challengers have to beat, by role: those in use.

    The challenger of a repeated round may be in use already. It then has to beat the model that it replaced, so that
    the same round gives the same verdict.

    Args:
        store: URL of the store.
        base: base models by role, for a role that nothing was ever promoted in.
        challengers: candidates by role.
    """
    registry = Registry(Root(store))
    to_beat: dict[str, Ref] = {}
    for role, challenger in challengers.items():
        past = [(Ref(name=p["name"], version=p["version"]), p["record"]) for p in registry.history(role)]
        to_beat[role] = past[-1][0] if past else base[role]
        if to_beat[role] == challenger:
            replaced = [why.get("champion") for model, why in past if model == challenger != why.get("champion")]
            to_beat[role] = next(filter(None, reversed(replaced)), base[role])
    return to_beat


def promote(
    store: str,
    role: str,
    champion: Ref | None,
    challenger: Ref,
    validation: ValidationRecord,
    gate: Gate,
    latency: Pair | None = None,
    hull: Pair | None = None,
    doubtful: Iterable[str] = (),
) -> VerdictRecord:
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
        doubtful: likewise, as `take/camera/frame`.
    """
    doubts = sorted("/".join(picture.rsplit("/", 2)[1:]) for picture in doubtful)
    each, objections = validation["per_image"], _objections(store, role, champion, challenger)

    def work() -> VerdictRecord:
        old = (each.get(f"{role}_champion") or each[f"{role}_base"]) if champion else None
        decision = decide(old, each[f"{role}_refined"], gate, latency=latency, hull=hull, doubtful=doubts)
        verdict = {**decision, "role": role, "champion": champion, "challenger": challenger}
        return settle(store, cast(VerdictRecord, verdict), validation["digest"], objections, move=True)

    inputs = {
        "champion": champion,
        "challenger": challenger,
        "validation": validation["digest"],
        "gate": gate.model_dump(),
        **({"latency": latency} if latency else {}),
        **({"hull": hull} if hull else {}),
        **({"doubtful": doubts} if doubts else {}),
        **objections,
    }
    try:
        return run_once(store, "promote", role, inputs, work)
    except Overtaken:  # after the look at the objections, which now shows it
        return promote(store, role, champion, challenger, validation, gate, latency, hull, doubtful)


def ask_gate(
    store: str,
    role: str,
    measured: Mapping[str, MeasureRecord],
    gate: Gate,
    move: bool,
    doubts: Mapping[str, Mapping[str, float]],
) -> VerdictRecord:
    """Let the gate decide about a model that was measured beside the one in use, on any benchmarks.

    Args:
        store: URL of the store.
        role: such as `student`.
        measured: `challenger`, and `champion` where a model is in use.
        gate: the margins.
        move: whether to put the challenger in use on PROMOTE.
        doubts: by benchmark, the pictures on which its supervisor may be wrong; see `tasks.validate.doubt`.
    """
    challenger = measured["challenger"]["model"]
    champion = measured["champion"]["model"] if "champion" in measured else None
    benchmarks = list(measured["challenger"]["benchmarks"])
    pictures = {
        row: {
            f"{name}: {picture}": scores
            for name, record in model["benchmarks"].items()
            for picture, scores in record["supervisor"].items()
        }
        for row, model in measured.items()
    }
    times = None
    if champion and not alike(store, champion, challenger):
        times = {row: model["benchmarks"][benchmarks[0]]["latency"] for row, model in measured.items()}
    hull = {row: _of_all(model["benchmarks"].values()) for row, model in measured.items()}
    doubtful = [f"{name}: {picture}" for name, some in doubts.items() for picture in some]
    decision = decide(
        pictures.get("champion"), pictures["challenger"], gate, latency=times, hull=hull, doubtful=doubtful
    )
    models = {"role": role, "champion": champion, "challenger": challenger}
    verdict = cast(VerdictRecord, {**decision, **models, "benchmarks": benchmarks})
    objections = _objections(store, role, champion, challenger)
    return settle(store, verdict, digest([model["digest"] for model in measured.values()]), objections, move=move)


def _of_all(benchmarks: Iterable[ScoresRecord]) -> HullScore:
    """One hull score for several benchmarks, each with the weight of its pictures."""
    scores = [(record["hull"], len(record["supervisor"])) for record in benchmarks if "hull" in record]
    for one, _ in scores:
        if "absent" in one:
            return one
    if not scores:
        return {}
    total = sum(weight for _, weight in scores)
    worst = max(scores, key=lambda one: one[0]["score"])[0]["worst"]
    return {"score": sum(one["score"] * weight for one, weight in scores) / total, "worst": worst}


def settle(store: str, verdict: VerdictRecord, scores: str, objections: Record, *, move: bool) -> VerdictRecord:
    """Store a verdict, and move the pointer if it says so and nothing speaks against it.

    Args:
        store: URL of the store.
        verdict: what the gate decided.
        scores: digest of the scores that the gate saw.
        objections: see `_objections`.
        move: whether to move the pointer on PROMOTE.

    Returns:
        The verdict as it was stored.
    """
    registry, role = Registry(Root(store)), verdict["role"]
    if objections:
        decision = "HOLD" if verdict["decision"] == "PROMOTE" else verdict["decision"]
        verdict = {**verdict, "decision": decision, "reasons": [*verdict["reasons"], *objections.values()]}
    beaten = [Model(**verdict["champion"])] if verdict["champion"] else []
    # a run that was killed right after the promotion finds the challenger in use
    model = Model(**verdict["challenger"])
    if move and verdict["decision"] == "PROMOTE" and registry.champion(role) != model:
        registry.promote(role, *model, {**verdict, "validation": scores}, beaten)
    registry.add_verdict(role, dict(verdict))
    return verdict


def _objections(store: str, role: str, champion: Ref | None, challenger: Ref) -> dict[str, str]:
    """Why the gate must not put a challenger in use: a person has `taken_back` it, or another model is `in_use`."""
    pair = [Model(**model) for model in (champion, challenger) if model]
    in_use, found = pair[0], dict[str, str]()
    for promotion in Registry(Root(store)).history(role):
        in_use, record = Model(promotion["name"], promotion["version"]), promotion["record"]
        if record.get("taken_back") == challenger:
            found["taken_back"] = (
                f"it was taken back on {promotion['time'][:10]} by {record.get('by', 'somebody')}: "
                f"{'; '.join(record.get('reasons', []))}; promote it by hand if that is over"
            )
        elif in_use == pair[-1]:
            found.clear()
    if in_use not in pair:
        beaten, challenging = "@".join(pair[0]) if champion else "no model", "@".join(pair[-1])
        again = f"to compare the two: capmat validate {challenging} --gate {role} --promote"
        found["in_use"] = f"{'@'.join(in_use)} is in use now, but {challenging} was compared with {beaten}; {again}"
    return found


def newest_pair(store: str, role: str, base: Ref) -> ModelPair:
    """The two models of a role that are worth a comparison downstream: those of the gate's newest verdict.

    Args:
        store: URL of the store.
        role: such as `student`.
        base: its base model, which is compared with the one in use where nothing was ever judged.
    """
    registry = Registry(Root(store))
    if verdicts := registry.verdicts(role):
        verdict = verdicts[-1]["verdict"]
        return {"base": verdict["champion"], "refined": verdict["challenger"], "verdict": verdicts[-1]["number"]}
    name, version = registry.champion(role) or (base["name"], base["version"])
    return {"base": base, "refined": Ref(name=name, version=version), "verdict": ""}


def keep_reconstruction(store: str, role: str, verdict: str, judged: Record) -> None:
    """Put what a radiance field made of both models' mattes beside the gate's verdict."""
    figures = ("psnr", "psnr_foreground", "ssim", "collapsed")
    settings = ("black", "backend", "iterations", "resolution", "background", "held_out", "reference")
    rows = {"champion": "base", "challenger": "refined"}
    record = {name: {key: judged[row][key] for key in figures} for name, row in rows.items()}
    record |= {key: judged[key] for key in settings}
    Registry(Root(store)).add_measure(role, verdict, "reconstruction", record)


def verdict_text(store: str, verdicts: Sequence[VerdictRecord]) -> tuple[str, str]:
    """What the gate decided in one line, and with its reasons as markdown."""
    words = {"PROMOTE": "passed the gate", "HOLD": "was held back", "REJECT": "was rejected"}
    lines, titles = list[str](), []
    for verdict in verdicts:
        model, other = Model(**verdict["challenger"]), verdict["champion"]
        made, beaten = "@".join(model), "@".join(Model(**other)) if other else "no model"
        in_use = Registry(Root(store)).champion(verdict["role"]) == model
        said = f"{verdict['role']} {made} {'is in use now' if in_use else words[verdict['decision']]}"
        lines += [f"## The {said}", "", f"It was compared with {beaten}.", ""]
        lines += [*(f"- {plain(reason)}" for reason in verdict["reasons"]), ""]
        titles.append(said)
    return "; ".join(titles), "\n".join(lines)


def show_verdicts(store: str, verdicts: Sequence[VerdictRecord]) -> None:
    """Show beside the flow run what the gate decided, and why."""
    show_text("verdict", *verdict_text(store, verdicts))


show_verdicts_task = retryable("verdict")(show_verdicts)
ask_gate_task = retryable("ask the gate", "gate {role}")(ask_gate)
promote_task = retryable("gate", "gate {role} {challenger[version]}")(promote)
incumbents_task = retryable("models to beat")(incumbents)
newest_pair_task = retryable("models to compare")(newest_pair)
keep_reconstruction_task = retryable("note the reconstruction", "note the reconstruction of {role}")(
    keep_reconstruction
)
