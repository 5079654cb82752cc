"""Networks from elsewhere, as TorchScript or ONNX files, behind the same interface as our own.

Such a file runs without its source, so networks whose code may not be copied can be used. A `Contract` says what the
file does not: the range of its input, and which output is the alpha. The rest is found by running it once on a small
made-up picture (`fit`), before anybody relies on it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from capmat_errors import CheckpointError, ConfigError
from capmat_models.networks.inputs import imagenet, pad_to, padded_size
from capmat_models.weights.graphs import Graph, Port, open_graph

_RECURRENT_SIDE = 512  # RVM's rule: the longest side of its coarse pass
_SLACK = 1e-3  # by which rounding may take an alpha out of 0..1


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What an exported file takes and returns."""

    kind: Literal["rgb", "rgb+plate", "recurrent"] = "rgb"
    """One frame; a frame and its plate; or frames in order, with a state that passes from one to the next."""
    range: Literal["0..1", "-1..1", "0..255", "imagenet"] = "0..1"
    """What the file's input expects of a display-referred picture."""
    order: Literal["rgb", "bgr"] = "rgb"
    """Order of the input's channels. `mean` and `scale` are in this order, too."""
    mean: Sequence[float] = (0.0,)
    """Subtracted from the range, one number or one for each channel; not with -1..1 and imagenet, which do it."""
    scale: Sequence[float] = (1.0,)
    """Multiplied with the difference, like `mean`."""
    multiple: int = 1
    """Both sides of the input are multiples of this."""
    side: int = 0
    """Length of the shorter side at which the network works; 0 for the frame's own size."""
    size: Sequence[int] | None = None
    """Height and width, for a file that takes one size only (most traces). ONNX files and our own name it."""
    alpha: int | str = ""
    """Which output is the alpha, by index or name; empty for the only one with an alpha's shape."""
    classes: Literal["", "scores", "shares"] = ""
    """The output has two channels, background and subject: scores, which softmax turns into shares, or shares that
    add up to 1. The alpha is the second share. `fit` finds it out."""
    clip: bool = False
    """The input has an axis for time, (N, T, 3, H, W). `fit` finds it out."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for a card."""
        return asdict(self)


