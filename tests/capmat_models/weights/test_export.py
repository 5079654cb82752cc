"""An exported network gives the same matte without us."""

import io

import pytest
import torch
from torch import nn

from capmat_errors import ConfigError
from capmat_models.networks.factory import create_model
from capmat_models.weights.export import export_network
from capmat_models.weights.exported import Contract, ExportedModel, fit
from capmat_models.weights.official_names import official_name
from capmat_models.weights.state import load_published, load_weights
from tests.capmat_models.weight_fill import bgmv2_fill, disc_pair, filled, vit_fill


def made_up(name: str) -> nn.Module:
    model = create_model(name)
    recipe = bgmv2_fill if name.startswith("bgmv2") else vit_fill
    load_published(model, filled(model, recipe, official_name))
    return model.eval()


# sizes at which the refiner has to choose its cells, and which are not multiples of 4
@pytest.mark.parametrize(
    ("name", "size"),
    [("bgmv2_mobilenetv2_xs", (110, 150)), ("bgmv2_mobilenetv2", (330, 420)), ("bg_vitmatte_xs", (90, 150))],
)
def test_both_graph_formats_give_the_same_matte(name: str, size: tuple[int, int]) -> None:
    import onnxruntime

    model = made_up(name)
    src, bgr = disc_pair(3, *size)
    with torch.inference_mode():
        ours = model(src, bgr)
    outputs = [key for key in ("pha", "fgr") if key in ours]

    script = torch.jit.load(io.BytesIO(export_network(model, "torchscript", size)))
    with torch.inference_mode():
        for key, value in zip(outputs, script(src, bgr), strict=True):
            assert (value - ours[key]).abs().max() <= 1e-4

    session = onnxruntime.InferenceSession(export_network(model, "onnx", size), providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["src", "bgr"]
    assert [o.name for o in session.get_outputs()] == outputs
    for key, value in zip(outputs, session.run(None, {"src": src.numpy(), "bgr": bgr.numpy()}), strict=True):
        assert (torch.from_numpy(value) - ours[key]).abs().max() <= 1e-4


@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_what_is_exported_can_be_imported(form: str) -> None:
    model = made_up("bgmv2_mobilenetv2_xs")
    size = (66, 90)
    data = export_network(model, form, size)  # type: ignore[arg-type]
    back = ExportedModel(data, form, fit(data, form, Contract(kind="rgb+plate")))  # type: ignore[arg-type]
    src, bgr = disc_pair(3, *size)
    with torch.inference_mode():
        assert (back(src, bgr)["pha"] - model(src, bgr)["pha"]).abs().max() <= 1e-4


def test_bare_weights_keep_every_bit() -> None:
    model = made_up("diffmatte_xs")
    other = create_model("diffmatte_xs")
    load_weights(other, export_network(model, "safetensors"))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def test_what_cannot_be_exported_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match="needs the size of the frames"):
        export_network(create_model("bgmv2_mobilenetv2_xs"), "onnx")
    with pytest.raises(ConfigError, match="diffmatte_xs cannot be exported to onnx: .* takes src and trimap"):
        export_network(create_model("diffmatte_xs"), "onnx", (64, 64))
