"""Pyramids: tiles cover every level, show what averaging the whole picture would, and read only what they show."""

from threading import Barrier, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.store.shards import Window
from tasks.labels.pyramid import SMALLEST, TILE, Kept, Pixels, level_sizes, quarter, read_tile, shrink, tile_window

SIDES = st.integers(1, 2300)


def made(height: int, width: int) -> Pixels:
    """A picture that differs everywhere."""
    y, x = np.mgrid[:height, :width]
    return ((3 * y + 5 * x + y * x) % 251).astype(np.uint8)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES)
def test_tiles_cover_each_level_once_and_the_last_level_is_one_tile(height: int, width: int) -> None:
    sizes = level_sizes(height, width)
    assert sizes[0] == (height, width)
    assert max(sizes[-1]) <= SMALLEST < TILE
    for h, w in sizes:
        rows, columns = -(-h // TILE), -(-w // TILE)
        windows = [tile_window((h, w), r, c) for r in range(rows) for c in range(columns)]
        assert sum((y1 - y0) * (x1 - x0) for y0, y1, x0, x1 in windows) == h * w
        for beyond in ((rows, 0), (0, columns), (-1, 0)):
            with pytest.raises(IndexError):
                tile_window((h, w), *beyond)


@settings(deadline=None, max_examples=15)
@given(SIDES, SIDES)
def test_every_tile_is_what_halving_the_whole_picture_shows(height: int, width: int) -> None:
    whole = made(height, width)
    asked: list[Window] = []

    def read(window: Window) -> Pixels:
        asked.append(window)
        y0, y1, x0, x1 = window
        return whole[y0:y1, x0:x1]

    small = quarter((height, width), read)
    assert small.shape == (max(height // 4, 1), max(width // 4, 1))
    asked.clear()
    for level, (h, w) in enumerate(level_sizes(height, width)):
        tile = read_tile((height, width), level, 0, 0, read, lambda: small)
        assert tile.shape == (min(h, TILE), min(w, TILE))
        true = shrink(whole, 2**level)[: tile.shape[0], : tile.shape[1]].astype(int)
        assert np.abs(tile - true).max() <= 1  # the small copy was rounded
    assert all((y1 - y0) <= 2 * TILE and (x1 - x0) <= 2 * TILE for y0, y1, x0, x1 in asked)


def test_a_level_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="no level 3"):
        read_tile((600, 800), 3, 0, 0, lambda _: made(1, 1), lambda: made(1, 1))


def test_what_is_kept_stays_within_its_limit() -> None:
    kept, count = Kept(100), [0]

    def make() -> bytes:
        count[0] += 1
        return bytes(40)

    for key in ("a", "b", "a", "c"):  # b was not used for longest
        kept.get(key, make, len)
    assert count[0] == 3
    kept.get("a", make, len)
    kept.get("c", make, len)
    assert count[0] == 3
    kept.get("b", make, len)
    assert count[0] == 4


def test_of_threads_that_want_the_same_one_makes_it() -> None:
    kept, made_by, start = Kept(100), [], Barrier(4)

    def want() -> None:
        start.wait()
        kept.get("tile", lambda: made_by.append(1) or b"x", len)

    threads = [Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made_by) == 1
