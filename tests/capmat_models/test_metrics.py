"""Metrics agree with values computed from their definitions, in both conventions."""

import numpy as np
import pytest
import torch

from capmat_errors import SizeMismatch
from capmat_models import metrics
from tests.project import GOLDENS

GOLDEN = np.load(GOLDENS / "metrics.npz")
NAMES = {
    "mse": "mse",
    "sad": "sad",
    "sad_paper": "mad",
    "grad": "grad",
    "grad_paper": "grad_mean_unnormalised_9x9",
    "conn": "conn",
}


@pytest.fixture
def mattes() -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.from_numpy(GOLDEN[key]).double() / 255 for key in ("pred", "true"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["whole", "unknown"])
def test_each_metric_equals_its_golden_value(
    mattes: tuple[torch.Tensor, torch.Tensor], name: str, where: str
) -> None:
    region = torch.from_numpy(GOLDEN["trimap"] == 128) if where == "unknown" else None
    value = getattr(metrics, name)(*mattes, region)
    assert float(value) == pytest.approx(float(GOLDEN[f"{where}_{NAMES[name]}"]), rel=1e-6)


def test_a_batch_gives_one_value_per_image(mattes: tuple[torch.Tensor, torch.Tensor]) -> None:
    pred, true = mattes
    batch = torch.stack([pred, true])[:, None], torch.stack([true, true])[:, None]
    for name in NAMES:
        first, second = getattr(metrics, name)(*batch)
        assert float(first) == pytest.approx(float(getattr(metrics, name)(pred, true)))
        assert float(second) == 0


def test_the_papers_columns_are_means(mattes: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = {key: float(value) for key, value in metrics.paper_metrics(*mattes).items()}
    assert found == {
        "mse": pytest.approx(float(GOLDEN["whole_mse"])),
        "sad": pytest.approx(float(GOLDEN["whole_mad"])),
        "grad": pytest.approx(float(GOLDEN["whole_grad_mean_unnormalised_9x9"])),
    }


def test_mattes_of_different_size_are_refused() -> None:
    with pytest.raises(SizeMismatch, match=r"\(4, 4\), \(4, 5\)"):
        metrics.mse(torch.zeros(4, 4), torch.zeros(4, 5))


def test_flicker_is_the_root_mean_square_of_what_changed_otherwise_than_the_truth() -> None:
    rng = np.random.default_rng(0)
    true, pred = (torch.from_numpy(rng.random((3, 1, 6, 8))) for _ in range(2))
    found = metrics.dtssd(pred, true)
    for t in (1, 2):
        change = (pred[t] - pred[t - 1]) - (true[t] - true[t - 1])
        assert float(found[t - 1]) == pytest.approx(float((change**2).mean() ** 0.5))


def test_a_matte_that_is_wrong_but_moves_as_the_truth_does_not_flicker() -> None:
    true = torch.zeros(2, 1, 4, 4)
    true[1, 0, 1:3] = 0.5
    assert float(metrics.dtssd(true + 0.25, true)) == 0
    swaying = true + torch.tensor([0.0, 0.1]).view(2, 1, 1, 1)
    assert float(metrics.dtssd(swaying, true)) == pytest.approx(0.1)
    half = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    half[:, :, 2:] = True
    assert float(metrics.dtssd(swaying, true, half)) == pytest.approx(0.1)


def test_one_frame_alone_has_no_flicker() -> None:
    with pytest.raises(ValueError, match="two consecutive frames"):
        metrics.dtssd(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))
