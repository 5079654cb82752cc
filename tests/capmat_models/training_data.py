"""Made-up subjects, backgrounds, strokes and pairs for the training tests."""

from dataclasses import fields

import numpy as np

from capmat_models.data.base import BaseData
from capmat_models.data.composites import Composites, Difficulty
from capmat_models.data.stage import PairData, ScribbleData

NOTHING = Difficulty(**{field.name: 0.0 for field in fields(Difficulty)})
"""Composites after Eq. 1."""


def subject(rng, height=90, width=70):
    y, x = np.mgrid[:height, :width]
    r = np.hypot((y - height / 2) / (height * 0.4), (x - width / 2) / (width * 0.35))
    alpha = np.clip((1 - r) * 8, 0, 1) * 255
    colour = np.kron(rng.integers(0, 255, (9, 7, 3)), np.ones((10, 10, 1)))
    return np.dstack([colour, alpha]).astype(np.uint8)


def base_data(count=3):
    rng = np.random.default_rng(7)
    pictures = [np.kron(rng.integers(0, 255, (8, 10, 3)), np.ones((12, 12, 1))) for _ in range(count)]
    return BaseData([subject(rng) for _ in range(count)], [picture.astype(np.uint8) for picture in pictures])


def composites(count=3):
    return Composites(base_data(count), NOTHING)


def stage_frame(rng, side=72):
    """A composite over a flat stage: src, bgr, pha."""
    pha, fgr = base_data().cut_out(rng, side)
    bgr = np.full((3, side, side), 0.4, np.float32)
    return pha * fgr + (1 - pha) * bgr, bgr, pha


def scribbles():
    rng = np.random.default_rng(8)
    items = []
    for _ in range(2):
        src, bgr, pha = stage_frame(rng)
        label = np.full(pha.shape[1:], 255, np.uint8)
        rows = slice(middle := max(2, int(np.argmax((pha[0] > 0.5).sum(1) % pha.shape[2])) - 2), middle + 4)
        label[rows] = np.where(pha[0, rows] > 0.5, 1, 0)
        items.append((src, bgr, label))
    return ScribbleData(items)


def pairs():
    rng = np.random.default_rng(9)
    return PairData([stage_frame(rng) for _ in range(2)])
