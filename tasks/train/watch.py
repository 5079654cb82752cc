"""Looks at a training while it runs: figures on held-out data, and pictures of the mattes.

A few foregrounds and backgrounds of the base data are held out, as in base training, and so is the take of the
benchmark, whose reference are the supervisor's mattes. The figures tell a person early that a training goes wrong;
they choose no checkpoint. Everything lies under `trainings/<name>/`:

    000000.jpg, ...   image, alpha before the training, alpha now
    figures.json      figures by iteration
    curves.svg        the same as curves
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from storage.benchmark import Benchmark
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.runtime.step import Record
from tasks.show.artifact import show
from tasks.show.charts import curves_svg
from tasks.show.sheet import Row, contact_sheet, to_jpeg

if TYPE_CHECKING:
    from capmat_models.data.base import BaseData

Alpha = NDArray[np.float32]

FRAMES = 3
"""Frames in a picture."""
LOOKS = 8
"""Looks at a training, besides the one before it."""
_COMPOSITES = 6
_MOST_HELD = 8  # of base data; training would miss a tenth of 431 foregrounds


@dataclass(frozen=True)
class Frame:
    """One stage frame to look at.

    Attributes:
        label: take, camera and frame number.
        src: (3,H,W) float32 0..1.
        bgr: its plate, likewise.
        reference: alpha (H,W) that counts as true; None if it is not known.
    """

    label: str
    src: Alpha
    bgr: Alpha
    reference: Alpha | None


@dataclass(frozen=True)
class Watch:
    """What a training calls to measure, how often, and where the pictures are.

    Attributes:
        validate: validate(iterations done) -> figures.
        every: iterations between two looks.
        pictures: keys of the last sheet and of the curves.
    """

    validate: Callable[[int], dict[str, float]]
    every: int
    pictures: dict[str, str]


def hold_out(base: "BaseData") -> "tuple[BaseData, BaseData | None]":
    """Base data to learn from, and to measure on; the latter is None if one of both kinds has a single picture."""
    fewer = min(len(base.foregrounds), len(base.backgrounds))
    return base.split(min(_MOST_HELD, max(1, fewer // 10))) if fewer > 1 else (base, None)


def benchmark_frames(root: Root, benchmark: Record | None, trained_on: Sequence[str]) -> list[Frame]:
    """Some frames of the benchmark with the supervisor's mattes; an empty list if training sees its take."""
    if benchmark is None or benchmark["take"] in trained_on:
        return []
    frozen = Benchmark.open(root, benchmark["benchmark"], benchmark["version"])
    entries = benchmark["entries"]
    some = entries[:: max(1, len(entries) // FRAMES)][:FRAMES]
    return [stage_frame(root, benchmark["take"], c, f, frozen.alpha(benchmark["take"], c, f)) for c, f in some]


def stage_frame(root: Root, take: str, camera: str, frame: int, reference: Alpha | None) -> Frame:
    """Read one frame and its plate."""
    recording = Take.open(root, take)
    plate = Stage.under(recording).plate(camera)
    return Frame(f"{take} {camera} frame {frame}", recording.read(camera, frame), plate, reference)


def watch(
    root: Root,
    name: str,
    title: str,
    network: Any,
    frames: Sequence[Frame],
    held: "BaseData | None",
    *,
    iterations: int,
    crop: int,
    against: str = "stage",
) -> Watch:
    """Prepare the looks at a training, before it changes the network.

    Args:
        root: the store.
        name: of the training, part of the keys.
        title: the network in words: `teacher`.
        network: called as network(src, bgr) -> {"pha"}.
        frames: what the pictures show; those with a reference are measured.
        held: base data to measure on.
        iterations: of the whole training.
        crop: side of the composites in pixels.
        against: start of the figures' names for the frames. `stage`: held-out frames, against the benchmark.
            `teacher`: frames of the training, against the teacher's mattes, which only shows how far both agree.
    """
    from capmat_models.data.composites import Composites
    from capmat_models.training.validation import evaluate

    folder = f"trainings/{name}"
    last = f"{folder}/{iterations:06d}.jpg"
    network.eval()
    before = [alpha_of(network, frame) for frame in frames]
    shown: list[UUID | None] = [None]

    def validate(done: int) -> dict[str, float]:
        now = [alpha_of(network, frame) for frame in frames]
        figures: dict[str, float] = {}
        if held is not None:
            scores = evaluate("teacher", network, Composites(held), count=_COMPOSITES, crop=crop)
            figures |= {f"base_{key}": value for key, value in scores.items()}
        errors = [pha - f.reference for pha, f in zip(now, frames, strict=True) if f.reference is not None]
        if errors:
            figures[f"{against}_mse"] = float(np.mean([np.mean(e**2) for e in errors]))
            figures[f"{against}_sad"] = float(np.mean([np.mean(np.abs(e)) for e in errors]))
        if frames:
            jpeg = to_jpeg(_sheet(frames, before, now, done))
            root.write(f"{folder}/{done:06d}.jpg", jpeg)
        curves = _keep(root, folder, done, figures)
        if frames:
            words = f"{title} after {done} of {iterations} iterations"
            shown[0] = show(f"training-{title}", words, jpeg, curves=curves, before=shown[0], of_task=True)
        return figures

    return Watch(validate, math.ceil(iterations / LOOKS), {"sheet": last, "curves": f"{folder}/curves.svg"})


def alpha_of(network: Any, frame: Frame) -> Alpha:
    """The network's matte of a frame, (H,W) float32, as in use: a training may enlarge its crops, not this frame."""
    import torch

    device = next(network.parameters()).device
    of_crops, network.enlarge = network.enlarge, 0
    with torch.no_grad():
        src, bgr = (torch.from_numpy(picture)[None].to(device) for picture in (frame.src, frame.bgr))
        pha = network(src, bgr)["pha"][0, 0].float().cpu().numpy()
    network.enlarge = of_crops
    return pha


def _sheet(frames: Sequence[Frame], before: Sequence[Alpha], now: Sequence[Alpha], done: int) -> NDArray[np.uint8]:
    rows = []
    for frame, old, new in zip(frames, before, now, strict=True):
        captions = [""]
        if frame.reference is not None:
            errors = [float(np.mean((pha - frame.reference) ** 2)) for pha in (old, new)]
            captions += [f"MSE {1e4 * error:.1f}e-4" for error in errors]
        rows.append(Row(frame.label, [frame.src, old, new], tuple(captions)))
    return contact_sheet(rows, ["image", "alpha before the training", f"alpha after {done} iterations"])


def _keep(root: Root, folder: str, done: int, figures: dict[str, float]) -> str:
    """Add the figures of one look, draw all curves again, and return them; a repeated look replaces the first."""
    key = f"{folder}/figures.json"
    known = json.loads(root.read(key)) if root.exists(key) else {}
    known = {**{k: v for k, v in known.items() if int(k) < done}, str(done): figures}
    root.write(key, json.dumps(known, indent=1).encode())
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    names = {"base": "held-out composites", "stage": "benchmark frames", "teacher": "teacher's mattes"}
    for iteration, scores in known.items():
        for figure, value in scores.items():
            against, _, kind = figure.partition("_")
            line = panels.setdefault(kind.upper(), {}).setdefault(names[against], [])
            line.append((int(iteration), value))
    curves = curves_svg(panels)
    root.write(f"{folder}/curves.svg", curves.encode())
    return curves
