"""What the preview is worth on the rendered stage: the error that strokes take away, by rule, and stroke by stroke.

    python -m benchmarks.scribble.preview rules     # the preview beside other rules; some minutes
    python -m benchmarks.scribble.preview strokes   # persons with and without the preview; a quarter of an hour

Both work on mattes of the base teacher and student on takes that the preview's numbers were not chosen on, and with
the simulated person of `capmat demo`, who sees errors above 0.3 and keeps away from soft edges. Figures are sums over
all pixels of all pictures and seeds, so that a bad picture counts as much as it is bad. For all persons, strokes take
away what the preview makes of them; a training does more.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, label

from benchmarks.mining import prepared
from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN
from storage.labels.trimaps import truth_of
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.heal import healed
from tasks.models.networks import Run, champion
from tasks.sim import hand

Floats = NDArray[np.float32]
_RADIUS = 2.0
_SHOWN = (1, 2, 3, 4, 6, 8)
_VALUES = {hand.FOREGROUND: FOREGROUND, hand.BACKGROUND: BACKGROUND}


@dataclass(frozen=True)
class Picture:
    """A picture (H, W, 3), its plate, a matte (H, W) of it and the truth, 0..1."""

    take: str
    role: str
    src: Floats
    bgr: Floats
    pha: Floats
    true: Floats

    def error(self, pha: Floats) -> Floats:
        """How far a matte is from the truth at each pixel."""
        return np.abs(pha - self.true)


def pictures(config: Config, takes: Iterable[str], truth: str) -> list[Picture]:
    """Every picture of some takes twice, with the matte of the teacher and of the student."""
    found = []
    for name in takes:
        take, true = Take.open(Root(config.store), name), truth_of(truth, name)
        stage = Stage.under(take)
        for role in ("teacher", "student"):
            run = Run(role, champion(config.store, role)).name
            for camera in take.cameras:
                bgr = stage.plate(camera).transpose(1, 2, 0)
                for frame in take.frames:
                    src, pha = take.read(camera, frame).transpose(1, 2, 0), take.read_alpha(run, camera, frame)
                    found.append(Picture(name, role, src, bgr, pha, true(camera, frame)))
    return found


def preview(picture: Picture, strokes: NDArray[np.uint8], *, plate: bool = True) -> Floats:
    """The matte as the page would preview it."""
    bgr = picture.bgr if plate else picture.src
    return healed(picture.src, bgr, picture.pha, strokes, min(picture.pha.shape))


def geodesic(picture: Picture, strokes: NDArray[np.uint8]) -> Floats:
    """A stroke's value, trusted the less the longer and the more changing the way from the stroke to a pixel is."""
    from skimage.graph import MCP_Geometric

    scales = np.sqrt(np.array([60.0] * 6 + [4.0]))
    features = np.concatenate([picture.src, picture.src - picture.bgr, picture.pha[..., None]], 2) * scales
    change = np.sqrt(sum((np.square(part).sum(2) for part in np.gradient(features, axis=(0, 1))), np.zeros(1)))
    near = {}
    for value in (BACKGROUND, FOREGROUND):
        starts = np.argwhere(strokes == value)
        way = MCP_Geometric(0.02 + change).find_costs(starts)[0] if len(starts) else np.inf
        near[value] = np.exp(-((way / 2) ** 2)) * np.ones(strokes.shape)
    total = near[BACKGROUND] + near[FOREGROUND]
    pha = picture.pha + (near[FOREGROUND] / np.maximum(total, 1e-9) - picture.pha) * total / (total + 0.3)
    return np.where(strokes == OPEN, pha, strokes).astype(np.float32)


RULES: dict[str, Callable[[Picture, NDArray[np.uint8]], Floats]] = {
    "the strokes alone": lambda picture, strokes: np.where(strokes == OPEN, picture.pha, strokes).astype(np.float32),
    "geodesic distance in the picture": geodesic,
    "**the preview**": preview,
    "the preview without the plate": lambda picture, strokes: preview(picture, strokes, plate=False),
}


