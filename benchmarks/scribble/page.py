"""How smooth the scribble page is: a 6-megapixel frame with 300 strokes in a headless Chromium, without a GPU.

    python -m benchmarks.scribble.page                 # 2664x2304; some minutes
    python -m benchmarks.scribble.page --size 5328x4608

The mouse moves the picture, zooms it, and draws, one step after each frame that the browser shows. The table says how
much processor time the page's own thread spent per frame, all drawing included (without a GPU that is where canvases
are drawn), and how far frames were apart. 60 frames per second leave 16.7 ms for each. The second and third table say
what the program that serves the page spends on a tile and on a preview. Then the page goes through its four frames
again and again, and the last lines say what it holds after 40 of them and after 200.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from storage.calibration.camera import Camera
from storage.labels.drafts import save_draft
from storage.labels.strokes import Drawing, Stroke
from storage.pictures.bayer import stored_planes
from storage.pictures.colour import Colour
from storage.store.root import Root
from storage.takes.plate import Plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from storage.takes.views import make_preview
from tasks.config import Reconstruction
from tasks.labels.desk import preview_strokes
from tasks.labels.hull_view import HullMaps
from tasks.labels.preview import Previews
from tasks.labels.views import FrameViews
from tests.flows.scribble.browser import Tab, browser

RUN = "teacher-made_up-v0001"
POINTS, STEPS, FRAMES = 80, 90, (1, 2, 3, 4)


def make_take(root: Root, height: int, width: int) -> Take:
    """One camera, four equal frames: a bright ellipse on patches with noise, its plate and its matte."""
    rng, colour = np.random.default_rng(0), Colour(12, "linear", black=64)
    K = np.array([[1.0 * width, 0, width / 2], [0, 1.0 * width, height / 2], [0, 0, 1]])
    cameras = {"C01": Camera("C01", width, height, K, np.zeros(5), np.eye(3), np.zeros(3))}
    patches = rng.uniform(300, 2500, (-(-height // 96), -(-width // 96), 3))
    empty = patches.repeat(96, 0).repeat(96, 1)[:height, :width].astype(np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    inside = ((x / width - 0.5) / 0.2) ** 2 + ((y / height - 0.5) / 0.4) ** 2
    pha = np.clip((1.02 - inside) / 0.04, 0, 1)
    seen = empty + pha[..., None] * (3000 - empty) + rng.normal(0, 12, empty.shape).astype(np.float32)
    stage = Stage.create(root, "made-up", cameras=cameras, colour=colour, source={})
    stage.write_plate("C01", Plate(empty, np.full_like(empty, 12), np.ones((height, width), bool), 9))
    stage.seal()
    take = Take.create(
        root, "made-up", stage="made-up", cameras=cameras, colour=colour, frames=FRAMES, fps=75.0, source={}
    )
    picture = np.clip(seen, 0, 4095).astype(np.uint16)
    for frame in FRAMES:
        take.write_planes("C01", frame, stored_planes(picture))
    take.write_previews("C01", 0, [make_preview(colour, picture.transpose(2, 0, 1))] * len(FRAMES))
    take.start_run(RUN, {})
    take.write_alphas(RUN, "C01", dict.fromkeys(FRAMES, pha))
    take.seal()
    return take


def make_strokes(height: int, width: int, count: int) -> tuple[Stroke, ...]:
    """Wavy strokes all over the picture, as dense as a hand leaves them."""
    rng = np.random.default_rng(1)
    made = []
    for number in range(count):
        start = rng.uniform(0.05, 0.95, 2) * (width, height)
        turns = np.cumsum(rng.normal(0, 0.25, POINTS)) + rng.uniform(0, 2 * np.pi)
        points = start + np.cumsum(8 * np.stack([np.cos(turns), np.sin(turns)], 1), 0)
        line = tuple((round(float(x), 2), round(float(y), 2)) for x, y in points)
        label = ("fg", "bg", "fg", "erase")[number % 4]
        made.append(Stroke(label, float(rng.uniform(6, 20)), line, "benchmark", "2026-01-01T00:00:00Z"))
    return tuple(made)


def serve(store: str) -> tuple[subprocess.Popen[str], str]:
    """`capmat scribble`, and its link."""
    words = ["-m", "flows.command.main", "--set", f"store={store}", "scribble", "--no-browser"]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, process.stdout.readline().strip()


def measured(tab: Tab, step: Callable[[int], None]) -> tuple[float, list[float]]:
    """Processor milliseconds of the page's thread per frame, and the milliseconds between frames."""

    def busy() -> float:
        metrics = tab.call("Performance.getMetrics")["metrics"]
        return 1000 * next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")

    tab.ask(
        "window.frames = []; window.counting = true; (function count(now) {"
        "  frames.push(now); if (counting) requestAnimationFrame(count); })(performance.now())"
    )
    before, first = busy(), tab.ask("frames.length")
    for number in range(STEPS):
        step(number)
    spent, shown = busy() - before, tab.ask("frames")
    tab.ask("window.counting = false")
    shown = sorted(set(shown[first:]))  # the count of the movement before may still run
    return spent / max(len(shown), 1), np.diff(shown).tolist()


def first_paint(tab: Tab, link: str) -> tuple[float, float]:
    """Seconds from the address until the picture is seen, and until all of its tiles are there."""
    began = time.monotonic()
    tab.open(link)
    middle = "(c => c?.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data[3])"
    while not tab.ask(f"{middle}(document.querySelector('#tiles'))"):
        time.sleep(0.01)
    seen = time.monotonic() - began
    tab.wait_for("document.querySelector('#stage').ariaBusy === 'false'")
    return seen, time.monotonic() - began


