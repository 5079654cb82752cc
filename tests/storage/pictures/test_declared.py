"""What a file says about its colours is done or refused; LittleCMS, through Pillow, says what is right."""

import re
import struct
import tomllib
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from capmat_errors import ImageUnreadable
from storage.descriptor import read_session
from storage.pictures.colour import Colour
from storage.pictures.files import read_grey, read_guide, read_header, read_shown
from storage.pictures.png import encode_png
from storage.recordings.check import check_colour
from storage.recordings.recording import find_recordings
from storage.session.plan import check_session
from tests.project import ROOT
from tests.storage.pictures.spaces import LEVELS, SPACES, chrm, profile, right, with_chunks, write_exr
from tests.storage.tiny_session import write_session

CASES = ROOT / "tests" / "cases"
CICP = {"Rec. 709": 1, "P3": 12, "BT.2020": 9}
SRGB = Colour(8, "srgb")


GAMMAS = (None, 2.2, 1.0)  # None is the sRGB curve


def exif_of(**fields: Any) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 1  # Pillow leaves out EXIF that has nothing but a sub-directory
    exif.get_ifd(0x8769).update({0xA001: 65535} | ({0xA005: {1: fields["index"]}} if fields else {}))
    return exif


def write(folder: Path, form: str, space: str, gamma: float | None, levels: np.ndarray = LEVELS) -> Path | None:
    """A picture that says its colours in one of many ways; None if this way cannot say them."""
    path, image = folder / f"p.{form.split()[0]}", Image.fromarray(levels)
    if form.endswith("icc"):
        image.save(path, icc_profile=profile(space, gamma), **({"quality": 98} if "jpg" in form else {}))
    elif form.endswith("R03"):
        if (space, gamma) != ("Adobe RGB", 2.2):
            return None
        image.save(path, exif=exif_of(index="R03"))
    elif form == "png gAMA":
        number = round(100000 / gamma) if gamma else 45455
        if number == 45455 and gamma:  # PNG writes the sRGB curve like this
            return None
        path.write_bytes(with_chunks(encode_png(levels), gAMA=struct.pack(">I", number), cHRM=chrm(space)))
    else:
        if space not in CICP:
            return None
        numbers = bytes([CICP[space], {None: 13, 2.2: 4, 1.0: 8}[gamma], 0, 1])
        path.write_bytes(with_chunks(encode_png(levels), cICP=numbers))
    return path


FORMS = ("jpg icc", "png icc", "tif icc", "png gAMA", "png cICP", "jpg R03", "png R03")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMS), st.sampled_from([*SPACES][:5]), st.sampled_from(GAMMAS))
@example("png R03", "Adobe RGB", 2.2)
@example("jpg R03", "Adobe RGB", 2.2)
def test_what_a_picture_declares_is_honoured_or_refused(form: str, space: str, gamma: float | None) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder), form, space, gamma)
        if path is None:
            return
        levels = np.asarray(Image.open(path))
        wanted = right(levels, space, gamma)
        assert np.abs(read_shown(path) * 255 - wanted).max() < 1, "a photograph is converted"
        header = read_header(path)
        if np.abs(wanted - levels).max() <= 1:
            check_colour(header, SRGB, "here")
            return
        with pytest.raises(ImageUnreadable, match="^here: the picture's colours are ") as refusal:
            check_colour(header, SRGB, "here")
        if proposed := re.search(r"Set \[colour\] (.+); or", refusal.value.fix):
            values = tomllib.loads("\n".join(proposed[1].split(" and ")))
            matrix = values.get("matrix")
            colour = Colour(8, values.get("transfer", "srgb"), matrix=matrix and tuple(map(tuple, matrix)))
            check_colour(header, colour, "here")
            seen = colour.display(levels.transpose(2, 0, 1)).transpose(1, 2, 0)
            assert np.abs(seen * 255 - wanted).max() < 1.5, "what the message proposes is right"
        else:
            assert gamma == 2.2, "only a curve that sessions do not know has to be converted"


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("09-pictures-that-say-otherwise/jpg_applewide", r"C01 frame 0, .*Apple Wide Color Sharing Profile"),
        ("09-pictures-that-say-otherwise/png_p3_icc", r"C01 frame 0, .*Display P3"),
        ("10-exr-primaries/x_ap0", r"C01 frame 0, .*red \(0.7347, 0.2653\).*Set \[colour\] matrix"),
        ("10-exr-primaries/x_r709", ""),
    ],
)
def test_a_session_of_other_colours_is_refused_before_work_starts(case: str, says: str) -> None:
    session = read_session(CASES / case)
    if not says:
        assert check_session(session).takes
        return
    with pytest.raises(ImageUnreadable, match=says):
        check_session(session)


