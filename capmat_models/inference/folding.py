"""BatchNorm folded into the convolution before it, for inference.

With its running statistics a BatchNorm is a factor and an offset per channel, which the convolution can do
itself: one pass over memory less per layer, the same numbers up to rounding (about 1e-5 on an alpha).
"""

from copy import deepcopy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def fold_norms(model: Network) -> Network:
    """Copy a network without the BatchNorms that directly follow a convolution.

    Args:
        model: in eval mode, with modules registered in the order in which they run (as every network here and
            timm's are). Norms with an activation of their own (timm's) leave that activation behind.

    Returns:
        A copy in eval mode; it cannot be trained any more.
    """
    folded = deepcopy(model).eval()
    for module in folded.modules():
        _fold_children(module)
    return folded


def _fold_children(module: nn.Module) -> None:
    before: tuple[str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and before and before[1].out_channels == child.num_features:
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            setattr(module, name, getattr(child, "act", nn.Identity()))
        if not isinstance(child, nn.Identity):
            before = (name, child) if isinstance(child, nn.Conv2d) else None
