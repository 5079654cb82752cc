"""A mined queue comes back as it was written, is never half there, and names only what the take has."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from capmat_errors import NotFound
from storage.labels.queue import Mined, read_queue, write_queue
from storage.store.root import Root
from storage.store.versions import Versions
from storage.takes.take import Take
from tests.ellipsoid_take import store_take
from tests.ellipsoids import ring

BOX = Mined("C01", 4, 0.75, (8, 4, 20, 30), ("hole: 5 of 6 views see foreground here",), {"hole": 0.9}, "true")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A store with one take of six cameras of 48x64 pixels."""
    store = Root(tmp_path_factory.mktemp("mined"))
    store_take(store, ring(6))
    return store


def versions(root: Root) -> list[str]:
    return Versions(root, "takes/solids.zarr/mined", "q").names()


def test_the_newest_queue_is_read_and_older_ones_stay(root: Root) -> None:
    first = write_queue(root, "solids", [BOX, replace(BOX, camera="C02", score=0.5)], {"top": 2})
    second = write_queue(root, "solids", [], {"top": 1})
    assert read_queue(root, "solids") == second
    assert read_queue(root, "solids", first.version) == first
    assert versions(root)[-2:] == [first.version, second.version]


def test_two_who_mine_at_once_both_keep_their_queue(root: Root) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: write_queue(root, "solids", [BOX], {"who": n}), range(4)))
    assert len({queue.version for queue in made}) == 4
    assert [read_queue(root, "solids", queue.version).how["who"] for queue in made] == list(range(4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"box": (8, 4, 49, 30)},
        {"box": (8, 4, 8, 30)},
        {"score": 1.5},
        {"score": float("nan")},
        {"signals": {"hole": float("inf")}},
        {"reasons": ()},
    ],
)
def test_what_makes_no_sense_is_not_stored(root: Root, wrong: dict[str, object]) -> None:
    before = versions(root)
    with pytest.raises(ValueError, match="C01 frame 4"):
        write_queue(root, "solids", [replace(BOX, **wrong)], {})  # type: ignore[arg-type]
    assert versions(root) == before


def test_rising_scores_are_refused(root: Root) -> None:
    with pytest.raises(ValueError, match="fall"):
        write_queue(root, "solids", [replace(BOX, score=0.1), BOX], {})


def test_what_the_take_does_not_have_is_named(root: Root) -> None:
    with pytest.raises(NotFound, match="no camera is called C77"):
        write_queue(root, "solids", [replace(BOX, camera="C77")], {})
    with pytest.raises(NotFound, match="no frame is called 9"):
        write_queue(root, "solids", [replace(BOX, frame=9)], {})
    with pytest.raises(NotFound, match="run else has no matte"):
        write_queue(root, "solids", [replace(BOX, run="else")], {})
    with pytest.raises(NotFound, match="no take"):
        read_queue(root, "else")


def test_a_take_that_was_never_mined_has_no_queue_and_another_recording_inherits_none(tmp_path: Path) -> None:
    root = Root(tmp_path)
    take = store_take(root, ring(3))
    assert versions(root) == []
    with pytest.raises(NotFound, match="no version"):
        read_queue(root, "solids")
    write_queue(root, "solids", [BOX], {})
    take.unseal()
    Take.create(root, "solids", stage="ring", cameras=take.cameras, colour=take.colour, frames=[4], fps=25, source={})
    Take.open(root, "solids", sealed=False).seal()
    assert versions(root) == []
