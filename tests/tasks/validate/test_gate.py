"""Two sets of mattes of one take, rebuilt and judged against one reference, and noted beside the gate's verdict."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.benchmark import freeze_benchmark
from storage.registry import Registry
from storage.store.root import Root
from tasks.config import Reconstruction
from tasks.geometry.reconstruct import held_out, judge, reconstruct
from tasks.models.networks import Ref
from tasks.validate.promote import keep_reconstruction, newest_pair
from tests.ellipsoid_take import add_run, cutout, store_take
from tests.ellipsoids import ring

CAMERAS = ring(10)
SETTINGS = Reconstruction(backend="voxel-grid", resolution=32, iterations=40, held_out=("C02", "C07"))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    root = Root(tmp_path_factory.mktemp("reconstruct") / "store")
    take = store_take(root, CAMERAS)

    def pierced(camera: str, alpha: np.ndarray) -> np.ndarray:
        alpha[28:38, 20:28] = 0
        return alpha

    add_run(take, CAMERAS, "pierced", pierced)
    return root.url, judge(root.url, "solids", 4, fields(root.url), None)


def fields(store: str) -> dict[str, Any]:
    """What was learnt of both runs; the second time the records say it."""
    record, runs = {"take": "solids", "digest": "d"}, {"base": "pierced", "refined": "true"}
    return {row: reconstruct(store, record, 4, run, SETTINGS, 0) for row, run in runs.items()}


def test_a_hole_in_the_mattes_costs_by_every_figure(judged: tuple[str, dict[str, Any]]) -> None:
    _, done = judged
    assert done["refined"]["psnr"] > done["base"]["psnr"] + 4
    assert done["refined"]["psnr_foreground"] > done["base"]["psnr_foreground"] + 4
    assert done["refined"]["ssim"] > done["base"]["ssim"]
    assert done["refined"]["ssim_foreground"] > done["base"]["ssim_foreground"]
    assert not done["refined"]["collapsed"]


def test_what_the_figures_mean_is_said_with_them(judged: tuple[str, dict[str, Any]]) -> None:
    _, done = judged
    assert done["reference"] == "mattes of true"  # without a supervisor, the refined run's for both
    assert done["held_out"] == ["C02", "C07"]
    assert "not comparable with the paper" in done["backend"]


@pytest.mark.parametrize(
    ("frozen", "reference"), [(("C02", "C07"), "mattes of the supervisor"), (("C00", "C02"), "mattes of true")]
)
def test_a_benchmark_is_the_reference_only_if_it_holds_all_held_out_cameras(
    judged: tuple[str, dict[str, Any]], frozen: tuple[str, ...], reference: str
) -> None:
    store, _ = judged
    alphas = [cutout(camera).alpha for camera in CAMERAS if camera.id in frozen]
    trimaps = [np.where(alpha > 0.99, 255, np.where(alpha < 0.01, 0, 128)).astype(np.uint8) for alpha in alphas]
    entries = [("solids", *rest) for rest in zip(frozen, (4, 4), trimaps, alphas, strict=True)]
    made = freeze_benchmark(Root(store), "-".join(frozen), entries, {})
    record = {"benchmark": made.name, "version": made.version, "digest": made.name}
    done = judge(store, "solids", 4, fields(store), record)
    assert done["reference"] == reference
    assert done["refined"]["psnr"] > done["base"]["psnr"] + 4  # by the true mattes in both cases


def test_the_pictures_and_the_export_are_kept(judged: tuple[str, dict[str, Any]]) -> None:
    store, done = judged
    assert Root(store).read(done["sheet"])[:3] == b"\xff\xd8\xff"
    folder = done["sheet"].rpartition("/")[0]
    assert f"{folder}/input/transforms.json" in Root(store).list("reconstruction")


def test_every_so_many_cameras_are_held_out_unless_they_are_named() -> None:
    names = [f"C{i:02d}" for i in range(12)]
    assert held_out(names, Reconstruction())[1] == ["C02", "C08"]
    assert held_out(names, Reconstruction(hold_out_every=4))[1] == ["C02", "C06", "C10"]
    assert held_out(names, Reconstruction(hold_out_every=2))[1] == names[1::2]
    train, test = held_out(names, SETTINGS)
    assert (set(train) | set(test), test) == (set(names), ["C02", "C07"])


def test_the_figures_stand_beside_the_newest_verdict(judged: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    registry = Registry(Root(store))
    base, second = Ref(name="student", version="v0001"), Ref(name="student", version="v0002")
    assert newest_pair(store, "student", base) == {"base": base, "refined": base, "verdict": ""}
    verdict = {"decision": "HOLD", "reasons": ["not below the margin"], "champion": base, "challenger": second}
    number = registry.add_verdict("student", verdict)
    assert registry.add_verdict("student", verdict) == number  # told twice after a kill
    assert newest_pair(store, "student", base) == {"base": base, "refined": second, "verdict": "d0001"}
    beside = f"promotions/student/verdicts/{number}.reconstruction.json"
    assert not registry.root.exists(beside)
    for _ in range(2):
        keep_reconstruction(store, "student", number, judged[1])
    kept = json.loads(registry.root.read(beside))
    assert kept["challenger"]["psnr"] == judged[1]["refined"]["psnr"]
    assert kept["champion"]["psnr"] == judged[1]["base"]["psnr"]
    assert kept["held_out"] == ["C02", "C07"]
    assert [said["number"] for said in registry.verdicts("student")] == ["d0001"]
    assert registry.champion("student") is None  # a verdict promotes nobody
