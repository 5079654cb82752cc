"""Words of the command line that are numbers, ranges and sizes; argparse says what is wrong with them."""

import argparse
import re


def whole(text: str) -> int:
    """0, 1, 2, ..."""
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def positive(text: str) -> int:
    """1, 2, ..."""
    if not whole(text):
        raise argparse.ArgumentTypeError("0 is too small")
    return int(text)


def words(text: str) -> tuple[str, ...]:
    """`person,hair`."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def pixels(text: str) -> float:
    """A radius in pixels."""
    if not re.fullmatch(r"\d{1,4}(\.\d+)?", text) or not 0.75 <= float(text) <= 2048:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pixels from 0.75 to 2048")
    return float(text)


def frames(text: str) -> range:
    """`10-250:2`, both ends included."""
    found = re.fullmatch(r"(\d+)(?:-(\d+)(?::([1-9]\d*))?)?", text)
    if not found or int(found[2] or found[1]) < int(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no FIRST-LAST[:STEP]")
    return range(int(found[1]), int(found[2] or found[1]) + 1, int(found[3] or 1))


def size(text: str) -> tuple[int, int]:
    """Width x height, as people say it, to (height, width), as arrays have it."""
    width, _, height = text.partition("x")
    return positive(height), positive(width)
