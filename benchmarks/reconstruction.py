"""How fast a frame is reconstructed, and what a hole in every matte costs, on a rendered stage with known mattes.

    python -m benchmarks.reconstruction                                        # the voxel grid, 12 cameras
    python -m benchmarks.reconstruction --backend nerfstudio --preset paper --cameras 40 --size 1332x1152

Renders one frame (kept in --folder, where a repeated run finds it), cuts it out by its true mattes and by mattes with
a hole in the chest, reconstructs both and prints a line for each: seconds, iterations per second, PSNR and SSIM on
the held-out cameras against the true mattes, and what a black picture scores.
"""

import argparse
import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.calibration.box import scene_box
from storage.export.scene import Cutout, export_cutouts
from storage.labels.trimaps import truth_of
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry.field import learn_field, read_renders
from tasks.geometry.reconstruct import held_out
from tasks.geometry.score import Reference, evaluate
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tasks.sim.session import render_session

TAKE = "cedar"


def stage(folder: Path, cameras: int, size: tuple[int, int]) -> list[Cutout]:
    """Cut-outs of one rendered frame by its true mattes; `size` is (width, height)."""
    place = folder / f"{cameras}-{size[0]}x{size[1]}"
    session = render_session(
        place / "session", cameras=cameras, size=size, takes={TAKE: 1}, truth=place / "truth", progress=print
    )
    store = Root(place / "store")
    ingest_plates(store.url, session)
    ingest_take(store.url, session, TAKE)
    take, truth = Take.open(store, TAKE), truth_of(str(place / "truth"), TAKE)
    return [Cutout(take.cameras[name], take.read(name, 1), truth(name, 1)) for name in take.cameras]


def pierced(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """The matte with a hole of a tenth of the subject's height, at its upper middle."""
    rows, columns = np.nonzero(alpha > 0.5)
    top, height = rows.min(), np.ptp(rows)
    y, x, half = top + height // 3, int(np.median(columns)), max(1, height // 20)
    holed = alpha.copy()
    holed[y - half : y + half, x - half : x + half] = 0
    return holed


def score(folder: Path, seen: list[Cutout], own: list[Cutout], config: Reconstruction) -> tuple[dict[str, Any], Any]:
    """Reconstruct from `own`, judge against `seen`: the record of the run, and the figures."""
    cameras = {cutout.camera.id: cutout.camera for cutout in seen}
    train, test = held_out(list(cameras), config)
    centre, size = scene_box(cameras.values())
    export_cutouts(folder / "in", own, train=train, test=test, box_centre=centre.tolist(), box_size=size)
    record = learn_field(folder / "in", folder / "out", config)
    true = {cutout.camera.id: cutout for cutout in seen}
    references = {name: Reference(true[name].image, true[name].alpha) for name in test}
    return record, evaluate(read_renders(folder / "out"), references)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".capmat/benchmark-reconstruction"))
    parser.add_argument("--backend", choices=("voxel-grid", "nerfstudio"), default="voxel-grid")
    parser.add_argument("--preset", choices=("paper", "carve", "quick"), default="carve")
    parser.add_argument("--cameras", type=int, default=12)
    parser.add_argument("--size", default="224x288", metavar="WxH")
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    config = Reconstruction(backend=given.backend, preset=given.preset)
    seen = stage(given.folder, given.cameras, (width, height))
    holed = [Cutout(cutout.camera, cutout.image, pierced(cutout.alpha)) for cutout in seen]
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    for what, own in (("true mattes", seen), ("a hole in every matte", holed)):
        place = given.folder / f"{given.backend}-{given.preset}-{given.cameras}" / what.replace(" ", "-")
        record, figures = score(place, seen, own, config)
        print(
            f"{what}: {record['backend']}, {given.preset}, {given.cameras} cameras of {given.size}, "
            f"{record['iterations']} iterations in {record['fit_s']:.1f} s "
            f"({record['iterations'] / record['fit_s']:.1f} per second, renders included), {record['background']} "
            f"background: {figures['psnr']:.2f} dB, foreground {figures['psnr_foreground']:.2f} dB, SSIM "
            f"{figures['ssim']:.4f}; black {figures['black']:.2f} dB{', COLLAPSED' if figures['collapsed'] else ''}",
            flush=True,
        )


if __name__ == "__main__":
    main()
