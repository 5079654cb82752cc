"""Pictures as pyramids of tiles, made when somebody looks: for pages that show 24 megapixels in a window of one.

Level 0 is the picture itself, each further level half the size. The two finest levels are cut out of the store, so a
tile costs the pixels under it; all others come from one small copy, a quarter of the size, that is made once.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from storage.store.shards import Window

TILE = 512
"""Side of the tiles: two of those in which takes keep pictures, one of mattes."""
SMALLEST = 320
"""The last level's longer side is at most that: one tile that stands for the whole picture."""
_LOCKS = 32

Pixels = NDArray[np.uint8]
Read = Callable[[Window], Pixels]
"""Reads a part of the picture: (h, w, 3) or (h, w)."""
T = TypeVar("T")


def level_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Height and width of every level, the finest first."""
    sizes = [(height, width)]
    while max(sizes[-1]) > SMALLEST:
        sizes.append((max(sizes[-1][0] // 2, 1), max(sizes[-1][1] // 2, 1)))
    return sizes


def tile_window(size: tuple[int, int], row: int, column: int) -> Window:
    """The part of a level that a tile shows; the last ones of a row or column are smaller.

    Raises:
        IndexError: the level has no such tile.
    """
    top, left = row * TILE, column * TILE
    if row < 0 or column < 0 or top >= size[0] or left >= size[1]:
        raise IndexError(f"there is no tile {row}, {column} in {size[1]}x{size[0]} pixels")
    return top, min(top + TILE, size[0]), left, min(left + TILE, size[1])


def read_tile(
    size: tuple[int, int], level: int, row: int, column: int, read: Read, small: Callable[[], Pixels]
) -> Pixels:
    """One tile.

    Args:
        size: height and width of the picture.
        level: 0 for the picture itself.
        row: of the tile in the level.
        column: of the tile in the level.
        read: reads a part of the picture.
        small: the picture at a quarter of its size, see `quarter`; asked for from level 2 on.

    Returns:
        (h, w, 3) or (h, w) uint8, at most 512 x 512.

    Raises:
        IndexError: there is no such level or tile.
    """
    sizes = level_sizes(*size)
    if not 0 <= level < len(sizes):
        raise IndexError(f"there is no level {level}, only 0..{len(sizes) - 1}")
    y0, y1, x0, x1 = tile_window(sizes[level], row, column)
    if level == 0:
        return read((y0, y1, x0, x1))
    if level == 1:
        return shrink(read((2 * y0, 2 * y1, 2 * x0, 2 * x1)), 2)
    factor = 2 ** (level - 2)
    return shrink(small()[y0 * factor : y1 * factor, x0 * factor : x1 * factor], factor)


def quarter(size: tuple[int, int], read: Read) -> Pixels:
    """The picture at a quarter of its size; what is read at once is a strip of it."""
    strips = [
        shrink(read((top, min(top + TILE, size[0]), 0, size[1])), 4) for top in range(0, max(size[0] - 3, 1), TILE)
    ]
    return np.concatenate(strips)


def shrink(picture: Pixels, factor: int) -> Pixels:
    """Averages of factor x factor pixels; what is left over at the lower and right edge is dropped."""
    if factor == 1:
        return picture
    height, width = (max(side // factor, 1) for side in picture.shape[:2])
    whole = picture[: height * factor, : width * factor]
    # A side that is shorter than the factor is averaged as far as it goes.
    shape = (height, -(-whole.shape[0] // height), width, -(-whole.shape[1] // width), *picture.shape[2:])
    return np.rint(whole.reshape(shape).mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)


class Kept:
    """What was made lately, up to so many bytes. Of several threads that want the same, one makes it.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._there: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock, self._making = Lock(), [Lock() for _ in range(_LOCKS)]

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """The thing of this key, made if it is not there.

        Args:
            key: what it is.
            make: makes it.
            size: its bytes.
        """
        with self._making[hash(key) % _LOCKS]:
            with self._lock:
                if key in self._there:
                    self._there.move_to_end(key)
                    return cast(T, self._there[key][0])
            made = make()
            with self._lock:
                self._there[key] = made, size(made)
                self._used += size(made)
                while self._used > self._limit and len(self._there) > 1:
                    self._used -= self._there.popitem(last=False)[1][1]
            return made
