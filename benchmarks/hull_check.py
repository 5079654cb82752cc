"""How long it takes to compare the mattes of a frame with each other, and what is found of known defects.

    python -m benchmarks.hull_check                            # 40 cameras of 2664x2304, 256 voxels, this machine
    python -m benchmarks.hull_check --cameras 12 --size 224x288 --voxels 192
    python -m benchmarks.hull_check --device cuda
    python -m benchmarks.hull_check --store .capmat/store cedar amber birch   # mattes whose truth is known

The mattes are made up: two ellipsoids, rendered small and enlarged. Prints the seconds of shrinking the mattes to
their working size and of the check itself, then for discs of 2 % of the silhouette in a quarter of the views (holes
inside, halos that touch it): how many were pointed out, and how many spots were pointed out that are none. With takes
of a store, the same on their true mattes (--truth), in all frames; and of every run of mattes that the first frames
have, how many of the pixels that were pointed out are wrong, how many of the wrong ones were pointed out, and the
squared error before and after halos are removed, as `capmat matte --hull` does.
"""

import argparse
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from capmat_models.geometry.hull_check import ViewCheck, check_hull, without_halo
from capmat_models.geometry.views import finest, shrunk, shrunk_picture, working_fold
from storage.calibration.box import scene_box
from storage.export.read_scene import placed_in_box
from storage.labels.trimaps import truth_of
from storage.store.root import Root
from storage.takes.take import Take
from tasks.geometry.box import torch_view
from tests.ellipsoids import cutout, ring

_SHARE = 0.02
_WRONG = 0.4  # error of alpha from which a pixel is wrong
_WIDE = 256  # of what is rendered


def mattes_of(cameras: int, size: tuple[int, int]) -> tuple[list[Any], list[Tensor]]:
    """Views and mattes (1, H, W) of a ring of cameras; `size` is (width, height)."""
    width, height = size
    rendered = _WIDE if width > _WIDE else width
    small = ring(cameras, rendered, round(rendered * height / width))
    full = ring(cameras, width, height)
    centre, edge = scene_box(full)
    views = [torch_view(placed_in_box(camera, centre, edge)) for camera in full]
    alphas = (torch.from_numpy(cutout(camera).alpha)[None, None] for camera in small)
    return views, [F.interpolate(alpha, (height, width), mode="bilinear")[0] for alpha in alphas]


def disc(matte: Tensor, hole: bool, rng: np.random.Generator) -> np.ndarray:
    """A disc of 2 % of the silhouette (h, w), inside it or touching it from outside."""
    solid = matte.numpy() >= 0.5
    near = ndimage.binary_dilation(matte.numpy() > 0.1, iterations=2)
    radius = np.sqrt(_SHARE * solid.sum() / np.pi)
    row, column = np.mgrid[: solid.shape[0], : solid.shape[1]]
    while True:
        y, x = (rng.uniform(radius, side - radius) for side in solid.shape)
        pixels: np.ndarray = (row - y) ** 2 + (column - x) ** 2 <= radius**2
        inside = solid[pixels].mean()
        if (hole and inside > 0.9) or (not hole and inside < 0.1 and near[pixels].any()):
            return pixels


