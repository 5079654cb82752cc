"""What a training takes from its stage: the plates as backgrounds of base composites, and how large its frames are.

With the plates, a network meets the stage before anybody paints.
"""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from storage.store.root import Root
from storage.takes.crops import Picture
from storage.takes.stage import Stage
from storage.takes.take import Take

if TYPE_CHECKING:
    from capmat_models.data.composites import StagePlate
    from capmat_models.networks.inputs import SmallFrames

_CELL = 16  # pixels of a plate along each side for which one value of its noise is kept
_LEAST_CROP = 32


def stage_plates(root: Root, takes: Iterable[str]) -> "list[StagePlate]":
    """The plates of all cameras of the stages of some takes; cameras without a plate have none to give.

    A plate is read when, and where, a part of it is drawn. Its noise is read here, and kept as means of cells.

    Raises:
        NotFound: a take or its stage does not exist.
    """
    import torch
    from torch.nn.functional import avg_pool2d

    from capmat_models.data.composites import StagePlate

    plates = []
    for name in sorted({Take.open(root, take).stage for take in takes}):
        stage = Stage.open(root, name)
        for id in stage.recorded:
            noise = avg_pool2d(torch.from_numpy(stage.noise(id))[None], _CELL, ceil_mode=True)[0].numpy()
            shape = (3, stage.cameras[id].height, stage.cameras[id].width)
            plates.append(StagePlate(Picture(shape, partial(stage.plate, id)), noise))
    return plates


def window(root: Root, takes: Iterable[str], network: "SmallFrames", crop: int) -> dict[str, Any]:
    """What `crop` pixels on a side of what the network sees are in the frames of some takes.

    Returns:
        `crop`, a side in pixels of a frame, a multiple of 4 if doubled; `enlarge`, how many times the network
        enlarges the smallest of the frames.
    """
    cameras = [camera for take in takes for camera in Take.open(root, take).cameras.values()]
    times = max(network.times((camera.height, camera.width)) for camera in cameras)
    return {"crop": crop if times == 1 else max(_LEAST_CROP, crop // times // 4 * 4), "enlarge": times}
