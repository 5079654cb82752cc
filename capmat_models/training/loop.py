"""The loop that every training here shares: phases of (batch, losses, optimiser), resumable to the bit.

The batch of iteration i is a pure function of (seed, i). So threads may make batches ahead, and a killed training
goes on from its checkpoint. On a CPU the result equals that of an undisturbed run.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from capmat_errors import TrainingError
from capmat_models.training.resume import Checkpointer, pack, unpack

Arrays = dict[str, Any]
Tensors = dict[str, Tensor]
History = list[dict[str, Any]]

_RECORDS = 200  # entries of a history, whatever the length of the training
_AHEAD = 2  # batches made ahead, each in a thread of its own


@dataclass(frozen=True)
class Hooks:
    """What a training calls between its iterations.

    Attributes:
        checkpointer: where it goes on from and saves to; None trains in one go.
        progress: progress(iterations done, what the loss is) after every iteration.
        validate: validate(iterations done) measures the network, in eval mode, and returns figures by name. It must
            draw no random numbers of torch and leave the network as it is.
        validate_every: iterations between two validations, the first of them before the training; 0 validates at
            the end only.
    """

    checkpointer: Checkpointer | None = None
    progress: Callable[[int, str], None] | None = None
    validate: Callable[[int], dict[str, float]] | None = None
    validate_every: int = 0


NO_HOOKS = Hooks()


@dataclass(frozen=True)
class Phase:
    """A part of a training that keeps one optimiser.

    Attributes:
        name: for the history.
        iterations: how many; 0 skips the phase.
        optimiser: makes a fresh one.
        batch: all random choices of one iteration, as named arrays.
        losses: terms by name and their `total`, from the batch as tensors on the network's device.
        rate: factor on all learning rates at an iteration, counted from the start of the phase.
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


