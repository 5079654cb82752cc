"""A plate that no longer lies under its take is laid there: moved, and matched in exposure and colour.

Nothing is done unless the stage then fits clearly better in every frame. All pictures are display-referred: there, a
change of exposure or of black is a factor and an offset.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_models.stage.registration import Floats, Mask, Registration, lay_under, register

_SIDE = 1280
"""Longest side at which a plate is registered, pixels."""
_LEAST_MOVE = 0.15
"""Pixels at a corner from which on a plate is moved."""
_APART = 0.3
"""Pixels by which frames of a take may disagree about the move."""
_MOVE_BETTER = 0.85
"""Difference along edges, as a share of that without the move, up to which it is clearly better."""
_TONE_SIDE = 96
"""Longest side at which exposure is compared; averages over so large areas have little noise."""
_LEAST_TONE = 2 / 255
"""Change of exposure from which on it is matched."""
_TONE_BETTER = 0.6
"""As `_MOVE_BETTER`, over the whole stage. A factor also explains a part of the light that a subject takes away."""
_STAGE = 0.1
"""Difference up to which a pixel may be stage; beyond, it is subject."""
_ALIKE = 0.02
"""Difference up to which a pixel may show the same place."""
_BLACK, _WHITE = 0.02, 0.98
"""Between them nothing is clipped."""


@dataclass(frozen=True)
class Change:
    """What lays a plate under its take, and by how much that helps.

    Attributes:
        moved: how the take lies on the plate; None leaves the plate where it is.
        tone: (3, 2) factor and offset of each channel; None leaves exposure and colour as they are.
        words: what is changed; "" if the plate fits.
        warning: what is wrong and cannot be mended; "" if nothing is.
    """

    moved: Registration | None = None
    tone: NDArray[np.float64] | None = None
    words: str = ""
    warning: str = ""

    def apply(self, plate: Floats, valid: Mask) -> tuple[Floats, Mask]:
        """The plate (3, H, W), and where (H, W) it can be trusted, as they lie under the take; borders repeat."""
        if self.moved is not None:
            plate, valid = np.clip(lay_under(plate, self.moved), 0, 1), self.moved.inside(valid)
        return (plate if self.tone is None else _toned(plate, self.tone)), valid

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `from_json`."""
        tone = None if self.tone is None else self.tone.tolist()
        return {**asdict(self), "moved": self.moved and self.moved.to_json(), "tone": tone}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Change":
        """Read what `to_json` wrote."""
        moved, tone = data["moved"], data["tone"]
        return cls(moved and Registration.from_json(moved), tone and np.array(tone), data["words"], data["warning"])


