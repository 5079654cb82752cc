"""Training samples per second: from a take, from its cache, and from bare memory maps: `python -m benchmarks.crops`.

A take of one camera is made in a temporary folder: 8 frames of 2304x2664, 12 bits, a smooth scene with the noise of
a sensor (20 digits), a soft-edged figure as matte. One process; files are in the page cache. A sample is `src`, `bgr`
and `pha` as float32 0..1; the memory maps hold what the cache holds and are converted alike, so what lies between
them and the cache is capmat. Rows take turns; each shows its best round. Half a minute. What other formats cost is in
`benchmarks.frames_and_crops`.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from storage.calibration.camera import Camera
from storage.pictures.colour import Colour
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.plate import Plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.train.crops import Crops

HEIGHT, WIDTH, FRAMES, SIDE = 2304, 2664, 8, 512
_RUN, _ROUNDS, _SECONDS = "teacher", 4, 1.0
Row = Callable[[int], Any]


def make_take(root: Root) -> Take:
    """Store frames, plate and mattes, with the entries of the ledger that the cache asks for."""
    rng, ledger = np.random.default_rng(0), Ledger(root)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    scene = np.stack([1500 + 900 * np.sin(x / 310 + c) * np.cos(y / 270) for c in range(3)], -1)
    pha = np.clip((900 - np.hypot(y - HEIGHT / 2, 2 * (x - WIDTH / 2))) / 20, 0, 1)
    K = np.array([[3000.0, 0, WIDTH / 2], [0, 3000.0, HEIGHT / 2], [0, 0, 1]])
    cameras = {"c00": Camera("c00", WIDTH, HEIGHT, K, np.zeros(5), np.eye(3), np.zeros(3))}
    colour = Colour(12, "linear", black=64)
    stage = Stage.create(root, "ring", cameras=cameras, colour=colour, source={})
    plate = Plate(scene, np.full_like(scene, 20), np.ones(scene.shape[:2], bool), 50)
    ledger.record("plates/ring/c00", {"files": stage.write_plate("c00", plate)})
    stage.seal()
    numbers = list(range(FRAMES))
    take = Take.create(
        root, "walk", stage="ring", cameras=cameras, colour=colour, frames=numbers, fps=75.0, source={}
    )
    files = {}
    for frame in numbers:
        noisy = scene + 20 * rng.standard_normal(scene.shape, np.float32)
        files |= take.write_raw("c00", frame, np.clip(np.rint(noisy), 0, 4095).astype(np.uint16))
    ledger.record("ingest/walk/c00/00000", {"frames": numbers, "files": files})
    take.start_run(_RUN, {})
    files = take.write_alphas(_RUN, "c00", dict.fromkeys(numbers, pha))
    said = {"run": _RUN, "camera": "c00", "numbers": numbers, "files": files}
    ledger.record(f"matte/walk-c00-{_RUN}/0", said)
    take.seal()
    return take


def bare(folder: Path, take: Take) -> Row:
    """The crops that `Crops` draws, out of numpy's memory maps of decoded frames, by hand."""

    def mapped(name: str, dtype: str, pictures: list[np.ndarray]) -> np.ndarray:
        out = np.lib.format.open_memmap(folder / name, "w+", dtype, (len(pictures), *pictures[0].shape))
        for place, picture in enumerate(pictures):
            out[place] = picture
        return out

    src = mapped("src.npy", "uint16", [take.read_planes("c00", frame) for frame in take.frames])
    alphas = [np.rint(take.read_alpha(_RUN, "c00", frame) * 65535) for frame in take.frames]
    pha = mapped("pha.npy", "uint16", alphas)
    bgr = mapped("bgr.npy", "float32", [Stage.open(take.root, "ring").plate("c00")])

    def cut(number: int) -> list[np.ndarray]:
        rng = np.random.default_rng((0, number))
        frame, y, x = (int(rng.integers(n)) for n in (FRAMES, HEIGHT - SIDE + 1, WIDTH - SIDE + 1))
        rows, columns = slice(y, y + SIDE), slice(x, x + SIDE)
        shown = take.colour.display(np.array(src[frame, :, rows, columns], order="C"))
        alpha = pha[frame, rows, columns].astype(np.float32) / np.float32(65535)
        return [shown, np.array(bgr[0, :, rows, columns]), alpha[None]]

    return cut


def rates(rows: dict[str, Row]) -> dict[str, tuple[float, float]]:
    """Crops per second of every row, by the clock and by processor time."""
    best = dict.fromkeys(rows, (0.0, 0.0))
    number = 0
    for _ in range(_ROUNDS):
        for name, row in rows.items():
            count, wall, cpu = 0, time.perf_counter(), time.process_time()
            while time.perf_counter() - wall < _SECONDS or count < 2:
                row(number)
                count, number = count + 1, number + 1
            took = time.perf_counter() - wall, time.process_time() - cpu
            best[name] = max(best[name][0], count / took[0]), max(best[name][1], count / took[1])
    return best


def show(title: str, rows: dict[str, Row]) -> None:
    """Measure and print a table; ratios are to its first row, by processor time."""
    print(f"\n| {title} | crops/s | per second of processor time | ratio |\n|---|---|---|---|")
    found = rates(rows)
    first = next(iter(found.values()))[1]
    for name, (wall, cpu) in found.items():
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {cpu / first:.2f} |", flush=True)


def main() -> None:
    """Make the take, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where to make it; the system's temporary folder if not given")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as name:
        folder = Path(name)
        take = make_take(Root(folder / "store"))
        load = os.getloadavg()[0]
        print(f"{FRAMES} frames {WIDTH}x{HEIGHT} uint16, crops {SIDE}x{SIDE}, one process; load before: {load:.1f}")

        def crops(**settings: object) -> Row:
            return Crops(take.root.url, ["walk"], _RUN, side=SIDE, count=10**6, **settings).__getitem__

        samples: dict[str, Row] = {
            "from the take": crops(),
            "from the take, aligned": crops(aligned=True),
            "from the cache": crops(cache=folder / "cache"),
            "from the cache, aligned": crops(aligned=True, cache=folder / "cache"),
        }
        samples["from bare memory maps"] = bare(folder, take)
        drawn, theirs = (
            Crops(take.root.url, ["walk"], _RUN, side=SIDE, count=9)[5],
            samples["from bare memory maps"](5),
        )
        if any(not np.array_equal(ours, other) for ours, other in zip(drawn.values(), theirs, strict=True)):
            sys.exit("the rows do not give the same pixels")
        show("src + bgr + pha, float32", samples)


if __name__ == "__main__":
    main()