def injected(
    check: Callable[[list[Tensor]], list[ViewCheck]], mattes: list[Tensor], rounds: int
) -> tuple[int, int, int]:
    """Defects that were made, that were found (a tenth of them pointed out), and spots that are none."""
    made = found = false = 0
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        broken, places = [matte.cpu() for matte in mattes], {}
        for n, view in enumerate(rng.choice(len(mattes), max(2, len(mattes) // 4), replace=False)):
            places[int(view)] = (n % 2 == 0, disc(broken[view], n % 2 == 0, rng))
            hole, pixels = places[int(view)]
            broken[view] = torch.where(torch.from_numpy(pixels), 0.0 if hole else 1.0, broken[view])
        for index, one in enumerate(check([matte.to(mattes[0].device) for matte in broken])):
            halos, holes = one.halo.cpu().numpy() >= 0.5, one.hole.cpu().numpy() >= 0.5
            own = np.zeros_like(halos)
            if index in places:
                hole, pixels = places[index]
                found += int((holes if hole else halos)[pixels].mean() >= 0.1)
                own = ndimage.binary_dilation(pixels, iterations=2)
            spots, count = ndimage.label(halos | holes)
            false += sum(not own[spots == spot].any() for spot in range(1, count + 1))
        made += len(places)
    return made, found, false


def known(store: str, truth: str, takes: list[str], voxels: int, rounds: int) -> None:
    """Takes whose true mattes are known: defects made in those, and what is said of the mattes of networks."""
    made = np.zeros(4, np.int64)
    runs: dict[str, np.ndarray] = {}
    errors: dict[str, list[tuple[float, float]]] = {}
    for name in takes:
        take, true = Take.open(Root(store), name), truth_of(truth, name)
        cameras = list(take.cameras.values())
        centre, edge = scene_box(cameras)
        views = [torch_view(placed_in_box(camera, centre, edge)) for camera in cameras]
        finer = finest(views, voxels)
        folds = [working_fold(view, finer) for view in views]
        small_views = [shrunk(view, fold) for view, fold in zip(views, folds, strict=True)]

        def small(alphas: list[np.ndarray], folds: list[int] = folds) -> list[Tensor]:
            return [shrunk_picture(torch.from_numpy(a)[None], fold)[0] for a, fold in zip(alphas, folds, strict=True)]

        def check(some: list[Tensor], views: list[Any] = small_views, finer: int = finer) -> list[ViewCheck]:
            return check_hull(views, some, finer)

        for frame in take.frames:
            alphas = small([true(camera.id, frame) for camera in cameras])
            made += (*injected(check, alphas, rounds), rounds * len(views))
        frame = take.frames[0]
        truths = [true(camera.id, frame) for camera in cameras]
        right = small(truths)
        for run in take.alpha_runs():
            alphas = [take.read_alpha(run, camera.id, frame) for camera in cameras]
            mattes = small(alphas)
            counts = runs.setdefault(run, np.zeros(6, np.int64))
            checks = check(mattes)
            for pha, known_pha, one, fold in zip(alphas, truths, checks, folds, strict=True):
                after = without_halo(torch.from_numpy(pha), one.halo, fold).numpy()
                before = float(((pha - known_pha) ** 2).mean())
                errors.setdefault(run, []).append((before, float(((after - known_pha) ** 2).mean())))
            for one, matte, pha in zip(checks, mattes, right, strict=True):
                for at, spot, wrong in ((0, one.halo, matte - pha > _WRONG), (3, one.hole, pha - matte > _WRONG)):
                    told = spot >= 0.5
                    counts[at : at + 3] += (int(told.sum()), int(wrong.sum()), int((told & wrong).sum()))
    print(f"defects of {_SHARE:.0%}: {made[1]} of {made[0]} found, {made[2]} false spots in {made[3]} views")
    for run, (*halo, told, wrong, both) in runs.items():
        print(f"{run}: {halo[2] / max(halo[0], 1):.0%} of halo pixels are wrong, {halo[2] / max(halo[1], 1):.0%} of "
              f"alpha too high found; {both / max(told, 1):.0%} of hole pixels, {both / max(wrong, 1):.0%} of "
              "too low")  # fmt: skip
        before, after = 1e4 * np.array(errors[run]).T
        print(f"  without halos: MSE {before.mean():.1f} -> {after.mean():.1f} 1e-4, in {len(before)} pictures; "
              f"{(after > before).sum()} became worse, by {(after - before).max():.1f} at most")  # fmt: skip


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=40)
    parser.add_argument("--size", default="2304x2664", metavar="WxH", help="default: 2304x2664, 6.1 megapixels")
    parser.add_argument("--voxels", type=int, default=256, help="along the edge of the box (default: 256)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=2, help="of made-up defects (default: 2)")
    parser.add_argument("take", nargs="*", help="with --store: takes of it")
    parser.add_argument("--store", help="a store with takes whose truth is known")
    parser.add_argument("--truth", default="samples/truth", help="alphas of --store (default: samples/truth)")
    given = parser.parse_args()
    if given.store:
        known(given.store, given.truth, given.take, given.voxels, given.rounds)
        return
    width, height = map(int, given.size.split("x"))
    device = torch.device(given.device)
    views, mattes = mattes_of(given.cameras, (width, height))
    folds = [working_fold(view, given.voxels) for view in views]
    small_views = [shrunk(view, fold) for view, fold in zip(views, folds, strict=True)]

    def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        done = work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return done, time.perf_counter() - wall, time.process_time() - cpu

    def shrink() -> list[Tensor]:
        return [shrunk_picture(m.to(device), fold)[0] for m, fold in zip(mattes, folds, strict=True)]

    def check(some: list[Tensor]) -> list[ViewCheck]:
        return check_hull(small_views, some, given.voxels)

    small, wall, cpu = timed(shrink)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    print(f"{name}, {torch.get_num_threads()} threads, float32, torch {torch.__version__}")
    print(f"{given.cameras} mattes of {given.size} to {small[0].shape[1]}x{small[0].shape[0]}: "
          f"{wall:.2f} s, {cpu:.2f} s of processor time")  # fmt: skip
    if device.type == "cuda":
        check(small)  # the first call loads kernels
    found, wall, cpu = timed(lambda: check(small))
    print(f"check, {given.voxels} voxels: {wall:.2f} s, {cpu:.2f} s of processor time; "
          f"mean score of true mattes {np.mean([one.score for one in found]):.5f}")  # fmt: skip
    made, hit, false = injected(check, small, given.rounds)
    print(f"defects of {_SHARE:.0%}: {hit} of {made} found, {false} false spots in {given.rounds * len(views)} views")


if __name__ == "__main__":
    main()
