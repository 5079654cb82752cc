"""The preview of strokes, judged by the truth of the rendered stage."""

import io
from base64 import b64decode
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt

from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN
from storage.labels.strokes import Stroke
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.labels import preview
from tasks.labels.desk import preview_strokes
from tasks.labels.heal import REACH, Superseded, healed
from tasks.labels.hull_view import HullMaps
from tasks.labels.preview import Previews
from tasks.labels.views import FrameViews
from tasks.sim.hand import annotate
from tests.rendered_take import FRAME, TEACHER, TRUTH, drawn, error, make_rendered

CAMERAS = ("C01", "C05", "C09")


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    return make_rendered(Root(tmp_path_factory.mktemp("store")), CAMERAS)


def _painted(take: Take, camera: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Picture, plate, matte, and the label that the simulated person paints on it."""
    pha = take.read_alpha(TEACHER, camera, FRAME)
    overlay = annotate(TRUTH(camera, FRAME), pha, np.random.default_rng(3))
    colour = np.where(overlay[..., 1] > 0, FOREGROUND, BACKGROUND)
    label = np.where(overlay[..., 3] > 0, colour, OPEN).astype(np.uint8)
    src, bgr = take.read(camera, FRAME), Stage.under(take).plate(camera)
    return src.transpose(1, 2, 0), bgr.transpose(1, 2, 0), pha, label


def test_strokes_heal_more_than_they_cover_and_break_next_to_nothing(take: Take) -> None:
    removed = covered = broken = far = before = 0.0
    for camera in CAMERAS:
        src, bgr, pha, label = _painted(take, camera)
        after = healed(src, bgr, pha, label, min(pha.shape))
        assert 0 <= after.min() <= after.max() <= 1
        assert np.array_equal(after[label != OPEN], label[label != OPEN])
        gain = error(pha, camera) - error(after, camera)
        assert gain.sum() > 0
        away = distance_transform_edt(label == OPEN) > 2 * REACH * min(pha.shape)
        removed += gain.clip(0).sum()
        covered += error(pha, camera)[label != OPEN].sum()
        broken += -gain.clip(None, 0).sum()
        far += np.abs(after - pha)[away].sum()
        before += error(pha, camera).sum()
    assert removed > 2 * covered
    assert broken < 0.1 * removed
    assert far < 0.005 * before


def test_a_large_picture_heals_as_its_small_copy_does(take: Take) -> None:
    small = src, bgr, pha, label = _painted(take, "C05")
    large = [np.repeat(np.repeat(each, 4, 0), 4, 1) for each in small]
    after = healed(*large, 4 * min(pha.shape))  # type: ignore[arg-type]
    shrunk = after.reshape(pha.shape[0], 4, pha.shape[1], 4).mean((1, 3))
    gain = [
        (error(pha, "C05") - error(each, "C05")).sum()
        for each in (healed(src, bgr, pha, label, min(pha.shape)), shrunk)
    ]
    assert gain[1] > 0.8 * gain[0] > 0


def test_a_stroke_where_the_matte_is_right_changes_nothing(take: Take) -> None:
    src, bgr, pha, _ = _painted(take, "C05")
    pha = np.rint(pha)
    label = np.full(pha.shape, OPEN, np.uint8)
    label[:20, :40] = BACKGROUND
    assert pha[:20, :40].max() == 0
    assert np.abs(healed(src, bgr, pha, label, min(pha.shape)) - pha).max() < 1e-6


def _strokes(take: Take, camera: str) -> list[Stroke]:
    """Dots on lost parts of the subject."""
    pha = take.read_alpha(TEACHER, camera, FRAME)
    lost = np.argwhere((pha < 0.3) & (TRUTH(camera, FRAME) > 0.99))
    return [Stroke("fg", 2.0, ((float(x) + 0.5, float(y) + 0.5),)) for y, x in lost[:: len(lost) // 8 + 1]]


@pytest.mark.parametrize("most", [3e6, 2e4])  # the latter halves the picture
def test_the_page_gets_the_part_that_changes(take: Take, most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_MOST_PIXELS", most)
    views, previews, camera = FrameViews(take.root, HullMaps(Reconstruction())), Previews(), "C09"
    pha = take.read_alpha(TEACHER, camera, FRAME)
    made = preview_strokes(take.root, views, previews, take, TEACHER, drawn(camera, _strokes(take, camera)), "mine")
    assert not made["superseded"]
    assert made["box"]
    x0, y0, x1, y1 = made["box"]
    part = np.asarray(Image.open(io.BytesIO(b64decode(made["png"])))) / np.float32(255)
    after = pha.copy()
    after[y0:y1, x0:x1] = part
    assert error(after, camera).sum() < 0.9 * error(pha, camera).sum()
    nothing = preview_strokes(take.root, views, previews, take, TEACHER, drawn(camera, []), "mine")
    assert nothing == {"box": None, "png": "", "superseded": False}


def test_the_next_request_of_a_page_ends_the_one_before(take: Take) -> None:
    src, bgr, pha, label = _painted(take, "C01")
    asked = iter([True, True, False])
    with pytest.raises(Superseded):
        healed(src, bgr, pha, label, min(pha.shape), lambda: next(asked))

    previews, drawing, answers = Previews(), drawn("C09", _strokes(take, "C09")), {}
    views = FrameViews(take.root, HullMaps(Reconstruction()))

    def read_again(
        window: tuple[int, int, int, int],
    ) -> np.ndarray:  # a second request comes during the first
        if "second" not in answers:
            answers["second"] = None
            thread.start()
            while previews._newest["mine"] == 0:
                pass
        return readers[0](window)

    readers = [views.reader(take, "C09", FRAME, name) for name in ("picture", "plate", TEACHER)]

    def ask(name: str, read: object) -> None:
        answers[name] = previews.make(drawing, None, read, readers[1], readers[2], "mine")  # type: ignore[arg-type]

    thread = Thread(target=ask, args=("second", readers[0]))
    ask("first", read_again)
    thread.join(60)
    assert answers["first"]["superseded"]
    assert answers["second"]["box"]


def test_the_preview_needs_no_network(tmp_path: Path) -> None:
    import subprocess
    import sys

    words = "import sys, flows.scribble.app; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], timeout=120).returncode == 0
