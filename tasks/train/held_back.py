"""How far mattes are from labels of takes that no training sees: the scribbled pixels of the validation takes."""

from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from storage.labels.label_set import LABELS, LabelSet
from storage.labels.raster import BACKGROUND, FOREGROUND
from storage.store.root import Root
from tasks.labels.in_use import LabelsRecord, split_labels
from tasks.runtime.progress import Progress, say
from tasks.train.watch import alpha_of, stage_frame

_SIDES = {"foreground": FOREGROUND, "background": BACKGROUND}


@dataclass(frozen=True)
class HeldBack:
    """A network on the labels that are held back.

    Attributes:
        takes: that are held back.
        frames: labelled ones in them.
        errors: mean absolute error of alpha, 0..1, on pixels marked as `foreground` and as `background`, where there
            are such; and `error`, the mean of both, however many pixels each has, as in training.
    """

    takes: list[str]
    frames: int
    errors: dict[str, float]


class LabelError(TypedDict):
    """The errors of a network on held-back labels, before and after its training; see `HeldBack`."""

    takes: list[str]
    frames: int
    before: dict[str, float]
    after: dict[str, float]


def label_error(store: str, labels: LabelsRecord | None, network: Any) -> HeldBack | None:
    """Measure a network on the held-back labels; None if the label set holds no labels back.

    Args:
        store: URL of the store.
        labels: record of the label set; None for a training without labels.
        network: called as network(src, bgr) -> {"pha"}.
    """
    held = split_labels(store, labels)[1] if labels else []
    if not labels or not held:
        return None
    root, version = Root(store), LabelSet.open(Root(store), LABELS, labels["labels"])
    off: dict[str, list[float]] = {name: [] for name in _SIDES}
    progress = Progress("measure on labels that are held back", len(held), "pictures")
    was_training = network.training
    network.eval()
    for n, key in enumerate(held):
        pha, label = alpha_of(network, stage_frame(root, *key, None)), version.label(*key)
        for name, value in _SIDES.items():
            if (marked := label == value).any():
                off[name].append(float(np.abs(pha[marked] - value).mean()))
        progress(n + 1)
    network.train(was_training)
    sides = {name: float(np.mean(errors)) for name, errors in off.items() if errors}
    takes = sorted({take for take, _, _ in held})
    return HeldBack(takes, len(held), {"error": float(np.mean(list(sides.values()))), **sides})


def compared(before: HeldBack, after: HeldBack) -> LabelError:
    """What a training's record and card say of the error before and after it."""
    words = f"{after.frames} frames of {', '.join(after.takes)}"
    change = f"{before.errors['error']:.3f} before, {after.errors['error']:.3f} after"
    say(f"error on labels that are held back ({words}): {change}")
    return {"takes": after.takes, "frames": after.frames, "before": before.errors, "after": after.errors}
