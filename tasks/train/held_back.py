"""How far mattes are from labels of takes that nobody trained on: the scribbled pixels of the validation part."""

from typing import Any

import numpy as np

from storage.labels.label_set import LABELS, LabelSet
from storage.labels.raster import BACKGROUND, FOREGROUND
from storage.store.root import Root
from tasks.labels.in_use import LabelsRecord, split_labels
from tasks.runtime.progress import Progress, say
from tasks.runtime.step import Record
from tasks.train.watch import alpha_of, stage_frame


def label_error(store: str, labels: LabelsRecord, network: Any) -> Record:
    """Measure a network on the labels that are kept back.

    Args:
        store: URL of the store.
        labels: record of the label set.
        network: called as network(src, bgr) -> {"pha"}.

    Returns:
        `takes` and `frames` that are kept back, and the `error`: what alpha is off by on labelled pixels, 0..1,
        foreground and background counting alike however many pixels they have, as they do in training; and both
        alone. Empty where nothing is kept back.
    """
    _, held = split_labels(store, labels)
    if not held:
        return {}
    root, version = Root(store), LabelSet.open(Root(store), LABELS, labels["labels"])
    off: dict[int, list[float]] = {FOREGROUND: [], BACKGROUND: []}
    progress = Progress("measure on labels that were kept back", len(held))
    was_training = network.training
    network.eval()
    for n, key in enumerate(held):
        pha, label = alpha_of(network, stage_frame(root, *key, None)), version.label(*key)
        for value, errors in off.items():
            if (here := label == value).any():
                errors.append(float(np.abs(pha[here] - value).mean()))
        progress(n + 1)
    network.train(was_training)
    sides = {
        name: float(np.mean(off[value]))
        for name, value in (("foreground", FOREGROUND), ("background", BACKGROUND))
        if off[value]
    }
    takes = sorted({take for take, _, _ in held})
    return {"takes": takes, "frames": len(held), "error": float(np.mean(list(sides.values()))), **sides}


def compared(before: Record, after: Record) -> Record:
    """`label_error` for a training's record and card: what was measured before and after it; empty without any."""
    if not after:
        return {}
    words = f"{after['frames']} frames of {', '.join(after['takes'])}"
    say(f"error on labels that were kept back ({words}): {before['error']:.3f} before, {after['error']:.3f} after")
    measured = ("error", "foreground", "background")
    return {
        "label_error": {
            "takes": after["takes"],
            "frames": after["frames"],
            "before": {key: before[key] for key in measured if key in before},
            "after": {key: after[key] for key in measured if key in after},
        }
    }
