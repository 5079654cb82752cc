"""One malformed input: a sound session of a format, a mutation, and the words that its refusal holds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.torture.corpus.damage import Harm
from tests.torture.sources import FORMATS

Mutation = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Attributes:
        name: what it is, unique.
        source: format of the sound session that it is made from; see `sources`.
        mutate: spoils the copy of it in a folder.
        names: words of which the refusal holds all: a file or a field.
        words: the command, after `capmat`.
        may_pass: the damage may be harmless (random bits), so that the command may also end well.
    """

    name: str
    source: str
    mutate: Mutation
    names: tuple[str, ...]
    words: tuple[str, ...] = ("ingest", "session.toml")
    may_pass: bool = False


def one_of(form: str, camera: str = "c01", frame: int = 1) -> str:
    return f"takes/walk/{camera}/{frame:04d}{FORMATS[form]}"


def at(place: str, harm: Harm) -> Mutation:
    return lambda folder: harm(folder / place)
