"""Run lengths: how annotation tools write masks as lists of numbers.

Runs of pixels outside and inside take turns, outside first. COCO counts down the columns, and packs the counts into
text; CVAT counts along the rows of a box; Label Studio packs RGBA pixels into a stream of bits.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from storage.labels.formats.parse import refused, whole

_SIGN, _MORE, _FIVE, _ASCII = 16, 32, 31, 48


def from_counts(counts: Sequence[object], size: tuple[int, int], where: str, *, columns: bool) -> NDArray[np.bool_]:
    """Runs of outside, inside, outside, ... to (H, W).

    Args:
        counts: the lengths.
        size: (height, width).
        where: for errors.
        columns: whether they run down the columns; else along the rows.

    Raises:
        ScribbleError: they are no lengths, or not those of `size`.
    """
    runs = [whole(count, "run", where) for count in counts]
    if (total := sum(runs)) != size[0] * size[1]:
        raise refused(f"its runs are {total} pixels, not {size[1]}x{size[0]}", where)
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size, order="F" if columns else "C")


def to_counts(mask: NDArray[np.bool_], *, columns: bool) -> list[int]:
    """Undo `from_counts`."""
    flat = mask.reshape(-1, order="F" if columns else "C")
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], changes, [len(flat)]])).tolist()
    return [0, *runs] if flat[0] else runs


def coco_counts(text: str, where: str) -> list[int]:
    """The counts in COCO's compressed text.

    Five bits a character, the lowest first, and from the fourth count on its difference to the last but one.

    Raises:
        ScribbleError: it is no such text.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - _ASCII
        if not 0 <= bits < 64 or shift > 40:
            raise refused(f"its counts hold {character!r}, or end nowhere", where)
        value |= (bits & _FIVE) << shift
        shift += 5
        if not bits & _MORE:
            if bits & _SIGN:
                value -= 1 << shift
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value = shift = 0
    if shift:
        raise refused("its counts are cut off", where)
    return counts


def coco_text(counts: Sequence[int]) -> str:
    """Undo `coco_counts`."""
    text = []
    for n, count in enumerate(counts):
        value = count - counts[n - 2] if n > 2 else count
        while True:
            bits, value = value & _FIVE, value >> 5
            done = value == (-1 if bits & _SIGN else 0)
            text.append(chr(bits + _ASCII + (0 if done else _MORE)))
            if done:
                break
    return "".join(text)


def from_brush(data: Sequence[object], size: tuple[int, int], where: str) -> NDArray[np.bool_]:
    """Label Studio's brush: a stream of bits that holds RGBA pixels along the rows, to (H, W) of alpha >= 128.

    It starts with the number of values (32 bits), the bits of a value less 1 (5), and four lengths less 1 (4 each).
    Each run says whether it is one value repeated (1 bit), which of the four lengths its count has (2), the count
    less 1, and one value, or so many.

    Raises:
        ScribbleError: the numbers are no bytes, cut off, or a picture of another size.
    """
    stream = bytes(_byte(value, where) for value in data)
    at, bits = 0, 8 * len(stream)

    def read(count: int) -> int:
        nonlocal at
        if at + count > bits:
            raise refused("its runs are cut off", where)
        first, at = at, at + count
        piece = int.from_bytes(stream[first >> 3 : (at + 7) >> 3], "big")
        return piece >> (-at % 8) & ((1 << count) - 1)

    total, word = read(32), read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    if word != 8 or total != 4 * size[0] * size[1]:
        raise refused(f"its runs are {total} values of {word} bits, not the RGBA of {size[1]}x{size[0]}", where)
    values = np.zeros(total, np.uint8)
    done = 0
    while done < total:
        repeated = read(1)
        count = read(lengths[read(2)]) + 1
        if done + count > total:
            raise refused("its runs are longer than the picture", where)
        if repeated:
            values[done : done + count] = read(8)
        else:
            values[done : done + count] = [read(8) for _ in range(count)]
        done += count
    return values.reshape(*size, 4)[..., 3] >= 128


def _byte(value: object, where: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= 255:
        raise refused(f"its runs hold {str(value)[:30]!r}, which is no byte", where)
    return int(value)
