"""What an ingest costs beside decoding alone; what it costs with many frames; how long a large take takes to open.

    python -m benchmarks.ingest sources     # PNG, packed TIFF, packed raw, HEVC of 10 bits; about two minutes
    python -m benchmarks.ingest memory      # the same peak with 10 frames as with 1,000?
    python -m benchmarks.ingest scale       # 40 cameras with 75 and with 750 small frames, and opening them

Sources are 2664x2304 RGB, raw ones 5328x4608 mosaics, with a camera's noise. One thread, so that both sides have one.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.frames_and_crops import pictures
from storage.descriptor import read_session
from storage.pictures.png import encode_png
from storage.recordings.raw_pixels import pack
from storage.recordings.recording import find_recordings
from storage.store.root import Root
from storage.takes.take import Take
from tasks.ingest.take import ingest_take
from tests.storage.pictures.packed_tiff import write_packed_tiff
from tests.storage.raw_pictures import join

FRAMES = 16


def session(folder: Path, cameras: int, size: tuple[int, int], path: str, colour: str, more: str = "") -> Path:
    """Write session.toml and a calibration of cameras in a ring; returns the folder."""
    width, height = size
    one = {"width": width, "height": height, "K": [[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]],
           "dist": [0] * 5, "R": np.eye(3).tolist(), "t": [0, 0, 3]}  # fmt: skip
    names = {f"C{number:02d}": one for number in range(cameras)}
    (folder / "calibration.json").write_text(json.dumps({"units": "m", "cameras": names}))
    (folder / "session.toml").write_text(
        f'name = "b"\nstage = "b"\nfps = 25.0\n[colour]\n{colour}\n'
        f'[calibration]\nformat = "capmat"\npath = "calibration.json"\n[takes.t]\npath = "{path}"\n{more}'
    )
    return folder


def png(folder: Path) -> Path:
    """16-bit RGB files of 12-bit pictures."""
    (folder / "C00").mkdir()
    for index, frame in enumerate(pictures(12, FRAMES)):
        (folder / f"C00/{index}.png").write_bytes(encode_png(np.ascontiguousarray(frame.transpose(1, 2, 0))))
    return session(folder, 1, (2664, 2304), "{camera}/{frame}.png", 'bits = 12\ntransfer = "linear"')


def tiff(folder: Path) -> Path:
    """12-bit packed RGB, without compression."""
    (folder / "C00").mkdir()
    for index, frame in enumerate(pictures(12, FRAMES)):
        write_packed_tiff(folder / f"C00/{index}.tif", np.ascontiguousarray(frame.transpose(1, 2, 0)), 12)
    return session(folder, 1, (2664, 2304), "{camera}/{frame}.tif", 'bits = 12\ntransfer = "linear"')


def raw(folder: Path) -> Path:
    """BayerRG12p, 24.5 megapixels."""
    for index, frame in enumerate(pictures(12, FRAMES)):
        planes = np.stack([*frame, frame[1]])
        (folder / f"C00_{index}.raw").write_bytes(bytes(pack(join(planes[[0, 1, 3, 2]]), "lsb")))
    more = '[raw]\nwidth = 5328\nheight = 4608\npixel_format = "BayerRG12p"\n'
    colour = 'bits = 12\ntransfer = "linear"\ncfa = "RGGB"'
    return session(folder, 1, (5328, 4608), "{camera}_{frame}.raw", colour, more)


def hevc(folder: Path) -> Path:
    """H.265 of 10 bits, 4:2:0."""
    import av

    with av.open(str(folder / "C00.mp4"), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"crf": "16", "preset": "ultrafast",
                                                                   "x265-params": "log-level=error"})  # fmt: skip
        stream.width, stream.height, stream.pix_fmt = 2664, 2304, "yuv420p10le"
        for frame in pictures(12, FRAMES):
            wide = np.ascontiguousarray(frame.transpose(1, 2, 0)) << 4
            container.mux(stream.encode(av.VideoFrame.from_ndarray(wide, format="rgb48le")))
        container.mux(stream.encode(None))
    more = '[video]\nmatrix = "bt601"\nrange = "limited"\n'
    return session(folder, 1, (2664, 2304), "{camera}.mp4", 'bits = 10\ntransfer = "rec709"', more)


def sources() -> None:
    """One row per source: seconds of decoding alone, of the whole ingest, and how they compare."""
    for make in (png, tiff, raw, hevc):
        with tempfile.TemporaryDirectory() as folder:
            said = read_session(make(Path(folder)))
            recording = find_recordings(said.folder, said.takes["t"].path, said.raw, said.video)["C00"]
            colour = said.colour.colour()
            best = [float("inf")] * 2
            for number in range(3):
                start = time.perf_counter()
                for _ in recording.read(colour):
                    pass
                middle = time.perf_counter()
                ingest_take(f"{folder}/store{number}", folder, "t", workers=1)
                took = middle - start, time.perf_counter() - middle
                best = [min(pair) for pair in zip(best, took, strict=True)]
            alone, whole = (1e3 * seconds / FRAMES for seconds in best)
            print(f"{make.__name__:6} decoding alone {alone:7.1f} ms a frame, ingest {whole:7.1f} ms: "
                  f"decoding is {alone / whole:.0%} of it", flush=True)  # fmt: skip


def small(folder: Path, cameras: int, frames: int, size: tuple[int, int]) -> Path:
    """A session of small raw files: what counts is how many."""
    width, height = size
    rng = np.random.default_rng(0)
    data = [rng.integers(0, 255, (height, width, 3), np.uint8).tobytes() for _ in range(8)]
    for camera in range(cameras):
        place = folder / f"C{camera:02d}"
        place.mkdir()
        for frame in range(frames):
            (place / f"{frame}.raw").write_bytes(data[frame % 8])
    more = f'[raw]\nwidth = {width}\nheight = {height}\npixel_format = "RGB8"\n'
    return session(folder, cameras, size, "{camera}/{frame}.raw", 'bits = 8\ntransfer = "srgb"', more)


def memory() -> None:
    """Peak resident memory of the same ingest with 10 and with 1,000 frames, each in a process of its own."""
    for frames in (10, 1000):
        code = f"from benchmarks.ingest import peak; print(peak({frames}))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        print(f"{frames:5} frames of 640x480: {float(done.stdout):.0f} MB at most")


def peak(frames: int) -> float:
    """Ingest so many frames of 640x480; peak resident memory in MB."""
    with tempfile.TemporaryDirectory() as folder:
        ingest_take(f"{folder}/store", small(Path(folder), 1, frames, (640, 480)), "t", workers=1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def scale() -> None:
    """Seconds per frame with ten times as many, and how long the large take takes to open."""
    for cameras, frames in ((4, 75), (40, 75), (40, 750)):
        with tempfile.TemporaryDirectory() as folder:
            place = small(Path(folder), cameras, frames, (64, 48))
            start = time.perf_counter()
            ingest_take(f"{folder}/store", place, "t")
            took = time.perf_counter() - start
            again = timed(lambda store=folder: ingest_take(f"{store}/store", store, "t"))
            root = Root(f"{folder}/store")
            opened = min(timed(lambda root=root: Take.open(root, "t")) for _ in range(5))
            count = cameras * frames
            print(
                f"{cameras} cameras x {frames} frames: {took:.1f} s, {1e3 * took / count:.2f} ms a frame", flush=True
            )
            print(f"  a second run, with nothing to do, {again:.1f} s; opening {1e3 * opened:.1f} ms", flush=True)


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sources", "memory", "scale"))
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    {"sources": sources, "memory": memory, "scale": scale}[parser.parse_args().what]()
