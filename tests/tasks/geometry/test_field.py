"""Reconstruction from an exported folder: who runs it, what it leaves, and what its figures mean."""

import gzip
import itertools
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from capmat_errors import ConfigError, MatteError, SizeMismatch, TrainingError
from capmat_models.geometry import field as voxel_grid
from storage.export.scene import Cutout, export_cutouts
from tasks.config import Reconstruction
from tasks.geometry.field import (
    COMPARABLE,
    NOT_COMPARABLE,
    VOXEL_GRID,
    _by_nerfstudio,
    choose_backend,
    learn_field,
    read_renders,
    work_folder,
)
from tasks.geometry.nerfstudio.install import nerfstudio_python
from tasks.geometry.nerfstudio.run import PRESETS, checkpoints, iterations_done, render_command, train_command
from tasks.geometry.nerfstudio.run import read_renders as read_nerfstudio_renders
from tasks.geometry.score import Reference, evaluate, psnr
from tasks.runtime.checkpoint import StoreCheckpointer
from tests.ellipsoids import BOX_CENTRE, BOX_SIZE, cutout, ring

HELD_OUT = ("C02", "C07")
SMALL = Reconstruction(backend="voxel-grid", resolution=32, iterations=40)


@pytest.fixture(scope="module")
def seen() -> list[Cutout]:
    return [cutout(camera) for camera in ring(10)]


def _run(folder: Path, cutouts: Sequence[Cutout], config: Reconstruction = SMALL) -> dict:
    names = [c.camera.id for c in cutouts if c.camera.id not in HELD_OUT]
    export_cutouts(folder / "in", cutouts, train=names, test=HELD_OUT, box_centre=BOX_CENTRE, box_size=BOX_SIZE)
    return learn_field(folder / "in", folder / "out", config)


def _references(seen: Sequence[Cutout], own: Sequence[Cutout]) -> dict[str, Reference]:
    return {
        s.camera.id: Reference(s.image, s.alpha, o.image * o.alpha)
        for s, o in zip(seen, own, strict=True)
        if s.camera.id in HELD_OUT
    }


def _with_holes(cutouts: Sequence[Cutout]) -> list[Cutout]:
    pierced = []
    for c in cutouts:
        alpha = c.alpha.copy()
        alpha[28:38, 20:28] = 0
        pierced.append(replace(c, alpha=alpha))
    return pierced


def test_good_mattes_beat_mattes_with_holes_by_the_common_reference(tmp_path: Path, seen: list[Cutout]) -> None:
    pierced = _with_holes(seen)
    record = _run(tmp_path / "good", seen)
    _run(tmp_path / "bad", pierced)
    good = evaluate(read_renders(tmp_path / "good" / "out"), _references(seen, seen))
    bad = evaluate(read_renders(tmp_path / "bad" / "out"), _references(seen, pierced))
    assert record["backend"] == VOXEL_GRID
    assert "not comparable with the paper" in record["backend"]
    assert record["test"] == list(HELD_OUT)
    assert good["psnr"] > good["black"] + 13  # 31.5 over 14.7 dB when this was written
    assert bad["psnr"] < good["psnr"] - 4  # 23.8 dB
    assert good["psnr_own"] == good["psnr"]
    assert bad["psnr_own"] != bad["psnr"]  # judged by its own holes: another picture
    assert good["psnr_foreground"] < good["psnr"]
    assert not good["collapsed"]


def test_a_run_is_repeatable(tmp_path: Path, seen: list[Cutout]) -> None:
    short = SMALL.model_copy(update={"iterations": 6})
    for name in ("one", "two"):
        _run(tmp_path / name, seen, short)
    one, two = (read_renders(tmp_path / name / "out") for name in ("one", "two"))
    assert sorted(one) == list(HELD_OUT)
    assert all(np.array_equal(one[name][i], two[name][i]) for name in HELD_OUT for i in (0, 1))


def test_a_black_render_is_called_collapsed(seen: list[Cutout]) -> None:
    references = _references(seen, seen)
    black = {name: (np.zeros_like(r.rgb), np.zeros_like(r.alpha)) for name, r in references.items()}
    scores = evaluate(black, references)
    assert scores["collapsed"]
    assert scores["psnr"] == scores["black"]


