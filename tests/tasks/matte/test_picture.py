"""One photograph and its plate: the pictures come out, and what cannot be is refused in one line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from capmat_errors import CapmatError, CheckpointError, ConfigError, ImageUnreadable, NotFound, SizeMismatch
from storage.pictures.files import read_grey, read_guide, read_image, read_rgba
from storage.pictures.png import encode_png
from tasks.matte.picture import matte_picture, open_base, open_model, read_display
from tasks.models.infer import infer
from tasks.models.networks import register_base
from tests.project import WEIGHTS
from tests.storage.tiny_session import write_picture

STUDENT = "bgmv2_mobilenetv2_xs"


def matte_pair(image: Path, plate: Path, out: Path, name: str = STUDENT, weights: Path = WEIGHTS) -> dict[str, Path]:
    return matte_picture(open_base(weights, name), name, image, out, plate=plate)[0]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A bright square before a dull plate, 8 bit, of a size that no network likes."""
    rng = np.random.default_rng(0)
    plate = np.clip(rng.normal(90, 3, (131, 173, 3)), 0, 255).astype(np.uint8)
    image = plate.copy()
    image[40:100, 60:120] = (230, 60, 40)
    paths = tmp_path / "image.png", tmp_path / "plate.png"
    for path, picture in zip(paths, (image, plate), strict=True):
        path.write_bytes(encode_png(picture))
    return paths


@pytest.mark.parametrize("architecture", [STUDENT, "bg_vitmatte_xs"])
def test_the_subject_is_told_from_the_plate(architecture: str, pair: tuple[Path, Path], tmp_path: Path) -> None:
    made = matte_pair(*pair, tmp_path / "out", architecture, WEIGHTS)
    alpha = read_grey(made["alpha"]).astype(np.float32) / 65535
    assert alpha.shape == (131, 173)
    src, bgr = map(read_display, pair)
    forward = infer(open_base(WEIGHTS, architecture), src, bgr)["pha"]
    np.testing.assert_allclose(alpha, forward, atol=1e-4)  # of the whole network, as its parity is tested
    assert alpha[50:90, 70:110].mean() > 0.6
    assert alpha[:30].mean() < 0.2
    cutout = read_rgba(made["cutout"]).astype(int)
    assert (cutout[..., 3] == np.rint(alpha * 255)).mean() > 0.99
    soft = (cutout[..., 3] > 5) & (cutout[..., 3] < 250)
    off = [
        np.abs(picture[soft][:, :3] - (230, 60, 40)).mean() for picture in (cutout, read_image(pair[0]).astype(int))
    ]
    assert off[0] < 0.9 * off[1]  # nearer to the square's own colour than the picture is at that rim


def test_a_plate_of_another_size_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    small.write_bytes(encode_png(np.zeros((131, 100, 3), np.uint8)))
    with pytest.raises(SizeMismatch, match=r"173 x 131.*100 x 131"):
        matte_pair(pair[0], small, tmp_path / "out", STUDENT, WEIGHTS)
    assert not (tmp_path / "out").exists()


def test_a_truncated_photograph_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    pair[0].write_bytes(pair[0].read_bytes()[:-50])
    with pytest.raises(ImageUnreadable, match=r"image\.png"):
        matte_pair(*pair, tmp_path / "out", STUDENT, WEIGHTS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["missing", "truncated", "other", "{", "\x80", "[]", '{"config": 3}'])
