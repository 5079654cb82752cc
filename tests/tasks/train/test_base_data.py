"""Base data are taken as people have them, and refused by name before training where they cannot be used."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from capmat_errors import TrainingError
from capmat_models.data.base import BaseData
from capmat_models.data.composites import Composites, Difficulty
from storage.pictures.png import encode_png
from tasks.train import base_data as base_folder
from tasks.train.base_data import Pictures, describe_base_data, load_base_data
from tests.capmat_models.training_data import NOTHING
from tests.storage.pictures.spaces import LEVELS, profile, right


def picture(rng, *channels, height=40, width=50):
    return rng.integers(0, 256, (height, width, *channels)).astype(np.uint8)


def jpeg(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def own(tmp_path):
    rng = np.random.default_rng(0)
    for part, channels in (("foregrounds", 4), ("backgrounds", 3)):
        folder = tmp_path / "own" / part
        folder.mkdir(parents=True)
        for index in range(3):
            (folder / f"{index}.png").write_bytes(encode_png(picture(rng, channels)))
    return tmp_path / "own"


@pytest.fixture
def paired(own):
    rng = np.random.default_rng(2)
    (own / "pairs").mkdir()
    for name, channels in (("src", (3,)), ("bgr", (3,)), ("pha", ())):
        (own / "pairs" / f"a_{name}.png").write_bytes(encode_png(picture(rng, *channels)))
    return own


@pytest.fixture
def adobe(tmp_path):
    """The layout of the data set, as it is unpacked, with COCO's pictures beside it."""
    rng = np.random.default_rng(1)
    training = tmp_path / "adobe" / "Combined_Dataset" / "Training_set"
    for part in ("Adobe-licensed images", "Other"):
        for kind in ("fg", "alpha"):
            (training / part / kind).mkdir(parents=True)
        for index in range(2):
            (training / part / "fg" / f"{part[0]} {index}.jpg").write_bytes(jpeg(picture(rng, 3)))
            (training / part / "alpha" / f"{part[0]} {index}.png").write_bytes(encode_png(picture(rng)))
    coco = tmp_path / "adobe" / "train2014"
    coco.mkdir()
    for index in range(3):
        (coco / f"COCO_{index}.jpg").write_bytes(jpeg(picture(rng, 3)))
    return tmp_path / "adobe"


def other(adobe, kind):
    return adobe / "Combined_Dataset" / "Training_set" / "Other" / kind


def test_our_own_layout_is_read_at_once(own):
    base = load_base_data(own)
    assert (len(base.foregrounds), len(base.backgrounds)) == (3, 3)
    assert base.foregrounds[0].shape == (40, 50, 4)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="no pictures in foregrounds/ and backgrounds/"):
        load_base_data(tmp_path)


def test_foregrounds_of_adobe_get_the_alpha_of_the_same_name(adobe):
    base = load_base_data(adobe)
    assert (len(base.foregrounds), len(base.backgrounds)) == (4, 3)
    last = base.foregrounds[3]
    assert np.array_equal(last[..., :3], np.asarray(Image.open(other(adobe, "fg") / "O 1.jpg")))
    assert np.array_equal(last[..., 3], np.asarray(Image.open(other(adobe, "alpha") / "O 1.png")))


def test_read_when_drawn_or_read_before_the_samples_are_the_same(adobe):
    lazy = load_base_data(adobe)
    eager = BaseData(list(lazy.foregrounds), list(lazy.backgrounds))
    for seed in range(6):
        a, b = (Composites(data).sample(np.random.default_rng(seed), 24) for data in (lazy, eager))
        assert all(np.array_equal(a[name], b[name]) for name in ("src", "bgr", "pha", "fgr"))


def test_opening_adobe_decodes_no_picture(adobe, monkeypatch):
    def decodes(_):
        raise AssertionError("decoded")

    for name in ("read_image", "read_rgba", "read_grey"):
        monkeypatch.setattr(base_folder, name, decodes)
    learn, held = load_base_data(adobe).split(1)
    assert (len(learn.foregrounds), len(held.foregrounds)) == (3, 1)


def test_what_fits_stays_in_memory_and_the_rest_is_read_again():
    read = []

    def one(size):
        read.append(size)
        return np.zeros((1, size, 3), np.uint8)

    pictures = Pictures([10, 30, 20], one, keep=100)
    for index in (0, 1, 2, 0, 1, 2):
        assert pictures[index].shape[1] == pictures.files[index]
    assert read == [10, 30, 20, 30]


def test_alphas_stored_in_three_equal_channels_are_taken(adobe):
    alpha = np.repeat(np.arange(50, dtype=np.uint8)[None, :, None] * 5, 40, 0)
    (other(adobe, "alpha") / "O 0.png").unlink()
    (other(adobe, "alpha") / "O 0.jpg").write_bytes(jpeg(np.repeat(alpha, 3, 2)))
    pha = load_base_data(adobe).foregrounds[2][..., 3].astype(int)
    assert np.abs(pha - alpha[..., 0]).max() <= 8


def test_grey_backgrounds_are_taken_as_coco_has_some(adobe):
    grey = picture(np.random.default_rng(2))
    (adobe / "train2014" / "COCO_9.jpg").write_bytes(jpeg(grey))
    last = load_base_data(adobe).backgrounds[3]
    assert last.shape == (40, 50, 3)
    assert (np.ptp(last, axis=2) == 0).all()


