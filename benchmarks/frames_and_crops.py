"""Store a frame, read it back, cut crops: capmat beside the bare codec, the bare disk, PNG and tiled TIFF.

    python -m benchmarks.frames_and_crops            # 2664x2304, 12 bits; about two minutes
    python -m benchmarks.frames_and_crops --bits 8

All rows of one round run right after one another, in every round in another order; the table gives each row's best
round. Ratios of one table may be compared, rates of two machines not. The pictures are those of a camera: smooth
patches with the noise of a sensor, since smooth pictures alone would flatter every codec.
"""

import argparse
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zarr

from storage.pictures.colour import Colour
from storage.pictures.png import decode_png, encode_png
from storage.store.frame_array import FrameArray
from storage.store.root import Root
from storage.store.shards import Layout

HEIGHT, WIDTH, CROP = 2304, 2664, 512
CORES = len(os.sched_getaffinity(0))
FRAMES, CROPS = 4, 24
_RATIOS = (
    ("write", "codec alone, in"),
    ("write", "raw file, fsync"),
    ("write, all cores", "raw files, all cores"),
    ("read", "codec alone, out"),
    ("crop", "crop from PNG"),
    ("crop", "crop from TIFF"),
    ("crop", "crop from TIFF, its tiles"),
    ("crop at tiles", "crop"),
)


