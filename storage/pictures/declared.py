"""What a file says about its colours, and whether the session says the same.

A file says it by an ICC profile, or by primaries and a curve: cICP, gAMA and cHRM of PNG, EXIF, the chromaticities of
EXR, the flags of a video. The name of a profile says nothing. What counts is the light that LittleCMS, or the curve
and the matrix of the primaries, make of the numbers.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.colour import Colour, Transfer, decode_rec709, decode_srgb, encode_srgb

Primaries = tuple[float, ...]  # x and y of red, green, blue and white
Curve = Transfer | float  # a number is the exponent that turns the stored number into light
_D65, _DCI = (0.3127, 0.3290), (0.314, 0.351)
REC709: Primaries = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)
_ADOBE_RGB: Primaries = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65)  # Adobe RGB (1998), 4.3.1
XYZ: Primaries = (1, 0, 0, 1, 0, 0, 0.33333, 0.33333)
_SMPTE_C: Primaries = (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65)
_P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
# Tables 2 and 3 of ITU-T H.273, which PNG and videos use.
_PRIMARIES: dict[int, tuple[str, Primaries]] = {
    1: ("Rec. 709", REC709),
    5: ("BT.601 625", (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65)),
    6: ("BT.601 525", _SMPTE_C),
    7: ("SMPTE 240M", _SMPTE_C),
    9: ("BT.2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65)),
    10: ("XYZ", XYZ),
    11: ("DCI-P3", (*_P3, *_DCI)),
    12: ("Display P3", (*_P3, *_D65)),
    22: ("EBU Tech 3213", (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65)),
}
_VIDEO: tuple[Curve, ...] = ("rec709", "srgb")  # the camera's curve, or the display's that it was graded on
_CURVES: dict[int, tuple[str, tuple[Curve, ...]]] = {
    **{number: ("the video curve", _VIDEO) for number in (1, 6, 14, 15)},
    4: ("gamma 2.2", (2.2,)),
    5: ("gamma 2.8", (2.8,)),
    8: ("linear", ("linear",)),
    13: ("the sRGB curve", ("srgb",)),
}
_NAMES: dict[Curve, str] = {"linear": "linear numbers", "srgb": "the sRGB curve", "rec709": "the video curve"}
_OTHER_CURVES = {16: "PQ", 18: "HLG"}
_SAYS_NOTHING = (0, 2, 3)
# Numbers of the tags, EXIF 2.32 (4.6) and DCF 2.0: IFDs and fields.
_EXIF_IFD, _INTEROP_IFD = 0x8769, 0xA005
_INDEX, _WHITE_POINT, _PRIMARY_CHROMATICITIES, _COLOR_SPACE, _GAMMA = 0x0001, 0x013E, 0x013F, 0xA001, 0xA500
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SAME = 2 / 255  # profiles of sRGB keep its curve in many ways, and differ by less; gamma 2.2 is eight levels away
_EXACT = 0.5 / 255
_COVERAGE = 10 / 255  # gamma 2.2, which many programs write for grey, is sRGB to within this; linear is not


@dataclass(frozen=True)
class Declared:
    """What a file says about its colours.

    Attributes:
        words: the same for a message.
        icc: its ICC profile; then the rest is empty.
        primaries: x and y of red, green, blue and white; () if it does not say them.
        curves: what its curve may be, the likeliest first; () if it does not say it.
    """

    words: str
    icc: bytes = b""
    primaries: Primaries = ()
    curves: tuple[Curve, ...] = ()

    def light(self, values: NDArray[Any], rest: Colour, curve: Curve | None = None) -> NDArray[np.float32]:
        """Return the linear Rec. 709 light of numbers 0..1, (..., 3); it is not clipped.

        Args:
            values: the numbers; those of a grey picture three times.
            rest: what the file does not say.
            curve: one of `curves`; None for the first.
        """
        if self.icc:
            return _through_icc(self.icc, values)
        curve = curve or (self.curves or (rest.transfer,))[0]
        light = values if curve == "linear" else _decoded(values, curve)
        matrix = to_rec709(self.primaries) if self.primaries else rest.matrix
        return light if matrix is None else (light @ np.asarray(matrix, np.float32).T).astype(np.float32)

    def matrix(self) -> NDArray[np.float64]:
        """Return the 3x3 matrix from its linear colours to Rec. 709."""
        return np.array(self.light(np.eye(3, dtype=np.float32), _LINEAR, "linear").T, np.float64)


_LINEAR, _SRGB = Colour(16, "linear"), Colour(16, "srgb")


def by_icc(icc: bytes, channels: int, where: str) -> Declared:
    """Return what an ICC profile says of a picture of so many channels.

    Raises:
        ImageUnreadable: the profile cannot be read, or is for other colours than the picture's.
    """
    from io import BytesIO

    import imagecodecs
    from PIL import ImageCms

    space = icc[16:20].decode("latin-1").strip()
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(icc))).strip()
        if space in ("GRAY", "RGB"):
            _through_icc(icc, np.zeros((1, 3), np.float32))
    except (ImageCms.PyCMSError, OSError, imagecodecs.CmsError) as error:
        reason = " ".join(str(error).split())[:80]
        raise _refused(f"the picture's ICC profile cannot be read ({reason})", where) from error
    if space != "RGB" and not (space == "GRAY" and channels < 3):
        raise _refused(f"the picture has {channels} channels, its ICC profile {name!r} is for {space}", where)
    return Declared(f"{name} (ICC profile)", icc)


def by_h273(primaries: int, transfer: int, source: str, where: str) -> Declared | None:
    """Return what two numbers of ITU-T H.273 say; None if they say nothing.

    Args:
        primaries: ColourPrimaries.
        transfer: TransferCharacteristics.
        source: what holds them, for messages.
        where: the file, for errors.

    Raises:
        ImageUnreadable: the colours are HDR, or a number is of no known meaning.
    """
    for name, number, known in (("primaries", primaries, _PRIMARIES), ("transfer", transfer, _CURVES)):
        if number not in known and number not in _SAYS_NOTHING:
            what = _OTHER_CURVES.get(number, f"number {number}") if known is _CURVES else f"number {number}"
            fix = "Export it as Rec. 709 or sRGB, or as linear EXR."
            raise ImageUnreadable(f"the picture's {name} is {what} ({source})", where=where, fix=fix)
    space, xy = _PRIMARIES.get(primaries, ("", ()))
    curve, curves = _CURVES.get(transfer, ("", ()))
    words = " with ".join(filter(None, (space, curve)))
    return Declared(f"{words} ({source})", b"", xy, curves) if words else None


def by_primaries(primaries: Sequence[float], curves: tuple[Curve, ...], source: str, where: str) -> Declared:
    """Return what chromaticities say: x and y of red, green, blue and white.

    Raises:
        ImageUnreadable: they span no colours.
    """
    xy = tuple(round(float(value), 5) for value in primaries)
    try:
        matrix = to_rec709(xy)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        matrix = np.full((3, 3), np.nan)
    if not np.isfinite(matrix).all():
        raise _refused(f"the picture's primaries {xy} span no colours ({source})", where)
    names = {known: name for name, known in _PRIMARIES.values()} | {_ADOBE_RGB: "Adobe RGB"}
    red, green, blue, white = (f"({x:g}, {y:g})" for x, y in zip(xy[::2], xy[1::2], strict=True))
    words = names.get(xy, f"red {red}, green {green}, blue {blue}, white {white}")
    words += "".join(f" with {_NAMES.get(curve, f'gamma {curve}')}" for curve in curves)
    return Declared(f"{words} ({source})", b"", xy, curves)


def exif_tags(image: Any) -> dict[int, Any]:
    """Return the tags of an opened Pillow image's EXIF, all parts together; {} if it is missing or damaged."""
    from PIL import Image

    try:
        exif = Image.Image.getexif(image)  # Pillow's own method for PNG decodes the whole picture
        return {**exif, **exif.get_ifd(_EXIF_IFD), _INDEX: exif.get_ifd(_INTEROP_IFD).get(_INDEX, "")}
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error):
        return {}


