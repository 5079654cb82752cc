"""The student on a fixed rig gives the network's matte, for every camera, frame after frame."""

import pytest
import torch
from torch import Tensor

from capmat_errors import SizeMismatch
from capmat_models.inference.folding import fold_norms
from capmat_models.inference.plain_student import plain_matte
from capmat_models.inference.rig import Rig
from capmat_models.networks.bgmv2 import BGMV2
from capmat_models.networks.factory import create_model
from capmat_models.weights.official_names import official_name
from capmat_models.weights.state import load_published
from tests.capmat_models.weight_fill import bgmv2_fill, disc_pair, filled

CLOSE = 5e-5


@pytest.fixture(scope="module")
def student() -> BGMV2:
    model = create_model("bgmv2_mobilenetv2", refine_sample_pixels=6000).eval()
    load_published(model, filled(model, bgmv2_fill, official_name))
    return model


def cameras(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    pairs = [disc_pair(100 + 10 * i, height, width) for i in range(count)]
    return torch.cat([src for src, _ in pairs]), torch.cat([bgr for _, bgr in pairs])


def network(model: BGMV2, src: Tensor, bgr: Tensor) -> dict[str, Tensor]:
    with torch.inference_mode():
        return model(src, bgr)


@pytest.mark.parametrize("size", [(128, 192), (132, 204), (131, 203)])
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.125, 0.75])
def test_a_rig_gives_the_networks_matte(student: BGMV2, size: tuple[int, int], scale: float) -> None:
    student.backbone_scale, student.refine_mode = scale, "sampling"
    src, bgr = cameras(1, *size)
    want, got = network(student, src, bgr), Rig(student, bgr, foreground=True).matte(src)
    assert (got["pha"] - want["pha"]).abs().max() < CLOSE
    assert (got["fgr"] - want["fgr"]).abs().max() < CLOSE


@pytest.mark.parametrize("mode", ["full", "sampling", "thresholding"])
def test_every_refine_mode_and_all_cameras_at_once(student: BGMV2, mode: str) -> None:
    student.backbone_scale, student.refine_mode = 0.25, mode
    src, bgr = cameras(3, 96, 128)
    want, got = network(student, src, bgr), Rig(student, bgr).matte(src)
    assert (got["pha"] - want["pha"]).abs().max() < CLOSE
    assert list(got) == ["pha"]


@pytest.mark.parametrize("mode", ["full", "sampling"])
def test_small_frames_are_doubled_as_the_network_doubles_them(
    student: BGMV2, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    student.backbone_scale, student.refine_mode = 0.25, mode
    monkeypatch.setattr(student, "enlarge", 2)
    src, bgr = cameras(2, 67, 101)
    want, got = network(student, src, bgr), Rig(student, bgr, foreground=True).matte(src)
    assert got["pha"].shape == (2, 1, 67, 101)
    assert (got["pha"] - want["pha"]).abs().max() < CLOSE
    assert (got["fgr"] - want["fgr"]).abs().max() < CLOSE
    eight_bits = (255 * src).round().to(torch.uint8)
    got, want = Rig(student, bgr, foreground=True).matte(eight_bits), network(student, eight_bits / 255, bgr)
    assert (got["fgr"] - want["fgr"]).abs().max() < CLOSE


def test_nothing_of_one_frame_is_left_in_the_next(student: BGMV2) -> None:
    student.backbone_scale, student.refine_mode = 0.25, "sampling"
    src, bgr = cameras(1, 96, 128)
    rig = Rig(student, bgr)
    first = rig.matte(src)["pha"].clone()
    rig.matte(1 - src)
    torch.testing.assert_close(rig.matte(src)["pha"], first, atol=0, rtol=0)
    streamed = [out["pha"] for out in rig.stream([src, 1 - src, src])]
    assert len(streamed) == 3
    torch.testing.assert_close(streamed[2], first, atol=0, rtol=0)


def test_cells_and_rows_in_small_portions_change_nothing(student: BGMV2, monkeypatch: pytest.MonkeyPatch) -> None:
    student.backbone_scale, student.refine_mode = 0.25, "sampling"
    src, bgr = cameras(2, 96, 128)
    want = Rig(student, bgr).matte(src)["pha"]
    monkeypatch.setattr("capmat_models.inference.rig._BAND", 1)
    monkeypatch.setattr("capmat_models.inference.rig._CHUNK", 7)
    torch.testing.assert_close(Rig(student, bgr).matte(src)["pha"], want, atol=1e-6, rtol=0)


def test_frames_of_8_bits_need_no_conversion(student: BGMV2) -> None:
    student.backbone_scale, student.refine_mode = 0.25, "sampling"
    src, bgr = cameras(1, 96, 128)
    rig = Rig(student, bgr)
    want = rig.matte(src)["pha"].clone()
    assert (rig.matte((src * 255).round().to(torch.uint8))["pha"] - want).abs().max() < CLOSE


def test_a_frame_of_another_size_is_refused(student: BGMV2) -> None:
    src, bgr = cameras(1, 96, 128)
    with pytest.raises(SizeMismatch, match="in the order and at the size of the plates"):
        Rig(student, bgr).matte(src[..., :64])


def test_the_released_structure_gives_the_same_matte(student: BGMV2) -> None:
    student.backbone_scale, student.refine_mode = 0.25, "sampling"
    src, bgr = cameras(2, 96, 128)
    want, got = network(student, src, bgr), plain_matte(student, src, bgr)
    torch.testing.assert_close(got["pha"], want["pha"], atol=1e-6, rtol=0)
    torch.testing.assert_close(got["fgr"], want["fgr"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["bgmv2_mobilenetv2", "bg_vitmatte_xs"])
def test_folding_removes_the_norms_and_keeps_the_matte(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name)
    src, bgr = torch.rand(2, 2, 3, 64, 96)
    model(src, bgr)  # running statistics away from their start
    model.eval()
    folded = fold_norms(model)
    assert not [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    with torch.inference_mode():
        assert (folded(src, bgr)["pha"] - model(src, bgr)["pha"]).abs().max() < CLOSE


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_recorded_graph_gives_the_networks_matte(student: BGMV2, dtype: torch.dtype) -> None:
    student.backbone_scale, student.refine_mode = 0.25, "sampling"
    torch.backends.cudnn.allow_tf32 = False
    src, bgr = cameras(3, 256, 320)
    want = network(student, src, bgr)["pha"]
    rig = Rig(student, bgr, device="cuda", dtype=dtype)
    for out in [rig.matte(src), *rig.stream([1 - src, src])][::2]:
        off = (out["pha"].float().cpu() - want).abs()
        # in half precision the doubtful cells may be others
        assert (off.max() < CLOSE) if dtype == torch.float32 else (off.mean() < 0.01)
