"""What a picture says about itself before it is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """What a picture file says about itself.

    Attributes:
        width: pixels.
        height: pixels.
        channels: 1 grey or mosaic, 2 grey and alpha, 3 colour, 4 colour and alpha.
        dtype: "uint8", "uint16" or "float16" (EXR).
        bits: bits that carry signal, where the file says that they are fewer than the type has; else 0.
        cfa: order of a mosaic's colours, where the file says it; else "".
        black: the number that stands for no light, where the file says it.
    """

    width: int
    height: int
    channels: int
    dtype: str
    bits: int = 0
    cfa: str = ""
    black: int | None = None
