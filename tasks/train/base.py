"""Base weights: what every network of the demo sizes starts from, trained on base data by `capmat train-base`.

Published weights are for the full sizes. The small networks have none, so theirs are trained here and delivered
with the code. Networks of other sizes train with the defaults of `BaseTrainConfig`. A run that was stopped goes on
when the same command is given again.
"""

import json
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CheckpointError, TrainingError
from storage.store.root import Root
from tasks.models.networks import method_of
from tasks.runtime.checkpoint import StoreCheckpointer
from tasks.runtime.progress import Progress, say
from tasks.show.sheet import Row, contact_sheet
from tasks.train.base_data import describe_base_data, load_base_data

if TYPE_CHECKING:
    from capmat_models.data.base import BaseData
    from capmat_models.training.base import BaseTrainConfig
    from capmat_models.training.validation import Kind

_DEMO = {"teacher": "bg_vitmatte_xs", "student": "bgmv2_mobilenetv2_xs", "supervisor": "diffmatte_xs"}
_SIZES = {"scales": (0.75, 1.0, 1.5), "small": 0.5}
_SMALL: dict[str, dict[str, Any]] = {
    "teacher": {"crop": 192, "batch": 4, "lr": 3e-3, "layer_decay": 1.0, "weight_decay": 0.05, **_SIZES},
    "student": {"crop": 224, "batch": 12, "lr_scale": 8.0, **_SIZES},
    "supervisor": {"crop": 128, "batch": 8, "lr": 2e-3, "layer_decay": 1.0, "weight_decay": 0.05},
}
"""Settings of the demo sizes, which start from fresh weights: higher rates, equal in all layers; small crops."""
_TIMING_STEPS = 12
_LEAST_CROP = 32
_SHOWN = 144  # side of a composite on a sheet, in pixels
_LICENCE = "Trained by this project on the base data named here; the terms of the project and of that data apply."


