"""Does a picture fit the session's colour? Asked of every header before anything is written, and of every picture."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.colour import Colour
from storage.pictures.header import Header


def check_colour(header: Header, colour: Colour, where: str) -> None:
    """Refuse by its header what cannot be a picture of this colour.

    Raises:
        ImageUnreadable: a mosaic where the session says RGB or the other way round, alpha, another depth, other
            places of the colours, another black or white.
    """
    _check_type(header.dtype, header.bits, colour, where)
    if header.channels > 3:
        raise ImageUnreadable("the picture has an alpha channel", where=where, fix="Export it as plain RGB.")
    if header.channels < 3 and not colour.cfa:
        raise ImageUnreadable(
            "the picture has no colour", where=where, fix="Export it as RGB, or set [colour] cfa if it is a mosaic."
        )
    if header.channels == 3 and colour.cfa:
        raise ImageUnreadable(
            f"the picture has colour, the session says that it is a mosaic ({colour.cfa})",
            where=where,
            fix="Take cfa out of [colour], or export the mosaics.",
        )
    if colour.cfa and (header.width % 2 or header.height % 2):
        raise ImageUnreadable(
            f"a mosaic of {header.width}x{header.height} pixels has no whole 2x2 blocks",
            where=where,
            fix="Export the sensor's own size, which is even.",
        )
    for name, says, session in (("cfa", header.cfa, colour.cfa), ("black", header.black, colour.black)):
        if says not in ("", None) and says != session:
            raise ImageUnreadable(
                f"the file says that {name} is {says}, the session {session}",
                where=where,
                fix=f"Correct [colour] {name}.",
            )


def checked(picture: NDArray[Any], colour: Colour, where: str) -> NDArray[Any]:
    """The picture, if its type and values are those of the session's colour.

    Raises:
        ImageUnreadable: another type, or a value above white.
    """
    _check_type(str(picture.dtype), 0, colour, where)
    if picture.dtype == np.uint16 and colour.bits < 16 and (top := int(picture.max())) > colour.white:
        raise ImageUnreadable(
            f"the picture holds {top}, above white ({colour.white} at {colour.bits} bits)",
            where=where,
            fix="Correct [colour] bits, or export with the signal in the low bits.",
        )
    return picture


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Name the camera and frame in errors of the readers, which know only the file."""
    try:
        yield
    except ImageUnreadable as error:
        raise ImageUnreadable(error.what, where=place, fix=error.fix) from error


def manifest_of(paths: Sequence[Path], frames: Sequence[int]) -> str:
    """A hash of every file's name, size and time of change: equal means that nothing was touched."""
    parts = [f"{path.name} {(said := path.stat()).st_size} {said.st_mtime_ns}" for path in paths]
    return sha256("\n".join([*parts, *map(str, frames)]).encode()).hexdigest()


def _check_type(dtype: str, bits: int, colour: Colour, where: str) -> None:
    if dtype == "float16" and not colour.half:
        raise ImageUnreadable(
            f"an EXR picture in a session of {colour.bits} bits",
            where=where,
            fix='Set [colour] half=true bits=16 transfer="linear" black=0.',
        )
    if dtype != "float16" and colour.half:
        raise ImageUnreadable(
            "the picture is no EXR, the session says half=true", where=where, fix="Take half out of [colour]."
        )
    if dtype != colour.dtype or bits not in (0, colour.bits):
        has = bits or 8 * np.dtype(dtype).itemsize
        raise ImageUnreadable(
            f"the picture has {has} bits per channel, the session says {colour.bits}",
            where=where,
            fix="Correct [colour] bits, or export the pictures again.",
        )
