"""What the words of the command line have in common: the settings, and types of options that argparse checks."""

import argparse
import re
from typing import Protocol

from tasks.config import Config
from tasks.runtime.settings import load_config

FRAMES = "FIRST-LAST[:STEP]"
"""How `frames` is written."""

PORT = "loopback port of the Prefect server (default: that of this folder's last server, else 4200)"
"""Help of `--port`."""

LAST_PORT = 65535
"""The highest port of TCP."""


class Verbs(Protocol):
    """Makes the parser of one verb below a word."""

    def __call__(self, name: str, text: str) -> argparse.ArgumentParser:
        """The parser of `capmat WORD NAME`; `text` is its help."""


def settings(args: argparse.Namespace) -> Config:
    """The settings of this command line; see `tasks.runtime.settings.load_config`."""
    return load_config(args.config, args.set)


def verbs_of(parser: argparse.ArgumentParser, *, required: bool = True) -> Verbs:
    """Let a word have verbs, such as `capmat models show`."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=required)
    return lambda name, text: verbs.add_parser(name, help=text, description=text)


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
    width, _, height = text.partition("x")
    return positive(height), positive(width)