def test_weights_that_cannot_be_used_are_refused(damage: str, pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "weights" / STUDENT
    folder.mkdir(parents=True)
    if damage != "missing":
        other = "bg_vitmatte_xs" if damage == "other" else STUDENT
        data = (WEIGHTS / other / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(data[:-1000] if damage == "truncated" else data)
        (folder / "card.json").write_bytes(b"{}" if damage.isalpha() else damage.encode("latin-1"))
    with pytest.raises(CheckpointError) as refusal:
        matte_pair(*pair, tmp_path / "out", STUDENT, tmp_path / "weights")
    assert STUDENT in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_text("<html>404</html>"), "not a PNG, TIFF, EXR, DPX or JPEG"),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: Image.new("CMYK", (173, 131)).save(path, format="JPEG"), "CMYK"),
    ],
)
@pytest.mark.parametrize("which", [0, 1], ids=["image", "plate"])
def test_what_is_no_picture_is_refused_by_name(
    which: int, spoil: Callable[[Path], Any], says: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    spoil(pair[which])
    with pytest.raises(ImageUnreadable, match=says) as refusal:
        matte_pair(*pair, tmp_path / "out")
    assert pair[which].name in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_an_exr_that_is_no_number_somewhere_is_refused_with_the_place(tmp_path: Path) -> None:
    picture = np.full((20, 30, 3), 0.2, np.float32)
    picture[7, 11, 1] = np.nan
    write_picture(tmp_path / "broken.exr", picture)
    with pytest.raises(ImageUnreadable, match=r"broken\.exr: .*nan or infinity \(first at x=11, y=7\)"):
        read_display(tmp_path / "broken.exr")


def test_floats_are_linear_light_and_integers_are_as_encoded(tmp_path: Path) -> None:
    write_picture(tmp_path / "linear.exr", np.full((4, 5, 3), 0.2140, np.float32))
    write_picture(tmp_path / "coded.png", np.full((4, 5, 3), 32768, np.uint16))
    write_picture(tmp_path / "bright.exr", np.full((4, 5, 3), 7.0, np.float32))
    assert np.allclose(read_display(tmp_path / "linear.exr"), 0.5, atol=2e-3)
    assert np.allclose(read_display(tmp_path / "coded.png"), 0.5, atol=1e-4)
    assert np.allclose(read_display(tmp_path / "bright.exr"), 1)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_grey_pictures_are_three_equal_channels(depth: type[np.unsignedinteger[Any]], tmp_path: Path) -> None:
    top = np.iinfo(depth).max
    ramp = np.linspace(0, top, 12 * 15).reshape(12, 15).astype(depth)
    (tmp_path / "grey.png").write_bytes(encode_png(ramp))
    seen = read_display(tmp_path / "grey.png")
    assert seen.shape == (3, 12, 15)
    assert np.array_equal(seen[0], seen[2])
    assert np.allclose(seen[1], ramp / top)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_dropped_when_opaque_and_refused_when_not(mode: str, tmp_path: Path) -> None:
    channels = len(mode)
    picture = np.full((12, 15, channels), 90, np.uint8)
    picture[..., -1] = 255
    Image.fromarray(picture, mode).save(tmp_path / "opaque.png")
    assert np.allclose(read_display(tmp_path / "opaque.png"), 90 / 255)
    picture[3, 4, -1] = 254
    Image.fromarray(picture, mode).save(tmp_path / "holes.png")
    with pytest.raises(ImageUnreadable, match=r"holes\.png: the picture is transparent \(first at x=4, y=3\)"):
        read_display(tmp_path / "holes.png")


def test_the_plate_may_have_another_bit_depth(pair: tuple[Path, Path], tmp_path: Path) -> None:
    deep = tmp_path / "deep.png"
    deep.write_bytes(encode_png(read_image(pair[1]).astype(np.uint16) * 257))
    one = read_grey(matte_pair(*pair, tmp_path / "one")["alpha"])
    other = read_grey(matte_pair(pair[0], deep, tmp_path / "other")["alpha"])
    assert np.abs(one.astype(int) - other).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (33, 31), (64, 97)])
