"""Why a box was mined, in words: what a person who scribbles should look for."""

from typing import TYPE_CHECKING, Any

from tasks.geometry.hull_check import FrameCheck

if TYPE_CHECKING:
    from tasks.labels.mine.signals import Looked

_WORTH = 0.03  # a signal with a lower mean in the box is not worth naming
_LOWEST = 0.15  # the feet are in this share of the subject's height
_DARKER = 0.05  # share of the plate's light that a shadow takes at least

_WORDS = {
    "err": "the student expects to be wrong here",
    "soft": "the matte is half transparent far from any edge",
    "unsteady": "the matte changes when the picture is flipped or shifted",
    "jump": "the matte jumps between two frames and the picture does not",
}


def reasons(spot: Any, looked: "Looked", fit: FrameCheck | None, camera: str) -> list[str]:
    """The reasons of a box, at least one, the strongest first.

    Args:
        spot: the box, from `capmat_models.mining.spots`.
        looked: its picture.
        fit: the hull check of its frame.
        camera: the camera of the picture.
    """
    strong = sorted(spot.signals, key=lambda name: -spot.signals[name])
    strong = [name for name in strong if spot.signals[name] >= _WORTH] or strong[:1]
    return [_sentence(name, spot.box, looked, fit, camera) for name in strong]


def _sentence(
    name: str, box: tuple[int, int, int, int], looked: "Looked", fit: FrameCheck | None, camera: str
) -> str:
    x0, y0, x1, y1 = box
    if name in _WORDS:
        return _WORDS[name]
    if name == "teacher":
        part = looked.maps[name][y0:y1, x0:x1]
        row, column = divmod(int(part.argmax()), part.shape[1])
        own, other = (float(pha[y0 + row, x0 + column]) for pha in (looked.pha, looked.teacher))
        return f"teacher and student disagree: alpha {other:.2f} and {own:.2f}"
    if name == "residual":
        dark = _shadow(looked, box, 1 - looked.pha)
        if dark >= _DARKER:
            return f"background is {dark:.0%} darker than the plate: a shadow, or a dark part of the subject is lost"
        return "neither subject nor plate explains the picture"
    return _of_hull(name, box, looked, fit, camera)


def _of_hull(name: str, box: tuple[int, int, int, int], looked: "Looked", fit: FrameCheck | None, camera: str) -> str:
    """`lost: 31 of 38 cameras see the subject here`, or what is kept by mistake."""
    if fit is None:
        raise ValueError("a hull signal comes from a hull check")
    halo, hole, fold = fit.maps(camera)
    ratio = looked.fold / fold
    x0, y0, x1, y1 = (round(edge * ratio) for edge in box)
    part = (hole if name == "hole" else halo)[y0:y1, x0:x1]
    row, column = divmod(int(part.argmax()), part.shape[1])
    foreground, views = fit.witnesses(camera, y0 + row, x0 + column)
    if name == "hole":
        return f"lost: {foreground} of {views} cameras see the subject here"
    where = " below the feet" if _at_feet(looked, box) else ""
    dark = _shadow(looked, box, looked.maps["halo"])
    if dark >= _DARKER:
        return f"kept by mistake{where}: a shadow, {dark:.0%} darker than the plate"
    seers = f"at most {foreground} of {views} other cameras see" if foreground else "no other camera sees"
    return f"kept by mistake{where}: {seers} a subject here"


def _at_feet(looked: "Looked", box: tuple[int, int, int, int]) -> bool:
    rows = (looked.pha > 0.5).any(1).nonzero()[:, 0]
    if not len(rows):
        return False
    top, bottom = int(rows[0]), int(rows[-1])
    return (box[1] + box[3]) / 2 > bottom - _LOWEST * (bottom - top)


def _shadow(looked: "Looked", box: tuple[int, int, int, int], weight: Any) -> float:
    """How much darker than the plate a box is, weighted, if it has the plate's colour; 0..1."""
    from capmat_models.mining import shadow

    x0, y0, x1, y1 = box
    part = (slice(y0, y1), slice(x0, x1))
    if float(weight[part].sum()) < 1:
        return 0.0
    return shadow(looked.src[:, part[0], part[1]], looked.bgr[:, part[0], part[1]], weight[part])
