"""The boxes of one frame: signals of all its cameras, then the network again for the most promising pictures."""

from typing import Any, TypedDict

from capmat_errors import CalibrationError, MatteError, NotFound
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry.hull_check import FrameCheck, check_frame
from tasks.labels.mine.signals import ask, look
from tasks.labels.mine.words import reasons
from tasks.runtime.progress import say

BOXES = 6
"""Of one picture, at most."""


class Box(TypedDict):
    """A part of a picture where a scribble helps."""

    camera: str
    frame: int
    box: list[int]  # x0, y0, x1, y1 in pixels of the whole picture
    score: float
    signals: dict[str, float]
    reasons: list[str]


def mine_frame(
    take: Take,
    run: str,
    teacher: str,
    frame: int,
    network: Any,
    settings: Reconstruction,
    pictures: int,
) -> list[Box]:
    """Find the boxes of one frame, best first.

    Args:
        take: the take.
        run: mattes that are judged.
        teacher: mattes to compare with; "" for none.
        frame: which frame.
        network: that made `run`; None if it cannot run again on one picture.
        settings: the subject's box.
        pictures: cameras whose picture goes through the network again.
    """
    from capmat_models.mining import spots

    stage = Stage.under(take)
    cameras = [camera for camera in take.cameras if take.has_alpha(run, camera, frame)]
    fit = fit_of(take, run, frame, settings)
    # the pictures of all cameras would not fit into memory together, so only their scores are kept
    promised: dict[str, float] = {}
    for camera in cameras:
        best = spots(look(take, stage, run, teacher, camera, frame, fit).maps, 1)
        promised[camera] = best[0].score if best else 0.0
    chosen = sorted(cameras, key=lambda camera: -promised[camera])[:pictures]
    boxes: list[Box] = []
    for camera in chosen:
        looked = look(take, stage, run, teacher, camera, frame, fit)
        if network is not None:
            looked.maps.update(ask(network, take, stage, camera, frame, looked))
        for spot in spots(looked.maps, BOXES):
            view = take.cameras[camera]
            x0, y0, x1, y1 = (edge * looked.fold for edge in spot.box)
            boxes.append(
                {
                    "camera": camera,
                    "frame": frame,
                    "box": [x0, y0, min(x1, view.width), min(y1, view.height)],
                    "score": spot.score,
                    "signals": {name: round(value, 4) for name, value in spot.signals.items()},
                    "reasons": reasons(spot, looked, fit, camera),
                }
            )
    return sorted(boxes, key=lambda one: -one["score"])


def fit_of(take: Take, run: str, frame: int, settings: Reconstruction) -> FrameCheck | None:
    """The hull check of the frame; None if its cameras cannot be compared."""
    try:
        return check_frame(take, run, frame, settings)
    except (NotFound, MatteError, CalibrationError) as error:
        say(f"without the hull: {error}")
        return None
