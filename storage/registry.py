"""Trained models, and which of them is in use.

    models/<name>/v0001.json                 the card: what it is, how it was trained, how it measured
    models/<name>/weights/<sha256>           the weights
    promotions/<role>/p0001.json             which model became champion of a role, why, and when
    promotions/<role>/verdicts/d0001.json    the gate's verdict on a challenger, promoted or not, and when
    .../d0001.<what>.json                    a later measurement of the two, such as "reconstruction"

The newest promotion is the champion. A promotion is one write, so it happened or it did not. The list of files is the
history. A rollback is one more promotion, which names the former model and the one that it takes back.
"""

import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple, TypedDict, cast

from capmat_errors import NotFound, Overtaken, StoreError, no_such
from storage.store.root import Root, checked_name
from storage.store.versions import Versions

# What a version of each has to hold.
_MODEL = {"card": dict, "weights": str, "bytes": int, "added": str}
_PROMOTION = {"name": str, "version": str, "record": dict, "time": str}
_VERDICT = {"verdict": dict, "time": str}


class Model(NamedTuple):
    """A model by name and version."""

    name: str
    version: str


class ModelEntry(TypedDict):
    """One version of a model: its card, the sha256 and the size of its weights, and when it was added (ISO time)."""

    name: str
    version: str
    card: dict[str, Any]
    weights: str
    bytes: int
    added: str


class Promotion(TypedDict):
    """A model that became the champion of a role; `record` says why, `time` is ISO time."""

    role: str
    name: str
    version: str
    record: dict[str, Any]
    time: str


class VerdictEntry(TypedDict):
    """A verdict of the gate, its number ("d0001") and ISO time."""

    number: str
    verdict: dict[str, Any]
    time: str


