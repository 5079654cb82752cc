"""ImageNet statistics, as ViTMatte and DiffMatte expect their pictures; BGMV2 takes them as they are."""

import torch

# (123.675, 116.28, 103.53) / 255 and (58.395, 57.12, 57.375) / 255: what the released ViTMatte code trains
# with. The `transformers` port uses 0.5 instead, which is not what the weights were made for.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def imagenet(rgb: torch.Tensor) -> torch.Tensor:
    """Normalise display-referred RGB (N, 3, H, W) in 0..1 per channel."""
    mean = rgb.new_tensor(MEAN).view(3, 1, 1)
    std = rgb.new_tensor(STD).view(3, 1, 1)
    return (rgb - mean) / std