@pytest.mark.parametrize("name", [STUDENT, "bg_vitmatte_xs", "diffmatte_xs"])
def test_any_size_is_matted_down_to_one_pixel(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for file in ("image", "plate"):
        (tmp_path / f"{file}.png").write_bytes(encode_png(rng.integers(0, 255, (*size, 3)).astype(np.uint8)))
    (tmp_path / "trimap.png").write_bytes(encode_png(np.full(size, 128, np.uint8)))
    given = {"trimap": tmp_path / "trimap.png"} if name.startswith("diff") else {"plate": tmp_path / "plate.png"}
    network = open_base(WEIGHTS, name)
    made, _ = matte_picture(network, name, tmp_path / "image.png", tmp_path / "out", **given)
    assert read_grey(made["alpha"]).shape == size


def test_inputs_that_are_missing_or_of_no_use_are_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    teacher, supervisor = open_base(WEIGHTS, "bg_vitmatte_xs"), open_base(WEIGHTS, "diffmatte_xs")
    with pytest.raises(ConfigError, match="bg_vitmatte_xs needs --plate"):
        matte_picture(teacher, "bg_vitmatte_xs", pair[0], tmp_path / "out")
    with pytest.raises(ConfigError, match="diffmatte_xs needs --trimap"):
        matte_picture(supervisor, "diffmatte_xs", pair[0], tmp_path / "out", plate=pair[1])
    with pytest.raises(ConfigError, match="bg_vitmatte_xs does not take --trimap"):
        matte_picture(teacher, "bg_vitmatte_xs", pair[0], tmp_path / "out", plate=pair[1], trimap=pair[1])
    assert not (tmp_path / "out").exists()


def test_a_trimap_keeps_what_is_known(pair: tuple[Path, Path], tmp_path: Path) -> None:
    trimap = np.full((131, 173), 128, np.uint8)
    trimap[:30], trimap[60:80, 80:100] = 0, 255
    (tmp_path / "trimap.png").write_bytes(encode_png(trimap))
    network = open_base(WEIGHTS, "diffmatte_xs")
    made, note = matte_picture(network, "diffmatte_xs", pair[0], tmp_path / "out", trimap=tmp_path / "trimap.png")
    alpha = read_grey(made["alpha"])
    assert alpha[:30].max() == 0
    assert alpha[60:80, 80:100].min() == 65535
    assert re.fullmatch(r"the matte covers \d+\.\d% of the picture", note)


def test_trimaps_that_a_program_saved_as_colour_are_taken_and_coloured_ones_refused(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    grey = np.full((20, 30), 128, np.uint8)
    file = tmp_path / "trimap.png"
    file.write_bytes(encode_png(np.stack([grey] * 3, -1)))
    assert np.allclose(read_guide(file), 128 / 255)
    file.write_bytes(encode_png(np.stack([grey, grey, grey + 1], -1)))
    with pytest.raises(ImageUnreadable, match=r"trimap\.png: the picture has colours"):
        read_guide(file)


def test_a_mask_that_nobody_drew_comes_from_the_plate_and_is_mentioned(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    from capmat_models.networks.factory import create_model

    network = create_model("bgm", working_side=64).eval()
    made, note = matte_picture(network, "bgm", pair[0], tmp_path / "out", plate=pair[1])
    assert "differ by more than 0.1" in note
    drawn = tmp_path / "mask.png"
    mask = np.zeros((131, 173), np.uint8)
    mask[40:100, 60:120] = 255  # where the fixture put its subject
    drawn.write_bytes(encode_png(mask))
    same, quiet = matte_picture(network, "bgm", pair[0], tmp_path / "same", plate=pair[1], mask=drawn)
    assert np.array_equal(read_grey(made["alpha"]), read_grey(same["alpha"]))
    assert re.fullmatch(r"the matte covers \d+\.\d% of the picture", quiet)


def test_a_model_is_found_in_the_registry_or_among_the_base_weights(tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    assert open_model(store, WEIGHTS, STUDENT)[1] == STUDENT
    assert not (tmp_path / "store").exists()
    register_base(store, str(WEIGHTS), {"student": STUDENT})
    assert open_model(store, WEIGHTS, STUDENT)[1] == f"{STUDENT}@v0001"
    with pytest.raises(NotFound, match="no version is called v0009; the store has: v0001"):
        open_model(store, WEIGHTS, f"{STUDENT}@v0009")
    with pytest.raises(NotFound, match="no model is called nobody; the store has: bg_vitmatte_xs, .*diffmatte_xs"):
        open_model(store, WEIGHTS, "nobody")


def test_every_refusal_is_one_line(pair: tuple[Path, Path], tmp_path: Path) -> None:
    pair[1].write_text("line\nline\n")
    with pytest.raises(CapmatError) as refusal:
        matte_pair(*pair, tmp_path / "out")
    assert "\n" not in str(refusal.value)


def test_a_plate_that_lies_beside_the_picture_is_moved_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    wide = rng.integers(40, 200, (20, 24, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    other = rng.integers(40, 200, (18, 22, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    image = wide[8:152, 8:184].copy()
    image[50:110, 60:110] = (230, 60, 40)
    pictures = {"image": image, "true": wide[8:152, 8:184], "beside": wide[5:149, 12:188], "other": other}
    for name, picture in pictures.items():
        write_picture(tmp_path / f"{name}.png", picture)
    network = open_base(WEIGHTS, STUDENT)

    def matted(plate: str, mend: str) -> tuple[np.ndarray, str]:
        files, note = matte_picture(
            network, STUDENT, tmp_path / "image.png", tmp_path / plate, plate=tmp_path / f"{plate}.png", mend=mend
        )
        return read_grey(files["alpha"]) / 65535, note.rpartition("the matte covers")[0]

    true, said = matted("true", "auto")
    assert said == ""
    mended, said = matted("beside", "auto")
    assert re.search(r"moved \+(3\.9|4\.0)\d px right, -(2\.9|3\.0)\d px down", said)
    untouched, told = matted("beside", "warn")
    assert told == said.removesuffix(". ") + '; stage.mend = "auto" would mend it. '
    inside = (slice(8, -8), slice(8, -8))
    assert np.abs(mended - true)[inside].mean() < 0.1 * np.abs(untouched - true)[inside].mean()
    assert "another stage" in matted("other", "auto")[1]


def test_a_photograph_from_a_phone_is_turned_upright_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "cases/11-turned-photograph"
    phone, plate = folder / "phone.jpg", folder / "phone_empty.jpg"
    files, note = matte_picture(open_base(WEIGHTS, STUDENT), STUDENT, phone, tmp_path, plate=plate)
    assert "phone.jpg was turned upright, as its orientation 6 says" in note
    assert "phone_empty.jpg was turned upright" in note
    assert read_grey(files["alpha"]).shape == (160, 120)  # as viewers show the photograph
    upright = read_display(folder / "empty_upright.jpg")
    assert np.abs(read_display(plate) - upright).mean() < 0.02


def test_a_trimap_drawn_on_a_phones_upright_picture_lies_on_it(tmp_path: Path) -> None:
    from PIL import ImageOps

    phone = Path(__file__).parents[2] / "cases/11-turned-photograph/phone.jpg"
    upright = np.asarray(ImageOps.exif_transpose(Image.open(phone)))
    np.testing.assert_allclose(read_display(phone).transpose(1, 2, 0), upright / np.float32(255), atol=1e-6)
    Image.fromarray(upright[..., 0]).save(tmp_path / "drawn.png")
    assert read_guide(tmp_path / "drawn.png").shape == read_display(phone).shape[1:]


@pytest.mark.parametrize("wanted", [".", "..", "", f"{STUDENT}/..", "/"])
def test_a_path_is_no_name_of_base_weights(wanted: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"the store has: .*{STUDENT}"):
        open_model(str(tmp_path / "store"), WEIGHTS, wanted)