class Registry:
    """The models of a store.

    Args:
        root: the store.
    """

    def __init__(self, root: Root) -> None:
        self.root = root

    def add(self, name: str, weights: bytes, card: dict[str, Any]) -> str:
        """Store a model and return its version, "v0001", ...

        The same weights with the same card keep the version that they have.

        Args:
            name: such as "student" or "bg_vitmatte_s".
            weights: as `capmat_models.weights.state.dump_weights` makes them.
            card: plain JSON; what a reader wants to know who finds the model in a year.

        Raises:
            StoreError: the store cannot be written to.
        """
        digest = sha256(weights).hexdigest()
        card = json.loads(json.dumps(card))  # as it will be read back, so that it can be compared
        for entry in self.entries(name):
            if (entry["weights"], entry["card"]) == (digest, card):
                return entry["version"]
        self.root.write(_weights_key(name, digest), weights)
        content = {"card": card, "weights": digest, "bytes": len(weights), "added": _now()}
        return self._models(name).add(lambda _: content)

    def load(self, name: str, version: str | None = None) -> tuple[bytes, dict[str, Any]]:
        """Fetch the weights and the card of a model.

        Args:
            name: the model's name.
            version: None for its version that was last made champion of any role.

        Raises:
            NotFound: the model or the version does not exist, or no version was ever champion.
            StoreError: the weights are damaged.
        """
        version, content = self._models(name).read(version or self._last_champion(name))
        key = _weights_key(name, content["weights"])
        weights = self.root.read(key)
        if sha256(weights).hexdigest() != content["weights"]:
            raise StoreError(
                f"the weights of {name} {version} are damaged",
                where=self.root.at(key),
                fix="Restore the file from a copy, or train again.",
            )
        return weights, content["card"]

    def versions(self, name: str) -> list[str]:
        """All versions of a model, oldest first."""
        return self._models(name).names()

    def resolve(self, name: str, version: str | None = None) -> str:
        """The version that is meant: this one if it exists; for None the one in use, else the newest.

        Raises:
            NotFound: the model or the version does not exist; the message lists those that do.
        """
        if name not in (known := self.names()):
            known += self.root.names("promotions")
            raise no_such("model", name, known, where=self.root.url, fix="`capmat models` lists them.")
        try:
            wanted = version or self._last_champion(name)
        except NotFound:
            wanted = None
        return self._models(name).read(wanted)[0]

    def find(self, wanted: str) -> Model:
        """The model that a person means.

        Args:
            wanted: NAME or NAME@VERSION, as in `resolve`. A role stands for the model that is in use for it:
                "student" is that very version, "student@v0002" another one of the same model.

        Raises:
            NotFound: the model or the version does not exist; the message lists those that do.
        """
        name, _, version = wanted.partition("@")
        if name not in self.names() and name in self.root.names("promotions") and (used := self.champion(name)):
            name, version = used.name, version or used.version
        return Model(name, self.resolve(name, version or None))

    def names(self) -> list[str]:
        """All models."""
        return self.root.names("models")

    def entries(self, only: str = "") -> list[ModelEntry]:
        """Every version of every model, or of the model `only`, oldest first."""
        return [
            cast(ModelEntry, {"name": name, "version": version, **self._models(name).read(version)[1]})
            for name in ([only] if only else self.names())
            for version in self.versions(name)
        ]

    def champion(self, role: str) -> Model | None:
        """The model in use for a role such as "teacher" or "student"; None before the first promotion."""
        promotions = self._promotions(role)
        if not (history := promotions.names()):
            return None
        newest = promotions.read(history[-1])[1]
        return Model(newest["name"], newest["version"])

    def promote(
        self, role: str, name: str, version: str, record: dict[str, Any], beaten: Collection[Model] | None = None
    ) -> Model | None:
        """Make a model the champion of a role. The same promotion again, of a run that was killed, changes nothing.

        Args:
            role: such as "student".
            name: the model's name.
            version: its version.
            record: why: the measurements of both models, and who decided; plain JSON. The model that is replaced is
                added as `champion`.
            beaten: models that may be replaced; None for any.

        Returns:
            The model that was in use; None before the first promotion.

        Raises:
            NotFound: the model or the version does not exist.
            Overtaken: a model that is not in `beaten` is in use, and stays.
            StoreError: the store cannot be written to; the former champion stays.
        """
        self._models(name).read(version)
        record = json.loads(json.dumps(record))  # as it will be read back, so that it can be compared
        for newest in self.history(role)[-1:]:
            kept, replaced = {**newest["record"]}, newest["record"].get("champion")
            if "champion" not in record:
                kept.pop("champion", None)
            if (newest["name"], newest["version"], kept) == (name, version, record):
                return Model(**replaced) if replaced else None
        return self._put_in_use(role, Model(name, version), record, beaten)

    def roll_back(self, role: str, record: dict[str, Any]) -> tuple[Model, Model]:
        """Put the model back in use that was in use before; the history gets one more entry.

        A second rollback goes one further: a model that was taken back does not count as one in use before.

        Args:
            role: such as "student".
            record: why, and who decided; plain JSON.

        Returns:
            The model that was taken back, and the one that is in use now.

        Raises:
            NotFound: no model is in use, or none was before, or the one before is not in the store any more.
            Overtaken: another promotion or rollback happened at the same time.
            StoreError: the store cannot be written to.
        """
        line = _in_line(self.history(role))
        if len(line) < 2:
            raise NotFound(
                f"{'@'.join(line[0])} is the first model, nothing was in use before it"
                if line
                else "no model is in use",
                where=f"role {role}",
                fix="Put another in use with `capmat models promote`.",
            )
        back, former = line[-2:]
        self._models(back.name).read(back.version)
        # Not by `promote`: the same rollback by somebody else, a moment ago, is not this one.
        self._put_in_use(role, back, {**record, "decision": "ROLLBACK"}, [former], replaced="taken_back")
        return former, back

    def history(self, role: str) -> list[Promotion]:
        """All promotions and rollbacks of a role, oldest first."""
        promotions = self._promotions(role)
        return [cast(Promotion, promotions.read(number)[1]) for number in promotions.names()]

    def add_verdict(self, role: str, verdict: dict[str, Any]) -> str:
        """Store the gate's verdict on a challenger and return its number, "d0001", ...

        A verdict that equals the newest keeps that one's number.

        Args:
            role: such as "student".
            verdict: plain JSON with `champion` and `challenger` (each name, version), `decision` and `reasons`.
        """
        for newest in self.verdicts(role)[-1:]:
            if newest["verdict"] == json.loads(json.dumps(verdict)):
                return newest["number"]
        content = {"verdict": verdict, "time": _now()}
        return self._verdicts(role).add(lambda _: content)

    def verdicts(self, role: str) -> list[VerdictEntry]:
        """All verdicts on challengers of a role, oldest first."""
        verdicts = self._verdicts(role)
        return [cast(VerdictEntry, {"number": n, **verdicts.read(n)[1]}) for n in verdicts.names()]

    def add_measure(self, role: str, number: str, what: str, record: dict[str, Any]) -> None:
        """Store a later measurement of champion and challenger beside their verdict; it replaces an older one."""
        name = f"{checked_name('verdict', number)}.{checked_name('measure', what)}.json"
        self.root.write(
            f"{self._verdicts(role).folder}/{name}", json.dumps(record, indent=1, sort_keys=True).encode()
        )

    def _put_in_use(
        self,
        role: str,
        model: Model,
        record: dict[str, Any],
        beaten: Collection[Model] | None,
        replaced: str = "champion",
    ) -> Model | None:
        """Write one more promotion, and return the model that was in use, which the record names under `replaced`."""
        former: Model | None = None

        def content(_: str | None) -> Promotion:
            nonlocal former
            former = self.champion(role)
            if former and beaten is not None and former not in beaten:
                fix = "Look at `capmat models`, then decide again."
                raise Overtaken("another model was put in use at the same time", where=f"role {role}", fix=fix)
            why = {**record, replaced: former._asdict()} if former else record
            return Promotion(role=role, name=model.name, version=model.version, record=why, time=_now())

        self._promotions(role).add(content)
        return former

    def _models(self, name: str) -> Versions:
        return Versions(self.root, f"models/{checked_name('model', name)}", "v", _MODEL)

    def _promotions(self, role: str) -> Versions:
        return Versions(self.root, f"promotions/{checked_name('role', role)}", "p", _PROMOTION)

    def _verdicts(self, role: str) -> Versions:
        return Versions(self.root, f"promotions/{checked_name('role', role)}/verdicts", "d", _VERDICT)

    def _last_champion(self, name: str) -> str:
        newest = [promotion for role in self.root.names("promotions") for promotion in self.history(role)[-1:]]
        used = [promotion for promotion in newest if promotion["name"] == name]
        if not used:
            models = self._models(name)
            raise NotFound(
                f"no version of {name} is champion",
                where=self.root.at(models.folder),
                fix=f"Name one of {', '.join(models.names()) or 'the models in the store'}.",
            )
        return max(used, key=lambda promotion: promotion["time"])["version"]


def _in_line(history: Iterable[Promotion]) -> list[Model]:
    """The models that a role can go back to, oldest first; the last is in use."""
    line: list[Model] = []
    for promotion in history:
        model = Model(promotion["name"], promotion["version"])
        if promotion["record"].get("decision") == "ROLLBACK":
            line.pop()
        elif line[-1:] != [model]:
            line.append(model)
    return line


def _weights_key(name: str, digest: str) -> str:
    return f"models/{checked_name('model', name)}/weights/{digest}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
