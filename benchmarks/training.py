"""Steps per second of the two trainings: `python benchmarks/training.py [--demo] [--device cuda] [--bfloat16]`.

Full sizes and the paper's batches and crops by default (a GPU's work); `--demo` takes the small networks and the
demo's. Data are noise, made ahead in threads as in a real training; the figure is the median over single steps.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
import torch

from capmat_models.data.base import BaseData
from capmat_models.data.composites import Composites
from capmat_models.data.stage import PairData, ScribbleData
from capmat_models.networks.factory import create_model
from capmat_models.training.distill import DistillConfig, distill_student
from capmat_models.training.loop import Hooks
from capmat_models.training.teacher import FinetuneConfig, finetune_teacher
from tasks.models.latency import hardware

_WARM = 3  # first steps of a stage allocate and do not count


class Clock:
    """Collects the time between the ends of steps."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def __call__(self, _done: int, _note: str) -> None:
        """Note the time; what a training calls after each step."""
        self.ends.append(time.perf_counter())

    def rate(self, first: int, last: int) -> float:
        """Steps per second between two steps."""
        ends = self.ends[first + _WARM : last]
        return 1 / statistics.median(b - a for a, b in zip(ends[:-1], ends[1:], strict=True))


def pictures(rng: np.random.Generator, count: int, side: int) -> tuple[Any, Any, Any]:
    """Frames, plates and labels or alphas of `side` pixels, as noise."""
    frames = rng.random((count, 3, side, side), np.float32)
    plates = rng.random((count, 3, side, side), np.float32)
    alphas = (rng.random((count, side, side), np.float32) > 0.5).astype(np.float32)
    return frames, plates, alphas


def main() -> None:
    """Print one row per training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--bfloat16", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    crop = 128 if args.demo else 512
    side = crop if args.demo else 1024
    cut_outs = rng.integers(0, 256, (4, side, side, 4), np.uint8)
    base = Composites(BaseData(list(cut_outs), list(rng.integers(0, 256, (4, side, side, 3), np.uint8))))
    mixed = {"mixed_precision": args.bfloat16}
    precision = "bfloat16" if args.bfloat16 else "float32"
    print(f"{hardware(args.device)}, {args.threads} threads, {precision}\n")
    print("| training | batch | crop | steps/s |\n|---|---|---|---|")

    tune = FinetuneConfig(iterations=args.steps, **mixed)
    if args.demo:
        tune = FinetuneConfig(iterations=args.steps, batch=10, crop=128, layer_decay=1.0, **mixed)
    teacher = create_model("bg_vitmatte_xs" if args.demo else "bg_vitmatte_s").to(args.device)
    frames, plates, alphas = pictures(rng, 4, side)
    clock = Clock()
    finetune_teacher(
        teacher, base, ScribbleData(list(zip(frames, plates, alphas, strict=True))), tune, hooks=Hooks(progress=clock)
    )
    print(f"| hybrid fine-tuning | {tune.batch} | {tune.crop} | {clock.rate(0, args.steps):.2f} |", flush=True)

    teach = DistillConfig(base_iterations=args.steps, joint_iterations=args.steps, **mixed)
    if args.demo:
        teach = DistillConfig(base_iterations=args.steps, joint_iterations=args.steps, crop=160, **mixed)
    frames, plates, alphas = pictures(rng, 2, teach.crop)
    student: Any = create_model("bgmv2_mobilenetv2_xs" if args.demo else "bgmv2_mobilenetv2").to(args.device)
    clock = Clock()
    pairs = PairData(list(zip(frames, plates, alphas, strict=True)))
    distill_student(student, pairs, teach, hooks=Hooks(progress=clock))
    print(f"| distillation, base network | {teach.batch} | {teach.crop} | {clock.rate(0, args.steps):.2f} |")
    print(
        f"| distillation, both | {teach.batch // 2} | {teach.crop} | {clock.rate(args.steps, 2 * args.steps):.2f} |"
    )


if __name__ == "__main__":
    main()