def held(tab: Tab) -> tuple[float, float]:
    """Megabytes of the page's heap after a collection, and of all processes of the browser."""
    tab.call("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in tab.call("Performance.getMetrics")["metrics"]}
    own = [child for child in psutil.Process().children(recursive=True) if "chrom" in child.name()]
    return metrics["JSHeapUsedSize"] / 1e6, sum(child.memory_info().rss for child in own) / 1e6


def memory(tab: Tab) -> list[tuple[int, float, float]]:
    """What is held after some frames."""
    rows = []
    for number in range(1, 201):
        frame = FRAMES[number % len(FRAMES)]
        tab.ask(
            f"document.querySelector('#jump-frame').value = {frame};document.querySelector('#jump button').click()"
        )
        while tab.ask("document.querySelector('#name').textContent") != f"C01 · frame {frame}":
            time.sleep(0.02)
        if number in (40, 120, 200):
            rows.append((number, *held(tab)))
    return rows


def page(
    link: str, size: str
) -> tuple[list[tuple[str, float, list[float]]], tuple[float, float], list[tuple[int, float, float]]]:
    """Rows of the first table, the seconds of the first paint, and what is held after some frames."""
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder), size) as tab:
        tab.call("Performance.enable", timeDomain="threadTicks")
        painted = first_paint(tab, link)
        tab.ask("document.querySelector('#help').close()")
        box = "document.querySelector('#stage').getBoundingClientRect()"
        left, top, wide, high = json.loads(
            tab.ask(f"(r => JSON.stringify([r.left, r.top, r.width, r.height]))({box})")
        )
        x, y = left + wide / 2, top + high / 2
        rows = []

        def moving(what: str, button: str) -> None:
            held = {"left": 1, "right": 2}[button]
            tab.mouse("mousePressed", x, y, button, held)
            rows.append((what, *measured(tab, lambda n: tab.mouse(
                "mouseMoved", x + 150 * np.sin(n / 9), y + 90 * np.cos(n / 7), button, held))))  # fmt: skip
            tab.mouse("mouseReleased", x, y, button, 0)

        time.sleep(3)  # the tiles come in
        moving("move, whole picture", "right")
        moving("draw a stroke", "left")
        tab.press("1")
        time.sleep(3)
        moving("move, every pixel", "right")
        moving("draw a stroke, every pixel", "left")
        tab.press("0")
        rows.append(("zoom", *measured(tab, lambda n: tab.wheel(x, y, -60 if n < STEPS / 2 else 60, ctrl=True))))
        return rows, painted, memory(tab)


def tiles(take: Take) -> list[tuple[str, float, int]]:
    """Rows of the second table: processor milliseconds of a tile at each level, and its bytes."""
    rows = []
    for view, runs in (("picture", ()), ("alpha", (RUN,))):
        for level in range(4):
            views = FrameViews(take.root, HullMaps(Reconstruction()))
            first = time.process_time()
            made = views.tile(take, "C01", 1, view, (level, 0, 0), runs)
            rows.append((f"{view}, level {level}", 1000 * (time.process_time() - first), len(made.data)))
    return rows


def previews(take: Take, strokes: tuple[Stroke, ...]) -> list[tuple[str, float, int]]:
    """Rows of the third table: processor milliseconds of a preview, its files included, and bytes of its answer."""
    view, rows = take.cameras["C01"], []
    for what, some in (("one stroke", strokes[:1]), (f"{len(strokes)} strokes", strokes)):
        views = FrameViews(take.root, HullMaps(Reconstruction()))
        drawing = Drawing(take.name, "C01", 1, view.width, view.height, some)
        first = time.process_time()
        made = preview_strokes(take.root, views, Previews(), take, RUN, drawing, "")
        rows.append((what, 1000 * (time.process_time() - first), len(made["png"])))
    return rows


def main(argv: list[str] | None = None) -> None:
    """Make a take, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", default="2664x2304", metavar="WxH", help="of the frame (default: 2664x2304)")
    parser.add_argument("--strokes", type=int, default=300)
    parser.add_argument("--window", default="1920,1080", help="of the browser (default: 1920,1080)")
    args = parser.parse_args(argv)
    width, height = (int(side) for side in args.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        root = Root(folder)
        take = make_take(root, height, width)
        strokes = make_strokes(height, width, args.strokes)
        save_draft(root, Drawing("made-up", "C01", 1, width, height, strokes), after=0)
        process, link = serve(folder)
        try:
            rows, painted, kept = page(link, args.window)
        finally:
            process.terminate()
            process.wait()
        print(f"{width}x{height}, {args.strokes} strokes of {POINTS} points, window {args.window}, "
              f"{platform.machine()}, {os.cpu_count()} cores")  # fmt: skip
        print(f"{'':28}{'ms of processor per frame':>28}{'between frames, median':>26}{'95 %':>10}")
        for what, spent, apart in rows:
            print(f"{what:28}{spent:28.1f}{np.median(apart):26.1f}{np.quantile(apart, 0.95):10.1f}")
        print(f"\nfirst paint after {painted[0]:.2f} s, all tiles after {painted[1]:.2f} s")
        for number, heap, all_of_it in kept:
            print(f"after {number} frames: heap {heap:.1f} MB, all processes of the browser {all_of_it:.0f} MB")
        print(f"\n{'tile':28}{'ms of processor':>28}{'kB':>26}")
        for what, spent, size in tiles(take):
            print(f"{what:28}{spent:28.1f}{size / 1000:26.1f}")
        print(f"\n{'preview':28}{'ms of processor':>28}{'kB':>26}")
        for what, spent, size in previews(take, strokes):
            print(f"{what:28}{spent:28.1f}{size / 1000:26.1f}")


if __name__ == "__main__":
    main()
