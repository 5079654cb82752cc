"""The best boxes of a queue as a contact sheet: the picture, where the box lies, the box itself and its matte."""

import numpy as np

from storage.labels.queue import Mined, read_queue
from storage.store.root import Root
from storage.takes.take import Take
from tasks.show.sheet import RGB, Row, comp_on_green, contact_sheet, rgb8, to_jpeg

_ROWS = 12
_FRAME = (255, 148, 40)


def mined_sheet(root: Root, take: str, version: str | None = None, rows: int = _ROWS) -> bytes:
    """A JPEG of the best boxes of a take's queue.

    Raises:
        NotFound: the take was never mined.
    """
    stored, queue = Take.open(root, take), read_queue(root, take, version)
    drawn = []
    for item in queue.items[:rows]:
        whole = stored.read(item.camera, item.frame)
        pha = stored.read_alpha(item.run, item.camera, item.frame)
        x0, y0, x1, y1 = around(item, (pha.shape[0], pha.shape[1]))
        window = (slice(y0, y1), slice(x0, x1))
        pictures: list[np.ndarray | None] = [
            framed(whole, item),
            whole[(slice(None), *window)],
            pha[window],
            comp_on_green(whole[(slice(None), *window)], pha[window]),
        ]
        first, *more = item.reasons
        captions = (f"{item.camera} frame {item.frame}", f"{item.score:.2f}  {first}"[:60], "", "; ".join(more)[:60])
        drawn.append(Row("", pictures, captions))
    return to_jpeg(contact_sheet(drawn, ["picture", "around the box", "matte", "over green"]))


def around(item: Mined, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A window twice as large as the box, inside a picture of (height, width): x0, y0, x1, y1."""
    x0, y0, x1, y1 = item.box
    dx, dy = (x1 - x0) // 2, (y1 - y0) // 2
    return max(0, x0 - dx), max(0, y0 - dy), min(size[1], x1 + dx), min(size[0], y1 + dy)


def framed(picture: np.ndarray, item: Mined) -> RGB:
    """The picture with the box drawn on it, (H, W, 3) uint8."""
    drawn = rgb8(picture).copy()
    x0, y0, x1, y1 = item.box
    line = max(1, drawn.shape[0] // 150)
    for rows, columns in (
        (slice(y0, y0 + line), slice(x0, x1)),
        (slice(y1 - line, y1), slice(x0, x1)),
        (slice(y0, y1), slice(x0, x0 + line)),
        (slice(y0, y1), slice(x1 - line, x1)),
    ):
        drawn[rows, columns] = _FRAME
    return drawn
