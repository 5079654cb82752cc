"""What released checkpoints call their parameters, where that differs from the names here.

The encoders of BackgroundMattingV2 and MODNet are timm's MobileNetV2, which names the same tensors by another
scheme. ViTMatte is also released for the `transformers` library, which renamed a few parts. Both translations are
rules, not tables. All other parameters have official names here.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import torch

from capmat_errors import CheckpointError

# BGMV2 writes a block as torchvision does, as nested sequences; MODNet as one flat sequence that counts the
# activations. A plain block (stage 0) has no expansion.
_PLAIN = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
_EXPANDED = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
_FLAT_PLAIN = {"conv_dw": "0", "bn1": "1", "conv_pw": "3", "bn2": "4"}
_FLAT_EXPANDED = {"conv_pw": "0", "bn1": "1", "conv_dw": "3", "bn2": "4", "conv_pwl": "6", "bn3": "7"}
_ENDS = {"conv_stem": "0.0", "bn1": "0.1", "conv_head": "18.0", "bn2": "18.1"}

_COPY = "lr_branch.backbone."

TRANSFORMERS = (
    ("backbone.embeddings.position_embeddings", "backbone.pos_embed"),
    ("backbone.embeddings.projection.", "backbone.patch_embed.proj."),
    ("backbone.encoder.layer.", "backbone.blocks."),
    (".attention.", ".attn."),
    ("decoder.fusion_blocks.", "decoder.fusion_blks."),
    (".batch_norm.", ".bn."),
)
"""Parts of names: the `transformers` library's, ViTMatte's authors'."""

Tensors = TypeVar("Tensors")


def official_name(name: str) -> str:
    """Translate one of our parameter names into the authors'.

    timm's `conv_stem.*` and `blocks.S.B.*` are the official `features.0.*` and, counted through all stages,
    `features.1.*` to `.17.*`; MODNet's `conv_head.*` is `features.18.*`. BackgroundMattingV2 has its encoder
    under `backbone.`, MODNet under `backbone.model.`.
    """
    if match := re.fullmatch(r"backbone\.(model\.)?(conv_stem|conv_head|bn1|bn2)\.(\w+)", name):
        return f"backbone.{match[1] or ''}features.{_ENDS[match[2]]}.{match[3]}"
    if match := re.fullmatch(r"backbone\.(model\.)?blocks\.(\d)\.(\d)\.((?:conv|bn)\w+)\.(\w+)", name):
        within, stage, block = match[1] or "", int(match[2]), int(match[3])
        index = 1 + sum((1, 2, 3, 4, 3, 3, 1)[:stage]) + block  # MobileNetV2's blocks per stage
        if within:
            part = (_FLAT_EXPANDED if stage else _FLAT_PLAIN)[match[4]]
        else:
            part = (_EXPANDED if stage else _PLAIN)[match[4]]
        return f"backbone.{within}features.{index}.conv.{part}.{match[5]}"
    return name


def from_transformers(state: Mapping[str, Tensors]) -> dict[str, Tensors]:
    """ViTMatte's weights of the `transformers` library under their authors' names; others unchanged."""
    if "backbone.embeddings.position_embeddings" not in state:
        return dict(state)
    renamed = {}
    for name, value in state.items():
        for theirs, official in TRANSFORMERS:
            name = name.replace(theirs, official)
        renamed[name] = value
    return renamed


def without_copies(state: Mapping[str, torch.Tensor], *, where: str = "") -> dict[str, torch.Tensor]:
    """Drop the second listing of MODNet's encoder.

    Its checkpoints hold every tensor of the encoder as `backbone.*` and again as `lr_branch.backbone.*`.

    Raises:
        CheckpointError: the two listings differ, so one of them is wrong.
    """
    copies = {name: name.removeprefix("lr_branch.") for name in state if str(name).startswith(_COPY)}
    for copy, original in copies.items():
        if original in state and not _equal(state[copy], state[original]):
            raise CheckpointError(f"{copy} differs from {original}", where=where, fix="Download the file again.")
    return {name: value for name, value in state.items() if copies.get(name) not in state}


def _equal(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return False
