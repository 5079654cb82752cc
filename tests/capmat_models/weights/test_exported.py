"""Networks that arrive as TorchScript or ONNX files work like our own, or are refused with the reason."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from capmat_errors import CheckpointError, ConfigError
from capmat_models.networks.factory import create_model
from capmat_models.weights.exported import Contract, ExportedModel, fit

HALF = torch.full((1, 3, 64, 96), 0.5)


class Brightness(nn.Module):
    """Alpha is the mean of the channels, after whatever range the input has; foreground is the input."""

    def __init__(self, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.shift = shift

    def forward(self, src: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return src, src.mean(1, keepdim=True) * self.scale + self.shift


class Difference(nn.Module):
    def forward(self, src: torch.Tensor, bgr: torch.Tensor) -> torch.Tensor:
        return (src - bgr).abs().amax(1, keepdim=True).clamp(0, 1)


class Strided(nn.Module):
    """Halves and doubles: sides that are not multiples of 8 come back longer."""

    def forward(self, src: torch.Tensor) -> torch.Tensor:
        small = F.avg_pool2d(src, 8)
        return F.interpolate(small.mean(1, keepdim=True), scale_factor=8.0)


class Memory(nn.Module):
    """RVM's signature: the alpha is the mean of this frame and the one before."""

    def forward(
        self,
        src: torch.Tensor,
        r1: torch.Tensor | None = None,
        r2: torch.Tensor | None = None,
        downsample_ratio: float = 1.0,
        segmentation_pass: bool = False,
    ) -> list[torch.Tensor]:
        now = src.mean(-3, keepdim=True) * min(downsample_ratio, 1.0)
        before = now if r1 is None else r1
        count = torch.zeros(1) if r2 is None else r2
        return [src, (now + before) / 2, now, count + 1]


