"""A training of some seconds on the strokes so far, to see what they teach; nothing of it is kept.

It is the fine-tuning of `tasks.train.teacher`: the same batches of base data and strokes, losses and rates. Twice and
four times the rate helped the painted frames as much and harmed others. Its length is a time. It starts from the
model whose mattes the person sees, so that before and after differ by these strokes alone. It writes nothing, to the
store or elsewhere; its mattes go to the program that asked.
"""

import time
from collections.abc import Callable, Sequence
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
from storage.takes.crops import frame_and_plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.desk import fresh, newest_set
from tasks.labels.views import to_png
from tasks.models.networks import Ref, card_of, inputs_of, load_network
from tasks.train.base_data import load_base_data
from tasks.train.plates import stage_plates
from tasks.train.watch import alpha_of, stage_frame

SECONDS = 40.0
"""Length of the training without a GPU. With one, `SECONDS_GPU`."""
SECONDS_GPU = 10.0
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
        frames: (camera, frame) that are matted before and after.
        seconds: length of the training; 0 for the default of this machine.
    """

    takes: tuple[str, ...]
    take: str
    run: str
    frames: tuple[tuple[str, int], ...]
    seconds: float = 0.0


class Shown(TypedDict):
    """A frame before and after: how far its matte is from its strokes, 0..1 (None without strokes)."""

    camera: str
    frame: int
    before: float | None
    after: float | None
    changed: float  # mean absolute change of alpha over the frame
    png: bytes  # the matte after, grey


class TrialRecord(TypedDict):
    """What a trial says at its end."""

    steps: int
    seconds: float
    crop: int
    painted: int  # frames with strokes that it learned from
    loss: str
    frames: list[Shown]


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
    if card["architecture"] == "exported" or not card["architecture"].startswith("bg_vitmatte"):
        raise TrainingError(
            f"{card['architecture']} is a network that is used as it is and cannot be trained", where=where, fix=fix
        )
    assert "bgr" in inputs_of(card)
    return model


def painted_frames(root: Root, takes: Sequence[str], held: Sequence[str] = ()) -> dict[Key, NDArray[np.uint8]]:
    """The labels (H, W) as they are now: those of the newest set, and the drafts of some takes over them.

    Args:
        root: the store.
        takes: whose drafts.
        held: takes that no training sees, by name or pattern.
    """
    version = newest_set(root)
    labels = {key: version.label(*key) for key in version.keys} if version else {}
    for take in takes:
        for key, draft in read_drafts(root, take).items():
            drawing = draft.drawing
            size = drawing.height, drawing.width
            labels[key] = rasterise(fresh(version, drawing), size, below=labels.get(key))
    return {
        key: label
        for key, label in labels.items()
        if (label != OPEN).any() and not any(fnmatchcase(key[0], pattern) for pattern in held)
    }


def try_out(config: Config, asked: Asked, tell: Callable[[dict[str, Any]], None]) -> TrialRecord:
    """Train for some seconds and matte the frames before and after.

    Args:
        config: the settings.
        asked: what to train and show.
        tell: hears `doing`, and while training `steps`, `seconds`, `of` and `loss`; may raise to stop it.

    Raises:
        TrainingError: nothing is painted, the network cannot be trained, the base data are missing, or the frames are
            too large.
    """
    import torch

    from capmat_models.data.composites import Composites, Difficulty
    from capmat_models.data.stage import ScribbleData
    from capmat_models.training.loop import Hooks
    from capmat_models.training.teacher import FinetuneConfig, finetune_teacher

    root, settings = Root(config.store), config.teacher
    take = Take.open(root, asked.take)
    model = model_of(root, take, asked.run)
    tell({"doing": "reading strokes and base data"})
    labels = painted_frames(root, asked.takes, config.validation_takes)
    if not labels:
        raise TrainingError("nothing is painted yet", fix="Paint a few strokes where the matte failed.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for camera in {camera for camera, _ in asked.frames}:
        height, width = take.cameras[camera].height, take.cameras[camera].width
        if height * width > _MOST_PIXELS[device]:
            raise TrainingError(
                f"frames of {width}x{height} take longer than a trial on this machine",
                where=f"take {take.name} camera {camera}",
                fix="The training after Done learns from them; a GPU makes trials possible.",
            )
    pictures = []
    for name, camera, frame in labels:
        other = Take.open(root, name)
        pictures.append(frame_and_plate(other, Stage.under(other), camera, frame))
    crop = min(settings.crop, _CROP[device], *(side // 32 * 32 for src, _ in pictures for side in src.shape[1:]))
    scribbles = ScribbleData([(*pair, label) for pair, label in zip(pictures, labels.values(), strict=True)])
    base = load_base_data(config.base_data)
    plates = stage_plates(root, {name for name, _, _ in labels})
    composites = Composites(base, Difficulty(noise_level=settings.noise), plates, settings.plate_share)
    tell({"doing": "matting the frames as they are"})
    network = load_network(config.store, model, fresh=True)
    views = [stage_frame(root, take.name, camera, frame, None) for camera, frame in asked.frames]
    before = [alpha_of(network, view) for view in views]

    length = asked.seconds or (SECONDS_GPU if device == "cuda" else SECONDS)
    begun = time.monotonic()
    done = {"steps": 0, "seconds": 0.0, "of": length, "loss": ""}

    def progress(step: int, loss: str) -> None:
        done.update(steps=step, seconds=time.monotonic() - begun, loss=loss.removeprefix("loss "))
        tell({"doing": "training", **done})
        if done["seconds"] >= length:
            raise _TimeIsUp

    share = max(settings.scribble_share, 0.6 / settings.batch)  # at least one crop of each batch
    recipe = FinetuneConfig(
        **settings.model_dump(exclude={"model", "tile", "plate_share", "iterations", "crop", "scribble_share"}),
        iterations=_STEPS,
        crop=crop,
        scribble_share=share,
        seed=config.seed,
    )
    try:
        finetune_teacher(network, composites, scribbles, recipe, hooks=Hooks(progress=progress))
    except _TimeIsUp:
        network.eval()
    tell({"doing": "matting the frames again", **done})
    frames: list[Shown] = []
    for (camera, frame), view, old in zip(asked.frames, views, before, strict=True):
        pha, label = alpha_of(network, view), labels.get((take.name, camera, frame))
        frames.append(
            {
                "camera": camera,
                "frame": frame,
                "before": None if label is None else _off(old, label),
                "after": None if label is None else _off(pha, label),
                "changed": float(np.abs(pha - old).mean()),
                "png": to_png(np.rint(255 * pha.clip(0, 1)).astype(np.uint8)),
            }
        )
    return {
        "steps": int(done["steps"]),
        "seconds": float(done["seconds"]),
        "crop": crop,
        "painted": len(labels),
        "loss": str(done["loss"]),
        "frames": frames,
    }


def _off(pha: NDArray[np.float32], label: NDArray[np.uint8]) -> float:
    marked = label != OPEN
    return float(np.abs(pha[marked] - (label[marked] == FOREGROUND)).mean())