def by_tags(tags: Mapping[int, Any], source: str, where: str) -> Declared | None:
    """Return what tags of EXIF or TIFF say; None if they say nothing.

    Args:
        tags: their values by number, fractions as numbers; of EXIF those of all its parts.
        source: what holds them, for messages.
        where: the file, for errors.

    Raises:
        ImageUnreadable: they say only what the colours are not.
    """
    space, gamma = tags.get(_COLOR_SPACE), tags.get(_GAMMA)
    if space == 2 or str(tags.get(_INDEX, "")).startswith("R03"):  # 2 is not in the standard, but cameras write it
        return Declared(f"Adobe RGB ({source})", b"", _ADOBE_RGB, (563 / 256,))
    if space == 1:
        return Declared(f"sRGB ({source})", b"", REC709, ("srgb",))
    if _PRIMARY_CHROMATICITIES in tags and _WHITE_POINT in tags:
        xy = (*tags[_PRIMARY_CHROMATICITIES], *tags[_WHITE_POINT])
        return by_primaries(xy, (float(gamma),) if gamma else (), source, where)
    if space == 65535:
        raise _refused(f"the picture says that its colours are not sRGB, but not what they are ({source})", where)
    return None


def objection(declared: Declared, colour: Colour) -> tuple[str, str] | None:
    """Return what is wrong and what to do where a file means other colours than its session; None if they agree."""
    grey = bool(colour.cfa) or declared.icc[16:20] == b"GRAY"
    return _objection(declared, Colour(16, colour.transfer, matrix=colour.matrix), grey, colour.half)


