"""The plates of a stage as backgrounds of base composites: a network meets the stage before anybody paints."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from storage.store.root import Root
from storage.takes.crops import Picture
from storage.takes.stage import Stage
from storage.takes.take import Take

if TYPE_CHECKING:
    from capmat_models.data.composites import StagePlate

_CELL = 16  # pixels of a plate along each side for which one value of its noise is kept


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
