"""Training crops per second: from a take, from its cache, and from what others keep: `python benchmarks/crops.py`.

A take of one camera is made in a temporary folder: 8 frames of 2304x2664, 12 bits, a smooth scene with the noise of
a sensor (20 digits), a soft-edged figure as matte. One process; files are in the page cache. Two tables: whole
samples (`src`, `bgr`, `pha` as float32 0..1), and the stored numbers of `src` alone, which is all that the other
formats are asked for. Rows of a table take turns; each shows its best round. About a minute.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile
import zarr

from storage.camera import Camera
from storage.colour import Colour
from storage.ledger import Ledger
from storage.plates import Plate, Stage
from storage.root import Root
from storage.take import Take
from tasks.crops import Crops

HEIGHT, WIDTH, FRAMES, SIDE = 2304, 2664, 8, 512
_RUN, _ROUNDS, _SECONDS = "teacher", 4, 1.0
Row = Callable[[int], object]


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


def others(folder: Path, take: Take) -> dict[str, Row]:
    """The numbers of `src` as others keep them; every row cuts the crops that `Crops` draws."""
    flat = np.lib.format.open_memmap(folder / "flat.npy", "w+", np.uint16, (FRAMES, 3, HEIGHT, WIDTH))
    for frame in range(FRAMES):
        flat[frame] = take.read_planes("c00", frame)
        picture = np.ascontiguousarray(flat[frame].transpose(1, 2, 0))
        cv2.imwrite(str(folder / f"{frame}.png"), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        tifffile.imwrite(
            folder / f"{frame}.tif", picture, photometric="rgb", tile=(256, 256), compression="zstd", predictor=True
        )
    flat.flush()
    tiled = [zarr.open(tifffile.imread(folder / f"{f}.tif", aszarr=True), mode="r") for f in range(FRAMES)]

    def place(number: int) -> tuple[int, slice, slice]:
        rng = np.random.default_rng((0, number))
        frame, y, x = (int(rng.integers(n)) for n in (FRAMES, HEIGHT - SIDE + 1, WIDTH - SIDE + 1))
        return frame, slice(y, y + SIDE), slice(x, x + SIDE)

    def planes(picture: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(picture.transpose(2, 0, 1))

    def stored(number: int) -> np.ndarray:
        frame, rows, columns = place(number)
        return take.read_planes("c00", frame, (rows.start, rows.stop, columns.start, columns.stop))

    def aligned(number: int) -> np.ndarray:
        frame, rows, columns = place(number)
        y, x = rows.start // 256 * 256, columns.start // 256 * 256
        return take.read_planes("c00", frame, (y, y + SIDE, x, x + SIDE))

    def memmap(number: int) -> np.ndarray:
        frame, rows, columns = place(number)
        return np.array(flat[frame, :, rows, columns])

    def png(number: int) -> np.ndarray:
        frame, rows, columns = place(number)
        return planes(cv2.imread(str(folder / f"{frame}.png"), cv2.IMREAD_UNCHANGED)[rows, columns, ::-1])

    def tiff(number: int) -> np.ndarray:
        frame, rows, columns = place(number)
        return planes(tifffile.imread(folder / f"{frame}.tif")[rows, columns])

    def tiff_tiles(number: int) -> np.ndarray:
        frame, rows, columns = place(number)
        return planes(tiled[frame][rows, columns])

    same = [memmap, stored, png, tiff, tiff_tiles]
    if any(not np.array_equal(row(5), memmap(5)) for row in same):
        sys.exit("the formats do not hold the same pixels")
    return {
        "take": stored,
        "take, aligned": aligned,
        "bare memmap": memmap,
        "PNG": png,
        "tiled TIFF zstd, whole page": tiff,
        "tiled TIFF zstd, its tiles by zarr": tiff_tiles,
    }


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

        samples = {
            "from the take": crops(),
            "from the take, aligned": crops(aligned=True),
            "from the cache": crops(cache=folder / "cache"),
            "from the cache, aligned": crops(aligned=True, cache=folder / "cache"),
        }
        show("src + bgr + pha, float32", samples)
        show("src as stored", others(folder, take))


if __name__ == "__main__":
    main()
