"""How good the supervisors are where the truth is known, and how long they take.

    python -m benchmarks.supervisors                    # the hand-drawn trimaps of the sample session
    python -m benchmarks.supervisors FOLDER             # each folder in it has image.png, trimap.png and alpha.png
    python -m benchmarks.supervisors --model diffmatte_xs --steps 1 10 --weights FOLDER

Prints for each picture the share of unknown pixels and the MSE of each supervisor, in 1e-4 over the whole picture. At
the end the mean and the seconds of processor time of every supervisor, and how far the mattes of any two are apart.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from storage.labels.trimaps import truth_of
from storage.pictures.files import read_guide
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.ingest.session import ingest, plates
from tasks.matte.picture import open_base, read_display
from tasks.validate.supervise import supervise
from tests.project import ROOT

SAMPLES = ROOT / "samples"


def pictures(folder: Path | None) -> Iterator[tuple[str, Any, Any, Any]]:
    """Name, picture (3, H, W) 0..1, trimap (H, W) of 0, 128, 255, and true alpha (H, W) 0..1."""
    if folder is None:
        session, truth = str(SAMPLES / "session/session.toml"), truth_of(str(SAMPLES / "truth"), "cedar")
        with TemporaryDirectory() as store:  # pictures become display-referred as they are ingested
            ingest(store, session, "cedar", plates(store, session)["digest"])
            take = Take.open(Root(store), "cedar")
            for file in sorted((SAMPLES / "session/trimaps").glob("*/*.png")):
                key = file.parent.name, int(file.stem)
                yield key[0], take.read(*key), _trimap(file), truth(*key)
        return
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        true = read_guide(case / "alpha.png")
        yield case.name, read_display(case / "image.png"), _trimap(case / "trimap.png"), true


def _trimap(file: Path) -> Any:
    return np.rint(read_guide(file) * 255).astype(np.uint8)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--model", nargs="+", default=["closed_form", "diffmatte_xs"])
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 10], help="of DiffMatte")
    parser.add_argument("--weights", type=Path, default=Path(Config().weights))
    args = parser.parse_args()
    runs: dict[str, tuple[Any, int]] = {}
    for name in args.model:
        network = open_base(args.weights, name)
        several = args.steps if network.sampled else [0]
        runs |= {f"{name} {steps}" if steps else name: (network, steps) for steps in several}
    seconds = dict.fromkeys(runs, 0.0)
    errors: dict[str, list[float]] = {run: [] for run in [*runs, *map(" - ".join, combinations(runs, 2))]}
    for name, src, trimap, true in pictures(args.folder):
        mattes = {}
        for run, (network, steps) in runs.items():
            begin = time.process_time()
            mattes[run] = supervise(network, src, trimap, steps, 0, name)
            seconds[run] += time.process_time() - begin
            errors[run].append(1e4 * float(np.square(mattes[run] - true).mean()))
        for one, two in combinations(runs, 2):
            errors[f"{one} - {two}"].append(1e4 * float(np.square(mattes[one] - mattes[two]).mean()))
        figures = ", ".join(f"{run} {each[-1]:.1f}" for run, each in errors.items())
        print(f"{name}: {100 * np.mean(trimap == 128):.1f} % unknown, {figures}", flush=True)
    for run, each in errors.items():
        took = f", {seconds[run]:.1f} s" if run in seconds else ""
        print(f"mean of {len(each)}: {run} {np.mean(each):.1f}{took}")


if __name__ == "__main__":
    main()