def test_a_perfect_render_scores_a_hundred_and_not_infinity(seen: list[Cutout]) -> None:
    references = _references(seen, seen)
    perfect = {name: (r.rgb * r.alpha, r.alpha) for name, r in references.items()}
    scores = evaluate(perfect, references)
    assert scores["psnr"] == scores["psnr_own"] == scores["psnr_foreground"] == 100
    assert psnr(np.zeros(4), np.full(4, 0.1)) == pytest.approx(20)


def test_similarity_sees_structure_that_brightness_does_not_change(seen: list[Cutout]) -> None:
    references = _references(seen, seen)
    true = {name: (r.rgb * r.alpha, r.alpha) for name, r in references.items()}
    brighter = {name: (np.clip(rgb * np.float32(1.02), 0, 1), a) for name, (rgb, a) in true.items()}
    noisy = {
        name: (rgb + np.float32(0.05) * (np.indices(rgb.shape).sum(0) % 2), a) for name, (rgb, a) in true.items()
    }
    perfect, bright, rough = (evaluate(renders, references) for renders in (true, brighter, noisy))
    assert perfect["ssim"] == perfect["ssim_foreground"] == pytest.approx(1)
    assert 1 > bright["ssim_foreground"] > 0.99 > rough["ssim_foreground"]


def test_figures_are_means_over_cameras_and_each_camera_is_listed(seen: list[Cutout]) -> None:
    references = _references(seen, seen)
    renders = {name: (r.rgb * r.alpha * np.float32(0.9), r.alpha) for name, r in references.items()}
    scores = evaluate(renders, references)
    each = [scores["cameras"][name]["psnr"] for name in HELD_OUT]
    assert scores["psnr"] == pytest.approx(sum(each) / 2)


def test_references_that_do_not_fit_are_refused(seen: list[Cutout]) -> None:
    references = _references(seen, seen)
    renders = {name: (r.rgb, r.alpha) for name, r in references.items()}
    with pytest.raises(MatteError, match="cannot be judged"):
        evaluate({"C02": renders["C02"]}, references)
    with pytest.raises(SizeMismatch, match="^C02"):
        evaluate(renders | {"C02": (renders["C02"][0][:, :-1], renders["C02"][1][:-1])}, references)
    empty = {name: replace(r, alpha=np.zeros_like(r.alpha)) for name, r in references.items()}
    with pytest.raises(MatteError, match="empty"):
        evaluate(renders, empty)


def test_without_nerfstudio_the_voxel_grid_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAPMAT_RECONSTRUCTION__NERFSTUDIO", raising=False)
    monkeypatch.chdir(tmp_path)
    assert choose_backend(Reconstruction(backend="auto")) == "voxel-grid"
    with pytest.raises(ConfigError, match="environment of its own.*--install"):
        choose_backend(Reconstruction(backend="nerfstudio"))
    if not torch.cuda.is_available():
        assert choose_backend(Reconstruction(backend="auto", nerfstudio=sys.executable)) == "voxel-grid"
        with pytest.raises(ConfigError, match="needs a GPU"):
            choose_backend(Reconstruction(backend="nerfstudio", nerfstudio=sys.executable))


