"""TorchScript and ONNX files opened: which inputs they have, and tensors by name in and out.

Both are programs, whose operators `capmat_models.weights.operators` checks whenever a file is opened. They run in
this process, with all its rights.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import nn

from capmat_errors import CheckpointError
from capmat_models.weights.operators import check_archive, check_onnx, check_torchscript

SIZE_FILE = "capmat_size"
"""File inside our own TorchScript exports that holds their size, as "1080x1920"."""


@dataclass(frozen=True)
class Port:
    """One input of an exported file."""

    name: str
    tensor: bool
    """Whether it takes a tensor, else a number or a flag."""
    optional: bool = False
    """Whether it may be left out."""
    rank: int | None = None
    """Number of axes, if the file says so."""
    size: tuple[int, int] | None = None
    """Height and width, if the file was exported for one size only."""
    dtype: torch.dtype = torch.float32

    def start(self, like: torch.Tensor) -> torch.Tensor | None:
        """A state before the first frame: None, or a single zero that spreads (RVM's exports)."""
        return None if self.optional else torch.zeros((1, 1, 1, 1), dtype=self.dtype, device=like.device)

    def number(self, value: float) -> Any:
        """A plain number as this input takes it."""
        return torch.tensor([value], dtype=self.dtype) if self.tensor else value


class Graph(Protocol):
    """An opened file."""

    ports: list[Port]

    def run(self, feed: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Inputs by name to outputs by name (by index if they have none).

        Raises:
            CheckpointError: it does not run on these inputs.
        """
        ...


def open_graph(data: bytes, form: Literal["torchscript", "onnx"]) -> Graph:
    """Open the bytes of a file.

    Raises:
        CheckpointError: they are of another kind, or damaged.
    """
    return _TorchScript(data) if form == "torchscript" else _Onnx(data)


class _TorchScript(nn.Module):
    """A module, so that it moves between devices with the network around it."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        extra = {SIZE_FILE: b""}
        try:
            check_archive(data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch advises against TorchScript
                self.script = torch.jit.load(io.BytesIO(data), map_location="cpu", _extra_files=extra).eval()
            check_torchscript(self.script)
        except CheckpointError:
            raise
        except (RuntimeError, ValueError, EOFError, AttributeError) as error:
            raise _unopened("TorchScript", error) from error
        height, _, width = bytes(extra[SIZE_FILE]).decode().partition("x")
        size = (int(height), int(width)) if width else None
        dtype = next((p.dtype for p in self.script.parameters() if p.is_floating_point()), torch.float32)
        self.ports = [
            Port(
                argument.name,
                tensor="Tensor" in str(argument.type),
                optional=argument.has_default_value(),
                size=size,
                dtype=dtype,
            )
            for argument in self.script.forward.schema.arguments[1:]
        ]

    def run(self, feed: dict[str, Any]) -> dict[str, torch.Tensor]:
        device = next((p.device for p in self.script.parameters()), torch.device("cpu"))
        moved = {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in feed.items()}
        try:
            out = self.script.forward(**moved)
        except (RuntimeError, torch.jit.Error) as error:
            raise _stuck(feed, error) from error
        if isinstance(out, torch.Tensor):
            return {"0": out}
        pairs = out.items() if isinstance(out, dict) else ((str(i), x) for i, x in enumerate(out))
        return {name: x for name, x in pairs if isinstance(x, torch.Tensor)}


class _Onnx:
    def __init__(self, data: bytes) -> None:
        import onnxruntime as runtime
        from google.protobuf.message import DecodeError
        from onnxruntime.capi import onnxruntime_pybind11_state as raised

        self._faults = (raised.Fail, raised.InvalidArgument, raised.RuntimeException, raised.NotImplemented)
        unopened = (
            *self._faults,
            DecodeError,
            raised.InvalidProtobuf,
            raised.InvalidGraph,
            raised.NoSuchFile,
            raised.NoModel,
        )
        onnx: Any = runtime  # its names come from a compiled module, which type checkers do not see
        options = onnx.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors are raised anyway
        options.add_session_config_entry("session.load_model_format", "ONNX")  # and no other, which is not checked
        available = onnx.get_available_providers()
        wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
        try:
            check_onnx(data)
            self.session = onnx.InferenceSession(data, options, providers=wanted)
        except unopened as error:
            raise _unopened("ONNX", error) from error
        self.ports = [
            Port(
                given.name,
                tensor=True,
                rank=len(given.shape),
                size=(given.shape[-2], given.shape[-1]) if _fixed(given.shape[-2:]) else None,
                dtype=torch.float16 if given.type == "tensor(float16)" else torch.float32,
            )
            for given in self.session.get_inputs()
        ]
        self._names = [made.name for made in self.session.get_outputs()]

    def run(self, feed: dict[str, Any]) -> dict[str, torch.Tensor]:
        try:
            made = self.session.run(self._names, {name: x.cpu().numpy() for name, x in feed.items()})
        except self._faults as error:
            raise _stuck(feed, error) from error
        return {name: torch.from_numpy(x) for name, x in zip(self._names, made, strict=True)}


def _fixed(sides: list[Any]) -> bool:
    return len(sides) == 2 and all(isinstance(side, int) and side > 1 for side in sides)


def _unopened(kind: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"the file cannot be opened as {kind} ({_brief(error)})",
        fix="Export it again, with its weights inside. Import a file of weights without --contract.",
    )


def _stuck(feed: dict[str, Any], error: Exception) -> CheckpointError:
    shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in feed.items() if isinstance(x, torch.Tensor))
    return CheckpointError(
        f"the exported network does not run on {shapes} ({_brief(error)})",
        fix="Give --multiple, --side or --size as it was exported for.",
    )


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:160] if lines else type(error).__name__
