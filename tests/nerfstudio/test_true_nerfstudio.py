"""The true Nerfstudio opens our export, trains and renders through our commands, and survives a kill.

On the CPU, with plain torch in the place of nerfacc's CUDA parts and a model that is small: what is proven is flags,
files, words, the order of things and that it learns, not how well it does.
"""

import json
import pickle
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from capmat_errors import ConfigError
from tasks.geometry.nerfstudio.call import call
from tasks.geometry.nerfstudio.install import nerfstudio_python, versions
from tasks.geometry.nerfstudio.run import checkpoints, iterations_done, read_renders, render_command, run_nerfstudio
from tasks.geometry.score import Reference, evaluate
from tests.ellipsoids import BOX_CENTRE, BOX_SIZE, cutout, ring
from tests.nerfstudio.places import SMALL, TEST, TINY, cameras, export, python_for_cpu

pytestmark = pytest.mark.nerfstudio
RUN = """
import sys
from pathlib import Path
from tasks.geometry.nerfstudio.run import run_nerfstudio
from tests.nerfstudio.places import TEST, TINY
run_nerfstudio(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), TINY, 0, TEST, "cpu")
"""


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        found = nerfstudio_python()
    except ConfigError as error:
        pytest.skip(str(error))
    if found is None:
        pytest.skip("Nerfstudio is not installed here: `capmat reconstruct --install`")
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nerfstudio")


@pytest.fixture(scope="module")
def scene(place: Path) -> Path:
    return export(place / "in", cameras())


@pytest.fixture(scope="module")
def killed(python: Path, place: Path, scene: Path) -> tuple[Path, list[psutil.Process]]:
    """A run whose capmat was killed after a checkpoint, while training went on."""
    work = place / "work"
    with (place / "first.out").open("w") as out:
        first = subprocess.Popen(
            [sys.executable, "-c", RUN, str(python_for_cpu(python, place)), str(scene), str(work)],
            stdout=out,
            stderr=out,
        )
    end = time.monotonic() + TINY.timeout_s
    while not any(zipfile.is_zipfile(path) for path in checkpoints(work).glob("*.ckpt")):
        assert first.poll() is None, (place / "first.out").read_text()
        assert time.monotonic() < end, "no checkpoint"
        time.sleep(0.1)
    programs = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    first.wait()
    return work, programs


def test_its_versions_are_known_without_importing_it(python: Path) -> None:
    begin = time.monotonic()
    found = versions(python)
    assert found["nerfstudio"] == "1.1.5"
    assert found["nerfacc"] == "0.5.2"
    assert found["python"].startswith("3.11.")
    assert time.monotonic() - begin < 10


