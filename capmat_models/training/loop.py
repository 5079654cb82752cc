"""The loop that every training here shares: stages of (batch, losses, optimiser), resumable to the bit.

The batch of iteration i is a pure function of (seed, i). So batches may be made ahead in threads, a killed
training goes on where its checkpoint was written, and on a CPU the result equals that of an undisturbed run.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.optim import Optimizer

from capmat_errors import TrainingError
from capmat_models.training.resume import Checkpointer, pack, unpack

Arrays = dict[str, Any]
Tensors = dict[str, Tensor]
History = list[dict[str, Any]]
Progress = Callable[[int, str], None]
"""Called as progress(iterations done, what the loss is) after every iteration."""
Validate = Callable[[int], dict[str, float]]
"""Called as validate(iterations done), with the network in eval mode; returns figures by name."""

_RECORDS = 200  # entries of a history, whatever the length of the training
_AHEAD = 2  # batches made ahead, each in a thread of its own


@dataclass(frozen=True)
class Stage:
    """A part of a training that keeps one optimiser.

    Attributes:
        name: for the history.
        iterations: how many; 0 skips the stage.
        optimiser: makes a fresh one.
        batch: all random choices of one iteration, as named arrays.
        losses: terms by name and their `total`, from the batch as tensors on the network's device.
        rate: factor on all learning rates at an iteration, counted from the start of the stage.
        frozen_norms: BatchNorm keeps its running statistics and uses them.
        frozen: children of the network that stay as they are to the bit: no gradient, no running statistics, no
            dropout.
    """

    name: str
    iterations: int
    optimiser: Callable[[], Optimizer]
    batch: Callable[[Generator], Arrays]
    losses: Callable[[Tensors], Tensors]
    rate: Callable[[int], float] = lambda _: 1.0
    frozen_norms: bool = False
    frozen: tuple[str, ...] = ()


def run_stages(
    model: nn.Module,
    stages: list[Stage],
    *,
    seed: int,
    recipe: str,
    save_every: int,
    checkpointer: Checkpointer | None = None,
    progress: Progress | None = None,
    validate: Validate | None = None,
    validate_every: int = 0,
) -> History:
    """Train through all stages in order; the network is left in eval mode.

    Args:
        model: trained in place, on the device where it is.
        stages: at least one.
        seed: together with the iteration it decides every batch and every dropout.
        recipe: all settings as text; a checkpoint of another recipe is refused.
        save_every: iterations between checkpoints.
        checkpointer: where to go on from and to save to; None trains in one go.
        progress: told after each iteration.
        validate: measures the network (in eval mode) at the end and every `validate_every` iterations. It must
            draw no random numbers of torch and leave the network as it is.
        validate_every: 0 for the end only; else before the first iteration as well.

    Returns:
        About 200 records with `iteration`, `stage` and the losses, and those of `validate` among them.

    Raises:
        TrainingError: a loss is not a number.
        CheckpointError: the checkpoint is damaged or of another recipe.
    """
    total = sum(stage.iterations for stage in stages)
    saved = checkpointer.load() if checkpointer else None
    state = unpack(saved, recipe=recipe) if saved is not None else None
    history: History = []
    begin = 0
    if state:
        begin, history = state["iteration"], state["history"]
        model.load_state_dict(state["model"])

    def measure(done: int) -> None:
        if validate:
            model.eval()
            history.append({"iteration": done, "stage": "validation", **validate(done)})

    def after(done: int, index: int, optimiser: Optimizer, losses: dict[str, float]) -> None:
        if done % max(1, total // _RECORDS) == 0 or done == total:
            history.append({"iteration": done, "stage": stages[index].name, **losses})
        if done == total or (validate_every and done % validate_every == 0):
            measure(done)
        if checkpointer and (done % save_every == 0 or done == total):
            # a batch is a pure function of seed and iteration, so this is all that the next one depends on
            learnt = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
            checkpointer.save(pack(recipe, **learnt, stage=index, iteration=done, history=history))
        if progress:
            progress(done, f"loss {losses['total']:.4f}")

    device = next(model.parameters()).device
    model.to(memory_format=torch.channels_last)  # a tenth faster on CPUs, a quarter for the supervisor
    first = 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if validate_every and begin == 0:
            measure(0)
        for index, stage in enumerate(stages):
            span = range(max(first, begin), first + stage.iterations)
            if len(span):
                _let_learn(model, stage.frozen)
                optimiser = stage.optimiser()
                rates = [group["lr"] for group in optimiser.param_groups]
                if state and state["stage"] == index:
                    optimiser.load_state_dict(state["optimiser"])
                for iteration, batch in _batches(stage, seed, span, device):
                    for group, rate in zip(optimiser.param_groups, rates, strict=True):
                        group["lr"] = rate * stage.rate(iteration - first)
                    losses = _step(model, stage, optimiser, batch, seed, iteration)
                    after(iteration + 1, index, optimiser, losses)
            first += stage.iterations
    _let_learn(model, ())
    model.eval()
    return history


def _let_learn(model: nn.Module, frozen: tuple[str, ...]) -> None:
    """Let all children but the frozen ones have gradients."""
    for name, child in model.named_children():
        child.requires_grad_(name not in frozen)


def _batches(stage: Stage, seed: int, span: range, device: torch.device) -> Iterator[tuple[int, Tensors]]:
    """Yield iterations with their batches, which threads make a little ahead."""
    ahead: deque[Future[Arrays]] = deque()
    with ThreadPoolExecutor(_AHEAD) as pool:
        to_come = iter(span)
        for iteration in span:
            while len(ahead) <= _AHEAD and (coming := next(to_come, None)) is not None:
                ahead.append(pool.submit(_draw, stage, seed, coming))
            arrays = ahead.popleft().result()
            yield iteration, {name: _tensor(x, device) for name, x in arrays.items()}


def _tensor(array: Any, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array).to(device)
    return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _draw(stage: Stage, seed: int, iteration: int) -> Arrays:
    return stage.batch(np.random.default_rng([seed, iteration]))


def _step(
    model: nn.Module, stage: Stage, optimiser: Optimizer, batch: Tensors, seed: int, iteration: int
) -> dict[str, float]:
    # dropout is the one thing that torch draws itself
    torch.manual_seed(int(np.random.default_rng([seed, iteration, 1]).integers(2**62)))
    model.train()
    for name in stage.frozen:
        model.get_submodule(name).eval()
    if stage.frozen_norms:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    optimiser.zero_grad(set_to_none=True)
    losses = stage.losses(batch)
    values = {name: float(loss.detach()) for name, loss in losses.items()}
    if not math.isfinite(values["total"]):
        broken = ", ".join(name for name, value in values.items() if not math.isfinite(value))
        raise TrainingError(
            f"the loss is not a number ({broken})",
            where=f"{stage.name}, iteration {iteration}",
            fix="Lower the learning rate, or look for nan in the training pictures.",
        )
    losses["total"].backward()
    optimiser.step()
    return values


def mixed(enabled: bool, tensors: Tensors) -> torch.autocast:
    """Make the context in which a network runs in bfloat16; losses belong outside of it.

    The originals train with float16 and scaled gradients. bfloat16 needs no scaling.
    """
    return torch.autocast(tensors["src"].device.type, torch.bfloat16, enabled=enabled)


def stack(samples: list[Arrays]) -> Arrays:
    """Make one batch of samples: every key gets a leading dimension."""
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
