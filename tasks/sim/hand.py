"""A simulated annotator: sparse strokes on what a model got wrong, and trimaps, as a person would draw them.

The paper's annotators paint over failures and keep away from boundaries (Sec. 4.2 and 4.3). This one knows the
truth and paints a few broken lines where the prediction is far from it, inside background or what looks solid: dense
hair does. One to three strokes on correct places tell the model what to keep. Trimaps are wide at hair.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.labels.trimaps import truth_of
from storage.pictures.png import encode_png
from storage.store.root import Root
from storage.takes.take import Take
from tasks.runtime.progress import say
from tasks.runtime.step import Record, digest, retryable

Float = NDArray[np.floating]
Bool = NDArray[np.bool_]
Strokes = NDArray[np.uint8]
Colour = tuple[int, int, int, int]

FOREGROUND = (0, 255, 0, 255)
BACKGROUND = (255, 0, 0, 255)

WRONG = 0.3
"""A person sees an error of this size."""
SOLID = 0.9
"""An alpha from which on a person sees no background through a subject."""
_MARGIN = 1.0  # pixels that the brush keeps from soft edges


def annotate(
    alpha_true: Float, alpha_pred: Float, rng: np.random.Generator, *, strokes: int = 6, radius: float = 2.0
) -> Strokes:
    """Scribbles on the failures of a prediction.

    Args:
        alpha_true: (H, W) 0..1.
        alpha_pred: (H, W) 0..1.
        rng: decides where the hand moves.
        strokes: most lines on failures; up to three more confirm what is right.
        radius: of the brush in pixels.

    Returns:
        (H, W, 4) uint8 RGBA overlay without antialiasing: green is foreground where truth is at least `SOLID`,
        red is background where truth is 0, everything else is transparent.
    """
    overlay = np.zeros((*alpha_true.shape, 4), np.uint8)
    for where, colour in strokes_on(alpha_true, alpha_pred, rng, strokes=strokes, radius=radius):
        overlay[where] = colour
    return overlay


def strokes_on(
    alpha_true: Float, alpha_pred: Float, rng: np.random.Generator, *, strokes: int = 6, radius: float = 2.0
) -> list[tuple[Bool, Colour]]:
    """The lines of `annotate`, as drawn one after the other: the pixels (H, W) and the colour of each."""
    from scipy.ndimage import label

    wrong = np.abs(alpha_pred - alpha_true) > WRONG
    regions: list[tuple[int, Bool, Colour]] = []
    room = rooms(alpha_true, radius)
    for colour in room:
        parts, count = label(wrong & room[colour])
        for index in range(1, count + 1):
            region = parts == index
            regions.append((int(region.sum()), region, colour))
    # The largest failures first, as a person would; a very large one gets a second and third line.
    regions.sort(key=lambda item: -item[0])
    drawn, left = [], strokes
    for area, region, colour in regions:
        lines = min(left, 1 + min(area // 900, 2))
        drawn += [(stroke(region, rng, radius), colour) for _ in range(lines)]
        left -= lines
        if left <= 0:
            break
    for colour, lines in ((FOREGROUND, 1), (BACKGROUND, 2)):
        right = room[colour] & ~wrong
        drawn += [(stroke(right, rng, radius), colour) for _ in range(lines if right.any() else 0)]
    return drawn


def rooms(alpha_true: Float, radius: float) -> dict[Colour, Bool]:
    """Where the middle of a brush may go for each colour, (H, W): its rim then still keeps the margin."""
    from scipy.ndimage import distance_transform_edt

    sure = {FOREGROUND: alpha_true >= SOLID, BACKGROUND: alpha_true <= 1e-3}
    padded = {colour: np.pad(where, 1, constant_values=True) for colour, where in sure.items()}
    return {colour: distance_transform_edt(where)[1:-1, 1:-1] > radius + _MARGIN for colour, where in padded.items()}


def stroke(region: Bool, rng: np.random.Generator, radius: float) -> Bool:
    """One broken line of three to five short legs whose middle never leaves a region that is not empty; (H, W)."""
    ys, xs = np.nonzero(region)
    pick = rng.integers(len(ys))
    at = np.array([ys[pick], xs[pick]], float)
    heading = rng.uniform(0, 2 * np.pi)
    reach = 0.07 * max(region.shape)
    path = [at]
    for _ in range(int(rng.integers(3, 6))):
        heading += rng.normal(0, 0.6)
        for _ in range(8):  # turn until the leg has somewhere to go
            leg = _leg(region, at, heading, reach * rng.uniform(0.5, 1.0))
            if len(leg) > 2:
                break
            heading += rng.uniform(-2, 2)
        path += leg
        at = path[-1]
    rows, columns = np.mgrid[: region.shape[0], : region.shape[1]]
    painted = np.zeros(region.shape, bool)
    for y, x in path:
        y0, y1 = int(max(y - radius - 1, 0)), int(y + radius + 2)
        x0, x1 = int(max(x - radius - 1, 0)), int(x + radius + 2)
        painted[y0:y1, x0:x1] |= (rows[y0:y1, x0:x1] - y) ** 2 + (columns[y0:y1, x0:x1] - x) ** 2 <= radius**2
    return painted


def _leg(region: Bool, start: Float, heading: float, length: float) -> list[Float]:
    step = np.array([np.sin(heading), np.cos(heading)])
    leg: list[Float] = []
    for k in range(1, int(length) + 1):
        y, x = np.rint(start + k * step).astype(int)
        if not (0 <= y < region.shape[0] and 0 <= x < region.shape[1] and region[y, x]):
            break
        leg.append(np.array([y, x], float))
    return leg


def draw_trimap(alpha: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A trimap for a true alpha.

    Args:
        alpha: (H, W) 0..1.
        rng: decides where the brush was wide.

    Returns:
        (H, W) uint8: 0 background, 128 unknown, 255 foreground. Sure pixels have alpha below 0.01 or above 0.99.
    """
    from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter

    inside = alpha > 0.5
    soft = (alpha > 0.01) & (alpha < 0.99)
    edge = soft | (inside & ~binary_erosion(inside, border_value=1))
    if not edge.any():
        return np.where(inside, 255, 0).astype(np.uint8)
    wave = gaussian_filter(rng.normal(size=alpha.shape), 12)
    wave = (wave - wave.min()) / max(float(np.ptp(wave)), 1e-9)
    # Where many fractional pixels lie together there is hair; a person paints round all of it.
    hairy = np.clip(gaussian_filter(soft.astype(np.float64), 4) / 0.3 - 1, 0, 1)
    width = 1.2 + 2.0 * wave + 3.0 * hairy
    unknown = distance_transform_edt(~edge) <= width
    return np.where(unknown, 128, np.where(inside, 255, 0)).astype(np.uint8)


