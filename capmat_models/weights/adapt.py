"""From a published trimap ViTMatte to the start of a Bg-ViTMatte (capture-stage paper, section 5.1).

The paper says that background images replace trimaps, but not from what the weights of the new input start.
docs/decisions/0005-the-plate-starts-as-a-difference.md says what was tried.
"""

from collections.abc import Mapping
from typing import Literal

import torch

from capmat_errors import CheckpointError

Way = Literal["zero", "unknown", "difference"]

# The only tensors that see the input: patch embedding, first detail convolution, and the last fusion, whose
# full-resolution detail is the input. Beside each, the tensor that adds a constant to its output: a bias, or (with
# the sign turned) the running mean of the norm behind it.
_INPUTS = {
    "backbone.patch_embed.proj.weight": ("backbone.patch_embed.proj.bias", 1),
    "decoder.convstream.convs.0.conv.weight": ("decoder.convstream.convs.0.bn.running_mean", -1),
    "decoder.fusion_blks.3.conv.conv.weight": ("decoder.fusion_blks.3.conv.bn.running_mean", -1),
}
_UNKNOWN = 0.5


def background_from_trimap(state: Mapping[str, torch.Tensor], way: Way = "difference") -> dict[str, torch.Tensor]:
    """Replace the trimap's input column by three for the plate.

    Args:
        state: of a network with `guide="trimap"`, in our (official) names.
        way: what the first layers make of the plate before any training.
            `zero`: nothing, and the trimap's column is dropped, which the network reads as "all is background".
            `unknown`: nothing, but the trimap reads "unknown" everywhere. The constant that its column adds moves
            into biases and running means; zero padding at the borders, one pixel wide, lacks it.
            `difference`: as `unknown`, and the plate is subtracted from the image. Both have the same
            normalisation, so the network sees the subject in front of the flat grey of the data's mean.

    Returns:
        A state dict for `guide="background"`; tensors that do not change are shared.

    Raises:
        CheckpointError: the weights are not those of a 4-channel ViTMatte.
    """
    needed = [*_INPUTS, *(offset for offset, _ in _INPUTS.values())]
    if any(name not in state for name in needed) or state[needed[0]].shape[1] != 4:
        raise CheckpointError(
            "these are not the weights of a ViTMatte with a trimap input",
            fix="Start from a 4-channel checkpoint such as ViTMatte_S_Com.pth.",
        )
    adapted = dict(state)
    for name, (offset, sign) in _INPUTS.items():
        image, trimap, rest = state[name].split([3, 1, state[name].shape[1] - 4], 1)
        plate = -image if way == "difference" else torch.zeros_like(image)
        adapted[name] = torch.cat([image, plate, rest], 1)
        if way != "zero":
            adapted[offset] = state[offset] + sign * _UNKNOWN * trimap.sum((1, 2, 3))
    return adapted