def test_a_plate_of_other_colours_is_refused_by_its_name(tmp_path: Path) -> None:
    write_session(tmp_path)
    session = tmp_path / "session.toml"
    assert check_session(read_session(session)).plates
    plate = tmp_path / "plates/c01/0001.png"
    plate.write_bytes(with_chunks(plate.read_bytes(), gAMA=struct.pack(">I", 55556)))
    with pytest.raises(ImageUnreadable, match=r"plate of camera c01 frame 1, .*gamma 1/1\.8 .*Convert the pictures"):
        check_session(read_session(session))


def test_the_pictures_of_an_smc_file_are_asked_like_files(tmp_path: Path) -> None:
    import h5py

    Image.fromarray(LEVELS).save(tmp_path / "p.jpg", icc_profile=profile("P3", None))
    Image.fromarray(LEVELS).save(tmp_path / "wide.jpg", dpi=(300, 150))
    with h5py.File(tmp_path / "a.smc", "w") as file:
        for frame, name in enumerate(("p.jpg", "wide.jpg")):
            data = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
            file.create_dataset(f"Camera_5mp/3/color/{frame}", data=data)
    headers = find_recordings(tmp_path, "a.smc")["03"].headers()
    where, header = next(headers)
    with pytest.raises(ImageUnreadable, match=r"camera 03 frame 0, .*Set \[colour\] matrix"):
        check_colour(header, SRGB, where)
    with pytest.raises(ImageUnreadable, match=r"camera 03 frame 1, .*not square"):
        next(headers)


def test_the_strongest_chunk_of_a_png_counts() -> None:
    wide = zlib.compress(profile("P3", None))
    every = {"cICP": bytes([9, 13, 0, 1]), "iCCP": b"x\0\0" + wide, "sRGB": b"\0", "gAMA": struct.pack(">I", 100000)}
    says = ("BT.2020", "ICC profile", "sRGB", "gAMA")
    with TemporaryDirectory() as folder:
        for first, words in enumerate(says):
            path = Path(folder) / "p.png"
            path.write_bytes(with_chunks(encode_png(LEVELS), **dict([*every.items()][first:])))
            declared = read_header(path).declared
            assert declared
            assert words in declared.words


