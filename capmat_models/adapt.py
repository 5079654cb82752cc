"""From a published trimap ViTMatte to the start of a Bg-ViTMatte (capture-stage paper, section 5.1)."""

from collections.abc import Mapping

import torch

from capmat_errors import CheckpointError

# The only tensors that see the input: patch embedding, first detail convolution, and the last fusion, which
# gets the input as its full-resolution detail.
_INPUTS = (
    "backbone.patch_embed.proj.weight",
    "decoder.convstream.convs.0.conv.weight",
    "decoder.fusion_blks.3.conv.conv.weight",
)


def background_from_trimap(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Replace the trimap's input column by three empty ones for the plate.

    The image's columns are kept, so training starts from a network that sees the image as before and ignores
    the plate.

    Args:
        state: of a network with `guide="trimap"`, in our (official) names.

    Returns:
        A state dict for `guide="background"`; tensors that do not change are shared.

    Raises:
        CheckpointError: the weights are not those of a 4-channel ViTMatte.
    """
    first = state.get(_INPUTS[0])
    if first is None or first.shape[1] != 4 or any(name not in state for name in _INPUTS):
        raise CheckpointError(
            "these are not the weights of a ViTMatte with a trimap input",
            fix="Start from a 4-channel checkpoint such as ViTMatte_S_Com.pth.",
        )
    adapted = dict(state)
    for name in _INPUTS:
        old = state[name]
        plate = old.new_zeros(old.shape[0], 3, *old.shape[2:])
        adapted[name] = torch.cat([old[:, :3], plate, old[:, 4:]], 1)
    return adapted
