"""One picture, or the frames of one camera, through any network: which inputs it takes, and what comes back."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError
from tasks.runtime.progress import say

Picture = NDArray[np.float32]

_OPTIONS = {"bgr": "plate", "trimap": "trimap", "mask": "mask"}
_AT_ONCE = 8  # frames of a camera in one batch on a GPU; a single frame leaves it idle
_DIFFERENCE = 0.1  # of 0..1; well above sensor noise, well below clothes that happen to match the stage


def check_inputs(name: str, inputs: Sequence[str], given: Sequence[str]) -> str:
    """Refuse a picture that lacks an input of a network, or has one that the network does not take.

    Args:
        name: of the network, for the message.
        inputs: what its forward takes.
        given: those of "bgr", "trimap" and "mask" that exist.

    Returns:
        What a reader of the result must know about its inputs, or "".

    Raises:
        ConfigError: an input is missing, or the network does not take it.
    """
    missing = [f"--{_OPTIONS[key]}" for key in inputs if key in ("bgr", "trimap") and key not in given]
    if missing:
        raise ConfigError(f"{name} needs {' and '.join(missing)}", fix="Add it, or choose another --model.")
    if surplus := [f"--{_OPTIONS[key]}" for key in given if key not in inputs]:
        raise ConfigError(f"{name} does not take {' and '.join(surplus)}", fix="Remove it.")
    return mask_note() if "mask" in inputs and "mask" not in given else ""


def check_take(name: str, inputs: Sequence[str], take: str) -> str:
    """The same for a take, which has plates and no other input; returns what a reader must know.

    Raises:
        ConfigError: the network needs trimaps.
    """
    if "trimap" in inputs:
        raise ConfigError(
            f"{name} needs a trimap for every frame, which takes do not have",
            where=f"take {take}",
            fix="Matte single pictures with it (--image, --trimap), or choose another --model.",
        )
    return mask_note() if "mask" in inputs else ""


def mask_note() -> str:
    """How the coarse mask is made, for the reader of a result."""
    return f"the coarse mask is where picture and plate differ by more than {_DIFFERENCE:g} of full scale"


def coarse_mask(src: Picture, bgr: Picture) -> Picture:
    """Where a picture differs from its plate: the first guess that BGM needs.

    Args:
        src: (3,H,W), 0..1.
        bgr: the plate, like `src`.

    Returns:
        (H,W), 0 or 1, with noise and shadows, which the network removes.
    """
    return (np.abs(src - bgr).max(0) > _DIFFERENCE).astype(np.float32)


def infer(
    network: Any,
    src: Picture,
    bgr: Picture | None = None,
    *,
    trimap: Picture | None = None,
    mask: Picture | None = None,
    state: Any = None,
    tile: int = 0,
    **settings: Any,
) -> dict[str, Any]:
    """One picture through one network, on the device where the network is.

    Args:
        network: any network of `load_network`, in evaluation mode.
        src: (3,H,W) float32 numpy, display-referred 0..1.
        bgr: the plate, same shape and range; None for networks without one.
        trimap: (H,W), 0 stage, 0.5 unknown, 1 subject.
        mask: (H,W) coarse alpha; if it is None and the network needs one, it is made from the plate.
        state: of a recurrent network after the previous frame; None at the start.
        tile: side of the tiles in pixels, for a network with a plate and frames that do not fit into memory; 0 for
            whole frames. `capmat_models.inference.tiles` says what tiles cost.
        **settings: more arguments of the network's forward (steps and noise of DiffMatte).

    Returns:
        numpy arrays without the batch axis: `pha` (H,W) and what else the network makes. The `state` of a recurrent
        network stays as it is.
    """
    import torch

    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    if "mask" in network.inputs and mask is None and bgr is not None:
        mask = coarse_mask(src, bgr)
    have = {"src": src, "bgr": bgr, "trimap": trimap, "mask": mask}
    given = {name: _batch(have[name]).to(device) for name in network.inputs}
    if network.recurrent:
        settings["state"] = state
    settings = {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in settings.items()}
    forward = network
    if tile:
        from capmat_models.inference.tiles import matte_in_tiles

        forward = partial(matte_in_tiles, network, tile=tile, overlap=tile // 8)
    with torch.inference_mode():
        out = forward(*given.values(), **settings)
    kept = {"state": out.pop("state")} if "state" in out else {}
    maps = {name: value[0].cpu().numpy() for name, value in out.items()}
    return maps | kept | {"pha": out["pha"][0, 0].float().cpu().numpy().copy()}


def infer_camera(
    network: Any, frames: Iterable[Picture], bgr: Picture | None = None, *, tile: int = 0
) -> Iterator[Picture]:
    """The frames of one camera, in order, as fast as the network allows.

    The student runs on a rig, which computes once what depends on the plate, and on a GPU takes several frames at a
    time; not in tiles, which a rig does not know. A recurrent network gets the state of the previous frame.

    Args:
        network: any network of `load_network` that needs no trimap.
        frames: (3,H,W) float32, display-referred 0..1, all of one size.
        bgr: the camera's plate, if the network takes one.
        tile: see `infer`.

    Yields:
        `pha` (H,W) float32, 0..1, one per frame.
    """
    if network.rig and bgr is not None and not tile:
        yield from on_rig(network, frames, bgr, at_once(network))
        return
    state = None
    for src in frames:
        out = infer(network, src, bgr, state=state, tile=tile)
        state = out.get("state")
        yield out["pha"]


def at_once(network: Any) -> int:
    """How many frames of a camera `infer_camera` gives a network together."""
    if not network.rig:
        return 1
    return _AT_ONCE if next(network.parameters()).device.type == "cuda" else 1


def on_rig(network: Any, frames: Iterable[Picture], bgr: Picture, several: int) -> Iterator[Picture]:
    """The frames of one camera through the student on a fixed rig, `several` at a time; see `infer_camera`.

    If the GPU runs out of memory, because other programs use it, it gets half as many from there on.
    """
    import torch

    ahead, held = iter(frames), deque[Picture]()  # held: frames that have no matte yet
    while True:
        try:
            for pha in _in_batches(network, ahead, bgr, several, held):
                held.popleft()
                yield pha
            return
        except torch.OutOfMemoryError:
            if several == 1:
                raise
            several //= 2
            say(f"the GPU is out of memory: {several} frames at a time from here on")
            ahead, held = chain(list(held), ahead), deque()
        torch.cuda.empty_cache()  # here, because in the handler the error still holds the memory


def _in_batches(
    network: Any, frames: Iterator[Picture], bgr: Picture, several: int, held: deque[Picture]
) -> Iterator[Picture]:
    import torch

    from capmat_models.inference.rig import Rig

    plates = _batch(bgr).expand(several, -1, -1, -1)
    rig = Rig(network, plates, device=next(network.parameters()).device)
    counts: list[int] = []

    def groups() -> Iterator[torch.Tensor]:
        while group := list(islice(frames, several)):
            counts.append(len(group))
            held.extend(group)
            # the last group is filled up
            yield torch.stack([torch.from_numpy(src) for src in group + [group[-1]] * (several - len(group))])

    for out in rig.stream(groups()):
        yield from out["pha"][: counts.pop(0), 0].float().cpu().numpy().copy()


def _batch(picture: Picture | None) -> Any:
    """(3,H,W) or (H,W) numpy -> (1,C,H,W) tensor."""
    import torch

    if picture is None:
        raise TypeError("an input of the network is missing")  # check_inputs comes first
    x = torch.from_numpy(np.ascontiguousarray(picture))
    return x[None] if x.dim() == 3 else x[None, None]
