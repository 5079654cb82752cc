"""The signals of a picture: maps of where its matte may be wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.geometry.hull_check import FrameCheck
from tasks.models.infer import infer

_SIDE = 480  # pixels that the shorter side of a picture keeps at least
_SHIFT = 8  # pixels; half of the stride of the student's deepest features


@dataclass(frozen=True)
class Looked:
    """One picture at its working size, as tensors, with its signals.

    Attributes:
        src: (3, h, w).
        bgr: (3, h, w) the plate.
        pha: (h, w).
        teacher: (h, w), or None.
        fold: pixels of the picture that one of these is wide.
        maps: by signal, (h, w) 0..1.
    """

    src: Any
    bgr: Any
    pha: Any
    teacher: Any
    fold: int
    maps: dict[str, Any]


def look(take: Take, stage: Stage, run: str, teacher: str, camera: str, frame: int, fit: FrameCheck | None) -> Looked:
    """A picture with the signals that need no network."""
    import torch

    from capmat_models.mining import disagreement, enlarged, jump, softness

    view = take.cameras[camera]
    fold = max(1, min(view.width, view.height) // _SIDE)
    pha = _small(take.read_alpha(run, camera, frame), fold)
    src, bgr = _small(take.read(camera, frame), fold), _small(stage.plate(camera), fold)
    maps, other = {"soft": softness(pha)}, None
    if teacher and take.has_alpha(teacher, camera, frame):
        other = _small(take.read_alpha(teacher, camera, frame), fold)
        maps["teacher"] = disagreement(pha, other)
    if (near := _neighbour(take.frames, frame)) is not None and take.has_alpha(run, camera, near):
        before = _small(take.read_alpha(run, camera, near), fold)
        maps["jump"] = jump(pha, before, src, _small(take.read(camera, near), fold))
    if fit is not None:
        halo, hole, _ = fit.maps(camera)
        size = (int(pha.shape[0]), int(pha.shape[1]))
        maps |= {"halo": enlarged(torch.from_numpy(halo), size), "hole": enlarged(torch.from_numpy(hole), size)}
    return Looked(src, bgr, pha, other, fold, maps)


def ask(network: Any, take: Take, stage: Stage, camera: str, frame: int, looked: Looked) -> Mapping[str, Any]:
    """The signals for which the network runs again: on the picture as it is, flipped, and shifted."""
    import torch

    from capmat_models.mining import residual, unsteadiness

    src = take.read(camera, frame)
    bgr = stage.plate(camera) if "bgr" in network.inputs else None

    def seen(change: Any) -> Mapping[str, Any]:
        turned = None if bgr is None else np.ascontiguousarray(change(bgr))
        return infer(network, np.ascontiguousarray(change(src)), turned)

    plain = seen(lambda x: x)
    flipped = seen(lambda x: x[..., ::-1])["pha"][:, ::-1]
    shifted = seen(lambda x: np.roll(x, (_SHIFT, _SHIFT), (-2, -1)))["pha"]
    views = [plain["pha"], flipped, np.roll(shifted, (-_SHIFT, -_SHIFT), (-2, -1))]
    steady = unsteadiness(torch.stack([_small(view, looked.fold) for view in views]))
    maps = {"unsteady": steady}
    if "err" in plain:
        maps["err"] = _small(plain["err"][0], looked.fold).clamp(0, 1)
    if "fgr" in plain:
        maps["residual"] = residual(looked.src, looked.bgr, _small(plain["fgr"], looked.fold), looked.pha)
    return maps


def _small(picture: Any, fold: int) -> Any:
    """A numpy picture (H, W) or (C, H, W) as a tensor at the working size."""
    import torch

    from capmat_models.geometry.views import shrunk_picture

    whole = torch.from_numpy(np.ascontiguousarray(picture)).float()
    return shrunk_picture(whole, fold) if whole.dim() == 3 else shrunk_picture(whole[None], fold)[0]


def _neighbour(frames: Sequence[int], frame: int) -> int | None:
    """The frame before, or the one after the first; None if its number is not the next one."""
    index = list(frames).index(frame)
    near = frames[index - 1] if index else frames[min(1, len(frames) - 1)]
    return near if abs(near - frame) == 1 else None