def test_a_wrong_path_to_nerfstudio_is_an_error_and_not_a_fallback(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no Python here"):
        nerfstudio_python(str(tmp_path / "bin" / "python"))
    assert nerfstudio_python(sys.executable) == Path(sys.executable)


def test_nerfstudio_is_started_as_the_paper_did_with_poses_left_alone() -> None:
    command = train_command(Path("py"), Path("scene"), Path("work"), PRESETS["paper"], 3)
    line = " ".join(command)
    assert "instant-ngp-bounded" in line
    assert "--max-num-iterations 100000" in line
    assert "--pipeline.model.max-res 65536" in line
    assert "--pipeline.model.background-color black" in line
    assert "appearance" not in line  # its default, which trains one
    assert "--orientation-method none --center-method none --auto-scale-poses False" in line
    assert command.index("nerfstudio-data") > command.index("--machine.seed")  # it takes the flags after it
    assert str(Path("work/scene/instant-ngp-bounded/run/config.yml")) in render_command(Path("py"), Path("work"))


def test_what_nerfstudio_rendered_is_read_by_camera(tmp_path: Path) -> None:
    colour, amount = np.random.default_rng(0).uniform(size=(2, 4, 3, 3)).astype(np.float32)
    for folder, array in (("raw-rgb", colour), ("raw-accumulation", amount[..., :1])):
        (tmp_path / folder).mkdir()
        with gzip.open(tmp_path / folder / "C.02.npy.gz", "wb") as file:
            np.save(file, array)
    rgb, accumulation = read_nerfstudio_renders(tmp_path, ["C.02"])["C.02"]
    assert np.array_equal(rgb, colour.transpose(2, 0, 1))
    assert np.array_equal(accumulation, amount[..., 0])
    with pytest.raises(TrainingError, match="rendered nothing for C03"):
        read_nerfstudio_renders(tmp_path, ["C.02", "C03"])


def test_presets_differ_in_what_they_say(tmp_path: Path, seen: list[Cutout]) -> None:
    records = {name: _by_nerfstudio(preset) for name, preset in PRESETS.items()}
    assert [records[n]["background"] for n in ("paper", "carve", "quick")] == ["black", "random", "random"]
    assert [records[n]["iterations"] for n in ("paper", "carve", "quick")] == [100_000, 100_000, 5_000]
    assert [records[n]["resolution"] for n in ("paper", "carve", "quick")] == [65_536, 65_536, 2048]
    assert [records[n]["comparable"] for n in ("paper", "carve", "quick")] == [
        COMPARABLE,
        NOT_COMPARABLE,
        NOT_COMPARABLE,
    ]
    assert all(s["appearance_embedding"] for s in records.values())
    for preset, want in (("paper", ("black", 32, 6)), ("carve", ("random", 32, 6)), ("quick", ("random", 16, 2))):
        record = _run(tmp_path / preset, seen, SMALL.model_copy(update={"iterations": 6, "preset": preset}))
        assert (record["background"], record["resolution"], record["iterations"]) == want
        assert record["preset"] == preset
        assert record["comparable"] == NOT_COMPARABLE
        assert record["appearance_embedding"] is False
        assert record["seed"] == 0


def test_going_on_counts_only_the_iterations_that_are_left() -> None:
    command = train_command(Path("py"), Path("scene"), Path("work"), PRESETS["carve"], 3, done=60_001)
    assert command[command.index("--max-num-iterations") + 1] == "39999"
    assert command[command.index("--load-dir") + 1] == str(checkpoints(Path("work")))
    assert "--load-step" not in command  # the renderer would look for that one


def test_the_newest_whole_checkpoint_counts_and_half_ones_go(tmp_path: Path) -> None:
    assert iterations_done(tmp_path) == 0
    folder = checkpoints(tmp_path)
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "step-000002000.ckpt", "w") as archive:
        archive.writestr("data", bytes(10_000))
    whole = (folder / "step-000002000.ckpt").read_bytes()
    (folder / "step-000004000.ckpt").write_bytes(whole[:5_000])
    spoiled = bytearray(whole)
    spoiled[5_000] ^= 1
    (folder / "step-000006000.ckpt").write_bytes(spoiled)
    assert iterations_done(tmp_path) == 2001
    assert [path.name for path in folder.iterdir()] == ["step-000002000.ckpt"]


def test_a_killed_voxel_grid_goes_on_to_the_same_renders(
    tmp_path: Path, seen: list[Cutout], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = SMALL.model_copy(update={"iterations": 12})
    _run(tmp_path / "whole", seen, short)
    monkeypatch.setattr(voxel_grid, "SAVE_S", 0)
    save, saves = StoreCheckpointer.save, itertools.count(1)

    def killed(self: StoreCheckpointer, data: bytes) -> None:
        save(self, data)
        if next(saves) == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(StoreCheckpointer, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "killed", seen, short)
    monkeypatch.setattr(StoreCheckpointer, "save", save)
    kept = tmp_path / "killed" / "out" / "checkpoints" / "voxel-grid.pt"
    assert kept.exists()
    assert not (tmp_path / "killed" / "out" / "rgb").exists()
    _run(tmp_path / "killed", seen, short)
    whole, again = (read_renders(tmp_path / name / "out") for name in ("whole", "killed"))
    assert all(np.array_equal(whole[name][i], again[name][i]) for name in HELD_OUT for i in (0, 1))
    assert not kept.exists()


def test_a_work_folder_stays_when_work_fails_and_goes_when_it_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "work"

    def work(name: str) -> None:
        with work_folder(folder):
            (folder / name).mkdir()

    folder.mkdir(parents=True)
    (folder / "checkpoint").mkdir()
    with pytest.raises(FileExistsError):
        work("checkpoint")
    assert (folder / "checkpoint").exists()
    work("renders")
    assert not folder.exists()