class OnnxMemory(nn.Module):
    """The same for ONNX, where a first state is a single zero."""

    def forward(
        self, src: torch.Tensor, r1i: torch.Tensor, downsample_ratio: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        now = src.mean(1, keepdim=True) * downsample_ratio
        return src, (now + r1i.expand_as(now)) / 2, now


class Clip(nn.Module):
    """BiMatting's form: five axes, states from frame to frame, two outputs that look like an alpha."""

    def forward(self, src: torch.Tensor, r1: torch.Tensor) -> tuple[torch.Tensor, ...]:
        n, t, c, h, w = src.shape
        alpha = src.mean(2, keepdim=True)
        return src, alpha, alpha * 0, alpha[:, -1] * 0.5 + r1 * 0


def traced(module: nn.Module, *example: torch.Tensor) -> bytes:
    out = io.BytesIO()
    torch.jit.save(torch.jit.trace(module.eval(), example, check_trace=False), out)
    return out.getvalue()


def scripted(module: nn.Module) -> bytes:
    out = io.BytesIO()
    torch.jit.save(torch.jit.script(module.eval()), out)
    return out.getvalue()


def onnx(module: nn.Module, *example: torch.Tensor, **settings: Any) -> bytes:
    program = torch.onnx.export(module.eval(), example, dynamo=True, verbose=False, **settings)
    return bytes(program.model_proto.SerializeToString())


def opened(data: bytes, form: Any, **contract: Any) -> ExportedModel:
    return ExportedModel(data, form, fit(data, form, Contract(**contract)))


def free(name: str = "src") -> dict[str, Any]:
    """Any height and width for one input."""
    return {name: {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}}


@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_the_alpha_is_found_among_the_outputs(form: str) -> None:
    data = traced(Brightness(), HALF) if form == "torchscript" else onnx(Brightness(), HALF, dynamic_shapes=free())
    model = opened(data, form)
    src = torch.rand(2 if form == "torchscript" else 1, 3, 33, 50)
    out = model(src)
    assert out["pha"].shape == (len(src), 1, 33, 50)
    assert torch.allclose(out["pha"], src.mean(1, keepdim=True), atol=1e-6)
    assert (model.inputs, model.recurrent) == (("src",), False)


@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_a_plate_is_handed_over_too(form: str) -> None:
    pair = HALF, HALF.clone()
    shapes = free("src") | free("bgr")
    data = traced(Difference(), *pair) if form == "torchscript" else onnx(Difference(), *pair, dynamic_shapes=shapes)
    model = opened(data, form, kind="rgb+plate")
    src, bgr = torch.rand(2, 1, 3, 40, 56)
    assert model.inputs == ("src", "bgr")
    assert torch.allclose(model(src, bgr)["pha"], (src - bgr).abs().amax(1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize(("wanted", "scale", "shift"), [("-1..1", 0.5, 0.5), ("0..1", 1.0, 0.0)])
def test_the_input_range_of_the_file_is_kept(wanted: str, scale: float, shift: float) -> None:
    model = opened(traced(Brightness(scale, shift), HALF), "torchscript", range=wanted)
    src = torch.rand(1, 3, 40, 56)
    assert torch.allclose(model(src)["pha"], src.mean(1, keepdim=True), atol=1e-6)


def test_imagenet_statistics_are_applied_when_asked_for() -> None:
    seen = opened(traced(Brightness(0.1, 0.5), HALF), "torchscript", range="imagenet")(HALF)["pha"]
    normal = (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    assert torch.allclose(seen, 0.1 * normal.mean() + 0.5 + torch.zeros_like(seen), atol=1e-5)


@pytest.mark.parametrize(
    ("contract", "seen"),
    [
        ({"order": "bgr"}, lambda x: x.flip(1)),
        ({"range": "0..255"}, lambda x: x * 255),
        ({"mean": (0.4,), "scale": (2.0,)}, lambda x: (x - 0.4) * 2),
        ({"range": "0..255", "order": "bgr", "mean": (10, 20, 30), "scale": (0.1, 0.2, 0.3)},
         lambda x: (x.flip(1) * 255 - torch.tensor([10.0, 20, 30]).view(3, 1, 1))
         * torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)),
    ],
)  # fmt: skip
def test_order_mean_and_scale_of_the_channels_are_as_the_file_expects_them(contract: Any, seen: Any) -> None:
    class First(nn.Module):
        def forward(self, src: torch.Tensor) -> torch.Tensor:
            return src[:, :1] * 0.001 + 0.5

    src = torch.rand(1, 3, 40, 56)
    pha = opened(traced(First(), HALF), "torchscript", **contract)(src)["pha"]
    assert torch.allclose(pha, seen(src)[:, :1] * 0.001 + 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("contract", "says"),
    [
        ({"mean": (1.0, 2.0)}, "--mean: expected one or three"),
        ({"scale": (float("nan"),)}, "--scale: expected one or three"),
        ({"range": "imagenet", "mean": (0.5,)}, "--mean: --range imagenet has its own"),
    ],
)
def test_numbers_that_contradict_one_another_are_refused(contract: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        fit(traced(Brightness(), HALF), "torchscript", Contract(**contract))


@pytest.mark.parametrize("kind", ["scores", "shares"])
def test_of_two_classes_the_second_is_the_alpha(kind: str) -> None:
    class Classes(nn.Module):
        def forward(self, src: torch.Tensor) -> torch.Tensor:
            grey = src.mean(1, keepdim=True)
            return torch.cat([-grey * 3, grey * 5], 1) if kind == "scores" else torch.cat([1 - grey, grey], 1)

    model = opened(traced(Classes(), HALF), "torchscript")
    assert model.contract.classes == kind
    assert "two classes, and the alpha is the second" in model.notes[0]
    src = torch.rand(1, 3, 40, 56)
    grey = src.mean(1, keepdim=True)
    expected = (
        torch.sigmoid(grey * 8) if kind == "scores" else grey
    )  # softmax of two is the sigmoid of the difference
    assert torch.allclose(model(src)["pha"], expected, atol=1e-5)


def test_a_memory_that_is_left_out_is_told() -> None:
    model = opened(scripted(Memory()), "torchscript", alpha=1)
    assert not model.recurrent
    assert "takes r1, r2, which the contract rgb leaves out" in model.notes[0]
    assert opened(scripted(Memory()), "torchscript", kind="recurrent").notes == []


def test_sides_are_padded_to_the_multiple_and_cropped_back() -> None:
    model = opened(traced(Strided(), HALF), "torchscript", multiple=8)
    src = torch.rand(1, 3, 37, 51)
    pha = model(src)["pha"]
    assert pha.shape == (1, 1, 37, 51)
    assert torch.allclose(pha[..., :8, :8], src[..., :8, :8].mean(), atol=1e-6)
    for size in ((1, 1), (1, 9)):
        assert model(torch.rand(1, 3, *size))["pha"].shape == (1, 1, *size)


def test_a_working_size_shrinks_the_picture_and_brings_the_alpha_back() -> None:
    model = opened(traced(Strided(), HALF), "torchscript", multiple=8, side=32)
    ramp = torch.linspace(0, 1, 300).expand(1, 3, 200, 300)
    assert model.run(ramp, None, None)[0].shape == (1, 1, 32, 48)
    pha = model(ramp)["pha"]
    assert pha.shape == (1, 1, 200, 300)
    assert (pha - ramp[:, :1]).abs().mean() < 0.06


def test_a_file_for_one_size_takes_any_picture() -> None:
    model = opened(onnx(Brightness(), HALF), "onnx")
    assert model.size == (64, 96)
    ramp = torch.linspace(0, 1, 200).expand(1, 3, 150, 200)
    pha = model(ramp)["pha"]
    assert pha.shape == (1, 1, 150, 200)
    assert (pha - ramp[:, :1]).abs().max() < 0.02


@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_states_go_from_one_frame_to_the_next(form: str) -> None:
    if form == "torchscript":
        data = scripted(Memory())
    else:
        shapes = {**free("src"), **free("r1i"), "downsample_ratio": None}
        data = onnx(OnnxMemory(), HALF, HALF[:, :1], torch.ones(1), dynamic_shapes=shapes)
    model = opened(data, form, kind="recurrent")
    assert model.recurrent
    first, second = torch.zeros(1, 3, 64, 96), torch.ones(1, 3, 64, 96)
    start = model(first)
    assert start["pha"].max() == 0
    after = model(second, state=start["state"])
    assert torch.allclose(after["pha"], torch.full_like(after["pha"], 0.5))
    again = model(second, state=after["state"])
    assert torch.allclose(again["pha"], torch.ones_like(again["pha"]))
    assert torch.equal(model(first)["pha"], start["pha"])


def test_large_frames_get_a_smaller_ratio() -> None:
    model = opened(scripted(Memory()), "torchscript", kind="recurrent")
    assert torch.allclose(model(torch.ones(1, 3, 4, 1024))["pha"], torch.tensor(0.5))


def test_clips_are_recognised_and_their_alpha_named_by_place() -> None:
    example = torch.rand(1, 1, 3, 64, 96), torch.zeros(1, 1, 1, 1)
    data = traced(Clip(), *example)
    with pytest.raises(CheckpointError, match="2 of the outputs can be the alpha"):
        fit(data, "torchscript", Contract(kind="recurrent"))
    model = opened(data, "torchscript", kind="recurrent", alpha=1)
    assert model.contract.clip
    src = torch.rand(1, 3, 40, 56)
    out = model(src)
    assert torch.allclose(out["pha"], src.mean(1, keepdim=True), atol=1e-6)
    assert model(src, state=out["state"])["pha"].shape == (1, 1, 40, 56)


@pytest.mark.parametrize(
    ("data", "contract", "says"),
    [
        (lambda: traced(Brightness(), HALF), {"kind": "rgb+plate"}, "no input for the plate; its inputs are src"),
        (lambda: traced(Brightness(), HALF), {"kind": "recurrent"}, "no states; its inputs are src"),
        (lambda: traced(Difference(), HALF, HALF.clone()), {}, "needs bgr too; its inputs are src, bgr"),
        (lambda: traced(Brightness(), HALF), {"alpha": 0}, r"0 \(1, 3, 96, 128\), 1 \(1, 1, 96, 128\)"),
        (lambda: traced(Brightness(), HALF), {"alpha": "matte"}, "none of the outputs can be the alpha"),
        (lambda: traced(Brightness(7.0), HALF), {}, "it is not an alpha"),
        (lambda: traced(Brightness(float("nan")), HALF), {}, "not finite"),
        (lambda: b"<html>Quota exceeded</html>", {}, "cannot be opened as TorchScript"),
        (lambda: traced(Brightness(), HALF)[:-200], {}, "cannot be opened as TorchScript"),
    ],
)
def test_a_file_that_does_not_fit_its_contract_is_refused(data: Any, contract: dict[str, Any], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        fit(data(), "torchscript", Contract(**contract))


def test_torn_onnx_is_refused() -> None:
    data = onnx(Brightness(), HALF)
    for torn in (data[: len(data) // 2], b"", b"<html>"):
        with pytest.raises(CheckpointError, match="cannot be opened as ONNX"):
            fit(torn, "onnx", Contract())


def test_an_archive_of_pickled_objects_is_not_run(tmp_path: Path) -> None:
    from tests.capmat_models.weights.test_state import Malicious

    torch.save({"model": Malicious(tmp_path / "was_here")}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="cannot be opened as TorchScript"):
        fit((tmp_path / "a.pt").read_bytes(), "torchscript", Contract())
    assert not (tmp_path / "was_here").exists()


class TracedRVM(nn.Module):
    """Our own RVM as its authors export theirs: states are tensors, a single zero at the start."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.model = create_model("rvm_mobilenetv3").eval()
        with torch.inference_mode():
            self.shapes = [x.shape for x in self.model(torch.rand(1, 3, *size))["state"]]

    def forward(
        self, src: torch.Tensor, r1: torch.Tensor, r2: torch.Tensor, r3: torch.Tensor, r4: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        state = tuple(r + torch.zeros(shape) for r, shape in zip((r1, r2, r3, r4), self.shapes, strict=True))
        out = self.model(src, state)
        return (out["fgr"], out["pha"], *out["state"])


def test_an_exported_rvm_mattes_like_the_one_it_came_from() -> None:
    size = (64, 96)  # a trace holds for one size
    theirs = TracedRVM(size)
    zeros = (torch.zeros(1, 1, 1, 1),) * 4
    with torch.no_grad():
        data = traced(theirs, torch.rand(1, 3, *size), *zeros)
    with pytest.raises(CheckpointError, match=r"does not run on src \(1, 3, 96, 128\), .*--size"):
        fit(data, "torchscript", Contract(kind="recurrent"))
    model = opened(data, "torchscript", kind="recurrent", size=size)
    ours, seen = None, None
    with torch.inference_mode():
        for _ in range(3):
            src = torch.rand(1, 3, *size)
            expected, out = theirs.model(src, ours), model(src, state=seen)
            ours, seen = expected["state"], out["state"]
            assert (out["pha"] - expected["pha"]).abs().max() < 1e-5
    assert model(torch.rand(1, 3, 150, 200))["pha"].shape == (1, 1, 150, 200)