def run_phases(
    model: nn.Module,
    phases: list[Phase],
    *,
    seed: int,
    recipe: str,
    save_every: int,
    average: float = 0.0,
    hooks: Hooks = NO_HOOKS,
) -> History:
    """Train through all phases in order; the network is left in eval mode.

    Args:
        model: trained in place, on the device where it is.
        phases: at least one.
        seed: together with the iteration it decides every batch and every dropout.
        recipe: all settings as text; a checkpoint of another recipe is refused.
        save_every: iterations between checkpoints.
        average: share of the former average in an exponential mean of the weights, which is then what is measured and
            what the network ends as. Single steps jump; their mean does not. 0 keeps the last step.
        hooks: what it calls on the way.

    Returns:
        About 200 records with `iteration`, `stage` (the name of the phase) and the losses. Among them are the figures
        of `hooks.validate`, under the stage "validation".

    Raises:
        TrainingError: a loss is not a number.
        CheckpointError: the checkpoint is damaged or of another recipe.
    """
    total = sum(phase.iterations for phase in phases)
    keeper = hooks.checkpointer
    saved = keeper.load() if keeper else None
    state = unpack(saved, keeper.where, recipe=recipe) if keeper and saved is not None else None
    history: History = []
    begin = 0
    if state:
        begin, history = state["iteration"], state["history"]
        model.load_state_dict(state["model"])
    mean = AveragedModel(model, multi_avg_fn=_averaging(average), use_buffers=True) if average else None
    if mean and state:
        mean.load_state_dict(state["mean"])

    def measure(done: int) -> None:
        if hooks.validate:
            live = deepcopy(model.state_dict()) if mean else {}
            if mean:
                model.load_state_dict(mean.module.state_dict())
            model.eval()
            history.append({"iteration": done, "stage": "validation", **hooks.validate(done)})
            if mean:
                model.load_state_dict(live)

    def after(done: int, index: int, optimiser: Optimizer, losses: dict[str, float]) -> None:
        if done % max(1, total // _RECORDS) == 0 or done == total:
            history.append({"iteration": done, "stage": phases[index].name, **losses})
        if done == total or (hooks.validate_every and done % hooks.validate_every == 0):
            measure(done)
        if hooks.checkpointer and (done % save_every == 0 or done == total):
            # a batch is a pure function of seed and iteration, so this is all that the next one depends on
            learnt = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
            if mean:
                learnt["mean"] = mean.state_dict()
            hooks.checkpointer.save(pack(recipe, **learnt, stage=index, iteration=done, history=history))
        if hooks.progress:
            hooks.progress(done, f"loss {losses['total']:.4f}")

    device = next(model.parameters()).device
    model.to(memory_format=torch.channels_last)  # a tenth faster on CPUs, a quarter for the supervisor
    first = 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if hooks.validate_every and begin == 0:
            measure(0)
        for index, phase in enumerate(phases):
            span = range(max(first, begin), first + phase.iterations)
            if len(span):
                _let_learn(model, phase.frozen)
                optimiser = phase.optimiser()
                rates = [group["lr"] for group in optimiser.param_groups]
                if state and state["stage"] == index:
                    optimiser.load_state_dict(state["optimiser"])
                for iteration, batch in _batches(phase, seed, span, device):
                    for group, rate in zip(optimiser.param_groups, rates, strict=True):
                        group["lr"] = rate * phase.rate(iteration - first)
                    losses = _step(model, phase, optimiser, batch, seed, iteration)
                    if mean:
                        mean.update_parameters(model)
                    after(iteration + 1, index, optimiser, losses)
            first += phase.iterations
    _let_learn(model, ())
    if mean:
        model.load_state_dict(mean.module.state_dict())
    model.eval()
    return history


def _averaging(average: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """How `AveragedModel` takes in a step: the first ones count for more, so that it soon forgets the start."""

    def take_in(mean: Sequence[Tensor], live: Sequence[Tensor], count: Tensor | int) -> None:
        share = 1 - min(average, (1 + int(count)) / (10 + int(count)))
        for old, new in zip(mean, live, strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)

    return take_in


def _let_learn(model: nn.Module, frozen: tuple[str, ...]) -> None:
    """Let all children but the frozen ones have gradients."""
    for name, child in model.named_children():
        child.requires_grad_(name not in frozen)


def _batches(phase: Phase, seed: int, span: range, device: torch.device) -> Iterator[tuple[int, Tensors]]:
    """Yield iterations with their batches, which threads make a little ahead."""
    ahead: deque[Future[Arrays]] = deque()
    with ThreadPoolExecutor(_AHEAD) as pool:
        to_come = iter(span)
        for iteration in span:
            while len(ahead) <= _AHEAD and (coming := next(to_come, None)) is not None:
                ahead.append(pool.submit(_draw, phase, seed, coming))
            arrays = ahead.popleft().result()
            yield iteration, {name: _tensor(x, device) for name, x in arrays.items()}


def _tensor(array: Any, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array).to(device)
    return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def _draw(phase: Phase, seed: int, iteration: int) -> Arrays:
    return phase.batch(np.random.default_rng([seed, iteration]))


def _step(
    model: nn.Module, phase: Phase, optimiser: Optimizer, batch: Tensors, seed: int, iteration: int
) -> dict[str, float]:
    # dropout is the one thing that torch draws itself
    torch.manual_seed(int(np.random.default_rng([seed, iteration, 1]).integers(2**62)))
    model.train()
    for name in phase.frozen:
        model.get_submodule(name).eval()
    if phase.frozen_norms:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    optimiser.zero_grad(set_to_none=True)
    losses = phase.losses(batch)
    values = {name: float(loss.detach()) for name, loss in losses.items()}
    if not math.isfinite(values["total"]):
        broken = ", ".join(name for name, value in values.items() if not math.isfinite(value))
        raise TrainingError(
            f"the loss is not a number ({broken})",
            where=f"{phase.name}, iteration {iteration}",
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
