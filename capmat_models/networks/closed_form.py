"""Closed-form matting (Levin, Lischinski and Weiss, CVPR 2006), solved by PyMatting: a supervisor without weights.

In every small window the colours of foreground and background lie on two lines. That leaves one sparse linear system
for the unknown pixels, whose solution has no chance in it and nothing that was learned.
"""

from functools import partial

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import nn

from capmat_errors import ConfigError, MatteError
from capmat_models.networks.configs import ClosedFormConfig
from capmat_models.networks.inputs import snap

try:
    from pymatting.alpha.estimate_alpha_cf import estimate_alpha_cf
    from pymatting.preconditioner.ichol import ichol
except RuntimeError as error:  # of numba, which compiles PyMatting once for each machine and user
    raise ConfigError(
        f"PyMatting cannot keep what it compiles: {error}",
        where="closed-form matting",
        fix="Set NUMBA_CACHE_DIR to a folder that can be written to.",
    ) from error

_SHIFTS = (1e-4, 1e-3, 1e-2, 1e-1)  # without one, the incomplete factors of noisy pictures fail, loudly
_BYTES = 450, 2000  # that it needs per pixel of the box around all unknown pixels, and more per unknown pixel
_WHERE = "closed-form matting"


class ClosedForm(nn.Module):
    """Alpha from an image and a trimap, on the CPU, the same on every machine but for the last bits.

    Args:
        config: the two numbers of the method.
    """

    def __init__(self, config: ClosedFormConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, src: torch.Tensor, trimap: torch.Tensor) -> dict[str, torch.Tensor]:
        """Matte whole frames.

        Args:
            src: (N, 3, H, W) display-referred RGB, 0..1.
            trimap: (N, 1, H, W), 0..1; snapped to 0, 0.5, 1 as by `snap`.

        Returns:
            `pha`: (N, 1, H, W) alpha, 0..1; known pixels are kept exactly.

        Raises:
            MatteError: the picture holds nan, the trimap has unknown pixels but no foreground or no background, the
                picture needs more memory than is free, or the system cannot be solved.
        """
        pairs = zip(src.double().cpu().numpy(), snap(trimap)[:, 0].double().cpu().numpy(), strict=True)
        pha = np.stack([self._matte(picture.transpose(1, 2, 0), known) for picture, known in pairs])
        return {"pha": torch.from_numpy(pha)[:, None].to(src)}

    def _matte(self, src: NDArray[np.float64], trimap: NDArray[np.float64]) -> NDArray[np.float64]:
        unknown = trimap == 0.5
        if not unknown.any():
            return trimap
        _check(src, trimap, self.config.radius)
        # windows without an unknown pixel are no part of the system, so this changes nothing but time and memory
        reach = 2 * self.config.radius
        box = tuple(
            slice(max(int(at.min()) - reach, 0), int(at.max()) + reach + 1)
            for at in (np.flatnonzero(unknown.any(axis)) for axis in (1, 0))
        )
        pha = trimap.copy()
        levels = np.unique(trimap[box][~unknown[box]])
        pha[box] = self._solve(src[box], trimap[box]) if len(levels) == 2 else levels
        return np.where(unknown, pha, trimap)

    def _solve(self, src: NDArray[np.float64], trimap: NDArray[np.float64]) -> NDArray[np.float64]:
        unknown = int((trimap == 0.5).sum())
        need, free = _BYTES[0] * trimap.size + _BYTES[1] * unknown, psutil.virtual_memory().available
        if need > free:
            raise MatteError(
                f"{unknown / 1e6:.1f} megapixels are unknown, which takes {need / 2**30:.1f} GiB of memory; "
                f"{free / 2**30:.1f} GiB are free",
                where=_WHERE,
                fix="Draw the grey band narrower, or choose a supervisor with weights.",
            )
        try:
            return estimate_alpha_cf(
                np.ascontiguousarray(src),
                np.ascontiguousarray(trimap),
                preconditioner=partial(ichol, shifts=_SHIFTS),
                laplacian_kwargs={"epsilon": self.config.epsilon, "radius": self.config.radius},
            )
        except ValueError as error:
            fix = "Draw the grey band narrower, or choose a supervisor with weights."
            raise MatteError(f"the picture cannot be solved: {error}", where=_WHERE, fix=fix) from error


def _check(src: NDArray[np.float64], trimap: NDArray[np.float64], radius: int) -> None:
    for level, kind in ((0, "background"), (1, "foreground")):
        if not (trimap == level).any():
            fix = f"Paint some {kind}, or choose a supervisor with weights."
            raise MatteError(f"the trimap has no {kind}, so nothing tells it from the rest", where=_WHERE, fix=fix)
    if not np.isfinite(src).all():
        raise MatteError("the picture holds nan or infinite values", where=_WHERE, fix="Export it again.")
    if min(trimap.shape) <= 2 * radius:
        fix = f"Use pictures of at least {2 * radius + 1} pixels."
        raise MatteError("the picture is smaller than a window", where=_WHERE, fix=fix)
