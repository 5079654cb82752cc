"""What EXR and DPX say about their light is done or refused; LittleCMS says what is right."""

import json
import re
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from capmat_errors import CapmatError, ImageUnreadable
from storage.pictures.colour import Colour
from storage.pictures.declared import XYZ, to_rec709
from storage.pictures.files import read_header, read_shown
from storage.recordings.check import check_colour
from tests.storage.pictures.spaces import (
    D65,
    SPACES,
    profile,
    write_exr,
)


@pytest.mark.parametrize("space", SPACES)
def test_the_primaries_of_an_exr_are_honoured_or_refused(tmp_path: Path, space: str) -> None:
    import OpenEXR

    light = np.random.default_rng(5).uniform(0, 1, (16, 24, 3)).astype(np.float16)
    with OpenEXR.File({"chromaticities": SPACES[space]}, {"RGB": light}) as file:
        file.write(str(tmp_path / "p.exr"))
    wanted = imagecodecs.cms_transform(
        light.astype(np.float32), profile(space, 1.0), imagecodecs.cms_profile("srgb"), outdtype="float32",
        colorspace="rgb", outcolorspace="rgb", intent=1, flags=256,
    )  # fmt: skip
    assert np.abs(read_shown(tmp_path / "p.exr") - wanted.clip(0, 1)).max() < 2e-3
    header, colour = read_header(tmp_path / "p.exr"), Colour(16, "linear", half=True)
    if space == "Rec. 709":
        check_colour(header, colour, "here")
        return
    with pytest.raises(ImageUnreadable, match="here: .*colours are .*Set .colour. matrix = ") as refusal:
        check_colour(header, colour, "here")
    rows = json.loads(re.search(r"\[\[.+\]\]", refusal.value.fix)[0])  # type: ignore[index]
    stated = Colour(16, "linear", half=True, matrix=tuple(map(tuple, rows)))
    check_colour(header, stated, "here")
    assert np.abs(stated.display(light.transpose(2, 0, 1)) - wanted.clip(0, 1).transpose(2, 0, 1)).max() < 2e-3


def test_matrices_are_those_that_others_publish() -> None:
    acescg = [[1.70505, -0.62179, -0.08326], [-0.13026, 1.14080, -0.01055], [-0.02400, -0.12897, 1.15297]]
    bt2087 = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    xyz = [[3.2410, -1.5374, -0.4986], [-0.9692, 1.8760, 0.0416], [0.0556, -0.2040, 1.0570]]  # IEC 61966-2-1
    for primaries, matrix in ((SPACES["ACEScg"], acescg), (SPACES["BT.2020"], bt2087), (XYZ, xyz)):
        np.testing.assert_allclose(to_rec709(primaries), matrix, atol=2e-3 if primaries == XYZ else 1e-4)


def test_dpx_says_its_curve_black_and_white(tmp_path: Path) -> None:
    from tests.storage.pictures.test_formats import _dpx

    path, levels = tmp_path / "a.dpx", np.full((8, 8, 3), 500, np.uint16)
    video, linear = Colour(10, "rec709"), Colour(10, "linear")
    check_colour(read_header(_dpx(path, levels, 10, transfer=6)), video, "here")
    for transfer, colour, says in ((6, linear, "transfer = .rec709"), (2, video, "transfer = .linear")):
        with pytest.raises(ImageUnreadable, match=f"here: .*DPX header.*Set .*{says}"):
            check_colour(read_header(_dpx(path, levels, 10, transfer=transfer)), colour, "here")
    for low, high, says in ((64, 1023, "black is 64"), (0, 940, "white at 940")):
        data = bytearray(_dpx(path, levels, 10).read_bytes())
        struct.pack_into(">IIfI", data, 780, 0, low, 0.0, high)
        path.write_bytes(data)
        with pytest.raises(ImageUnreadable, match=says):
            check_colour(read_header(path), linear, "here")
    old = bytearray(_dpx(path, levels, 10).read_bytes())
    old[160:172] = b"Lavc58.134.1"  # wrote "linear" whatever it was given
    path.write_bytes(old)
    check_colour(read_header(path), video, "here")


def test_an_exr_that_names_its_space_must_mean_it(tmp_path: Path) -> None:
    path, half = tmp_path / "a.exr", Colour(16, "linear", half=True)
    write_exr(path, colorInteropID="lin_rec709_scene")
    check_colour(read_header(path), half, "here")
    for header in ({"colorInteropID": "lin_ap1_scene"}, {"acesImageContainerFlag": 1}):
        write_exr(path, **header)
        with pytest.raises(ImageUnreadable, match="here: .*Set .colour. matrix"):
            check_colour(read_header(path), half, "here")
    write_exr(path, chromaticities=(0.3, 0.3) * 3 + D65)
    with pytest.raises(ImageUnreadable, match=r"a\.exr: .*span no colours"):
        read_header(path)
    for header in (
        {"colorInteropID": "srgb_rec709_scene"},
        {"colorInteropID": "lin_ap1_scene", "chromaticities": SPACES["P3"]},
    ):
        write_exr(path, **header)
        with pytest.raises(CapmatError, match=r"a\.exr: the EXR says that its colours are"):
            read_header(path)


def test_numbers_in_the_low_bits_are_shown_at_their_own_depth(tmp_path: Path) -> None:
    from tests.storage.pictures.test_formats import _dpx

    path = _dpx(tmp_path / "a.dpx", np.full((8, 8, 3), 512, np.uint16), 10, transfer=0)
    np.testing.assert_allclose(read_shown(path), 512 / 1023, atol=1e-6)