class ExportedModel(nn.Module):
    """A TorchScript or ONNX file that is called like any network of `create_model`.

    Args:
        data: the bytes of the file.
        form: "torchscript" or "onnx".
        contract: from `fit`.

    Attributes:
        inputs: what forward takes, in order.
        recurrent: whether forward returns a state.
        notes: what a reader of the contract must know: a memory that is not used, an alpha made of classes.
        rig: False: a file cannot be split at its plate.
        sampled: False: a file takes no noise.

    Raises:
        CheckpointError: the bytes cannot be opened, or their inputs do not fit the contract.
    """

    def __init__(self, data: bytes, form: Literal["torchscript", "onnx"], contract: Contract) -> None:
        super().__init__()
        self.architecture = "exported"
        self.contract = contract
        self.recurrent, self.rig, self.sampled = contract.kind == "recurrent", False, False
        self.inputs: tuple[str, ...] = ("src", "bgr") if contract.kind == "rgb+plate" else ("src",)
        self.graph: Graph = open_graph(data, form)
        self.frames, self.states, self.ratio = _parts(self.graph, contract.kind)
        self.size = contract.size or self.frames[0].size
        memory = [port.name for port in self.graph.ports if port.tensor and port.optional]
        self.notes: list[str] = []
        if memory and contract.kind != "recurrent":
            left_out = f"the file also takes {', '.join(memory)}, which the contract {contract.kind} leaves out"
            self.notes.append(f"{left_out}: if this is its memory, each frame is matted alone; recurrent keeps it")
        if contract.classes:
            how = "softmax of its scores" if contract.classes == "scores" else "its share"
            self.notes.append(f"the output has two classes, and the alpha is the second: {how}")

    def forward(
        self, src: torch.Tensor, bgr: torch.Tensor | None = None, state: tuple[torch.Tensor, ...] | None = None
    ) -> dict[str, Any]:
        """Matte whole frames.

        Args:
            src: (N, 3, H, W) display-referred RGB, 0..1, any H and W.
            bgr: the plate, like `src`, if the contract takes one.
            state: of the frame before, of the same camera; None at the start.

        Returns:
            `pha` (N, 1, H, W), 0..1; `state` if the contract is recurrent.

        Raises:
            CheckpointError: the file cannot run on this input.
        """
        raw, states = self.run(src, bgr, state)
        out: dict[str, Any] = {"pha": self._restore(raw, src.shape[-2:]).clamp(0, 1).to(src.device)}
        return out | {"state": states} if self.recurrent else out

    def run(
        self, src: torch.Tensor, bgr: torch.Tensor | None, state: tuple[torch.Tensor, ...] | None
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The alpha as the file makes it, at its own size and not clamped, and the states."""
        outputs, alike, states = self.outputs(src, bgr, state)
        wanted = str(self.contract.alpha)
        fits = [name for i, name in enumerate(outputs) if wanted in ("", name, str(i)) and name in alike]
        if len(fits) != 1:
            shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in outputs.items())
            raise CheckpointError(
                f"{len(fits) or 'none'} of the outputs can be the alpha: {shapes}",
                fix="Name it with --alpha, or give the network's size with --multiple, --side or --size.",
            )
        raw = outputs[fits[0]]
        if self.contract.classes:
            raw = (raw.float().softmax(-3) if self.contract.classes == "scores" else raw)[..., 1:, :, :]
        return raw, states

    def outputs(
        self, src: torch.Tensor, bgr: torch.Tensor | None, state: tuple[torch.Tensor, ...] | None
    ) -> tuple[dict[str, torch.Tensor], list[str], tuple[torch.Tensor, ...]]:
        """All outputs by name; the names of those that have an alpha's shape; the states."""
        pictures = [self._prepare(x) for x in (src, bgr) if x is not None]
        feed: dict[str, Any] = {port.name: x for port, x in zip(self.frames, pictures, strict=True)}
        size = tuple(pictures[0].shape[-2:])
        if self.recurrent:
            values = state or [port.start(src) for port in self.states]
            feed |= {port.name: value for port, value in zip(self.states, values, strict=True)}
        if self.ratio:
            feed[self.ratio.name] = self.ratio.number(min(_RECURRENT_SIDE / max(size), 1.0))
        results = list(self.graph.run(feed).items())
        count = len(results) - len(self.states)
        outputs = dict(results[:count])
        axes = pictures[0].dim()
        shape = (2 if self.contract.classes else 1, *size)
        alike = [n for n, x in outputs.items() if x.dim() == axes and tuple(x.shape[-3:]) == shape]
        return outputs, alike, tuple(x for _, x in results[count:])

    def _prepare(self, x: torch.Tensor) -> torch.Tensor:
        """To the size and range that the file takes."""
        height, width = x.shape[-2:]
        multiple, side = self.contract.multiple, self.contract.side
        if self.size:
            x = _resize(x, self.size)
        elif side:
            scale = side / min(height, width)
            x = _resize(x, [max(multiple, round(n * scale / multiple) * multiple) for n in (height, width)])
        else:
            x = pad_to(x, padded_size((height, width), multiple, "minimal"), mode="replicate")
        if self.contract.range == "imagenet":
            x = imagenet(x)
        elif self.contract.range == "-1..1":
            x = 2 * x - 1
        elif self.contract.range == "0..255":
            x = 255 * x
        if self.contract.order == "bgr":
            x = x.flip(-3)
        numbers = self.contract.mean, self.contract.scale
        mean, by = (x.new_tensor(list(three)).view(-1, 1, 1) for three in numbers)
        x = (x - mean) * by
        x = x.to(self.frames[0].dtype)
        return x.unsqueeze(1) if self.contract.clip else x

    def _restore(self, pha: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """From the file's size back to the frame's."""
        pha = (pha.squeeze(1) if self.contract.clip else pha).float()
        if self.size or self.contract.side:
            pha = _resize(pha, size)
        return pha[..., : size[0], : size[1]]


@torch.inference_mode()
def fit(data: bytes, form: Literal["torchscript", "onnx"], contract: Contract) -> Contract:
    """Try an exported file on made-up pictures.

    Args:
        data: the bytes of the file.
        form: "torchscript" or "onnx".
        contract: as far as its owner knows it.

    Returns:
        The contract with `clip` and `classes` set.

    Raises:
        CheckpointError: it cannot be opened, its inputs or outputs differ, or its alpha is not within 0..1.
        ConfigError: the numbers of the contract contradict one another.
    """
    for name, numbers, plain in (("mean", contract.mean, 0), ("scale", contract.scale, 1)):
        if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
            raise ConfigError("expected one or three finite numbers", where=f"--{name}", fix="Correct it.")
        if set(numbers) != {plain} and contract.range in ("-1..1", "imagenet"):
            what = f"--range {contract.range} has its own"
            raise ConfigError(what, where=f"--{name}", fix="Give --range 0..1 or 0..255 with it.")
    rank = ExportedModel(data, form, contract).frames[0].rank
    flat, clip = (ExportedModel(data, form, replace(contract, clip=value)) for value in (False, True))
    # TorchScript does not say how many axes it takes: five if they, and not four, give an alpha's shape.
    fitted = clip if rank == 5 or (rank is None and not _makes_alpha(flat) and _makes_alpha(clip)) else flat
    if not _makes_alpha(fitted) and (classes := _classes(data, form, fitted.contract)):
        fitted = ExportedModel(data, form, replace(fitted.contract, classes=classes))
    state: tuple[torch.Tensor, ...] | None = None
    for seed in range(2 if fitted.recurrent else 1):  # the second frame with the state of the first
        pha, state = fitted.run(*_noise(fitted, seed), state)
        if not pha.isfinite().all():
            raise CheckpointError("the alpha holds values that are not finite", fix="Export it again.")
        low, high = pha.min().item(), pha.max().item()
        if low < -_SLACK or high > 1 + _SLACK:
            raise CheckpointError(
                f"the output runs from {low:.2g} to {high:.2g}, so it is not an alpha",
                fix="Name another output with --alpha, or give the --range that it was exported for.",
            )
    return fitted.contract


def _makes_alpha(model: ExportedModel) -> bool:
    try:
        return bool(model.outputs(*_noise(model, 0), None)[1])
    except CheckpointError:
        return False


def _classes(
    data: bytes, form: Literal["torchscript", "onnx"], contract: Contract
) -> Literal["", "scores", "shares"]:
    """What the only output with two channels holds; empty if no output has two."""
    model = ExportedModel(data, form, replace(contract, classes="shares"))
    if not _makes_alpha(model):
        return ""
    outputs, alike, _ = model.outputs(*_noise(model, 0), None)
    both = outputs[alike[0]].float()
    is_share = bool((both >= -_SLACK).all() and ((both.sum(-3) - 1).abs() <= _SLACK).all())
    return "shares" if is_share else "scores"


def _noise(model: ExportedModel, seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A made-up frame and, if the file takes one, plate."""
    # not square, to notice swapped sides; large enough for networks that halve five times
    step = math.lcm(32, model.contract.multiple)
    pictures = torch.rand(2, 1, 3, 3 * step, 4 * step, generator=torch.Generator().manual_seed(seed))
    return pictures[0], pictures[1] if len(model.frames) > 1 else None


def _parts(graph: Graph, kind: str) -> tuple[list[Port], list[Port], Port | None]:
    """Sort the inputs into frames, states and ratio."""
    ratio = next((port for port in graph.ports if "ratio" in port.name), None)
    tensors = [port for port in graph.ports if port.tensor and port is not ratio]
    count = 2 if kind == "rgb+plate" else 1
    frames, states = tensors[:count], tensors[count:]
    if len(frames) < count:
        raise _misfit(graph, kind, "it has no input for the plate")
    if kind == "recurrent" and not states:
        raise _misfit(graph, kind, "it has no states")
    if kind != "recurrent":
        if needed := [port.name for port in states if not port.optional]:
            raise _misfit(graph, kind, f"it needs {', '.join(needed)} too")
        states = []
    return frames, states, ratio


def _misfit(graph: Graph, kind: str, why: str) -> CheckpointError:
    inputs = ", ".join(port.name for port in graph.ports)
    return CheckpointError(
        f"the file does not fit the contract {kind!r}: {why}; its inputs are {inputs}",
        fix="Choose the contract that it was exported for; recurrent takes states.",
    )


def _resize(x: torch.Tensor, size: Any) -> torch.Tensor:
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False, antialias=True)