def rules(some: list[Picture], seeds: list[int]) -> list[str]:
    """A table of rules: error taken away and added, also further from strokes than a tenth of the height."""
    sums = {rule: np.zeros(4) for rule in RULES}
    before = 0.0
    for seed in seeds:
        for number, picture in enumerate(some):
            strokes = np.full(picture.pha.shape, OPEN, np.uint8)
            for where, colour in hand.strokes_on(picture.true, picture.pha, np.random.default_rng([seed, number])):
                strokes[where] = _VALUES[colour]
            far = distance_transform_edt(strokes == OPEN) > 0.1 * len(strokes)
            wrong = picture.error(picture.pha)
            before += float(wrong.sum())
            for name, rule in RULES.items():
                gain = wrong - picture.error(rule(picture, strokes))
                added = -gain.clip(max=0)
                sums[name] += gain.clip(0).sum(), added.sum(), added[far].sum(), gain.sum() < 0
    lines = ["| rule | removed | added | added far from strokes | pictures that got worse |", "|" + "---|" * 5]
    for name, (removed, added, away, worse) in sums.items():
        shares = f"{removed / before:.0%} | {added / before:.1%} | {away / before:.2%}"
        lines.append(f"| {name} | {shares} | {worse:.0f} of {len(some) * len(seeds)} |")
    return lines


def session(picture: Picture, sees: bool, count: int, rng: np.random.Generator) -> list[float]:
    """The error that is left after each of some strokes; the last one stays where a person sees no more to do.

    Who sees the preview paints on the largest place that looks wrong in it. Who is blind sees the stored matte and
    the strokes, and so first gives every place one stroke, and then more to those with the most area a stroke.
    """
    room = hand.rooms(picture.true, _RADIUS)
    strokes, drawn = np.full(picture.pha.shape, OPEN, np.uint8), list[NDArray[np.bool_]]()
    shown, left = picture.pha, [float(picture.error(picture.pha).sum())]
    while len(left) <= count:
        places = []
        for colour, where in room.items():
            parts, number = label((picture.error(shown) > hand.WRONG) & where)
            for index in range(1, number + 1):
                region = parts == index
                hits = sum(bool((region & line).any()) for line in drawn)
                worth = (False, region.sum()) if sees else (hits == 0, region.sum() / (1 + hits))
                places.append((worth, region, colour))
        if not places:
            return left[1:] + [left[-1]] * (count + 1 - len(left))
        _, region, colour = max(places, key=lambda place: place[0])
        drawn.append(hand.stroke(region, rng, _RADIUS))
        strokes[drawn[-1]] = _VALUES[colour]
        after = preview(picture, strokes)
        left.append(float(picture.error(after).sum()))
        if sees:
            shown = after
    return left[1:]


def strokes_table(some: list[Picture], seeds: list[int]) -> list[str]:
    """The share of the error that is gone after some strokes of each person, together and by role."""
    before = np.array([picture.error(picture.pha).sum() for picture in some])
    lines = ["| | " + " | ".join(map(str, _SHOWN)) + " | a quarter is gone after |", "|---" * (len(_SHOWN) + 2) + "|"]
    for name, sees in (("with the preview", True), ("blind", False)):
        left = np.array([
            [session(picture, sees, max(_SHOWN), np.random.default_rng([seed, number])) for seed in seeds]
            for number, picture in enumerate(some)
        ])  # fmt: skip
        for role in ("", "teacher", "student"):
            chosen = np.array([role in ("", picture.role) for picture in some])
            gone = 1 - left[chosen].sum((0, 1)) / (before[chosen].sum() * len(seeds))
            first = left[chosen] < 0.75 * before[chosen, None, None]
            counts = np.where(first.any(2), first.argmax(2) + 1, np.inf)
            cells = [f"{gone[count - 1]:.0%}" for count in _SHOWN]
            reached = f"{np.median(counts):.0f} strokes (median), {np.isfinite(counts).sum()} of {counts.size}"
            lines.append(f"| {name}{role and ', ' + role} | " + " | ".join(cells) + f" | {reached} |")
        print(lines[-3], flush=True)
    return lines


def main() -> None:
    """Run and print a table for docs/scribbling.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rules", "strokes"))
    parser.add_argument("--takes", nargs="+", default=["cedar"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument(
        "--store", default=".capmat/benchmark-mining", help="is filled from the sample if it is empty"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = Config(store=str(Path(given.store).absolute()))
    prepared(config, given.takes)
    some = pictures(config, given.takes, "samples/truth")
    print("\n".join((rules if given.what == "rules" else strokes_table)(some, given.seeds)))


if __name__ == "__main__":
    main()