def test_pictures_with_another_profile_are_converted(own, adobe):
    """LittleCMS says to what."""
    wide, levels = profile("P3", None), LEVELS
    with Image.open(other(adobe, "fg") / "O 1.jpg") as before:
        before.save(other(adobe, "fg") / "O 1.jpg", icc_profile=wide)
    Image.fromarray(levels).save(adobe / "train2014/COCO_0.jpg", quality=98, icc_profile=wide)
    Image.fromarray(np.dstack([levels, levels[..., 0]])).save(own / "foregrounds/0.png", icc_profile=wide)
    Image.fromarray(levels).save(own / "backgrounds/0.png", icc_profile=wide)
    ours, theirs = load_base_data(own), load_base_data(adobe)
    stored = [
        np.asarray(Image.open(path)) for path in (other(adobe, "fg") / "O 1.jpg", adobe / "train2014/COCO_0.jpg")
    ]
    found = [ours.foregrounds[0][..., :3], ours.backgrounds[0], theirs.foregrounds[3][..., :3], theirs.backgrounds[0]]
    for picture, numbers in zip(found, (levels, levels, *stored), strict=True):
        assert np.abs(picture - right(numbers, "P3", None)).max() <= 1
    assert np.array_equal(ours.foregrounds[0][..., 3], levels[..., 0])


def test_a_foreground_without_alpha_is_named(adobe):
    (other(adobe, "alpha") / "O 1.png").rename(other(adobe, "alpha") / "O 7.png")
    with pytest.raises(TrainingError, match=r"Other: foregrounds and alphas do not pair up: O 1.jpg, alpha/O 7.png"):
        load_base_data(adobe)


def test_two_foregrounds_with_one_stem_are_named(adobe):
    shutil.copy(other(adobe, "fg") / "O 1.jpg", other(adobe, "fg") / "O 1.jpeg")
    with pytest.raises(TrainingError, match="another picture has the same stem: O 1.jpe?g"):
        load_base_data(adobe)


def test_sizes_that_differ_are_refused_with_the_file(adobe):
    small = picture(np.random.default_rng(3), height=20)
    (other(adobe, "alpha") / "O 0.png").write_bytes(encode_png(small))
    with pytest.raises(TrainingError, match="O 0.jpg: foreground 50x40 and alpha 50x20 differ"):
        load_base_data(adobe)


def test_pictures_of_another_kind_are_refused_with_the_file(adobe):
    deep = picture(np.random.default_rng(4)).astype(np.uint16)
    (other(adobe, "alpha") / "O 0.png").write_bytes(encode_png(deep))
    with pytest.raises(TrainingError, match="O 0.png: the picture has 1 channels of uint16"):
        load_base_data(adobe)


def test_cut_outs_without_backgrounds_are_refused(adobe):
    shutil.rmtree(adobe / "train2014")
    with pytest.raises(TrainingError, match="no backgrounds.*backgrounds or train2014"):
        load_base_data(adobe)


def test_an_alpha_without_anything_visible_is_named_when_it_is_drawn(adobe):
    (other(adobe, "alpha") / "O 0.png").write_bytes(encode_png(np.zeros((40, 50), np.uint8)))
    with pytest.raises(TrainingError, match="O 0.png: the alpha is 0 everywhere"):
        load_base_data(adobe).foregrounds[2]


def test_the_card_tells_two_states_of_a_folder_apart(own, adobe):
    for folder, files in ((own, 6), (adobe, 11)):
        before = describe_base_data(folder)
        assert before["files"] == files
        assert describe_base_data(folder) == before
        some = next(file for file in sorted(folder.rglob("*.*")) if file.is_file())
        some.write_bytes(some.read_bytes() + b"\0")
        assert describe_base_data(folder)["crc32"] != before["crc32"]


def test_pairs_of_a_stage_are_drawn_as_they_are(paired):
    base = load_base_data(paired)
    (pair,) = base.pairs
    src, bgr, pha = base.pair(np.random.default_rng(0), 16)
    assert pair.shape == (40, 50, 7)
    assert (src.shape, bgr.shape, pha.shape) == ((3, 16, 16), (3, 16, 16), (1, 16, 16))
    assert all(part.min() >= 0 and part.max() <= 1 for part in (src, bgr, pha))
    sample = Composites(base, Difficulty(**{**NOTHING.__dict__, "pairs": 1.0})).sample(np.random.default_rng(0), 16)
    behind = sample["src"] - sample["pha"] * sample["fgr"]
    exact = ((sample["fgr"] > 0) & (sample["fgr"] < 1)).all(0)  # colours that Eq. 1 explains without clipping
    np.testing.assert_allclose(behind[:, exact], ((1 - sample["pha"]) * sample["bgr"])[:, exact], atol=1e-5)


@pytest.mark.parametrize("lacking", ["bgr", "pha"])
def test_an_incomplete_pair_is_refused_by_name(paired, lacking):
    (paired / "pairs" / f"a_{lacking}.png").unlink()
    with pytest.raises(TrainingError, match=f"one picture a_{lacking}, found 0"):
        load_base_data(paired)


def test_a_pair_of_two_sizes_is_refused(paired):
    (paired / "pairs" / "a_pha.png").write_bytes(encode_png(picture(np.random.default_rng(0), height=41)))
    with pytest.raises(TrainingError, match="differ in size"):
        load_base_data(paired)