def pictures(bits: int, count: int, seed: int = 0) -> list[np.ndarray]:
    """(3, H, W) each: patches of up to 3/4 of white, with sensor noise on them."""
    rng = np.random.default_rng(seed)
    white = 2**bits - 1
    scene = rng.uniform(0.05, 0.75, (3, HEIGHT // 32, WIDTH // 36)) * white
    scene = scene.repeat(32, 1).repeat(36, 2).astype(np.float32)
    noise = np.sqrt(scene * white) / 60 if bits > 8 else 0.7
    dtype = Colour(bits, "linear").dtype
    return [
        np.clip(np.rint(scene + noise * rng.standard_normal(scene.shape, np.float32)), 0, white).astype(dtype)
        for _ in range(count)
    ]


def tiles(picture: np.ndarray) -> list[np.ndarray]:
    """What the store encodes of a frame, piece by piece."""
    return [
        np.ascontiguousarray(picture[:, y : y + 256, x : x + 256])
        for y in range(0, HEIGHT, 256)
        for x in range(0, WIDTH, 256)
    ]


def measure(rows: dict[str, Callable[[], int]], rounds: int) -> dict[str, tuple[float, float]]:
    """Best seconds per unit of every row, wall clock and processor; a row returns how many units it did."""
    best = {name: (float("inf"), float("inf")) for name in rows}
    for number in range(rounds):
        names = list(rows)
        random.Random(number).shuffle(names)
        for name in names:
            wall, cpu = time.perf_counter(), time.process_time()
            count = rows[name]()
            took = (time.perf_counter() - wall) / count, (time.process_time() - cpu) / count
            best[name] = min(best[name][0], took[0]), min(best[name][1], took[1])
    return best


def frame_rows(folder: Path, frames: list[np.ndarray]) -> dict[str, Callable[[], int]]:
    """Whole frames in and out."""
    import numcodecs

    codec = numcodecs.Blosc("lz4", 5, numcodecs.Blosc.BITSHUFFLE)
    numcodecs.blosc.set_nthreads(1)
    array = FrameArray(Root(folder), "take", Layout((FRAMES, *frames[0].shape), str(frames[0].dtype), "fast"))
    array.create()
    cut = [tiles(frame) for frame in frames]
    coded = [[codec.encode(tile) for tile in frame] for frame in cut]

    def write() -> int:
        for index, frame in enumerate(frames):
            array.write(index, {0: frame})
        return FRAMES

    def encode() -> int:
        for frame in cut:
            for tile in frame:
                codec.encode(tile)
        return FRAMES

    def raw_write() -> int:
        for index in range(FRAMES):
            raw_one(index)
        return FRAMES

    def write_all() -> int:
        """One writer per core, as in an ingest of several cameras."""
        with ThreadPoolExecutor(CORES) as threads:
            list(threads.map(lambda index: array.write(index, {0: frames[index]}), range(FRAMES)))
        return FRAMES

    def raw_one(index: int) -> None:
        with (folder / f"raw{index}").open("wb") as file:
            file.write(frames[index].data)
            file.flush()
            os.fsync(file.fileno())

    def raw_all() -> int:
        with ThreadPoolExecutor(CORES) as threads:
            list(threads.map(raw_one, range(FRAMES)))
        return FRAMES

    def read() -> int:
        for index in range(FRAMES):
            array.read(index, "")
        return FRAMES

    def decode() -> int:
        for frame in coded:
            for tile in frame:
                codec.decode(tile)
        return FRAMES

    write()
    return {"write": write, "codec alone, in": encode, "raw file, fsync": raw_write, "write, all cores": write_all,
            "raw files, all cores": raw_all, "read": read, "codec alone, out": decode}  # fmt: skip


def crop_rows(folder: Path, frames: list[np.ndarray]) -> dict[str, Callable[[], int]]:
    """512x512 crops at random places, and at tiles' corners."""
    import tifffile

    array = FrameArray(Root(folder), "take", Layout((FRAMES, *frames[0].shape), str(frames[0].dtype), "fast"))
    flat = np.lib.format.open_memmap(folder / "cache.npy", "w+", frames[0].dtype, (FRAMES, *frames[0].shape))
    for index, frame in enumerate(frames):
        flat[index] = frame
        picture = np.ascontiguousarray(frame.transpose(1, 2, 0))
        (folder / f"{index}.png").write_bytes(encode_png(picture))
        tifffile.imwrite(folder / f"{index}.tif", picture, photometric="rgb", tile=(256, 256), compression="zstd",
                         predictor=True)  # fmt: skip
    chance = random.Random(0)
    places = [
        (chance.randrange(FRAMES), chance.randrange(HEIGHT - CROP), chance.randrange(WIDTH - CROP))
        for _ in range(CROPS)
    ]
    corners = [(i, y // 256 * 256, x // 256 * 256) for i, y, x in places]

    def stored(at: list[tuple[int, int, int]]) -> int:
        for index, y, x in at:
            array.read(index, "", (y, y + CROP, x, x + CROP))
        return len(at)

    def png() -> int:
        for index, y, x in places[:3]:
            picture = decode_png((folder / f"{index}.png").read_bytes(), "")
            np.ascontiguousarray(picture[y : y + CROP, x : x + CROP].transpose(2, 0, 1))
        return 3

    def tiff() -> int:
        """Only the tiles that the crop touches are decoded."""
        for index, y, x in places[:6]:
            with tifffile.TiffFile(folder / f"{index}.tif") as tif:
                page = tif.pages[0]
                across = -(-WIDTH // 256)
                out = np.empty((CROP, CROP, 3), frames[0].dtype)
                for top in range(y // 256, (y + CROP - 1) // 256 + 1):
                    for left in range(x // 256, (x + CROP - 1) // 256 + 1):
                        place = top * across + left
                        tif.filehandle.seek(page.dataoffsets[place])
                        data = tif.filehandle.read(page.databytecounts[place])
                        tile = page.decode(data, place)[0][0]
                        y0, x0 = max(top * 256, y), max(left * 256, x)
                        y1 = min(top * 256 + tile.shape[0], y + CROP)
                        x1 = min(left * 256 + tile.shape[1], x + CROP)
                        inside = tile[y0 - top * 256 : y1 - top * 256, x0 - left * 256 : x1 - left * 256]
                        out[y0 - y : y1 - y, x0 - x : x1 - x] = inside
                np.ascontiguousarray(out.transpose(2, 0, 1))
        return 6

    def whole_tiff() -> int:
        """As tifffile reads it when nobody helps: the page, then the part."""
        for index, y, x in places[:3]:
            picture = tifffile.imread(folder / f"{index}.tif")
            np.ascontiguousarray(picture[y : y + CROP, x : x + CROP].transpose(2, 0, 1))
        return 3

    def memmap() -> int:
        for index, y, x in places:
            np.array(flat[index, :, y : y + CROP, x : x + CROP])
        return CROPS

    return {
        "crop": lambda: stored(places),
        "crop at tiles": lambda: stored(corners),
        "crop from PNG": png,
        "crop from TIFF, its tiles": tiff,
        "crop from TIFF": whole_tiff,
        "crop from a bare memmap": memmap,
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, choices=(8, 12), default=12)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: the temporary folder)")
    args = parser.parse_args()
    frames = pictures(args.bits, FRAMES)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        rows = frame_rows(Path(folder), frames)
        took = measure(rows, args.rounds) | measure(crop_rows(Path(folder), frames), args.rounds)
    machine = f"{os.cpu_count()} cores {platform.machine()}, Python {sys.version.split()[0]}, zarr {zarr.__version__}"
    print(f"{WIDTH}x{HEIGHT}, {args.bits} bits, {frames[0].nbytes / 1e6:.1f} MB a frame; one process, {machine}")
    for name, (wall, cpu) in took.items():
        unit = f"{frames[0].nbytes / 1e6 / wall:8.0f} MB/s" if name in rows else f"{1 / wall:8.1f} /s  "
        print(f"  {name:24} {unit}   {1e3 * wall:8.2f} ms, of processor time {1e3 * cpu:8.2f} ms")
    for first, second in _RATIOS:
        wall, cpu = (took[second][i] / took[first][i] for i in (0, 1))
        print(f"  {first} is {wall:6.2f} times as fast as {second} ({cpu:.2f} by processor time)")


if __name__ == "__main__":
    main()
