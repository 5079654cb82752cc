"""Does a picture fit the session's colour? Every header is asked before anything is written, and every picture."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.colour import Colour
from storage.pictures.declared import objection
from storage.pictures.header import Header


class Frame(NamedTuple):
    """A frame as its files have it: its number, the file that holds it, and camera, frame and file for messages."""

    number: int
    path: Path
    where: str


def check_colour(header: Header, colour: Colour, where: str) -> None:
    """Refuse by its header what cannot be a picture of this colour.

    Raises:
        ImageUnreadable: other colours than the session's, a mosaic where the session says RGB or the other way round,
            alpha, another depth, another order of the mosaic's colours, another black or white.
    """

    def refuse(what: str, fix: str) -> NoReturn:
        raise ImageUnreadable(what, where=where, fix=fix)

    _check_type(header.dtype, header.bits, colour, where)
    if header.declared and (wrong := objection(header.declared, colour)):
        refuse(*wrong)
    if header.channels > 3:
        refuse("the picture has an alpha channel", "Export it as plain RGB.")
    if header.channels < 3 and not colour.cfa:
        refuse("the picture has no colour", "Export it as RGB, or set [colour] cfa if it is a mosaic.")
    if header.channels == 3 and colour.cfa:
        what = f"the picture has colour, the session says that it is a mosaic ({colour.cfa})"
        refuse(what, "Remove cfa from [colour], or export the mosaics.")
    if colour.cfa and (header.width % 2 or header.height % 2):
        what = f"a mosaic of {header.width}x{header.height} pixels has no whole 2x2 blocks"
        refuse(what, "Export the sensor's own size, which is even.")
    for name, in_file, in_session in (("cfa", header.cfa, colour.cfa), ("black", header.black, colour.black)):
        if in_file not in ("", None) and in_file != in_session:
            refuse(f"the file says that {name} is {in_file}, the session {in_session}", f"Correct [colour] {name}.")


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
def located(where: str) -> Iterator[None]:
    """Name the camera and frame in errors of the readers, which know only the file."""
    try:
        yield
    except ImageUnreadable as error:
        raise ImageUnreadable(error.what, where=where, fix=error.fix) from error


def manifest_of(paths: Sequence[Path], frames: Sequence[int]) -> str:
    """A hash of every file's name, size and time of change; equal hashes mean that nothing was touched."""
    states = [(path.name, path.stat()) for path in paths]
    parts = [f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states]
    return sha256("\n".join([*parts, *map(str, frames)]).encode()).hexdigest()


def _check_type(dtype: str, bits: int, colour: Colour, where: str) -> None:
    if dtype == "float16" and not colour.half:
        raise ImageUnreadable(
            f"the picture is an EXR, the session says {colour.bits} bits",
            where=where,
            fix='Set [colour] half=true bits=16 transfer="linear" black=0.',
        )
    if dtype != "float16" and colour.half:
        raise ImageUnreadable(
            "the picture is not an EXR, the session says half=true", where=where, fix="Remove half from [colour]."
        )
    if dtype != colour.dtype or bits not in (0, colour.bits):
        depth = bits or 8 * np.dtype(dtype).itemsize
        raise ImageUnreadable(
            f"the picture has {depth} bits per channel, the session says {colour.bits}",
            where=where,
            fix="Correct [colour] bits, or export the pictures again.",
        )
