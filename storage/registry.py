"""Trained models, and which of them is in use.

    models/<name>/v0001.json                 the card: what it is, how it was trained, how it measured
    models/<name>/weights/<sha256>           the weights
    promotions/<role>/p0001.json             who became champion of a role, why, and when
    promotions/<role>/verdicts/d0001.json    what the gate said of a challenger, promoted or not, and when
    .../d0001.<what>.json                    what was measured on the two later, such as "reconstruction"

The newest promotion is the champion. Promoting is therefore one write that either happened or not, the
history is the list of files, and going back is one more of them, which names the former one and what it takes back.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from capmat_errors import NotFound, StoreError
from storage.store.root import Root, checked_name
from storage.store.versions import add_version, list_versions, read_version

Model = tuple[str, str]
"""Name and version."""


class Registry:
    """The models of a store.

    Args:
        root: the store.
    """

    def __init__(self, root: Root) -> None:
        self.root = root

    def add(self, name: str, weights: bytes, card: dict[str, Any]) -> str:
        """Keep a model.

        Args:
            name: such as "student" or "bg_vitmatte_s".
            weights: as `capmat_models.weights.state.dump_weights` makes them.
            card: plain json; what somebody will want to know who finds the model in a year.

        Returns:
            Its version, "v0001", ...; the same weights with the same card keep the version they have.

        Raises:
            StoreError: the store cannot be written to.
        """
        digest = sha256(weights).hexdigest()
        card = json.loads(json.dumps(card))  # as it will be read back, to be compared with
        for version in self.versions(name):
            _, kept = read_version(self.root, _models(name), "v", version)
            if (kept["weights"], kept["card"]) == (digest, card):
                return version
        self.root.write(f"{_models(name)}/weights/{digest}", weights)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        kept = {"card": card, "weights": digest, "bytes": len(weights), "added": now}
        return add_version(self.root, _models(name), "v", lambda _: kept)

    def load(self, name: str, version: str | None = None) -> tuple[bytes, dict[str, Any]]:
        """Fetch a model: (weights, card).

        Args:
            name: the model's name.
            version: None for the version of it that was last made champion of any role.

        Raises:
            NotFound: there is no such model or version, or none of it was ever champion.
            StoreError: the weights are damaged.
        """
        wanted = version or self._last_champion(name)
        found, data = read_version(self.root, _models(name), "v", wanted)
        key = f"{_models(name)}/weights/{data['weights']}"
        weights = self.root.read(key)
        if sha256(weights).hexdigest() != data["weights"]:
            raise StoreError(
                f"the weights of {name} {found} are damaged",
                where=self.root.at(key),
                fix="Restore the file from a copy, or train again.",
            )
        return weights, data["card"]

    def versions(self, name: str) -> list[str]:
        """All versions of a model, oldest first."""
        return list_versions(self.root, _models(name), "v")

    def resolve(self, name: str, version: str | None = None) -> str:
        """The version that is meant: this one if it is there; None for the one in use, else the newest.

        Raises:
            NotFound: there is no such model or version.
        """
        try:
            meant = version or self._last_champion(name)
        except NotFound:
            meant = None
        return read_version(self.root, _models(name), "v", meant)[0]

    def names(self) -> list[str]:
        """All models."""
        return self.root.names("models")

    def entries(self, only: str = "") -> list[dict[str, Any]]:
        """Every version of every model, oldest first: name, version, card, weights (sha256), bytes, added.

        Args:
            only: of this model alone.
        """
        return [
            {"name": name, "version": version, **read_version(self.root, _models(name), "v", version)[1]}
            for name in ([only] if only else self.names())
            for version in self.versions(name)
        ]

    def champion(self, role: str) -> Model | None:
        """(name, version) of the model in use for a role such as "teacher" or "student"; None if none yet."""
        history = list_versions(self.root, _role(role), "p")
        if not history:
            return None
        _, data = read_version(self.root, _role(role), "p", history[-1])
        return data["name"], data["version"]

    def promote(self, role: str, name: str, version: str, record: dict[str, Any]) -> None:
        """Make a model the champion of a role.

        Args:
            role: such as "student".
            name: the model's name.
            version: its version.
            record: why: the measurements of both, who decided; plain json.

        Raises:
            NotFound: there is no such model or version.
            StoreError: the store cannot be written to; the champion is then the one from before.
        """
        read_version(self.root, _models(name), "v", version)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        said = {"role": role, "name": name, "version": version, "record": record, "time": now}
        add_version(self.root, _role(role), "p", lambda _: said)

    def roll_back(self, role: str, record: dict[str, Any]) -> tuple[Model, Model]:
        """Put the model back in use that was in use before; the history gets one more entry.

        Going back again goes one further: what was taken back is not what was in use before.

        Args:
            role: such as "student".
            record: why, and who decided; plain json.

        Returns:
            The model that was taken back, and the one that is in use now.

        Raises:
            NotFound: no model is in use, or none was before; or the one before has gone from the store.
            StoreError: somebody else promoted or went back at the same time, or the store cannot be written to.
        """
        numbers = list_versions(self.root, _role(role), "p")
        line = in_line(self.history(role))
        if len(line) < 2:
            what = f"{'@'.join(line[0])} is the first, there is none before it" if line else "no model is in use"
            raise NotFound(what, where=f"role {role}", fix="Put another in use with `capmat models promote`.")
        (name, version), former = line[-2], line[-1]
        read_version(self.root, _models(name), "v", version)
        taken_back = {"name": former[0], "version": former[1]}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        why = {**record, "decision": "ROLLBACK", "taken_back": taken_back}
        said = {"role": role, "name": name, "version": version, "record": why, "time": now}

        def content(newest: str | None) -> dict[str, Any]:
            if newest != numbers[-1]:
                raise StoreError(
                    "another model was put in use at the same time",
                    where=f"role {role}",
                    fix="Look at `capmat models`, then decide again.",
                )
            return said

        add_version(self.root, _role(role), "p", content)
        return former, (name, version)

    def history(self, role: str) -> list[dict[str, Any]]:
        """All promotions of a role, and ways back, oldest first: role, name, version, record, time."""
        return [
            read_version(self.root, _role(role), "p", number)[1]
            for number in list_versions(self.root, _role(role), "p")
        ]

    def add_verdict(self, role: str, verdict: dict[str, Any]) -> str:
        """Keep what the gate said of a challenger.

        Args:
            role: such as "student".
            verdict: plain json with `champion` and `challenger` (each name, version), `decision` and `reasons`.

        Returns:
            Its number, "d0001", ...; a verdict like the newest keeps that one's number.
        """
        kept = self.verdicts(role)[-1:]
        if kept and kept[0]["verdict"] == json.loads(json.dumps(verdict)):
            return str(kept[0]["number"])
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return add_version(self.root, _verdicts(role), "d", lambda _: {"verdict": verdict, "time": now})

    def verdicts(self, role: str) -> list[dict[str, Any]]:
        """All verdicts on challengers of a role, oldest first: number, verdict, time."""
        folder = _verdicts(role)
        return [
            {"number": number, **read_version(self.root, folder, "d", number)[1]}
            for number in list_versions(self.root, folder, "d")
        ]

    def add_measure(self, role: str, number: str, what: str, record: dict[str, Any]) -> None:
        """Put a later measurement of champion and challenger beside their verdict; a repeated one replaces it."""
        key = f"{_verdicts(role)}/{checked_name('verdict', number)}.{checked_name('measure', what)}.json"
        self.root.write(key, json.dumps(record, indent=1, sort_keys=True).encode())

    def measure(self, role: str, number: str, what: str) -> dict[str, Any] | None:
        """What `add_measure` put there; None if it did not."""
        name = f"{number}.{what}.json"
        if name not in self.root.names(_verdicts(role)):
            return None
        return dict(json.loads(self.root.read(f"{_verdicts(role)}/{name}")))

    def _last_champion(self, name: str) -> str:
        said = [
            entry
            for role in self.root.names("promotions")
            for entry in self.history(role)[-1:]
            if entry["name"] == name
        ]
        if not said:
            raise NotFound(
                f"no version of {name} is champion",
                where=self.root.at(_models(name)),
                fix=f"Name one of {', '.join(self.versions(name)) or 'the models there are'}.",
            )
        return str(max(said, key=lambda entry: entry["time"])["version"])


def in_line(history: Iterable[Mapping[str, Any]]) -> list[Model]:
    """The models that a role can go back to, oldest first; the last is in use."""
    line: list[Model] = []
    for entry in history:
        if entry["record"].get("decision") == "ROLLBACK":
            line.pop()
        elif line[-1:] != [(entry["name"], entry["version"])]:
            line.append((entry["name"], entry["version"]))
    return line


def _models(name: str) -> str:
    return f"models/{checked_name('model', name)}"


def _role(role: str) -> str:
    return f"promotions/{checked_name('role', role)}"


def _verdicts(role: str) -> str:
    return f"{_role(role)}/verdicts"
