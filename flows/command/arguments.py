"""What the words of the command line have in common: their parser, the settings, and types of options.

`main.py` needs this file for every `--help`, so that it imports neither pydantic nor numpy.
"""

import argparse
import math
import re
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from capmat_errors import did_you_mean, plain

if TYPE_CHECKING:
    from tasks.config import Config

FRAMES = "FIRST-LAST[:STEP]"
"""How `frames` is written."""

PORT = "loopback port of the Prefect server (default: that of this folder's last server, else 4200)"
"""Help of `--port`."""

RUN = "alpha run, or the model that made it, such as teacher or student@v0002 (default: student, the one in use)"
"""Help of `--run`."""

LAST_PORT = 65535
"""The highest port of TCP."""


class Parser(argparse.ArgumentParser):
    """The parser of `capmat`, of one of its words, or of a verb below a word.

    An error is one line: what is wrong, the nearest right name, an example.

    Attributes:
        declare: declares the options. It is called when the parser is used, so that `--help` loads no other word.
        anywhere: options that count before and after every word and verb.
        examples: what the help shows and an error quotes; each `capmat WORD ...`, with a comment.
    """

    declare: "Callable[[Parser], None] | None" = None
    anywhere: Sequence[argparse.Action] = ()
    examples: Sequence[str] = ()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._mixed = False
        self._negative_number_matcher = re.compile(r"-\.?\d")  # values such as -1..1 and -0.5,0,0 are no options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but refuse what is unknown, and take positions and options in any order."""
        args = sys.argv[1:] if args is None else list(args)
        if self._mixed:
            return super().parse_known_args(args, namespace)
        if self.declare:
            self.declare(self)
            self.declare = None
        if self.anywhere and self.prog != "capmat":
            group = self.add_argument_group("every command, before or after it")
            for action in self.anywhere:
                group._add_action(action)
        if self.examples:
            self.epilog = "\n".join(["examples:", *(f"  {example}" for example in self.examples)])
        verbs = self.verbs()
        self._check_options(args, verbs)
        if verbs:
            found, rest = super().parse_known_args(args, namespace)
        else:
            self._mixed = True
            found, rest = self.parse_known_intermixed_args(args, namespace)
        if rest:
            self.error(f"does not expect {rest[0]!r}")
        return found, []

    def verbs(self) -> "dict[str, Parser]":
        """The parsers below this one, by name."""
        below = (action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction))
        return dict(next(below, {}))

    def _check_options(self, args: Sequence[str], verbs: Collection[str]) -> None:
        """Refuse an unknown option before argparse misses a required one, or takes its value for something else."""
        takes_next = False
        for arg in args:
            name, equals, _ = arg.partition("=")
            if arg == "--" or (verbs and not takes_next and not arg.startswith("-")):
                return
            option = self._option_string_actions.get(name)
            takes_next = bool(option and option.nargs != 0 and not equals)
            if name.startswith("--") and not any(known.startswith(name) for known in self._option_string_actions):
                self.error(f"has no option {name}. {did_you_mean(name, self._option_string_actions)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = [str(name) for name in action.choices]
        if isinstance(action, argparse._SubParsersAction):
            kind = str(action.metavar).lower()
            known = f"; it has {', '.join(names)}" if kind == "verb" else ""
            raise argparse.ArgumentError(None, f"has no {kind} {value!r}{known}. {did_you_mean(value, names)}")
        raise argparse.ArgumentError(
            action, f"expected {', '.join(names)}, got {value!r}. {did_you_mean(value, names)}"
        )

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        first = self.examples[0].partition("#")[0].rstrip() if self.examples else f"{self.prog} --help"
        end = "" if message.endswith((".", "?", " ")) else "."
        see = "For example" if self.examples else "See"
        self.exit(2, plain(" ".join(f"{self.prog}: {message}{end} {see}: {first}".split())) + "\n")


class Anywhere(argparse.Action):
    """An option that counts before and after a word: its parsers share one action, which keeps what was given."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        """Keep the value; that of a list is added to it."""
        value = self.const if self.nargs == 0 else values
        self.default = [*self.default, value] if isinstance(self.default, list) else value
        setattr(namespace, self.dest, self.default)


class _Take(argparse.Action):
    """A take by its position, or after `--take`."""

    by_position: "_Take | None" = None  # the other way, of --take
    several = False

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        if values is None or values == []:  # none stands at the position
            return
        known = getattr(namespace, self.dest, None)
        if self.several:
            values = [*(known or ()), *([values] if isinstance(values, str) else values)]
        elif known:
            parser.error(f"the take is named twice: {known}, {values}")
        if self.by_position:
            self.by_position.required = False
        setattr(namespace, self.dest, values)


def add_take(parser: argparse.ArgumentParser, text: str, nargs: str | None = None) -> None:
    """Declare the take, or with `nargs="*"` several: by position, and as `--take`, another way to write it."""
    place = parser.add_argument("take", action=_Take, nargs=nargs, default=None, metavar="TAKE", help=text)
    hidden = argparse.SUPPRESS
    alias = parser.add_argument("--take", action=_Take, dest="take", default=hidden, help=hidden)
    assert isinstance(place, _Take)
    assert isinstance(alias, _Take)
    alias.by_position = place
    alias.several = place.several = nargs == "*"


class Verbs(Protocol):
    """Makes the parser of one verb below a word."""

    def __call__(self, name: str, text: str) -> argparse.ArgumentParser:
        """The parser of `capmat WORD NAME`; `text` is its help."""


def settings(args: argparse.Namespace) -> "Config":
    """The settings of this command line; see `tasks.runtime.settings.load_config`."""
    from tasks.runtime.settings import load_config

    return load_config(args.config, args.set)


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of this command line as parameters of a flow; see `tasks.runtime.form.asked`."""
    return {"overrides": args.set, "config": str(args.config or "")}


def write_file(file: Path, data: bytes) -> None:
    """Write a file that a user named, in one step; its folder is made.

    Raises:
        StoreError: it cannot be written.
    """
    from storage.store.root import Root

    Root(file.absolute().parent).write(file.name, data)


def verbs_of(parser: argparse.ArgumentParser, *, required: bool = True) -> Verbs:
    """Let a word have verbs, such as `capmat models show`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=required)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        assert isinstance(made, Parser)
        assert isinstance(parser, Parser)
        made.anywhere = parser.anywhere
        made.examples = [line for line in parser.examples if line.startswith(f"{parser.prog} {name} ")]
        return made

    return add


def no_options(parser: argparse.ArgumentParser) -> None:
    """Declare nothing, for words that take no options."""


def whole(text: str) -> int:
    """0, 1, 2, ..."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}")
    return int(text)


