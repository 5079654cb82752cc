"""From the numbers that a camera wrote to the picture that networks see, and to linear light.

Takes keep the sensor's integers; everything else computes with what this module derives from them. Display-referred
means sRGB-encoded 0..1 (IEC 61966-2-1), the space in which the matting networks were trained.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError
from storage.pictures.bayer import CFA, superpixel

_PIECE = 32768  # numbers at a time, so that the work stays in the cache
Transfer = Literal["linear", "srgb", "rec709"]


def encode_srgb(linear: NDArray[Any]) -> NDArray[np.float32]:
    """Apply the sRGB curve to linear light in 0..1; values outside are clipped."""
    x = np.clip(np.asarray(linear, np.float32), 0.0, 1.0)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055).astype(np.float32)


def decode_srgb(display: NDArray[Any]) -> NDArray[np.float32]:
    """Undo `encode_srgb`: display-referred 0..1 to linear light 0..1."""
    x = np.clip(np.asarray(display, np.float32), 0.0, 1.0)
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)


def decode_rec709(signal: NDArray[Any]) -> NDArray[np.float32]:
    """Undo the curve of a video camera (ITU-R BT.709, 1.2): its signal 0..1 to linear light 0..1."""
    # The constants to more digits than BT.709 prints, so that the two parts meet.
    a, b = 1.09929682680944, 0.018053968510807
    x = np.clip(np.asarray(signal, np.float32), 0.0, 1.0)
    return np.where(x < 4.5 * b, x / 4.5, ((x + (a - 1)) / a) ** (1 / 0.45)).astype(np.float32)


@dataclass(frozen=True)
class Colour:
    """What the stored numbers mean.

    Attributes:
        bits: bits that carry signal, 8 to 16; they sit in the low bits, so white is `2**bits - 1`.
        transfer: "linear" for sensor data, "srgb" for display-referred pictures, "rec709" for what video cameras
            record (the curve of ITU-R BT.709).
        black: the number that stands for no light.
        half: the numbers are 16-bit floats (EXR) with 1.0 as white; then bits is 16 and black 0.
        cfa: order of the colours of a Bayer mosaic, one of `storage.pictures.bayer.CFA`; "" for RGB.
        gains: white balance, what linear red, green and blue are multiplied by.
        matrix: rows of the 3x3 matrix from linear camera colour (after gains) to linear Rec. 709; None for identity.
    """

    bits: int
    transfer: Transfer
    black: int = 0
    half: bool = False
    cfa: str = ""
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    matrix: tuple[tuple[float, float, float], ...] | None = None

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= 16:
            raise ConfigError(f"colour bits is {self.bits}", fix="Give 8 to 16.")
        if self.transfer not in ("linear", "srgb", "rec709"):
            raise ConfigError(f"colour transfer is {self.transfer!r}", fix='Give "linear", "srgb" or "rec709".')
        if not 0 <= self.black < 2**self.bits - 1:
            raise ConfigError(f"colour black {self.black} is outside 0..{2**self.bits - 2}", fix="Correct it.")
        if self.half and (self.bits, self.transfer, self.black, self.cfa) != (16, "linear", 0, ""):
            raise ConfigError(
                "half floats are linear RGB with black at 0",
                fix='Set [colour] bits=16 transfer="linear" black=0, without cfa.',
            )
        if self.cfa and (self.cfa not in CFA or self.transfer != "linear"):
            raise ConfigError(
                f"colour cfa {self.cfa!r} with transfer {self.transfer!r}",
                fix=f'Give one of {", ".join(CFA)}, with transfer="linear".',
            )
        if len(self.gains) != 3 or not all(0 < gain < 100 for gain in self.gains):
            raise ConfigError(f"colour gains are {self.gains}", fix="Give three numbers above 0.")
        rows = self.matrix or ((1.0, 0.0, 0.0),) * 3
        if len(rows) != 3 or any(len(row) != 3 for row in rows) or not np.isfinite(rows).all():
            raise ConfigError("colour matrix is not 3x3 numbers", fix="Give three rows of three.")

    @property
    def white(self) -> int:
        """The largest number that the camera can write; 1 for half floats."""
        return 1 if self.half else 2**self.bits - 1

    @property
    def dtype(self) -> str:
        """The type that holds the signal: "uint8", "uint16" or "float16"."""
        return "float16" if self.half else "uint8" if self.bits == 8 else "uint16"

    @property
    def channels(self) -> int:
        """Planes as stored: 3, or the 4 of a Bayer mosaic."""
        return 4 if self.cfa else 3

    def display(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """The display-referred picture.

        Args:
            stored: (3, H, W), or (4, H, W) planes of a mosaic; numbers as the camera wrote them, or float32 on
                the same scale (a plate's mean).

        Returns:
            (3, H, W) float32, sRGB-encoded, 0..1. Numbers outside black..white are clipped.
        """
        if self._as_stored:
            return self._each(stored, "display")
        # The sum of four 12-bit numbers with weights of sixteenths has 16 bits, so the table loses nothing.
        levels = np.rint(self.linear(stored) * np.float32(65535)).astype(np.uint16)
        return _look_up(_table(_SIXTEEN, "display"), levels)

    def linear(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Linear light, (3, H, W) float32 0..1; arguments as in `display`."""
        if self._as_stored:
            return self._each(stored, "linear")
        light = self._unit(superpixel(stored, self.cfa)) if self.cfa else self._each(stored, "linear")
        light *= np.asarray(self.gains, np.float32)[:, None, None]
        if self.matrix is not None:
            light = np.tensordot(np.asarray(self.matrix, np.float32), light, 1)
        return np.clip(light, 0.0, 1.0, out=light)

    def light(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Linear light as in `linear`, but half floats keep what lies outside 0..1, such as highlights of an EXR."""
        if not self.half:
            return self.linear(stored)
        light = stored.astype(np.float32) * np.asarray(self.gains, np.float32)[:, None, None]
        return light if self.matrix is None else np.tensordot(np.asarray(self.matrix, np.float32), light, 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a store's attributes."""
        return asdict(self) | {"gains": list(self.gains), "matrix": self.matrix and [list(r) for r in self.matrix]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Colour":
        """Read what `to_json` wrote, of earlier versions too."""
        known = {name: value for name, value in data.items() if name not in ("gains", "matrix")}
        rows = data.get("matrix")
        return cls(
            **known,
            gains=tuple(data.get("gains", (1.0, 1.0, 1.0))),
            matrix=tuple(map(tuple, rows)) if rows else None,
        )

    @property
    def _as_stored(self) -> bool:
        """Every channel is converted by itself: no mosaic, no gains, no matrix."""
        return not self.cfa and self.gains == (1.0, 1.0, 1.0) and self.matrix is None

    def _each(self, stored: NDArray[Any], kind: Literal["display", "linear"]) -> NDArray[np.float32]:
        if stored.dtype == np.float16:
            return _look_up(_half_table(kind), stored.view(np.uint16))
        if np.issubdtype(stored.dtype, np.integer):
            return _look_up(_table(self, kind), stored)
        out = np.empty(stored.shape, np.float32)
        flat, into = np.ascontiguousarray(stored).reshape(-1), out.reshape(-1)
        for start in range(0, flat.size, _PIECE):
            into[start : start + _PIECE] = self._convert(self._unit(flat[start : start + _PIECE]), kind)
        return out

    def _convert(self, unit: NDArray[np.float32], kind: Literal["display", "linear"]) -> NDArray[np.float32]:
        if self.transfer == "srgb":
            return unit if kind == "display" else decode_srgb(unit)
        light = decode_rec709(unit) if self.transfer == "rec709" else unit
        return encode_srgb(light) if kind == "display" else light

    def _unit(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        scale = np.float32(1.0 / (self.white - self.black))
        return np.clip((raw.astype(np.float32) - np.float32(self.black)) * scale, 0.0, 1.0)


def _look_up(table: NDArray[np.float32], raw: NDArray[Any]) -> NDArray[np.float32]:
    """`table[raw]`, with numbers beyond the table as its last; in pieces, which is five times faster."""
    out = np.empty(raw.shape, np.float32)
    flat, into = np.ascontiguousarray(raw).reshape(-1), out.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        table.take(flat[start : start + _PIECE], out=into[start : start + _PIECE], mode="clip")
    return out


@lru_cache(maxsize=8)
def _table(colour: Colour, kind: Literal["display", "linear"]) -> NDArray[np.float32]:
    """One value per integer: a lookup is ten times faster than the power function on a 24 MP frame."""
    levels = np.arange(colour.white + 1, dtype=np.float32)
    table = colour._convert(colour._unit(levels), kind)
    table.setflags(write=False)
    return table


@lru_cache(maxsize=2)
def _half_table(kind: Literal["display", "linear"]) -> NDArray[np.float32]:
    """One value per bit pattern of a half float; nan becomes 0, since readers refuse it."""
    values = np.arange(2**16, dtype=np.uint32).astype(np.uint16).view(np.float16)
    unit = np.clip(np.nan_to_num(values, posinf=1.0, neginf=0.0).astype(np.float32), 0.0, 1.0)
    table = encode_srgb(unit) if kind == "display" else unit
    table.setflags(write=False)
    return table


_SIXTEEN = Colour(16, "linear")
