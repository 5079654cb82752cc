"""Pictures as pyramids of tiles, made on request: for pages that show 24 megapixels in a window of one.

Level 0 is the picture itself, each further level half the size. Tiles of the two finest levels are read from the
store, which costs the pixels under them. All others come from one copy at a quarter of the size, made once.
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
"""The largest side of the last level, which is one tile."""
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
        raise IndexError(f"{size[1]}x{size[0]} pixels have no tile {row}, {column}")
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
        small: the picture at a quarter of its size, see `quarter`; called from level 2 on.

    Returns:
        (h, w, 3) or (h, w) uint8, at most 512 x 512.

    Raises:
        IndexError: the picture has no such level or tile.
    """
    sizes = level_sizes(*size)
    if not 0 <= level < len(sizes):
        raise IndexError(f"the picture has no level {level}, only 0..{len(sizes) - 1}")
    y0, y1, x0, x1 = tile_window(sizes[level], row, column)
    if level == 0:
        return read((y0, y1, x0, x1))
    if level == 1:
        return shrink(read((2 * y0, 2 * y1, 2 * x0, 2 * x1)), 2)
    factor = 2 ** (level - 2)
    return shrink(small()[y0 * factor : y1 * factor, x0 * factor : x1 * factor], factor)


def quarter(size: tuple[int, int], read: Read) -> Pixels:
    """The picture at a quarter of its size, read strip by strip."""
    strips = [
        shrink(read((top, min(top + TILE, size[0]), 0, size[1])), 4) for top in range(0, max(size[0] - 3, 1), TILE)
    ]
    return np.concatenate(strips)


def shrink(picture: Pixels, factor: int) -> Pixels:
    """Averages of factor x factor pixels; incomplete ones at the lower and right edge are dropped."""
    if factor == 1:
        return picture
    height, width = (max(side // factor, 1) for side in picture.shape[:2])
    whole = picture[: height * factor, : width * factor]
    # a side shorter than the factor becomes one pixel
    shape = (height, -(-whole.shape[0] // height), width, -(-whole.shape[1] // width), *picture.shape[2:])
    return np.rint(whole.reshape(shape).mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)


class Kept:
    """A cache of the last results. Of several threads that want the same one, one makes it.

    Args:
        limit: in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._used = limit, 0
        self._results: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock, self._making = Lock(), [Lock() for _ in range(_LOCKS)]

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """The result of this key, made if the cache does not have it.

        Args:
            key: identifies the result.
            make: makes it.
            size: its bytes.
        """
        with self._making[hash(key) % _LOCKS]:
            with self._lock:
                if key in self._results:
                    self._results.move_to_end(key)
                    return cast(T, self._results[key][0])
            made = make()
            with self._lock:
                self._results[key] = made, size(made)
                self._used += size(made)
                while self._used > self._limit and len(self._results) > 1:
                    self._used -= self._results.popitem(last=False)[1][1]
            return made
