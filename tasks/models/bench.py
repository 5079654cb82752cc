"""`capmat bench`: how fast a network is on this machine: alone, on a fixed rig, and from file to file.

Candidates take turns, round after round, so that other programs on the machine slow all of them alike. The table has
the median of the rounds and the ratio to the first row. The weights are random: they do not change the speed, and the
student refines exactly as many cells as it may, as in the published speed test.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from storage.pictures.files import read_image
from storage.pictures.png import encode_png
from tasks.models.latency import hardware

PAPER = "the paper: 152 FPS on an RTX 4070 Ti SUPER, resolution and precision not stated"

_HD = 2.5e6  # pixels up to which the settings published for HD are used
_4K_SHARE = 26  # above, one pixel in so many may be refined, at a backbone scale of 1/8
_FILES = 8  # frames of a file-to-file round


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: the candidate.
        batch: frames in one call.
        dtype: of its arithmetic.
        seconds: per frame, median of the rounds.
        spread: fastest and slowest round, seconds per frame.
        ratio: how many times as fast as the first row.
        note: what else was seen, such as the difference to the alpha of the first row.
    """

    what: str
    batch: int
    dtype: str
    seconds: float
    spread: tuple[float, float]
    ratio: float
    note: str


@dataclass(frozen=True)
class Candidate:
    """What is timed: `run` processes `batch` frames and returns when they are done."""

    what: str
    batch: int
    dtype: str
    run: Callable[[], Any]
    note: str = ""


def race(candidates: Sequence[Candidate], rounds: int) -> list[Row]:
    """Time candidates in turns. The first call of each allocates and compiles, and does not count."""
    for candidate in candidates:
        candidate.run()
    seconds: list[list[float]] = [[] for _ in candidates]
    for _ in range(rounds):
        for candidate, seen in zip(candidates, seconds, strict=True):
            start = time.perf_counter()
            candidate.run()
            seen.append((time.perf_counter() - start) / candidate.batch)
    first = statistics.median(seconds[0])
    return [
        Row(c.what, c.batch, c.dtype, statistics.median(s), (min(s), max(s)), first / statistics.median(s), c.note)
        for c, s in zip(candidates, seconds, strict=True)
    ]


def table(rows: Sequence[Row], size: tuple[int, int], device: str, threads: int) -> list[str]:
    """The rows as Markdown, with size, hardware and threads, without which the figures mean nothing."""
    lines = [
        f"{size[1]}x{size[0]}, {hardware(device)}, {threads} threads",
        "",
        "| what | batch | dtype | s/frame (fastest - slowest) | frames/s | x the first row | |",
        "|---|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {r.what} | {r.batch} | {r.dtype} | {r.seconds:.4f} ({r.spread[0]:.4f} - {r.spread[1]:.4f}) "
        f"| {1 / r.seconds:.2f} | {r.ratio:.2f} | {r.note} |"
        for r in rows
    ]


