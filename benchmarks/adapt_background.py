"""How a teacher with a plate should start from weights that know trimaps.

    python benchmarks/adapt_background.py --data samples/base --work FOLDER

Trains a small ViTMatte with trimaps, turns it into a Bg-ViTMatte in every way that `adapt` knows, and trains each
start, and fresh weights as the control, on the same batches. Prints the held-out error along the way as a table
and draws it (`FOLDER/adapt_background.svg`). What is done is kept in FOLDER; a stopped run goes on from there.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.random import Generator
from torch import nn

from capmat_models.data.composites import Composites
from capmat_models.data.trimaps import random_radii, trimap_from_alpha
from capmat_models.metrics import mse, sad_paper
from capmat_models.networks.factory import create_model
from capmat_models.training.loop import Arrays, Hooks, Phase, Tensors, mixed, run_phases, stack
from capmat_models.training.losses import vitmatte_losses
from capmat_models.training.optimisers import cosine, layerwise_groups
from capmat_models.training.validation import evaluate
from capmat_models.weights.adapt import Way, background_from_trimap
from tasks.runtime.checkpoint import StoreCheckpointer
from tasks.runtime.progress import Progress, say
from tasks.show.charts import curves_svg
from tasks.train.base_data import load_base_data

NETWORK, CROP, BATCH, HELD = "bg_vitmatte_xs", 128, 8, 4
TRIMAP_LR, PLATE_LR = 3e-3, 1e-3
COUNT = 16  # held-out composites of one measurement


def stage(name: str, model: nn.Module, base: Composites, iterations: int, lr: float, *, trimap: bool) -> Phase:
    """The teacher's base training, with a trimap of the truth or with the plate as second input."""

    def batch(rng: Generator) -> Arrays:
        arrays = stack([base.sample(rng, CROP) for _ in range(BATCH)])
        return {**arrays, "radii": random_radii(rng, BATCH, CROP)}

    def losses(tensors: Tensors) -> Tensors:
        known = trimap_from_alpha(tensors["pha"], tensors["radii"].numpy())
        with mixed(True, tensors):
            pha = model(tensors["src"], known if trimap else tensors["bgr"])["pha"].float()
        return vitmatte_losses(pha, tensors["pha"], (known == 0.5).to(pha.dtype))

    return Phase(
        name=name,
        iterations=iterations,
        optimiser=lambda: torch.optim.AdamW(layerwise_groups(model, lr, decay=1.0, weight_decay=0.05)),
        batch=batch,
        losses=losses,
        rate=lambda iteration: cosine(iteration, iterations, 50),
    )


def trimap_weights(work: Path, learn: Composites, held: Composites, iterations: int) -> dict[str, torch.Tensor]:
    """Train the trimap network, or read it."""
    torch.manual_seed(0)
    model = create_model(NETWORK, guide="trimap")
    run_phases(
        model,
        [stage("trimap", model, learn, iterations, TRIMAP_LR, trimap=True)],
        seed=0,
        recipe=f"trimap {iterations}",
        save_every=50,
        hooks=Hooks(StoreCheckpointer(str(work), "trimap"), Progress("train with trimaps", iterations)),
    )
    scores = []
    with torch.no_grad():
        for index in range(COUNT):
            rng = np.random.default_rng([index, 11])
            sample = {name: torch.from_numpy(x)[None] for name, x in held.sample(rng, CROP).items()}
            pha = model(sample["src"], trimap_from_alpha(sample["pha"], random_radii(rng, 1, CROP)))["pha"]
            scores.append((float(mse(pha, sample["pha"])), float(sad_paper(pha, sample["pha"]))))
    say("with trimaps, held out: MSE {:.5f}, SAD {:.5f}".format(*np.mean(scores, 0)))
    return model.state_dict()


def starts(trimap: dict[str, torch.Tensor]) -> dict[str, Callable[[], nn.Module]]:
    """Fresh weights, and the trimap weights in every way, as networks with a plate."""

    def fresh() -> nn.Module:
        torch.manual_seed(1)
        return create_model(NETWORK)

    def adapted(way: Way) -> nn.Module:
        model = create_model(NETWORK)
        model.load_state_dict(background_from_trimap(trimap, way))
        return model

    return {"from scratch": fresh, **{way: lambda way=way: adapted(way) for way in get_args(Way)}}


def train_start(name: str, model: nn.Module, data: tuple[Composites, Composites], args: Any, seed: int) -> Any:
    """Train one start with the batches of `seed`, or read how that went: records of iteration, mse, sad."""
    learn, held = data
    work = args.work
    kept = work / f"{name.replace(' ', '-')}-{seed}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    begin = time.perf_counter()
    history = run_phases(
        model,
        [stage(name, model, learn, args.steps, PLATE_LR, trimap=False)],
        seed=100 + seed,
        recipe=f"{name} {args.steps} {args.trimap_steps}",
        save_every=50,
        hooks=Hooks(
            StoreCheckpointer(str(work), f"{name.replace(' ', '-')}-{seed}"),
            Progress(f"{name}, seed {seed}", args.steps),
            lambda _: evaluate("teacher", model, held, count=COUNT, crop=CROP),
            args.steps // 8,
        ),
    )
    records = [record for record in history if record["stage"] == "validation"]
    kept.write_text(json.dumps(records))
    say(f"{name}, seed {seed}: {time.perf_counter() - begin:.0f} s")
    return records


def table(curves: dict[str, list[Any]], key: str) -> str:
    """One row per start: the mean over the seeds at each look."""
    points = [record["iteration"] for record in next(iter(curves.values()))[0]]
    lines = [f"| {key.upper()} after | {' | '.join(map(str, points))} |", "|---" * (len(points) + 1) + "|"]
    for name, runs in curves.items():
        means = np.mean([[record[key] for record in run] for run in runs], 0)
        lines.append(f"| {name} | {' | '.join(f'{value:.4f}' for value in means)} |")
    last = {name: " ".join(f"{run[-1][key]:.4f}" for run in runs) for name, runs in curves.items()}
    return "\n".join([*lines, "", "each seed at the end: " + "; ".join(f"{n} {v}" for n, v in last.items())])


def main() -> None:
    """Run what is not there yet, then print and draw everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="samples/base")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--trimap-steps", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    learn, held = load_base_data(args.data).split(HELD)
    data = Composites(learn), Composites(held)
    trimap = trimap_weights(args.work, *data, args.trimap_steps)
    curves: dict[str, list[Any]] = {name: [] for name in starts(trimap)}
    for seed in range(args.seeds):
        for name, make in starts(trimap).items():
            curves[name].append(train_start(name, make(), data, args, seed))
    for key in ("mse", "sad"):
        say(f"held out, mean of {args.seeds} seeds\n\n{table(curves, key)}\n")
    lines = {
        name: [(r[0]["iteration"], float(np.mean([record["mse"] for record in r]))) for r in zip(*runs, strict=True)]
        for name, runs in curves.items()
    }
    picture = args.work / "adapt_background.svg"
    picture.write_text(curves_svg({"MSE on held-out composites": lines}))
    say(str(picture))


if __name__ == "__main__":
    main()
