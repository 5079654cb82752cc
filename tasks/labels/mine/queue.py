"""Failure mining: the boxes of a take's pictures that are worth a scribble, as a queue in the store.

A few frames, spread over the take, are mined. Each is a step, so a killed run goes on with the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, cast

import numpy as np

from capmat_errors import NotFound
from storage.labels.marks import Mark, read_marks
from storage.labels.queue import Mined, read_queue, write_queue
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.mine.frame import Box, mine_frame
from tasks.models.networks import Ref, Run, load_network
from tasks.runtime.progress import Progress
from tasks.runtime.step import StepRecord, digest, retryable, run_once
from tasks.show.artifact import show
from tasks.show.sheet import RGB, Row, comp_on_green, contact_sheet, rgb8, to_jpeg


class FrameRecord(StepRecord):
    """The boxes of one frame of a take."""

    take: str
    boxes: list[Box]


class MineRecord(StepRecord):
    """A queue of boxes."""

    take: str
    run: str  # mattes that were judged
    teacher: str  # mattes that they were compared with, or ""
    frames: list[int]  # that were mined
    pictures: int  # on which the network ran again, at most
    top: int  # boxes that were wanted
    mined: str  # digest of the boxes
    marked: NotRequired[str]  # digest of the places that people marked, if there are some
    queue: str  # its version
    items: int  # boxes that it has


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


def mine(
    store: str, take: str, config: Config, run: str = "", teacher: str = "", top: int = 0, threads: int = 1
) -> MineRecord:
    """Mine a take and write its queue, unless the same work was done before.

    Args:
        store: URL of the store.
        take: which take.
        config: its sections `mine` and `reconstruction`.
        run: mattes to judge; "" for those of the student in use.
        teacher: mattes to compare with; "" for those of the teacher in use, if the take has them.
        top: boxes in the queue; 0 for `mine.top`.
        threads: torch threads.

    Raises:
        NotFound: the take or the run does not exist, or the run has no mattes.
    """
    root = Root(store)
    stored = Take.open(root, take)
    known = stored.alpha_runs()
    run = run or _in_use(root, "student", known)
    teacher = teacher or _in_use(root, "teacher", known, needed=False)
    for wanted in filter(None, (run, teacher)):
        stored.run_info(wanted)
    matted = {frame for camera in stored.cameras for frame in stored.matted(run, camera)}
    if not matted:
        raise NotFound(f"run {run} has no mattes yet", where=f"take {take}", fix=f"Run `capmat matte {take}`.")
    frames = spread_frames(sorted(matted), config.mine.frames)
    each = -(-config.mine.pictures // len(frames))
    common = {
        "run": known[run],
        "teacher": known.get(teacher),
        "source": stored.source,
        "box": [config.reconstruction.box_centre, config.reconstruction.box_size],
        "pictures": each,
    }
    bar = Progress(f"mine {take} {run}", len(frames), "frames")
    records = []
    for number, frame in enumerate(frames, 1):
        matted_by = {
            kind: [camera for camera in stored.cameras if stored.has_alpha(name, camera, frame)]
            for kind, name in (("run", run), ("teacher", teacher))
            if name
        }

        def work(frame: int = frame) -> FrameRecord:
            network = network_of(store, known[run], threads)
            boxes = mine_frame(stored, run, teacher, frame, network, config.reconstruction, each)
            return {"take": take, "boxes": boxes}

        inputs = {**common, "frame": frame, "there": matted_by}
        records.append(run_once(store, "mine", f"{take} {run} {frame}", inputs, work))
        bar(number, f"frame {frame}")
    count = top or config.mine.top
    how = {
        "run": run,
        "teacher": teacher,
        "frames": frames,
        "pictures": each * len(frames),
        "top": count,
        "mined": digest([record["digest"] for record in records]),
    }
    if marks := read_marks(root, take):
        how["marked"] = digest([mark.place for mark in marks])

    def keep() -> MineRecord:
        items = _queue([box for record in records for box in record["boxes"]], run, count, marks)
        queue = write_queue(root, take, items, how)
        return cast(MineRecord, {**how, "take": take, "queue": queue.version, "items": len(items)})

    done = run_once(store, "mine-queue", f"{take} {run}", how, keep)
    if done["items"] and not done["reused"]:
        show(f"mined-{take}", f"boxes of {take} that wait for scribbles", mined_sheet(root, take, done["queue"]))
    return done


def mine_night(store: str, take: str, config: Config) -> MineRecord:
    """As `mine`, with `mine.night_pictures` in place of `mine.pictures`."""
    pictures = config.mine.night_pictures
    few = config.mine.model_copy(update={"pictures": pictures, "frames": min(pictures, config.mine.frames)})
    return mine(store, take, config.model_copy(update={"mine": few}))


def spread_frames(frames: Sequence[int], count: int) -> list[int]:
    """`count` of the frames: the middle one of each of so many equal parts."""
    count = min(count, len(frames))
    return [frames[(2 * n + 1) * len(frames) // (2 * count)] for n in range(count)]


def _queue(boxes: Sequence[Box], run: str, count: int, marks: Sequence[Mark]) -> list[Mined]:
    from capmat_models.mining import diversified

    def edges(box: Box) -> tuple[int, int, int, int]:
        x0, y0, x1, y1 = box["box"]
        return x0, y0, x1, y1

    scored = [(b["camera"], b["frame"], edges(b), b["score"]) for b in boxes]
    order = diversified(scored, count, [mark.place for mark in marks])
    chosen = [(boxes[index], score) for index, score in order]
    return [
        Mined(b["camera"], b["frame"], round(score, 4), edges(b), tuple(b["reasons"]), b["signals"], run)
        for b, score in chosen
    ]


def _in_use(root: Root, role: str, known: Mapping[str, Any], *, needed: bool = True) -> str:
    """The run of the model in use for a role, or else the newest of that role that the take has."""
    model = Registry(root).champion(role)
    name = Run(role, Ref(name=model.name, version=model.version)).name if model else ""
    if name in known or (needed and name):
        return name
    return max((run for run, info in known.items() if info.get("role") == role), default="")


def network_of(store: str, info: Mapping[str, Any], threads: int) -> Any:
    """The network of a run, if it can run again on one whole frame with its plate alone; else None."""
    if not info.get("version") or info.get("tile"):
        return None
    network = load_network(store, Ref(name=info["name"], version=info["version"]), threads)
    return None if network.recurrent or {"trimap", "mask"} & set(network.inputs) else network


mine_night_task = retryable("mine", "mine {take}", gpu=True)(mine_night)
