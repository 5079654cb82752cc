"""Whatever is killed, and however often: the chain ends by itself, with what an undisturbed one ends with.

A failure is repeated with the seed that it printed: TORTURE_SEED=17 make torture. What a kill meets is chance.
"""

import random
import time
from pathlib import Path

import pytest

from tests.flows.conftest import tiny_samples  # noqa: F401
from tests.torture.running import PARTS, Night
from tests.torture.test_torture import Tell, seed, tell  # noqa: F401

pytestmark = pytest.mark.torture
KILLS = 24


def test_a_chain_of_which_any_part_is_killed_ends_with_the_same_results(
    tiny_samples: Path,  # noqa: F811
    tmp_path: Path,
    seed: int,  # noqa: F811
    tell: Tell,  # noqa: F811
) -> None:
    start = time.monotonic()
    still = Night(tmp_path / "still", tiny_samples, 4890, random.Random(seed), 0)
    still.whole_chain()
    wild = Night(tmp_path / "wild", tiny_samples, 4891, random.Random(seed), KILLS)
    wild.whole_chain()
    tell(f"{time.monotonic() - start:.0f} s: {dict(sorted(wild.count.items()))}")
    assert wild.count["kills"] >= 20
    assert all(wild.count[f"killed {part}"] for part in PARTS)

    assert still.entries() == wild.entries()
    results = still.results()
    assert any(key.endswith("model.safetensors") for key in results)
    assert {key for key, value in wild.results().items() if results.get(key) != value} == set()
    assert set(results) == set(wild.results())
    tell(f"{len(results)} files compared, {len(still.entries())} entries of the ledger")