@pytest.mark.parametrize("numbers", [(9, 16, 0, 1), (9, 18, 0, 1), (12, 13, 0, 0), (1, 13, 1, 1), (99, 13, 0, 1)])
def test_hdr_and_limited_range_are_refused_by_every_reader(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    (tmp_path / "p.png").write_bytes(with_chunks(encode_png(LEVELS), cICP=bytes(numbers)))
    for read in (read_header, read_shown):
        with pytest.raises(ImageUnreadable, match=r"p\.png: .*cICP"):
            read(tmp_path / "p.png")


def test_exif_that_says_only_what_the_colours_are_not_is_refused(tmp_path: Path) -> None:
    exif = exif_of()
    for name in ("p.jpg", "p.png"):
        Image.fromarray(LEVELS).save(tmp_path / name, exif=exif)
        with pytest.raises(ImageUnreadable, match=rf"{name}: .*not sRGB"):
            read_header(tmp_path / name)
    Image.fromarray(LEVELS).save(tmp_path / "p.jpg", exif=exif, icc_profile=profile("Rec. 709", None))
    check_colour(read_header(tmp_path / "p.jpg"), SRGB, "here")


def test_a_profile_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    grey = Image.fromarray(LEVELS[..., 0])
    grey_profile = bytes(imagecodecs.cms_profile("gray", gamma=2.2))
    for name, image, icc, says in (
        ("broken.jpg", Image.fromarray(LEVELS), profile("P3", 2.2)[:-200], "cannot be read"),
        ("grey.tif", Image.fromarray(LEVELS), grey_profile, "is for GRAY"),
    ):
        image.save(tmp_path / name, icc_profile=icc)
        with pytest.raises(ImageUnreadable, match=rf"{name}: .*{says}"):
            read_header(tmp_path / name)
    grey.save(tmp_path / "fine.png", icc_profile=grey_profile)
    assert np.abs(read_shown(tmp_path / "fine.png")[..., 0] * 255 - LEVELS[..., 0]).max() < 9


@pytest.mark.parametrize(
    ("tag", "kind", "values"),
    [
        (301, "H", tuple(range(0, 65536, 256)) * 3),  # TransferFunction
        (291, "H", tuple(range(256))),  # GrayResponseCurve
        (532, "2I", (16, 1, 235, 1) * 3),  # ReferenceBlackWhite
    ],
)
def test_a_tiff_with_a_curve_of_its_own_is_refused(tmp_path: Path, tag: int, kind: str, values: tuple[int]) -> None:
    import tifffile

    count = len(values) // (2 if kind == "2I" else 1)
    tifffile.imwrite(tmp_path / "p.tif", LEVELS, photometric="rgb", extratags=[(tag, kind, count, values, True)])
    for read in (read_header, read_shown):
        with pytest.raises(ImageUnreadable, match=r"p\.tif: the TIFF has a curve of its own \("):
            read(tmp_path / "p.tif")


def test_an_animated_png_is_refused(tmp_path: Path) -> None:
    first, second = Image.fromarray(LEVELS), Image.fromarray(LEVELS[::-1])
    first.save(tmp_path / "p.png", save_all=True, append_images=[second])
    with pytest.raises(ImageUnreadable, match=r"p\.png: the PNG is an animation of 2 pictures"):
        read_shown(tmp_path / "p.png")


@pytest.mark.parametrize("gamma", [1.0, 2.2])
def test_the_grey_of_a_matte_is_how_much_is_covered(tmp_path: Path, gamma: float) -> None:
    """Gamma 2.2 is what many programs write into every grey picture; 128 of linear light would look like 188."""
    grey, ramp = bytes(imagecodecs.cms_profile("gray", gamma=gamma)), np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "icc.png", icc_profile=grey)
    Image.fromarray(ramp).save(tmp_path / "icc.tif", icc_profile=grey)
    number = struct.pack(">I", round(100000 / gamma))
    (tmp_path / "gama.png").write_bytes(with_chunks(encode_png(ramp), gAMA=number))
    for name in ("icc.png", "icc.tif", "gama.png"):
        if gamma == 2.2:
            np.testing.assert_array_equal(read_grey(tmp_path / name), ramp)
            np.testing.assert_allclose(read_guide(tmp_path / name), ramp / 255, atol=1e-6)
            continue
        for read in (read_grey, read_guide):
            with pytest.raises(ImageUnreadable, match=rf"{name}: the grey of a matte"):
                read(tmp_path / name)


def test_pixels_that_are_not_square_are_refused_in_every_format(tmp_path: Path) -> None:
    import tifffile

    from tests.storage.pictures.test_formats import _dpx

    small = LEVELS[:8, :8]
    (tmp_path / "a.png").write_bytes(with_chunks(encode_png(small), pHYs=struct.pack(">IIB", 16, 15, 0)))
    Image.fromarray(small).save(tmp_path / "a.jpg", dpi=(300, 150))
    tifffile.imwrite(tmp_path / "a.tif", small, photometric="rgb", resolution=(72, 36))
    write_exr(tmp_path / "a.exr", pixelAspectRatio=2.0)
    dpx = bytearray(_dpx(tmp_path / "a.dpx", small, 8).read_bytes())
    struct.pack_into(">II", dpx, 1628, 2, 1)
    (tmp_path / "a.dpx").write_bytes(dpx)
    for suffix in ("png", "jpg", "tif", "exr", "dpx"):
        with pytest.raises(ImageUnreadable, match=rf"a\.{suffix}: .*not square"):
            read_header(tmp_path / f"a.{suffix}")