def find_change(plate: Floats, shots: Sequence[Floats]) -> Change:
    """How a plate has to change to lie under its take.

    Args:
        plate: the empty stage, (3, H, W) display-referred 0..1.
        shots: the same view, occupied: some frames of a take, or one photograph.
    """
    fold = max(1, -(-max(plate.shape[1:]) // _SIDE))
    small, seen = _reduced(plate, fold), [_reduced(shot, fold) for shot in shots]
    looks = [register(small.mean(axis=0), shot.mean(axis=0), small.max(axis=0) < _WHITE) for shot in seen]
    if any(look and look.kind == "none" for look in looks):
        rest = [np.abs(_coarse(shot) - _coarse(_toned(small, _tone(small, [shot])))).mean(axis=0) for shot in seen]
        if np.quantile(rest, 0.25) > _ALIKE:  # a bare wall has nothing but noise to register
            return Change(warning="the plate shows another view than the picture, or another stage")
    found = sorted((look for look in looks if look and look.kind != "none"), key=lambda look: -look.support)
    apart = fold * max((np.hypot(one.x - two.x, one.y - two.y) for one in found for two in found), default=0.0)
    if apart > _APART:
        return Change(warning=f"the camera moves within the take, by {apart:.2g} px: no plate lies under all of it")
    moved, tone, words = None, None, []
    if found and found[0].farthest * fold >= _LEAST_MOVE:
        laid = lay_under(small, found[0])
        before, after = (_toned(picture, _tone(picture, seen)) for picture in (small, laid))
        gaps = [_apart(before, after, shot, _edges(before, after)) for shot in seen]
        if all(gap[1] <= _MOVE_BETTER * gap[0] for gap in gaps):
            moved, small = found[0].enlarged(fold, (plate.shape[1], plate.shape[2])), laid
            words.append(f"moved {moved} ({_levels(gaps)} along edges)")
    matched = _toned(small, wanted := _tone(small, seen))
    change = np.median(matched - small, axis=(1, 2))
    gaps = [_apart(_coarse(small), _coarse(matched), _coarse(shot)) for shot in seen]
    if np.abs(change).max() >= _LEAST_TONE and all(gap[1] <= _TONE_BETTER * gap[0] for gap in gaps):
        tone = wanted
        parts = ", ".join(f"{c} {255 * by:+.1f}" for c, by in zip(("red", "green", "blue"), change, strict=True))
        words.append(f"exposure changed by {parts} levels ({_levels(gaps)})")
    return Change(moved, tone, "; ".join(words))


def _tone(plate: Floats, shots: Sequence[Floats]) -> NDArray[np.float64]:
    """Factor and offset (3, 2) that take the plate to the shots where most of the stage agrees.

    It starts at the most frequent difference and weighs down what lies farther away (Tukey's weights), such as a
    subject and its shadows. A factor that no exposure has means that nothing agrees, and changes nothing.
    """
    out = []
    for empty, *full in zip(_coarse(plate), *map(_coarse, shots), strict=True):
        x, y = np.tile(empty.ravel(), len(full)), np.concatenate([shot.ravel() for shot in full])
        good = (np.minimum(x, y) > _BLACK) & (np.maximum(x, y) < _WHITE)
        if not good.any():  # such as red on a green screen
            out.append(np.array([1.0, 0.0]))
            continue
        x, y = x[good].astype(np.float64), y[good].astype(np.float64)
        fit = np.array([1.0, _mode(y - x)])
        terms = np.stack([x, np.ones_like(x)])
        for _ in range(12):
            gap = y - fit @ terms
            far = np.minimum(np.abs(gap) / (4 * max(1.4826 * float(np.median(np.abs(gap))), 0.5 / 255)), 1)
            weighted = terms * np.square(1 - far * far)
            # A stage of one brightness says nothing about the factor, which then stays 1.
            prior = np.diag([1e-3 * weighted[1].sum() + 1e-9, 1e-9])
            fit = np.linalg.solve(weighted @ terms.T + prior, weighted @ y + prior @ [1, 0])
        out.append(fit)
    tone = np.array(out)
    return tone if 0.5 < tone[:, 0].min() <= tone[:, 0].max() < 2 else np.array([[1.0, 0.0]] * 3)


def _toned(plate: Floats, tone: NDArray[np.float64]) -> Floats:
    """Factor and offset applied; what is clipped in the plate stays clipped."""
    factor, offset = tone.T[..., None, None].astype(np.float32)
    return np.where(plate < _WHITE, np.clip(factor * plate + offset, 0, 1), plate)


def _apart(before: Floats, after: Floats, shot: Floats, where: Mask | None = None) -> tuple[float, float]:
    """Mean difference of two plates (3, H, W) to a shot, over what is stage by one of them."""
    gaps = np.stack([np.abs(shot - plate).mean(axis=0) for plate in (before, after)])
    stage = gaps.min(axis=0) < _STAGE
    stage &= True if where is None else where
    first, second = np.minimum(gaps, 2 * _STAGE)[:, stage].mean(axis=1) if stage.any() else (0.0, 1.0)
    return float(first), float(second)


def _edges(*plates: Floats) -> Mask:
    """Where (H, W) one of the plates has its strongest edges; only there a small move shows."""
    steep = np.max([np.hypot(*np.gradient(plate.mean(axis=0))) for plate in plates], axis=0)
    return np.asarray(steep >= np.quantile(steep, 0.9))


def _levels(gaps: Sequence[tuple[float, float]]) -> str:
    before, after = 255 * np.mean(gaps, axis=0)
    return f"differs by {after:.1f} instead of {before:.1f} levels"


def _mode(values: NDArray[np.float64]) -> float:
    """Mean of the shortest interval that holds half of the values; 0 without any."""
    held, half = np.sort(values), len(values) // 2
    if not half:
        return 0.0
    start = int(np.argmin(held[half:] - held[: len(held) - half]))
    return float(held[start : start + half + 1].mean())


def _coarse(picture: Floats) -> Floats:
    return _reduced(picture, max(1, max(picture.shape[1:]) // _TONE_SIDE))


def _reduced(picture: Floats, fold: int) -> Floats:
    """(C, H, W) by area averages; the right and the bottom lose what does not fill a small pixel."""
    channels, height, width = picture.shape
    height, width = height // fold, width // fold
    blocks = picture[:, : height * fold, : width * fold].reshape(channels, height, fold, width, fold)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))
