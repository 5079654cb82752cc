"""A network from elsewhere cannot read or write a file: operators that could are refused before anything runs."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from capmat_errors import CheckpointError
from capmat_models.networks.factory import create_model
from capmat_models.weights.exported import Contract, ExportedModel, fit
from tests.capmat_models.weights.test_exported import HALF, scripted, traced

SIZE = (96, 128)


class Reader(nn.Module):
    """Shows bytes of a file as its alpha."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, src: torch.Tensor) -> torch.Tensor:
        content = torch.from_file(self.path, False, 8, dtype=torch.uint8).float() / 255
        return src.mean(1, keepdim=True) * 0 + content.mean()


class Writer(nn.Module):
    """Writes a file, where it is not even asked to."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, src: torch.Tensor) -> torch.Tensor:
        if src.numel() == 1:
            torch.save(src, self.path)
        return src.mean(1, keepdim=True)


class Opener(nn.Module):
    """Writes a file when it is opened, before anybody asks for a matte."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, src: torch.Tensor) -> torch.Tensor:
        return src.mean(1, keepdim=True)

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.path)


@pytest.mark.parametrize(
    ("attack", "says"),
    [(Reader, "aten::from_file"), (Writer, "aten::save"), (Opener, "__setstate__")],
)
def test_a_script_that_opens_files_is_refused_before_it_runs(
    attack: Callable[[str], nn.Module], says: str, tmp_path: Path
) -> None:
    secret, victim = tmp_path / "secret", tmp_path / "victim"
    secret.write_bytes(bytes(range(8)))
    data = scripted(attack(str(secret if attack is Reader else victim)))
    # the attack is real: without the list the file is read or written
    opened = torch.jit.load(io.BytesIO(data))
    assert float(opened(HALF).mean()) == pytest.approx(3.5 / 255 if attack is Reader else 0.5)
    if attack is Writer:
        opened(torch.zeros(1, 1, 1, 1))
    assert victim.exists() == (attack is not Reader)
    victim.unlink(missing_ok=True)
    for act in (
        lambda: fit(data, "torchscript", Contract()),
        lambda: ExportedModel(data, "torchscript", Contract()),  # of a store that has it already
    ):
        with pytest.raises(CheckpointError, match=f"is not run: {says}"):
            act()
    assert not victim.exists()


def onnx_file(weights: onnx.TensorProto, *more: onnx.NodeProto, **opsets: int) -> bytes:
    """Alpha is the mean of the channels times a weight."""
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, *SIZE])]
        for name, channels in (("src", 3), ("pha", 1))
    )
    nodes = [
        helper.make_node("ReduceMean", ["src"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["grey", "w"], ["pha"]),
        *more,
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weights])
    sets = [
        helper.make_opsetid("", 13),
        *(helper.make_opsetid(name.replace("_", "."), v) for name, v in opsets.items()),
    ]
    return bytes(helper.make_model(graph, opset_imports=sets, ir_version=8).SerializeToString())


def outside(name: str) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.ones(1, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret.bin"
    return tensor


def test_an_onnx_file_does_not_fetch_its_weights_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = numpy_helper.from_array(np.full(1, 0.5, np.float32), "w")
    assert fit(onnx_file(whole), "onnx", Contract()).kind == "rgb"
    (tmp_path / "secret.bin").write_bytes(np.full(1, 0.25, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    inner = helper.make_node("Constant", [], ["c"], value=outside("hidden"))
    branch = helper.make_graph([inner], "b", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])])
    yes = numpy_helper.from_array(np.array(True))
    hidden = (
        helper.make_node("Constant", [], ["yes"], value=yes),
        helper.make_node("If", ["yes"], ["unused"], then_branch=branch, else_branch=branch),
    )
    for data in (onnx_file(outside("w")), onnx_file(whole, *hidden)):
        with pytest.raises(CheckpointError, match=r"lie in 'secret\.bin', which is not read"):
            fit(data, "onnx", Contract())


def test_an_onnx_file_has_only_operators_of_the_standard() -> None:
    whole = numpy_helper.from_array(np.ones(1, np.float32), "w")
    node = helper.make_node("EPContext", ["src"], ["x"], domain="com.microsoft", ep_cache_context="/etc/passwd")
    with pytest.raises(CheckpointError, match="is not run: com.microsoft::EPContext"):
        fit(onnx_file(whole, node, com_microsoft=1), "onnx", Contract())
    with pytest.raises(CheckpointError, match="cannot be opened as ONNX"):
        fit(b"\x18\0\0\0ORTM" + bytes(100), "onnx", Contract())  # onnxruntime's own format


class Scripted(nn.Module):
    """What released matting networks script: a state that may be missing, resizing, guided filters, chosen cells."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Hardswish(), nn.PReLU())
        self.head = nn.ConvTranspose2d(4, 1, 2, 2)

    def forward(
        self, src: torch.Tensor, r1: torch.Tensor | None = None, downsample_ratio: float = 1.0
    ) -> list[torch.Tensor]:
        small = src
        if downsample_ratio != 1.0:
            small = F.interpolate(src, scale_factor=downsample_ratio, mode="bilinear", align_corners=False)
        a, b = self.body(small).chunk(2, 1)
        state = a if r1 is None else a * 0.5 + r1 * 0.5
        alpha = self.head(F.avg_pool2d(torch.cat([state, b], 1), 2)).sigmoid()
        alpha = F.interpolate(alpha, src.shape[2:], mode="bilinear", align_corners=False)
        cells = torch.topk(alpha.flatten(1), 8, dim=1).indices
        flat = alpha.flatten(1).scatter(1, cells, 1.0)
        return [src, flat.view_as(alpha).clamp(0, 1), state]


@pytest.mark.parametrize("name", ["bgmv2_mobilenetv2_xs", "bg_vitmatte_xs"])
def test_networks_that_were_released_pass(name: str) -> None:
    class Alpha(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = create_model(name).eval()

        def forward(self, src: torch.Tensor, bgr: torch.Tensor) -> torch.Tensor:
            return self.model(src, bgr)["pha"]  # type: ignore[no-any-return]

    with torch.no_grad():
        data = traced(Alpha(), *torch.rand(2, 1, 3, 32, 32))
    assert ExportedModel(data, "torchscript", Contract(kind="rgb+plate")).inputs == ("src", "bgr")


def test_a_scripted_network_with_a_memory_passes() -> None:
    assert fit(scripted(Scripted()), "torchscript", Contract(kind="recurrent")).kind == "recurrent"
