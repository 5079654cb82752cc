"""What a picture file says about itself before it is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """The size and meaning of a picture's numbers.

    Attributes:
        width: pixels.
        height: pixels.
        channels: 1 grey or mosaic, 2 grey and alpha, 3 colour, 4 colour and alpha.
        dtype: "uint8", "uint16" or "float16" (EXR).
        bits: bits that carry signal, if the file states fewer than the type has; else 0.
        cfa: order of a mosaic's colours, if the file states it; else "".
        black: the number that stands for no light, if the file states it.
    """

    width: int
    height: int
    channels: int
    dtype: str
    bits: int = 0
    cfa: str = ""
    black: int | None = None