def test_its_own_data_parser_and_cameras_agree_with_our_calibration(python: Path, scene: Path) -> None:
    rng = np.random.default_rng(0)
    points = np.array(BOX_CENTRE) + rng.uniform(-0.4, 0.4, (40, 3))
    # its pixels have their centres at half integers
    asked = {camera.id: (camera.project(points) + 0.5).tolist() for camera in cameras()}
    script = Path(__file__).with_name("rays.py")
    done = subprocess.run(
        [str(python), "-I", str(script), str(scene)], input=json.dumps(asked), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert sorted(found["test"]) == sorted(found["val"]) == list(TEST)
    assert sorted(found["train"]) == [c.id for c in cameras() if c.id not in TEST]
    boxed = (points - np.array(BOX_CENTRE)) * 2 / BOX_SIZE
    for camera in cameras():
        said = found["test" if camera.id in TEST else "train"][camera.id]
        assert said["shape"] == [48, 36, 4]  # straight alpha, not composited
        assert not said["masked"]
        assert said["box"] == [[-1, -1, -1], [1, 1, 1]]
        origins, ways = np.array(said["origins"]), np.array(said["directions"])
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        missed = np.linalg.norm(np.cross(boxed - origins, ways), axis=1)
        depth = ((boxed - origins) * ways).sum(1)
        assert (depth > 0).all()
        assert (missed / depth * camera.K[0, 0]).max() < 0.01  # pixels


def test_training_ends_with_the_capmat_that_started_it(killed: tuple[Path, list[psutil.Process]]) -> None:
    _, programs = killed
    assert programs
    gone, alive = psutil.wait_procs(programs, timeout=10)
    assert not alive


def test_a_killed_run_goes_on_from_its_newest_whole_checkpoint(
    killed: tuple[Path, list[psutil.Process]],
    python: Path,
    place: Path,
    scene: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work, _ = killed
    whole = max(p for p in checkpoints(work).glob("*.ckpt") if zipfile.is_zipfile(p))
    half = checkpoints(work) / f"step-{TINY.iterations - 1:09d}.ckpt"  # as if it had been killed in its last moment
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    before = int(whole.stem.removeprefix("step-")) + 1
    renders = run_nerfstudio(python_for_cpu(python, place), scene, work, TINY, 0, TEST, "cpu")
    said = capsys.readouterr().out
    assert f"goes on from iteration {before}" in said
    assert f"/{TINY.iterations}" in said  # progress, read from its output
    log = (work / "nerfstudio.log").read_text().replace("\n", "")
    assert f"{whole.name}" in log
    assert iterations_done(work) == TINY.iterations  # and not so many more
    assert sorted(renders) == list(TEST)
    for rgb, accumulation in renders.values():
        assert rgb.shape == (3, 48, 36)
        assert accumulation.shape == (48, 36)
        assert 0 < accumulation.mean() <= 1
        assert np.isfinite(rgb).all()


def test_a_run_that_was_killed_after_training_only_renders(
    killed: tuple[Path, list[psutil.Process]], python: Path, place: Path, scene: Path
) -> None:
    work, _ = killed
    newest = max(checkpoints(work).glob("*.ckpt"))
    written = newest.stat().st_mtime_ns
    baton = place / "extensions" / "nerfacc_cuda" / "lock"  # as if it had been killed while nerfacc compiled
    baton.touch()
    again = run_nerfstudio(python_for_cpu(python, place), scene, work, TINY, 0, TEST, "cpu")
    assert newest.stat().st_mtime_ns == written
    assert not baton.exists()
    assert sorted(again) == list(TEST)


def test_one_held_out_camera_is_found_though_its_file_is_named_otherwise(
    killed: tuple[Path, list[psutil.Process]], python: Path, place: Path, scene: Path
) -> None:
    work, _ = killed
    meta = json.loads((scene / "transforms.json").read_text())
    meta["frames"] = [frame for frame in meta["frames"] if TEST[1] not in frame["file_path"]]
    meta["val_filenames"] = meta["test_filenames"] = [f"images/{TEST[0]}.png"]
    (scene / "transforms.json").write_text(json.dumps(meta))
    command = render_command(python_for_cpu(python, place), work)
    call([*command[:-4], str(work / "one"), *command[-3:]], work / "nerfstudio.log", 600)
    assert list(read_renders(work / "one" / "test", TEST[:1])) == [TEST[0]]


def test_its_checkpoints_hold_numbers_that_torch_refuses_and_an_appearance_per_picture(
    killed: tuple[Path, list[psutil.Process]],
) -> None:
    work, _ = killed
    newest = max(checkpoints(work).glob("*.ckpt"))
    with pytest.raises(pickle.UnpicklingError):
        torch.load(newest, map_location="cpu", weights_only=True)
    state = torch.load(newest, map_location="cpu", weights_only=False)
    (appearance,) = (v for k, v in state["pipeline"].items() if "embedding_appearance" in k)
    assert appearance.shape == (len(cameras()) - len(TEST), 32)  # though its switch says no
    assert not any("lpips" in key for key in state["pipeline"])


def test_it_learns_what_our_cameras_saw(python: Path, tmp_path: Path) -> None:
    rig = ring(10, 36, 48)
    scene = export(tmp_path / "in", rig)
    renders = run_nerfstudio(python_for_cpu(python, tmp_path), scene, tmp_path / "work", SMALL, 0, TEST, "cpu")
    true = {camera.id: cutout(camera) for camera in rig if camera.id in TEST}
    references = {name: Reference(seen.image, seen.alpha, seen.image * seen.alpha) for name, seen in true.items()}
    score = evaluate(renders, references)
    assert score["psnr"] > score["black"] + 9  # 27.9 over 14.7 dB when this was written
    assert not score["collapsed"]
