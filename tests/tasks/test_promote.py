"""The gate promotes what is better, holds what is not clearly better, rejects what is worse."""

import pytest

from tasks.config import Gate
from tasks.promote import decide


def scores(*mse: float) -> dict[str, dict[str, float]]:
    return {f"c{i}/1": {"mse": value} for i, value in enumerate(mse)}


@pytest.mark.parametrize(
    ("champion", "challenger", "decision", "word"),
    [
        ((2e-3, 2e-3), (1e-3, 1e-3), "PROMOTE", "0.50"),
        ((2e-3, 2e-3), (1.98e-3, 1.98e-3), "HOLD", "margin"),
        ((2e-3, 2e-3), (3e-3, 2e-3), "REJECT", "worse"),
        ((8e-3, 1e-3), (1e-3, 2.5e-3), "HOLD", "c1/1"),
        ((8e-3, 1e-6), (1e-3, 9e-6), "PROMOTE", "0.13"),  # from perfect to nearly perfect spoils nothing
        ((0.0, 0.0), (1e-4, 1e-4), "REJECT", "worse"),
    ],
)
def test_decision(champion: tuple[float, ...], challenger: tuple[float, ...], decision: str, word: str) -> None:
    verdict = decide(scores(*champion), scores(*challenger), Gate())
    assert verdict["decision"] == decision
    assert word in " ".join(verdict["reasons"])
