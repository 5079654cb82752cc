"""Our networks as files that run without us: TorchScript, ONNX, or bare weights.

The two graph formats are recorded on one frame size and hold for that size only, because the refiner's cells and the
padding depend on it. So the caller names the size.
"""

import copy
import io
import warnings
from typing import Any, Literal

import torch
from torch import nn

from capmat_errors import ConfigError
from capmat_models.weights.graphs import SIZE_FILE
from capmat_models.weights.state import dump_weights

FORMATS = ("safetensors", "torchscript", "onnx")
_INPUTS = ("src", "bgr")
_OUTPUTS = ("pha", "fgr")


def export_network(
    model: nn.Module, form: Literal["safetensors", "torchscript", "onnx"], size: tuple[int, int] | None = None
) -> bytes:
    """A network as the bytes of a file.

    Args:
        model: with an image and a plate as inputs, for the two graph formats; any for safetensors.
        form: safetensors keeps the weights in 32 bits; the others are called with `src` and `bgr`, each
            (1, 3, H, W) display-referred RGB in 0..1, and return `pha` (1, 1, H, W) and, if the network
            has it, `fgr` (1, 3, H, W).
        size: height and width, for the graph formats.

    Raises:
        ConfigError: the size is missing, or the network has no such export.
        CheckpointError: a weight is not finite.
    """
    if form == "safetensors":
        return dump_weights(model, half=False)
    if size is None or min(size) < 1:
        raise ConfigError(f"{form} needs the size of the frames", fix="Give --size WIDTHxHEIGHT.")
    name = getattr(model, "architecture", type(model).__name__)
    if reason := _unfit(model, name):
        raise ConfigError(f"{name} cannot be exported to {form}: {reason}", fix="Export it as safetensors.")
    graph = _Outputs(copy.deepcopy(model).cpu().eval())
    example = tuple(torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) for _ in _INPUTS)
    with torch.no_grad(), warnings.catch_warnings():
        # Both recorders warn that the size becomes part of the file, as the docstring says.
        warnings.simplefilter("ignore")
        return _torchscript(graph, example, size) if form == "torchscript" else _onnx(graph, example)


class _Outputs(nn.Module):
    """A network whose full-size outputs are a tuple, which both formats can hold."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, src: torch.Tensor, bgr: torch.Tensor) -> tuple[torch.Tensor, ...]:
        out = self.model(src, bgr)
        return tuple(out[name] for name in _OUTPUTS if name in out)


def _unfit(model: Any, name: str) -> str:
    """Why this network has no graph, or an empty text."""
    if name == "exported":
        return "it came as an exported file; use that"
    if model.inputs != _INPUTS:
        return f"it takes {' and '.join(model.inputs)}, and only networks with src and bgr can be"
    return ""


def _torchscript(graph: nn.Module, example: Any, size: tuple[int, int]) -> bytes:
    traced = torch.jit.trace(graph, example, check_trace=False)
    out = io.BytesIO()
    torch.jit.save(traced, out, _extra_files={SIZE_FILE: f"{size[0]}x{size[1]}"})
    return out.getvalue()


def _onnx(graph: nn.Module, example: Any) -> bytes:
    module: Any
    for module in graph.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # the exporter knows fused attention with four axes, timm has three
    made = len(graph(*example))
    program: Any = torch.onnx.export(
        graph, example, input_names=_INPUTS, output_names=_OUTPUTS[:made], dynamo=True, verbose=False
    )
    return program.model_proto.SerializeToString()
