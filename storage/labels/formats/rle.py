"""Run lengths: annotation tools write masks as lists of numbers.

Runs of pixels outside and inside alternate, outside first. COCO counts down the columns, and packs the counts into
text; CVAT counts along the rows of a box; Label Studio packs RGBA pixels into a stream of bits.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from storage.labels.formats.parse import refused, whole

_SIGN, _MORE, _FIVE, _ASCII = 16, 32, 31, 48


def from_counts(counts: Sequence[object], size: tuple[int, int], where: str, *, columns: bool) -> NDArray[np.bool_]:
    """Return the mask (H, W) of runs outside, inside, outside, ...

    Args:
        counts: the lengths.
        size: (height, width).
        where: for errors.
        columns: whether runs go down the columns; otherwise they go along the rows.

    Raises:
        ScribbleError: a count is not a length, or they do not add up to `size`.
    """
    runs = [whole(count, "run", where) for count in counts]
    if (total := sum(runs)) != size[0] * size[1]:
        raise refused(f"its runs are {total} pixels, not {size[1]}x{size[0]}", where)
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(size, order="F" if columns else "C")


def coco_counts(text: str, where: str) -> list[int]:
    """Return the counts in COCO's compressed text.

    A character holds five bits, the lowest first. From the fourth count on, the text holds the difference to the last
    count but one.

    Raises:
        ScribbleError: the text is damaged.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - _ASCII
        if not 0 <= bits < 64 or shift > 40:
            raise refused(f"its counts hold {character!r}, or a number that is too long", where)
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


def from_brush(data: Sequence[object], size: tuple[int, int], where: str) -> NDArray[np.bool_]:
    """Return the mask (H, W) of Label Studio's brush, a stream of bits that holds RGBA pixels along the rows.

    The stream starts with the number of values (32 bits), the bits per value minus 1 (5), and four lengths minus 1 (4
    each). A run tells whether it repeats one value (1 bit), which of the four lengths its count has (2), the count
    minus 1, and then that value or `count` values. Pixels of alpha 128 or more belong to the mask.

    Raises:
        ScribbleError: the numbers are not bytes, are cut off, or hold a picture of another size.
    """
    stream = bytes(_byte(value, where) for value in data)
    at, bits = 0, 8 * len(stream)

    def read(count: int) -> int:
        nonlocal at
        if at + count > bits:
            raise refused("its runs are cut off", where)
        first, at = at, at + count
        window = int.from_bytes(stream[first >> 3 : (at + 7) >> 3], "big")
        return window >> (-at % 8) & ((1 << count) - 1)

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
        raise refused(f"its runs hold {str(value)[:30]!r}, which is not a byte", where)
    return int(value)
