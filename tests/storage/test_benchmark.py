"""The benchmark holds what can be measured on, and never changes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from capmat_errors import MatteError, NotFound, SizeMismatch
from storage.benchmark import Benchmark, freeze_benchmark, list_benchmarks
from storage.store.root import Root

ALPHA = np.linspace(0, 1, 300, dtype=np.float32).reshape(15, 20)


def _trimap() -> NDArray[np.uint8]:
    trimap = np.zeros((15, 20), np.uint8)
    trimap[5:10] = 128
    trimap[10:] = 255
    return trimap


def test_it_comes_back_as_it_was_frozen(root: Root) -> None:
    freeze_benchmark(root, "gold", [("walk", "c0", 3, _trimap(), ALPHA)], {"annotator": "A"})
    freeze_benchmark(root, "gold", [("walk", "c1", 4, _trimap(), 1 - ALPHA)], {"annotator": "B"})
    first = Benchmark.open(root, "gold", "b0001")
    assert first.card == {"annotator": "A"}
    assert first.keys == [("walk", "c0", 3)]
    np.testing.assert_array_equal(first.trimap("walk", "c0", 3), _trimap())
    assert np.abs(first.alpha("walk", "c0", 3) - ALPHA).max() < 1e-5
    assert Benchmark.open(root, "gold").keys == [("walk", "c1", 4)]
    assert list_benchmarks(root) == {"gold": ["b0001", "b0002"]}


@pytest.mark.parametrize(
    ("trimap", "alpha", "kind", "says"),
    [
        (np.where(_trimap() == 128, 255, _trimap()), ALPHA, MatteError, "no unknown band"),
        (np.where(_trimap() == 0, 3, _trimap()), ALPHA, MatteError, "holds 3"),
        (_trimap(), ALPHA[:9], SizeMismatch, "the matte is"),
        (_trimap(), ALPHA * np.nan, MatteError, "nan"),
        (_trimap(), ALPHA * 2, MatteError, "outside"),
    ],
)
def test_what_cannot_be_measured_on_is_refused(
    folder: Root, trimap: NDArray, alpha: NDArray, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says) as error:
        freeze_benchmark(folder, "gold", [("walk", "c0", 3, trimap, alpha)], {})
    assert "take walk camera c0 frame 3" in str(error.value)
    assert list_benchmarks(folder) == {}


def test_an_empty_or_unknown_benchmark_is_refused(folder: Root) -> None:
    with pytest.raises(MatteError, match="nothing to freeze"):
        freeze_benchmark(folder, "gold", [], {})
    with pytest.raises(NotFound):
        Benchmark.open(folder, "gold")