def stated(declared: Declared) -> Colour | None:
    """Return what a session would have to state about such pictures; None if it cannot, or if they do not say all."""
    if not (declared.icc or (declared.curves and declared.primaries)):
        return None
    return _agreeing(declared, _SRGB, declared.icc[16:20] == b"GRAY", ("srgb", "rec709", "linear"))


def check_coverage(declared: Declared | None, where: str) -> None:
    """Refuse a matte, mask or trimap whose grey is light of another curve: its numbers are how much is covered.

    Raises:
        ImageUnreadable: half grey would not be half.
    """
    if declared and _distance(declared, _SRGB, grey=True) > _COVERAGE:
        what = f"the grey of a matte says how much is covered, but this picture's is light: {declared.words}"
        raise ImageUnreadable(what, where=where, fix="Save it again without colour profile and gamma.")


def shown(values: NDArray[np.float32], declared: Declared | None, otherwise: Transfer) -> NDArray[np.float32]:
    """Return a picture as a display shows it, sRGB-encoded 0..1.

    Args:
        values: (H, W, 3), white at 1.
        declared: what the file says.
        otherwise: the curve, and with it Rec. 709, where the file says nothing.
    """
    rest = Colour(16, otherwise)
    if otherwise == "srgb" and (declared is None or _distance(declared, rest) <= _EXACT):
        return values
    return encode_srgb(declared.light(values, rest) if declared else values)


@lru_cache(maxsize=64)
def to_rec709(primaries: Primaries) -> NDArray[np.float64]:
    """Return the 3x3 matrix from linear colours of some primaries to Rec. 709, white to white (Bradford).

    Raises:
        LinAlgError: the primaries lie on one line.
        ZeroDivisionError: white has no brightness.
    """
    to_xyz, white = _to_xyz(primaries)
    back, target = _to_xyz(REC709)
    if primaries == XYZ:  # coordinates, in which the white of Rec. 709 is that of D65
        return np.array(np.linalg.inv(back))
    cones = np.diag((_BRADFORD @ target) / (_BRADFORD @ white))
    matrix: NDArray[np.float64] = np.linalg.inv(back) @ np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ to_xyz
    return matrix


