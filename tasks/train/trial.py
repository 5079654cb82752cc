"""A training of some seconds on the strokes so far, to see what they teach; nothing of it is kept.

It is the fine-tuning of `tasks.train.teacher`: the same batches of base data and strokes, losses and rates. Its
length is a time. It starts from the model whose mattes the person sees, and half of the strokes in its batches are
those that are no labels yet, so that before and after differ by these. It writes nothing, to the store or elsewhere;
its mattes go to the program that asked.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from capmat_errors import TrainingError
from storage.labels.drafts import read_drafts
from storage.labels.label_set import Key
from storage.labels.raster import FOREGROUND, OPEN, rasterise
from storage.store.root import Root
from storage.takes.crops import Picture, frame_and_plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.desk import fresh, newest_set
from tasks.labels.views import to_png
from tasks.models.networks import Ref, card_of, load_network
from tasks.train.base_data import load_base_data
from tasks.train.plates import stage_plates, window
from tasks.train.watch import alpha_of, stage_frame

SECONDS = {"cpu": 40.0, "cuda": 10.0}
"""Length of the training."""
_STEPS = 100_000  # more than fit
_MOST_PIXELS = {"cpu": 2e6, "cuda": 26e6}  # of a frame; whole frames are matted
_CROP = {"cpu": 192, "cuda": 512}  # larger crops leave too few steps


@dataclass(frozen=True)
class Asked:
    """What a person asks for.

    Attributes:
        takes: whose drafts are used, besides the newest label set.
        take: of the frames that are shown.
        run: whose model is trained.
        frames: (camera, frame) with a matte of the run, which are matted again.
    """

    takes: tuple[str, ...]
    take: str
    run: str
    frames: tuple[tuple[str, int], ...]


class Shown(TypedDict):
    """A frame before and after: how far its matte is from its strokes, 0..1 (None without strokes)."""

    camera: str
    frame: int
    before: float | None
    after: float | None
    changed: float  # mean absolute change of alpha over the frame


class TrialRecord(TypedDict):
    """What a trial says at its end."""

    steps: int
    seconds: float
    painted: int  # frames with strokes that it learned from
    new: int  # of them, with strokes that are no labels yet
    frames: list[Shown]
    pngs: list[bytes]  # the mattes of `frames` after it, grey


class _TimeIsUp(Exception):  # noqa: N818 - it is the end, not an error
    pass


def model_of(root: Root, take: Take, run: str) -> Ref:
    """The teacher that made a run.

    Raises:
        TrainingError: the run is not of a teacher that can be trained.
        NotFound: the take has no such run, or the store no longer has the model.
    """
    info = take.run_info(run)
    where, fix = f"take {take.name} run {run}", "Choose the matte of a teacher at the lower left."
    if not info.get("role") or not info.get("name") or not info.get("version"):
        raise TrainingError("the store does not say which model made these mattes", where=where, fix=fix)
    model = Ref(name=info["name"], version=info["version"])
    if info["role"] != "teacher":
        raise TrainingError(
            f"these mattes are of a {info['role']}, and strokes train the teacher alone", where=where, fix=fix
        )
    card = card_of(root.url, model)
    if not card["architecture"].startswith("bg_vitmatte"):
        raise TrainingError(f"{card['architecture']} is used as it is and cannot be trained", where=where, fix=fix)
    return model


def painted_frames(
    root: Root, takes: Sequence[str], held: Sequence[str] = ()
) -> tuple[dict[Key, NDArray[np.uint8]], list[Key]]:
    """The labels (H, W) as they are now: those of the newest set, and the drafts of some takes over them.

    Args:
        root: the store.
        takes: whose drafts.
        held: takes that no training sees, by name or pattern.

    Returns:
        The labels of all painted frames, and the frames with strokes that the set does not have.
    """
    version = newest_set(root)
    labels = {key: version.label(*key) for key in version.keys} if version else {}
    new = []
    for take in takes:
        for key, draft in read_drafts(root, take).items():
            drawing = draft.drawing
            if strokes := fresh(version, drawing):
                labels[key] = rasterise(strokes, (drawing.height, drawing.width), below=labels.get(key))
                new.append(key)
    learnt = {
        key: label
        for key, label in labels.items()
        if (label != OPEN).any() and not any(fnmatchcase(key[0], pattern) for pattern in held)
    }
    return learnt, [key for key in new if key in learnt]


def try_out(
    config: Config, asked: Asked, tell: Callable[[dict[str, Any]], None], seconds: float | None = None
) -> TrialRecord:
    """Train for some seconds and matte the frames again.

    Args:
        config: the settings.
        asked: what to train and show.
        tell: hears `doing`, and while training `steps`, `seconds` and `of`.
        seconds: length of the training; None for the `SECONDS` of this machine.

    Raises:
        TrainingError: nothing is painted, the network cannot be trained, the base data are missing, or the frames are
            too large.
    """
    root, settings = Root(config.store), config.teacher
    take = Take.open(root, asked.take)
    model = model_of(root, take, asked.run)
    tell({"doing": "reading strokes and base data"})
    labels, drafted = painted_frames(root, asked.takes, config.validation_takes)
    if not labels:
        raise TrainingError(
            "nothing is painted yet that a training may use", fix="Paint a few strokes where the matte failed."
        )

    # Only now, since they take seconds.
    import torch

    from capmat_models.data.composites import Composites, Difficulty
    from capmat_models.data.stage import ScribbleData
    from capmat_models.training.loop import Hooks
    from capmat_models.training.teacher import FinetuneConfig, finetune_teacher

    device = "cuda" if torch.cuda.is_available() else "cpu"
    for camera in {camera for camera, _ in asked.frames}:
        height, width = take.cameras[camera].height, take.cameras[camera].width
        if height * width > _MOST_PIXELS[device]:
            raise TrainingError(
                f"frames of {width}x{height} take longer than a trial on this machine",
                where=f"take {take.name} camera {camera}",
                fix="The training after Done learns from them; a GPU makes trials possible.",
            )
    often = (len(labels) - len(drafted)) // len(drafted) if drafted else 0
    drawn = [*labels, *drafted * (often - 1)]
    scribbles = ScribbleData([(*_pictures(root, *key), labels[key]) for key in drawn])
    base = load_base_data(config.base_data)
    takes = {name for name, _, _ in labels}
    plates = stage_plates(root, takes)
    composites = Composites(base, Difficulty(noise_level=settings.noise), plates, settings.plate_share)
    network = load_network(config.store, model, fresh=True)

    length = SECONDS[device] if seconds is None else seconds
    begun = time.monotonic()
    done: dict[str, Any] = {"steps": 0, "seconds": 0.0, "of": length}

    def progress(step: int, _: str) -> None:
        done.update(steps=step, seconds=time.monotonic() - begun)
        tell({"doing": "training", **done})
        if done["seconds"] >= length:
            raise _TimeIsUp

    recipe = FinetuneConfig(
        **settings.model_dump(exclude={"model", "tile", "plate_share", "iterations", "crop"}),
        iterations=_STEPS,
        **window(root, takes, network, min(settings.crop, _CROP[device])),
        seed=config.seed,
    )
    with suppress(_TimeIsUp):
        finetune_teacher(network, composites, scribbles, recipe, hooks=Hooks(progress=progress))
    network.eval()
    tell({"doing": "matting the frames again", **done})
    frames: list[Shown] = []
    pngs: list[bytes] = []
    for camera, frame in asked.frames:
        old = take.read_alpha(asked.run, camera, frame)
        new = alpha_of(network, stage_frame(root, take.name, camera, frame, None))
        label = labels.get((take.name, camera, frame))
        off = [None if label is None else _off(pha, label) for pha in (old, new)]
        changed = float(np.abs(new - old).mean())
        frames.append({"camera": camera, "frame": frame, "before": off[0], "after": off[1], "changed": changed})
        pngs.append(to_png(np.rint(255 * new.clip(0, 1)).astype(np.uint8)))
    return {
        "steps": done["steps"],
        "seconds": done["seconds"],
        "painted": len(labels),
        "new": len(drafted),
        "frames": frames,
        "pngs": pngs,
    }


def _pictures(root: Root, name: str, camera: str, frame: int) -> tuple[Picture, Picture]:
    take = Take.open(root, name)
    return frame_and_plate(take, Stage.under(take), camera, frame)


def _off(pha: NDArray[np.float32], label: NDArray[np.uint8]) -> float:
    marked = label != OPEN
    return float(np.abs(pha[marked] - (label[marked] == FOREGROUND)).mean())
