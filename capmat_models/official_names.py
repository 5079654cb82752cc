"""How the authors of BackgroundMattingV2 call the parameters of its encoder.

ViTMatte and DiffMatte have official names here. BackgroundMattingV2's encoder is timm's, whose names follow
another scheme with the same tensors in the same order; the translation is a rule, not a table.
"""

import re

# torchvision writes a MobileNetV2 block as nested sequences. A plain block (stage 0) has no expansion.
_PLAIN = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
_EXPANDED = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}


def official_name(name: str) -> str:
    """Translate one of our parameter names into the authors'.

    Only BackgroundMattingV2's encoder differs: timm's `backbone.conv_stem.*`, `backbone.blocks.S.B.*` are the
    official `backbone.features.0.*` and, counted through all stages, `backbone.features.1.*` to `.17.*`.
    """
    if match := re.fullmatch(r"backbone\.(conv_stem|bn1)\.(\w+)", name):
        return f"backbone.features.0.{'0' if match[1] == 'conv_stem' else '1'}.{match[2]}"
    if match := re.fullmatch(r"backbone\.blocks\.(\d)\.(\d)\.((?:conv|bn)\w+)\.(\w+)", name):
        stage, block = int(match[1]), int(match[2])
        index = 1 + sum((1, 2, 3, 4, 3, 3, 1)[:stage]) + block  # MobileNetV2's blocks per stage
        return f"backbone.features.{index}.conv.{(_EXPANDED if stage else _PLAIN)[match[3]]}.{match[4]}"
    return name