def _to_xyz(primaries: Primaries) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrix to XYZ (SMPTE RP 177), and white."""
    *colours, (x, y) = zip(primaries[::2], primaries[1::2], strict=True)
    white = np.array([x / y, 1, (1 - x - y) / y])
    columns = np.array([[x, y, 1 - x - y] for x, y in colours]).T
    return columns * np.linalg.solve(columns, white), white


def _decoded(values: NDArray[Any], curve: Curve) -> NDArray[np.float32]:
    if isinstance(curve, str):
        return (decode_srgb if curve == "srgb" else decode_rec709)(values)
    return np.power(values, np.float32(curve), dtype=np.float32)


def _through_icc(icc: bytes, values: NDArray[Any]) -> NDArray[np.float32]:
    import imagecodecs

    grey = icc[16:20] == b"GRAY"
    light: NDArray[np.float32] = imagecodecs.cms_transform(
        np.ascontiguousarray(values[..., 0].reshape(-1, 1) if grey else values.reshape(-1, 1, 3), np.float32),
        icc,
        _linear_profile(),
        colorspace="gray" if grey else "rgb",
        outcolorspace="rgb",
        outdtype="float32",
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        # Otherwise LittleCMS interpolates in a coarse table, up to 24 of 255 levels off with 16 bits.
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,
    )
    return light.reshape(values.shape)


@lru_cache(maxsize=1)
def _linear_profile() -> bytes:
    import imagecodecs

    *colours, white = zip(REC709[::2], REC709[1::2], strict=True)
    xyy = [[x, y, 1.0] for x, y in (white, *colours)]
    profile: bytes = imagecodecs.cms_profile("rgb", whitepoint=xyy[0], primaries=sum(xyy[1:], []), gamma=1.0)
    return profile


@lru_cache(maxsize=256)
def _objection(declared: Declared, session: Colour, grey: bool, half: bool) -> tuple[str, str] | None:
    if (off := _distance(declared, session, grey)) <= _SAME:
        return None
    ours = f"transfer {session.transfer!r}" + (" and its matrix" if session.matrix else " of Rec. 709")
    what = (
        f"the picture's colours are {declared.words}, the session says {ours}; "
        f"they lie up to {off * 255:.0f} of 255 levels apart"
    )
    target = "linear Rec. 709" if half else "sRGB"
    named = [curve for curve in (*declared.curves, "srgb", "rec709", "linear") if isinstance(curve, str)]
    transfers: list[Transfer] = [session.transfer] if half else [session.transfer, *named]
    if wanted := _agreeing(declared, session, grey, transfers):
        changes = [f'transfer = "{wanted.transfer}"'] * (wanted.transfer != session.transfer)
        if wanted.matrix != session.matrix:
            rows = wanted.matrix and [list(row) for row in wanted.matrix]
            changes.append(f"matrix = {rows}" if rows else "no matrix")
        return what, f"Set [colour] {' and '.join(changes)}; or convert the pictures to {target}."
    return what, f"Convert the pictures to {target}."


def _agreeing(declared: Declared, session: Colour, grey: bool, transfers: Sequence[Transfer]) -> Colour | None:
    """Return the first of these transfers, with the matrix that is needed, that means the same; None for none."""
    for transfer in transfers:
        wanted = Colour(16, transfer, matrix=session.matrix if grey else _matrix(declared, session))
        if _distance(declared, wanted, grey) <= _SAME:
            return wanted
    return None


def _matrix(declared: Declared, session: Colour) -> tuple[tuple[float, float, float], ...] | None:
    """Return the matrix as a session would state it."""
    if not (declared.icc or declared.primaries):
        return session.matrix
    matrix = declared.matrix()
    if np.allclose(matrix, np.eye(3), atol=2e-3):
        return None
    red, green, blue = (tuple(round(float(value), 6) for value in row) for row in matrix)
    return red, green, blue  # type: ignore[return-value]  # three of three


def _distance(declared: Declared, colour: Colour, grey: bool = False) -> float:
    """Return how far the colours lie apart as a display shows them, 0..1: the worst of a ramp and a cube."""
    ramp = np.repeat(np.linspace(0, 1, 65, dtype=np.float32)[:, None], 3, axis=1)
    cube = np.stack(np.meshgrid(*[np.linspace(0, 1, 6, dtype=np.float32)] * 3), axis=-1).reshape(-1, 3)
    values = ramp if grey else np.concatenate([ramp, cube])
    ours = colour.display(values.T[:, None] * np.float32(colour.white))[:, 0].T
    theirs = (encode_srgb(declared.light(values, colour, curve)) for curve in declared.curves or (None,))
    return min(float(np.abs(each - ours).max()) for each in theirs)


def _refused(what: str, where: str) -> ImageUnreadable:
    return ImageUnreadable(what, where=where, fix="Convert it to sRGB with a program that knows its colours.")
