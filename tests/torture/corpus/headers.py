"""Malformed pictures whose headers lie."""

from pathlib import Path

import numpy as np

from tests.storage.tiny_session import edit_calibration, edit_toml, write_picture
from tests.torture.corpus import damage
from tests.torture.corpus.case import Case, Mutation, at, one_of
from tests.torture.corpus.damage import Harm, cmyk, longer, unlinked
from tests.torture.sources import FORMATS, WITH_HEADERS


def headers() -> list[Case]:
    """Headers that claim another size; at 100,000 x 100,000 the calibration agrees, so only the file is to blame."""

    def giant(form: str) -> Mutation:
        def mutate(folder: Path) -> None:
            for path in sorted(folder.rglob(f"c01/*{FORMATS[form]}")):
                damage.sized(damage.HUGE, damage.HUGE)(path)
            side = 65535 if form == "jpeg" else damage.HUGE
            edit_calibration(folder, "c01", width=side, height=side)

        return mutate

    out = [Case(f"{form}: a giant", form, giant(form), ("c01",)) for form in WITH_HEADERS]
    for what, size in {"wider": (66, 48), "taller": (64, 50), "flat": (64, 0), "thin": (0, 48)}.items():
        out += [
            Case(f"{form}: {what}", form, at(one_of(form), damage.sized(*size)), ("c01",)) for form in WITH_HEADERS
        ]
    return out


def deep_headers() -> list[Case]:
    """Fields of one format."""
    one = {form: one_of(form) for form in FORMATS}

    def other(form: str, shape: tuple[int, ...], dtype: str) -> Mutation:
        picture = np.full(shape, 9, dtype)
        return lambda folder: (unlinked(folder / one[form]), write_picture(folder / one[form], picture))

    def exr_value(value: float) -> Mutation:
        picture = np.full((48, 64, 3), 0.25, np.float16)
        picture[3, 4, 1] = value
        return lambda folder: write_picture(folder / one["exr"], picture)

    def wrong(form: str, harm: Harm, what: str) -> Case:
        return Case(f"{form}: {what}", form, at(one[form], harm), (one[form],))

    return [
        Case("png: another size", "png", other("png", (40, 64, 3), "u2"), ("c01", "64x40")),
        Case("png: 8 bits", "png", other("png", (48, 64, 3), "u1"), (one["png"],)),
        Case("png: grey", "png", other("png", (48, 64), "u2"), (one["png"],)),
        Case("png: with alpha", "png", other("png", (48, 64, 4), "u2"), (one["png"],)),
        Case(
            "png: above white",
            "png",
            lambda f: write_picture(f / one["png"], np.full((48, 64, 3), 5000, "u2")),
            (one["png"],),
        ),
        wrong("png", damage.bytes_at(25, b"\x09"), "an unknown kind of colour"),
        wrong("png", damage.bytes_at(24, b"\x07"), "seven bits"),
        wrong("png", damage.bytes_at(33, b"\x7f\xff\xff\xff"), "a chunk of 2 GB"),
        wrong("png", damage.bytes_at(-30, b"\xff\xff"), "damaged inside"),
        Case("tiff: floats", "tiff", other("tiff", (48, 64, 3), "f4"), (one["tiff"],)),
        Case("tiff: grey", "tiff", other("tiff", (48, 64), "u2"), (one["tiff"],)),
        wrong("tiff", damage.bytes_at(0, b"MM\0*"), "the other byte order"),
        wrong("tiff", damage.bytes_at(4, b"\xff\xff\xff\x7f"), "a directory beyond the end"),
        wrong("tiff", damage.bytes_at(4, b"\x00\x00\x00\x00"), "no directory"),
        wrong("tiff", damage.tag(258, 99), "99 bits"),
        wrong("tiff", damage.tag(259, 34000), "an unknown compression"),
        wrong("tiff", damage.tag(262, 5), "CMYK"),
        wrong("tiff", damage.tag(277, 60000), "60000 channels"),
        wrong("tiff", damage.tag(273, 2**31), "pixels beyond the end"),
        wrong("tiff12", damage.tag(278, 0), "strips of no row"),
        wrong("tiff12", damage.tag(259, 5), "called LZW, which it is not"),
        Case("exr: nan", "exr", exr_value(np.nan), (one["exr"], "nan")),
        Case("exr: infinity", "exr", exr_value(np.inf), (one["exr"], "infinity")),
        wrong("exr", damage.replaced(b"channels\0", b"channelz\0"), "no channels"),
        wrong("exr", damage.replaced(b"dataWindow\0", b"dataWindoe\0"), "no window"),
        wrong("exr", damage.bytes_at(4, b"\xff"), "an unknown version"),
        wrong("exr", damage.bytes_at(4, b"\x02\x02"), "tiles that are none"),
        wrong("dpx", damage.bytes_at(0, b"XPDS"), "the other byte order"),
        wrong("dpx", damage.bytes_at(803, b"\x20"), "32 bits"),
        wrong("dpx", damage.bytes_at(808, b"\x7f\xff\xff\xff"), "pixels beyond the end"),
        wrong("dpx", damage.bytes_at(801, b"\x03"), "logarithmic"),
        wrong("dng", damage.tag(50717, 70000), "white above 16 bits"),
        wrong("dng", damage.tag(50714, 5000), "black above white"),
        wrong("dng", damage.tag(262, 2), "no mosaic"),
        Case("jpeg: CMYK", "jpeg", at(one["jpeg"], cmyk), (one["jpeg"],)),
        wrong("jpeg", damage.bytes_at(-2, b"\0\0"), "no end"),
        Case("raw: one byte more", "raw", at(one["raw"], longer), (one["raw"],)),
        Case("raw: twice", "raw", at(one["raw"], lambda p: p.write_bytes(p.read_bytes() * 2)), (one["raw"],)),
        Case(
            "raw: the wrong size in the descriptor",
            "raw",
            lambda f: edit_toml(f, "width = 64", "width = 66"),
            (".raw",),
        ),
        Case(
            "raw: a giant in the descriptor",
            "raw",
            lambda f: edit_toml(f, "width = 64", "width = 1000000000"),
            (".raw",),
        ),
        Case(
            "raw: no such packing",
            "raw",
            lambda f: edit_toml(f, "BayerRG12p", "BayerRG13p"),
            ("[raw]", "pixel format"),
        ),
        Case("raw: another order of colours", "raw", lambda f: edit_toml(f, "BayerRG12p", "BayerGB12p"), ("cfa",)),
        Case(
            "raw: a header of -1 bytes",
            "raw",
            lambda f: edit_toml(f, "width = 64", "width = 64\nheader_bytes = -1"),
            ("header_bytes",),
        ),
    ]
