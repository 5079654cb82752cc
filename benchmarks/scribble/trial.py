"""What *Train now* on the scribble page does to mattes of the rendered stage, whose truth is known.

    python -m benchmarks.scribble.trial                   # a minute for each of three seeds
    python -m benchmarks.scribble.trial --seconds 40 160  # and a training four times as long

For each seed the simulated person of `capmat demo` paints on three cameras of a take that the model in use has never
seen. The page would show three cameras more, the first without strokes; all others are matted as well.
"""

import argparse
import shutil
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.mining import prepared
from storage.labels.drafts import save_draft
from storage.labels.strokes import Drawing, Label, Stroke
from storage.labels.trimaps import truth_of
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.models.networks import Run, champion
from tasks.sim import hand
from tasks.train.trial import Asked, try_out

_PAINTED = _SHOWN = 3
_PIXEL = 0.75  # radius of a stroke on one pixel
_LABELS: dict[hand.Colour, Label] = {hand.FOREGROUND: "fg", hand.BACKGROUND: "bg"}


def trained(config: Config, name: str, truth: str, seconds: float) -> str:
    """One line of the table; the store gets the strokes as drafts."""
    root = Root(config.store)
    take, true = Take.open(root, name), truth_of(truth, name)
    run, frame = Run("teacher", champion(config.store, "teacher")).name, take.frames[0]
    rng = np.random.default_rng(config.seed)
    painted = sorted(rng.choice(list(take.cameras), _PAINTED, replace=False).tolist())
    for camera in painted:
        lines = hand.strokes_on(true(camera, frame), take.read_alpha(run, camera, frame), rng)
        strokes = [
            Stroke(_LABELS[colour], _PIXEL, ((float(x), float(y)),), "somebody", "")
            for where, colour in lines
            for y, x in np.argwhere(where) + 0.5
        ]
        height, width = true(camera, frame).shape
        save_draft(root, Drawing(name, camera, frame, width, height, tuple(strokes)), 0)
    cameras = [*painted, *(camera for camera in take.cameras if camera not in painted)]
    asked = Asked((name,), name, run, tuple((camera, frame) for camera in cameras))
    record = try_out(config, asked, lambda said: None, seconds)
    after = [np.asarray(Image.open(BytesIO(png)), np.float32) / 255 for png in record["pngs"]]
    mattes = [(take.read_alpha(run, camera, frame), pha) for camera, pha in zip(cameras, after, strict=True)]
    errors = np.array([
        [1e3 * np.abs(pha - true(camera, frame)).mean() for pha in pair]
        for camera, pair in zip(cameras, mattes, strict=True)
    ])  # fmt: skip
    cells = [f"{config.seed}: {', '.join(painted)}", f"{record['steps']} in {record['seconds']:.0f} s"]
    for part in (errors[:_PAINTED], errors[_PAINTED:][:_SHOWN], errors[_PAINTED:]):
        old, new = part.mean(0)
        cells += [
            f"{old:.1f} → {new:.1f} ({new / old - 1:+.0%})",
            f"{(part[:, 1] > part[:, 0]).sum()} of {len(part)}",
        ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run and print a table for docs/scribbling.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", default="cedar")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, nargs="+", default=[40.0])
    parser.add_argument(
        "--store", default=".capmat/benchmark-mining", help="is filled from the sample if it is empty"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    store = str(Path(given.store).absolute())
    prepared(Config(store=store), [given.take])
    print(
        "| seed, painted | steps | painted | worse | shown | worse | all without strokes | worse |\n"
        + "|---" * 8
        + "|"
    )
    for seconds in given.seconds:
        for seed in given.seeds:
            with tempfile.TemporaryDirectory() as folder:  # the strokes of one seed are not those of the next
                shutil.copytree(store, folder, dirs_exist_ok=True)
                print(trained(Config(store=folder, seed=seed), given.take, "samples/truth", seconds), flush=True)


if __name__ == "__main__":
    main()
