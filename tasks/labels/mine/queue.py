"""Failure mining: which boxes of a take's pictures are worth a scribble, as a queue in the store.

A few frames are looked at, spread over the take; each is a step of its own, so a killed run goes on with the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from capmat_errors import NotFound
from storage.labels.queue import Mined, write_queue
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.mine.frame import mine_frame
from tasks.look import show
from tasks.mine_sheet import mined_sheet
from tasks.models.networks import Ref, load_network, run_name
from tasks.runtime.progress import Progress
from tasks.runtime.step import Record, digest, retryable, run_once


def mine(
    store: str, take: str, config: Config, run: str = "", teacher: str = "", top: int = 0, threads: int = 1
) -> Record:
    """Mine a take and write its queue, unless one of exactly this work is there.

    Args:
        store: URL of the store.
        take: which take.
        config: `mine` and `reconstruction` of it.
        run: mattes to judge; "" for those of the student in use.
        teacher: mattes to compare them with; "" for those of the teacher in use, if there are some.
        top: boxes in the queue; 0 for `mine.top`.
        threads: torch threads.

    Returns:
        Record with `queue` (its version), `run`, `teacher`, `frames` and `pictures` that were looked at, and `items`,
        the number of boxes.

    Raises:
        NotFound: there is no such take or run, or it has no mattes.
    """
    root = Root(store)
    stored = Take.open(root, take)
    known = stored.alpha_runs()
    run = run or _in_use(root, "student", known)
    teacher = teacher or _in_use(root, "teacher", known, needed=False)
    for wanted in filter(None, (run, teacher)):
        if wanted not in known:
            raise NotFound(
                f"the take has no mattes {wanted}; there are {', '.join(sorted(known)) or 'none'}",
                where=f"take {take}",
                fix=f"Run `capmat matte --take {take}` first, or check the run.",
            )
    matted = {frame for camera in stored.cameras for frame in stored.matted(run, camera)}
    if not matted:
        raise NotFound(f"run {run} has no mattes yet", where=f"take {take}", fix=f"Run `capmat matte --take {take}`.")
    frames = spread_frames(sorted(matted), config.mine.frames)
    each = -(-config.mine.pictures // len(frames))
    common = {
        "run": known[run],
        "teacher": known.get(teacher),
        "source": stored.source,
        "box": [config.reconstruction.box_centre, config.reconstruction.box_size],
        "pictures": each,
    }
    bar = Progress(f"mine {take} {run}", len(frames))
    records = []
    for number, frame in enumerate(frames, 1):
        there = {
            kind: [camera for camera in stored.cameras if stored.has_alpha(name, camera, frame)]
            for kind, name in (("run", run), ("teacher", teacher))
            if name
        }

        def work(frame: int = frame) -> dict[str, Any]:
            network = network_of(store, known[run], threads)
            found = mine_frame(stored, run, teacher, frame, network, config.reconstruction, each)
            return {"take": take, "boxes": found}

        inputs = {**common, "frame": frame, "there": there}
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

    def keep() -> dict[str, Any]:
        items = _queue([box for record in records for box in record["boxes"]], run, count)
        queue = write_queue(root, take, items, how)
        return {**how, "take": take, "queue": queue.version, "items": len(items)}

    done = run_once(store, "mine-queue", f"{take} {run}", how, keep)
    if done["items"] and not done["reused"]:
        show(f"mined-{take}", f"boxes of {take} that wait for scribbles", mined_sheet(root, take, done["queue"]))
    return done


def mine_night(store: str, take: str, config: Config) -> Record:
    """Mine what a night has matted, with `mine.night_pictures`; arguments and errors as those of `mine`."""
    pictures = config.mine.night_pictures
    few = config.mine.model_copy(update={"pictures": pictures, "frames": min(pictures, config.mine.frames)})
    return mine(store, take, config.model_copy(update={"mine": few}))


def spread_frames(frames: Sequence[int], count: int) -> list[int]:
    """`count` of the frames, evenly spread, from the middle of the first stretch to that of the last."""
    count = min(count, len(frames))
    return [frames[(2 * n + 1) * len(frames) // (2 * count)] for n in range(count)]


def _queue(boxes: Sequence[Mapping[str, Any]], run: str, count: int) -> list[Mined]:
    from capmat_models.mining import diversified

    order = diversified([(b["camera"], b["frame"], tuple(b["box"]), b["score"]) for b in boxes], count)
    return [
        Mined(
            boxes[index]["camera"],
            boxes[index]["frame"],
            round(score, 4),
            tuple(boxes[index]["box"]),
            tuple(boxes[index]["reasons"]),
            boxes[index]["signals"],
            run,
        )
        for index, score in order
    ]


def _in_use(root: Root, role: str, known: Mapping[str, Any], *, needed: bool = True) -> str:
    """The run of the model in use for a role, or else the newest of that role that the take has."""
    found = Registry(root).champion(role)
    name = run_name(role, Ref(name=found[0], version=found[1])) if found else ""
    if name in known or (needed and name):
        return name
    return max((run for run, said in known.items() if said.get("role") == role), default="")


def network_of(store: str, info: Mapping[str, Any], threads: int) -> Any:
    """What made a run, if it can be asked again: whole frames, one at a time, with picture and plate alone."""
    if not info.get("version") or info.get("tile"):
        return None
    network = load_network(store, Ref(name=info["name"], version=info["version"]), threads)
    return None if network.recurrent or {"trimap", "mask"} & set(network.inputs) else network


mine_night_task = retryable("mine", "mine {take}", gpu=True)(mine_night)