def positive(text: str) -> int:
    """1, 2, ..."""
    if not whole(text):
        raise argparse.ArgumentTypeError("expected 1 or more, got 0")
    return int(text)


def integer(text: str) -> int:
    """..., -1, 0, 1, ..."""
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}")
    return int(text)


def number(text: str) -> float:
    """A number, such as 0.5 or 1e-4."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return value


def above_zero(text: str) -> float:
    """A number above 0."""
    if number(text) <= 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return float(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    if not 0 <= number(text) <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return float(text)


def port(text: str) -> int:
    """1 to 65535."""
    if positive(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"the highest port is {LAST_PORT}, got {text}")
    return int(text)


def words(text: str) -> tuple[str, ...]:
    """`person,hair`."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def pixels(text: str) -> float:
    """A radius in pixels."""
    if not re.fullmatch(r"\d{1,4}(\.\d+)?", text) or not 0.75 <= float(text) <= 2048:
        raise argparse.ArgumentTypeError(f"expected pixels from 0.75 to 2048, got {text!r}")
    return float(text)


def frames(text: str) -> range:
    """`10-250:2`, both ends included."""
    match = re.fullmatch(r"(\d+)(?:-(\d+)(?::([1-9]\d*))?)?", text)
    if not match or int(match[2] or match[1]) < int(match[1]):
        raise argparse.ArgumentTypeError(f"expected {FRAMES}, got {text!r}")
    return range(int(match[1]), int(match[2] or match[1]) + 1, int(match[3] or 1))


def size(text: str) -> tuple[int, int]:
    """`WIDTHxHEIGHT` as (height, width), the order of arrays."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, got {text!r}")
    return positive(match[2]), positive(match[1])