def bench_student(
    name: str, size: tuple[int, int], *, cameras: int, device: str, dtype: str, threads: int, rounds: int
) -> list[Row]:
    """Time the student: as its released code runs it, on a fixed rig, for several cameras, file to file.

    Args:
        name: architecture, such as `bgmv2_mobilenetv2`.
        size: height and width of the frames, multiples of 4.
        cameras: in one batch, for the last but one row.
        device: "cpu" or "cuda".
        dtype: of the rig: float32, float16 or bfloat16. The released structure runs in the same.
        threads: torch threads.
        rounds: how often each is timed.
    """
    import torch

    from capmat_models.inference.plain_student import plain_matte
    from capmat_models.inference.rig import Rig
    from capmat_models.networks.factory import create_model

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    pixels = size[0] * size[1]
    settings = {} if pixels <= _HD else {"backbone_scale": 0.125, "refine_sample_pixels": pixels // _4K_SHARE}
    model: Any = create_model(name, prevent_oversampling=False, **settings).eval()
    _spread_out(model)
    plates = torch.rand(cameras, 3, *size)
    frames = (plates + 0.1 * torch.rand_like(plates)).clamp(0, 1)
    one = Rig(model, plates[:1], device=device, dtype=kind)
    plain = deepcopy(model).to(device, kind)

    def released() -> Any:
        # frame and plate are uploaded every time
        out = plain_matte(plain, *(x[:1].to(device, kind) for x in (frames, plates)))["pha"]
        return out.float().cpu()

    def on_the_rig(rig: Any, count: int) -> Any:
        return rig.matte(frames[:count])["pha"].float().cpu()

    off = (released() - on_the_rig(one, 1)).abs()
    cells = model.budget(size) // 16
    candidates = [
        Candidate("structure of the released code", 1, dtype, released, f"{cells} cells refined"),
        Candidate(
            "rig, one camera", 1, dtype, lambda: on_the_rig(one, 1), f"alpha differs by {off.max():.0e} at most"
        ),
    ]
    if cameras > 1:
        many = Rig(model, plates, device=device, dtype=kind)
        candidates.append(Candidate(f"rig, {cameras} cameras", cameras, dtype, lambda: on_the_rig(many, cameras)))
    with _picture_folder(size) as folder:
        plate = torch.from_numpy(read_image(folder / "in0.png").transpose(2, 0, 1).copy())[None]
        rig = Rig(model, plate, device=device, dtype=kind)
        candidates.append(
            Candidate("file to file (8-bit PNG)", _FILES, dtype, lambda: _file_to_file(folder, rig.stream))
        )
        return race(candidates, rounds)


def bench_teacher(
    name: str, size: tuple[int, int], *, device: str, dtype: str, threads: int, rounds: int
) -> list[Row]:
    """Time the teacher: the network alone, and file to file.

    Args:
        name: architecture, such as `bg_vitmatte_s`.
        size: height and width of the frames.
        device: "cpu" or "cuda".
        dtype: float32, or float16 or bfloat16 (autocast).
        threads: torch threads.
        rounds: how often each is timed.
    """
    import torch

    from capmat_models.networks.factory import create_model

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    model: Any = create_model(name).eval()
    model = model.to(device, memory_format=torch.channels_last)
    src, bgr = torch.rand(2, 1, 3, *size)

    def matte(frame: Any) -> Any:
        with torch.inference_mode(), torch.autocast(device, kind, enabled=dtype != "float32"):
            return model(frame.to(device), bgr.to(device))["pha"].float().cpu()

    def each(frames: Any) -> Iterator[dict[str, Any]]:
        yield from ({"pha": matte(frame.float() / 255)} for frame in frames)

    with _picture_folder(size) as folder:
        return race(
            [
                Candidate("network", 1, dtype, lambda: matte(src)),
                Candidate("file to file (8-bit PNG)", _FILES, dtype, lambda: _file_to_file(folder, each)),
            ],
            rounds,
        )


def _spread_out(model: Any) -> None:
    """Draw weights whose alphas and errors vary inside 0..1, so that two ways of running can be compared.

    If many errors are clamped to the same value, chance decides which cells are refined.
    """
    import torch

    for name, p in model.named_parameters():
        if p.ndim == 4 and not name.startswith("backbone"):
            torch.nn.init.kaiming_normal_(p, nonlinearity="relu")
    with torch.no_grad():
        for last in (model.decoder.conv4, model.refiner.conv4):
            last.weight *= 0.05
            torch.nn.init.constant_(last.bias, 0.5)


@contextmanager
def _picture_folder(size: tuple[int, int]) -> Iterator[Path]:
    """Make frames to read: a smooth picture with a little noise, as a camera makes them."""
    rng = np.random.default_rng(0)
    slope = np.linspace(40, 200, size[0] * size[1] * 3).reshape(*size, 3)
    with tempfile.TemporaryDirectory(prefix="capmat-bench-") as name:
        for i in range(_FILES):
            noisy = slope + rng.normal(0, 2, slope.shape)
            (Path(name) / f"in{i}.png").write_bytes(encode_png(noisy.clip(0, 255).astype(np.uint8)))
        yield Path(name)


def _file_to_file(folder: Path, matte: Callable[[Iterator[Any]], Iterator[dict[str, Any]]]) -> None:
    """Read, matte and write all frames; reading and writing overlap with the network."""
    import torch

    def read(i: int) -> Any:
        return torch.from_numpy(read_image(folder / f"in{i}.png").transpose(2, 0, 1).copy())[None]

    def write(i: int, pha: Any) -> None:
        alpha = (pha[0, 0].float() * 65535).round().to(torch.int32).numpy().astype(np.uint16)
        (folder / f"out{i}.png").write_bytes(encode_png(alpha))

    with ThreadPoolExecutor(2) as pool:
        coming = [pool.submit(read, i) for i in range(_FILES)]
        written = [
            pool.submit(write, i, out["pha"].clone())
            for i, out in enumerate(matte(frame.result() for frame in coming))
        ]
        for done in written:
            done.result()
