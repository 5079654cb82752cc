"""Run a Nerfstudio command without a network. Started by the Python of Nerfstudio's own environment.

    <that environment>/bin/python nerfstudio_offline.py train|render ARGUMENTS

Two things stop Nerfstudio 1.1.5 today. Every model builds LPIPS, which downloads 233 MB before the first step;
capmat judges by PSNR, so a module that says "not measured" takes its place, in training and in rendering alike
(its weights would be in the checkpoint). And torch 2.6 and later refuse its checkpoints, which hold numpy
scalars; they are our own files, so loading them is allowed.
"""

import os
import sys
from typing import Any


def main() -> None:
    """Replace LPIPS, then hand over to Nerfstudio."""
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    command = sys.argv.pop(1)

    import torch
    import torchmetrics.image.lpip as lpip

    class NotMeasured(torch.nn.Module):
        def __init__(self, **_: Any) -> None:
            super().__init__()

        def forward(self, pred: torch.Tensor, _true: torch.Tensor) -> torch.Tensor:
            return torch.full((), float("nan"), device=pred.device)

    lpip.LearnedPerceptualImagePatchSimilarity = NotMeasured
    if command == "train":
        from nerfstudio.scripts.train import entrypoint
    elif command == "render":
        from nerfstudio.scripts.render import entrypoint
    else:
        raise SystemExit(f"{command}: choose train or render")
    entrypoint()


# its loaders start processes that import this file again
if __name__ == "__main__":
    main()
