"""Does mining find what is wrong? Precision among the first k boxes, on takes whose true mattes are known.

    python -m benchmarks.mining                         # the sample session, in a store of its own, base weights
    python -m benchmarks.mining --store .capmat/store --truth samples/truth cedar amber birch

Takes that are not in the store are ingested and matted by the base student and teacher first. Then every picture is
looked at with all signals, boxes are taken by the fused score, by each signal alone and (from all windows there are)
by chance, and a box counts as right where the mean error |alpha - truth| in it is at least --error.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from capmat_models.mining import Spot, diversified, spots
from storage.labels.trimaps import truth_of
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take, list_takes
from tasks.config import Config
from tasks.ingest.session import ingest, plates, take_record
from tasks.labels.mine import frame as frame_of
from tasks.labels.mine.queue import network_of
from tasks.matte.take import matte, open_run
from tasks.models.networks import Run, champion, register_base

SIGNALS = ("teacher", "err", "residual", "soft", "unsteady", "halo", "hole", "jump")
_KS = (5, 10, 20, 40)


def prepared(config: Config, takes: list[str]) -> None:
    """Ingest and matte what is not there."""
    register_base(config.store, config.weights, config.architectures)
    root = Root(config.store)
    digest = plates(config.store, config.session)["digest"]
    for name in takes:
        if name not in list_takes(root):
            ingest(config.store, config.session, name, digest)
        record = take_record(config.store, name)
        for role in ("student", "teacher"):
            model = champion(config.store, role)
            open_run(config.store, name, Run(role, model))
            matte(config.store, name, record["cameras"], record["frames"], Run(role, model), record["digest"])


def looked(config: Config, take: Take) -> dict[tuple[str, int], dict[str, Any]]:
    """All signals of every picture, by camera and frame."""
    run, teacher = (Run(role, champion(config.store, role)).name for role in ("student", "teacher"))
    network = network_of(config.store, take.alpha_runs()[run], 1)
    stage = Stage.under(take)
    found = {}
    for frame in take.frames:
        fit = frame_of.fit_of(take, run, frame, config.reconstruction)
        for camera in take.cameras:
            one = frame_of.look(take, stage, run, teacher, camera, frame, fit)
            one.maps.update(frame_of.ask(network, take, stage, camera, frame, one))
            found[camera, frame] = {"maps": one.maps, "fold": one.fold, "pha": take.read_alpha(run, camera, frame)}
    return found


Pictures = Mapping[tuple[str, int], Mapping[str, Any]]


def taken(pictures: Pictures, chosen: Callable[[Mapping[str, Any]], Mapping[str, Any]], count: int,
          *, spread: bool) -> list[tuple[str, int, Spot]]:  # fmt: skip
    """The best boxes of all pictures by some of the signals; with `spread` as `capmat mine` orders them."""
    boxes = [
        (camera, frame, spot)
        for (camera, frame), picture in pictures.items()
        if (maps := chosen(picture["maps"]))
        for spot in spots(maps, frame_of.BOXES)
    ]
    if not spread:
        return sorted(boxes, key=lambda box: -box[2].score)[:count]
    order = diversified([(camera, frame, spot.box, spot.score) for camera, frame, spot in boxes], count)
    return [boxes[index] for index, _ in order]


def main() -> None:
    """Run and print a table for docs/mine.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("take", nargs="*", default=["cedar", "amber", "birch"])
    parser.add_argument("--store", default=".capmat/benchmark-mining")
    parser.add_argument("--session", default="samples/session/session.toml")
    parser.add_argument("--truth", default="samples/truth")
    parser.add_argument("--error", type=float, nargs="+", default=[0.15, 0.3],
                        help="mean error from which a box is wrong (default: 0.15, and 0.3)")  # fmt: skip
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = Config(store=str(Path(given.store).absolute()), session=str(Path(given.session).absolute()))
    prepared(config, given.take)
    for name in given.take:
        take = Take.open(Root(config.store), name)
        truth = truth_of(given.truth, name)
        pictures = looked(config, take)
        errors = {key: np.abs(picture["pha"] - truth(*key)) for key, picture in pictures.items()}

        for least in given.error:
            print(f"\n{name}: {len(pictures)} pictures, a box is wrong from a mean error of {least}")
            print("\n".join(table(pictures, errors, least)), flush=True)


def table(pictures: Pictures, errors: Mapping[tuple[str, int], np.ndarray], least: float) -> list[str]:
    """Precision among the first boxes of every way to take them, as markdown."""
    ways: dict[str, list[tuple[str, int, Spot]]] = {
        "all signals, spread (`capmat mine`)": taken(pictures, lambda maps: maps, max(_KS), spread=True),
        "all signals": taken(pictures, lambda maps: maps, max(_KS), spread=False),
    }
    for signal in SIGNALS:
        alone = partial(_only, signal)
        ways[f"`{signal}` alone"] = taken(pictures, alone, max(_KS), spread=False)
    lines = ["| boxes by | " + " | ".join(f"first {k}" for k in _KS) + " |", "|---|" + "---:|" * len(_KS)]
    for label, boxes in ways.items():
        hits = []
        for camera, frame, spot in boxes:
            x0, y0, x1, y1 = (edge * pictures[camera, frame]["fold"] for edge in spot.box)
            hits.append(bool(errors[camera, frame][y0:y1, x0:x1].mean() >= least))
        # a box that a signal does not have was not found
        lines.append(f"| {label} | " + " | ".join(f"{sum(hits[:k]) / k:.2f}" if hits else "-" for k in _KS) + " |")
    chance = np.mean([_windows(error, least).mean() for error in errors.values()])
    return [*lines, "| chance | " + " | ".join(f"{chance:.3f}" for _ in _KS) + " |"]


def _only(signal: str, maps: Mapping[str, Any]) -> dict[str, Any]:
    return {signal: maps[signal]} if signal in maps else {}


def _windows(error: np.ndarray, least: float) -> np.ndarray:
    """Whether each of all windows of a picture, laid as mining lays them, is wrong."""
    side = max(4, round(error.shape[0] / 8))
    means = F.avg_pool2d(torch.from_numpy(error)[None, None], side, max(1, side // 4))
    return (means[0, 0] >= least).numpy()


if __name__ == "__main__":
    main()
