"""Base data: cut-out performers with straight colour, rooms behind them, and resuming where it stopped."""

from pathlib import Path

import cv2
import numpy as np

from tasks.sim.base_data import render_base


def test_cutouts_and_rooms_are_rendered_once(tmp_path: Path) -> None:
    told: list[str] = []
    size = (48, 64)
    render_base(tmp_path, foregrounds=1, backgrounds=1, size=size, spp=4, progress=told.append)
    cutout = cv2.imread(told[0], cv2.IMREAD_UNCHANGED)
    room = cv2.imread(told[1], cv2.IMREAD_UNCHANGED)
    assert cutout.shape == (64, 48, 4)
    assert room.shape == (64, 48, 3)
    alpha = cutout[..., 3]
    assert 0.03 < (alpha > 250).mean() < 0.9
    assert ((alpha > 5) & (alpha < 250)).any(), "edges and hair are soft"
    soft, solid = (np.median(cutout[..., :3][where]) for where in ((alpha > 5) & (alpha < 128), alpha > 250))
    assert soft > 0.3 * solid, "colour is straight, not premultiplied"
    assert np.median(room) > 40

    render_base(tmp_path, foregrounds=1, backgrounds=2, size=size, spp=4, progress=told.append)
    assert [Path(name).name for name in told] == ["0001.png", "0001.jpg", "0002.jpg"]
