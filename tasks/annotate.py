"""The simulated annotator of the demo: paints overlays where the base teacher failed, as files, like a person.

It is no part of the pipeline. It stands for somebody who sees the frames and knows what is subject and what is
stage, which is why it alone may read the ground truth.
"""

from typing import Any

import numpy as np

from storage.labels.trimaps import truth_of
from storage.pictures.files import encode_png
from storage.store.root import Root
from storage.takes.take import Take
from tasks.runtime.progress import say
from tasks.runtime.step import Record, digest, retryable
from tasks.sim.hand import annotate


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
    record: dict[str, Any] = {"overlays": len(shares), "painted_share": float(np.mean(shares))}
    return record


annotate_task = retryable("scribble", "scribble on {take}")(annotate_take)
