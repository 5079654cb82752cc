"""Base data: cut-out performers with straight colour, rooms behind them, and resuming where it stopped."""

from pathlib import Path

import cv2
import numpy as np

from tasks.sim.base_data import RIM, render_base, render_pairs

SHIPPED = Path(__file__).parents[3] / "samples/base"


def test_cutouts_and_rooms_are_rendered_once(tmp_path: Path) -> None:
    told: list[str] = []
    size = (48, 64)
    render_base(tmp_path, foregrounds=1, backgrounds=1, size=size, spp=4, progress=told.append)
    cutout = cv2.imread(told[0], cv2.IMREAD_UNCHANGED)
    room = cv2.imread(told[1], cv2.IMREAD_UNCHANGED)
    assert cutout.shape[2] == 4
    assert room.shape == (64, 48, 3)
    alpha = cutout[..., 3]
    for line in (alpha[: RIM + 1], alpha[-RIM - 1 :], alpha[:, : RIM + 1], alpha[:, -RIM - 1 :]):
        assert line.any(), "the performer is cut out tightly"
    assert 0.03 < (alpha > 250).mean() < 0.9
    assert ((alpha > 5) & (alpha < 250)).any(), "edges and hair are soft"
    soft, solid = (np.median(cutout[..., :3][where]) for where in ((alpha > 5) & (alpha < 128), alpha > 250))
    assert soft > 0.3 * solid, "colour is straight, not premultiplied"
    assert np.median(room) > 40

    render_base(tmp_path, foregrounds=1, backgrounds=2, size=size, spp=4, progress=told.append)
    assert [Path(name).name for name in told] == ["0001.png", "0001.jpg", "0002.jpg"]


def test_a_pair_shows_a_person_on_a_stage_and_differs_from_the_plate_where_that_matters(tmp_path: Path) -> None:
    render_pairs(tmp_path, count=1, size=(48, 64), spp=4)
    src, bgr = (cv2.imread(str(tmp_path / f"pairs/0001_{name}.jpg")).astype(float) for name in ("src", "bgr"))
    alpha = cv2.imread(str(tmp_path / "pairs/0001_pha.png"), cv2.IMREAD_UNCHANGED)
    apart = np.abs(src - bgr).max(-1)
    far = cv2.dilate(alpha, np.ones((9, 9), np.uint8)) == 0
    assert (alpha > 250).mean() > 0.03
    assert np.median(apart[alpha > 250]) > 4 * np.median(apart[far])


def test_what_is_shipped_is_varied_small_and_no_cut_out_is_empty() -> None:
    foregrounds, rooms = sorted(SHIPPED.glob("foregrounds/*.png")), sorted(SHIPPED.glob("backgrounds/*.jpg"))
    assert len(foregrounds) >= 60
    assert len(rooms) >= 40
    assert sum(path.stat().st_size for path in SHIPPED.glob("*/*")) < 6e6
    assert len(list(SHIPPED.glob("pairs/*_src.jpg"))) == len(list(SHIPPED.glob("pairs/*_pha.png"))) == 40
    filled = []
    for path in foregrounds:
        alpha = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., 3]
        assert ((alpha > 5) & (alpha < 250)).sum() > 100, f"{path.name} has soft edges"
        filled.append((alpha > 250).mean())
    assert min(filled) > 0.03
    assert np.sum(np.array(filled) > 0.5) >= 3, "some subjects fill their frame"
    dark = [np.median(cv2.imread(str(path))) < 100 for path in rooms]
    assert 3 <= np.sum(dark) < 0.7 * len(rooms), "some rooms are dark"