def train_base_weights(
    kind: "Kind",
    network: str,
    data: Path,
    out: Path,
    *,
    minutes: float | None = None,
    iterations: int | None = None,
    seed: int = 0,
    crop: int | None = None,
    batch: int | None = None,
    held: int | None = None,
    mixed_precision: bool = False,
    threads: int = 1,
    start: Path | None = None,
    lr: float | None = None,
    blend: float = 1.0,
) -> dict[str, Any]:
    """Train one network and write `<out>/<network>/model.safetensors` and `card.json`.

    Args:
        kind: teacher, student or supervisor.
        network: a name that `create_model` knows.
        data: folder of base data.
        out: folder of weights. The state of an unfinished training lies in it as well.
        minutes: length of the training. The number of steps is found by timing a few, and kept when it is resumed.
        iterations: number of steps, instead of `minutes`.
        seed: decides initial weights and every batch.
        crop: side of the training window in pixels. The default suits the demo size of the kind; for any other
            network it is that of `BaseTrainConfig`.
        batch: crops per step, likewise.
        held: foregrounds and backgrounds to measure on instead of to learn from; by default a tenth.
        mixed_precision: run in bfloat16 while training.
        threads: torch threads.
        start: weights to start from (`capmat models export NAME --format safetensors`, or as released); None for
            fresh ones. A file of whole parts, such as an encoder alone, leaves the rest fresh.
        lr: highest learning rate of teacher and supervisor, or the factor on the student's rates.
        blend: share of the trained weights in the result; the rest is `start`, which then has the whole network. On
            pictures unlike the training's, such a mean is often better than both (WiSE-FT, Wortsman et al. 2022).

    Returns:
        The card: command, settings, data, date, metrics on held-out composites, versions.

    Raises:
        TrainingError: the network has no weights; neither or both of `minutes` and `iterations`; unusable data; a
            crop or a batch that is too small; a loss that is nan.
        CheckpointError: `start` is unreadable or of another network, or an unfinished training has another.
    """
    import torch

    from capmat_models.data.composites import Composites
    from capmat_models.networks.factory import create_model
    from capmat_models.training.base import BaseTrainConfig, train_base
    from capmat_models.training.loop import Hooks
    from capmat_models.training.validation import evaluate
    from capmat_models.weights.state import dump_weights, load_start

    if method := method_of(network):
        fix = f"Choose another network: --set {kind}.model={_DEMO[kind]}."
        raise TrainingError(f"it is a method without weights ({method})", where=network, fix=fix)
    if (minutes is None) == (iterations is None):
        raise TrainingError("the length of the training is not clear", fix="Give either minutes or iterations.")
    torch.set_num_threads(threads)
    whole = load_base_data(data)
    fewer = min(len(whole.foregrounds), len(whole.backgrounds))
    learn, measure = whole.split(max(1, fewer // 10) if held is None else held)

    def fresh() -> tuple[torch.nn.Module, tuple[str, ...]]:
        torch.manual_seed(seed)
        model = create_model(network)
        parts = load_start(model, start) if start else ()
        return model.to("cuda" if torch.cuda.is_available() else "cpu"), parts

    begun: dict[str, Any] = {"start": _digest(start)} if start else {}
    model, parts = fresh()
    if parts and len(parts) == len(list(model.children())):
        # nothing has to wait for a base network, and its norms are good
        begun |= {"joint_share": 1.0, "frozen_norms": True}
    elif blend < 1:
        raise TrainingError("there is no whole network to blend with", where="--blend", fix="Give it with --start.")
    rate = {"lr_scale" if kind == "student" else "lr": lr}
    asked = {"crop": crop, "batch": batch, "seed": seed, "mixed_precision": mixed_precision, **rate}
    given = {key: value for key, value in asked.items() if value is not None}
    config = BaseTrainConfig(**{**small_settings(kind, network), **begun, **given})

    if config.crop < _LEAST_CROP:
        fix = f"Use at least {_LEAST_CROP}."
        raise TrainingError(f"a crop of {config.crop} pixels is too small for the composites", where=network, fix=fix)

    folder = Root(out / network)
    if iterations is None:
        iterations = _planned(folder, kind, fresh()[0], learn, config, minutes or 0.0)
    config = replace(config, iterations=iterations, validate_every=max(1, iterations // 5))
    keeper = StoreCheckpointer(folder.url, "base")
    history = train_base(
        kind,
        model,
        learn,
        config,
        held=measure,
        hooks=Hooks(keeper, Progress(f"train {network}", iterations, "iterations")),
    )
    if blend < 1:
        former = fresh()[0].state_dict()
        model.load_state_dict(
            {name: torch.lerp(former[name].float(), x.float(), blend) for name, x in model.state_dict().items()}
        )
        measured = evaluate(kind, model, Composites(measure, config.how), count=config.validate_on, crop=config.crop)
        history.append({"iteration": iterations, "stage": "validation", "blend": blend, **measured})
    metrics = {key: history[-1][key] for key in ("mse", "sad")}
    card = {
        "architecture": network,
        "started_from": list(parts),
        "command": _command(
            kind,
            network,
            config,
            threads,
            held=held,
            lr=lr,
            start=start and start.name,
            blend=blend if blend < 1 else None,
        ),
        "settings": asdict(config),
        "data": describe_base_data(data),
        "held_out": len(measure.foregrounds),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "metrics": metrics,
        "validation": [record for record in history if record["stage"] == "validation"],
        "torch": torch.__version__,
        "licence": _LICENCE,
    }
    folder.write("model.safetensors", dump_weights(model))
    folder.write("card.json", json.dumps(card, indent=1).encode())
    folder.delete("checkpoints")
    folder.delete("plan.json")
    return card


def show_composites(data: Path, seed: int) -> NDArray[np.uint8]:
    """A sheet of the first 48 composites that a training from this seed could draw: frame, plate and alpha."""
    from capmat_models.data.composites import Composites

    composites = Composites(load_base_data(data))
    samples = [composites.sample(np.random.default_rng([seed, index]), _SHOWN) for index in range(48)]
    pictures = [(x["src"], x["bgr"], x["pha"][0]) for x in samples]
    rows = [Row("", [picture for three in pictures[i : i + 4] for picture in three]) for i in range(0, 48, 4)]
    return contact_sheet(rows, ["frame", "plate", "alpha"] * 4, cell_height=_SHOWN)


def small_settings(kind: "Kind", network: str) -> dict[str, Any]:
    """Fields of `BaseTrainConfig` that a network of the demo sizes changes; empty for any other network."""
    return _SMALL[kind] if network == _DEMO[kind] else {}


def _planned(
    folder: Root, kind: "Kind", model: Any, data: "BaseData", config: "BaseTrainConfig", minutes: float
) -> int:
    """Number of steps that fit into `minutes`; it is kept, so that a stopped training can go on."""
    from capmat_models.training.base import train_base
    from capmat_models.training.loop import Hooks

    if folder.exists("plan.json"):
        return int(json.loads(folder.read("plan.json"))["iterations"])
    ends: list[float] = []
    train_base(
        kind,
        model,
        data,
        replace(config, iterations=_TIMING_STEPS),
        hooks=Hooks(progress=lambda _done, _note: ends.append(time.perf_counter())),
    )
    # the first step of each half also pays for allocations
    half = len(ends) // 2
    steps = [b - a for part in (ends[:half], ends[half:]) for a, b in zip(part[:-1], part[1:], strict=True)]
    iterations = max(10, round(60 * minutes / (sum(steps) / len(steps))))
    say(f"{iterations} iterations of {sum(steps) / len(steps):.3f} s fit into {minutes:g} min")
    folder.write("plan.json", json.dumps({"iterations": iterations}).encode())
    return iterations


def _digest(file: Path) -> str:
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError as e:
        raise CheckpointError(f"cannot be read ({e.strerror})", where=str(file), fix="Check the path.") from e


def _command(kind: str, network: str, config: "BaseTrainConfig", threads: int, **given: Any) -> str:
    """The command that repeats this training, up to the folders of data and weights."""
    settings = {f"{kind}.model": network, "seed": config.seed, "cluster.train_threads": threads}
    options = {"iterations": config.iterations, "crop": config.crop, "batch": config.batch, **given}
    words = [f"--set {key}={value}" for key, value in settings.items()] + [f"train-base {kind}"]
    words += [f"--{key} {value}" for key, value in options.items() if value is not None]
    return " ".join(["capmat", *words, *(["--mixed-precision"] if config.mixed_precision else [])])