def annotate_take(store: str, inbox: str, truth: str, take: str, run: str, seed: int) -> Record:
    """Paint one overlay per frame of a take in which the teacher erred.

    Args:
        store: URL of the store.
        inbox: folder that the overlays go to, `<take>/<camera>/<frame>.png`.
        truth: folder of the ground truth, `<take>/<camera>/<frame>_alpha.png`.
        take: which take.
        run: alpha run of the base teacher.
        seed: of the strokes.

    Returns:
        Number of `overlays` painted and the mean share of painted pixels.
    """
    recording = Take.open(Root(store), take)
    alpha = truth_of(truth, take)
    shares = []
    for camera in recording.cameras:
        for frame in recording.frames:
            true = alpha(camera, frame)
            pred = recording.read_alpha(run, camera, frame)
            rng = np.random.default_rng([seed, int(digest([take, camera, frame]), 16) % 2**32])
            overlay = annotate(true, pred, rng)
            painted = float((overlay[..., 3] > 0).mean())
            if painted == 0:
                continue
            Root(inbox).write(f"{take}/{camera}/{frame:04d}.png", encode_png(overlay))
            shares.append(painted)
    say(f"painted {len(shares)} overlays, {100 * float(np.mean(shares)):.1f} % of their pixels")
    return {"overlays": len(shares), "painted_share": float(np.mean(shares))}


annotate_task = retryable("scribble", "scribble on {take}")(annotate_take)
