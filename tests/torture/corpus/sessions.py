"""Malformed inputs, each made from a sound one by one mutation, with what the refusal must name.

Everything is generated, from fixed seeds: a case is the sound session of its format, a mutation, and the words that
the one line of the refusal has to hold. Nothing of any case may be stored.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.storage.tiny_session import CAMERAS, edit_toml, write_picture
from tests.torture.corpus import damage
from tests.torture.corpus.case import Case, Mutation, at, one_of
from tests.torture.corpus.damage import Harm, unlinked
from tests.torture.corpus.headers import deep_headers, headers
from tests.torture.sources import FORMATS


def cases(fuzz: int = 1) -> list[Case]:
    """All of them; `fuzz` rounds of random damage."""
    from tests.torture.corpus.files import calibrations, models, overlays

    return [
        *_pictures(),
        *headers(),
        *deep_headers(),
        *_folders(),
        *_containers(),
        *_descriptors(),
        *calibrations(fuzz),
        *models(),
        *overlays(),
        *_random(fuzz),
    ]


def _pictures() -> list[Case]:
    """What may happen to a file of any format."""
    harms: dict[str, Harm] = {
        "empty": damage.emptied,
        "a few bytes": damage.cut(0.003),
        "cut in the header": damage.cut(0.03),
        "cut in the middle": damage.cut(0.5),
        "a little short": damage.shortened,
        "a folder": damage.folder,
        "a loop of links": damage.loop,
        "a link to nowhere": damage.dangling,
        "a pipe": damage.pipe,
    }
    with_header: dict[str, Harm] = {"a web page": damage.text, "zeros": damage.zeroed, "noise": damage.noise}
    out = []
    for form in FORMATS:
        chosen = harms | (with_header if form != "raw" else {})
        for what, harm in chosen.items():
            # Something other than a file counts as a gap.
            gap = what in ("a folder", "a loop of links", "a link to nowhere", "a pipe")
            named = ("c01", "frame 1") if gap else (one_of(form),)
            out.append(Case(f"{form}: {what}", form, at(one_of(form), harm), named))
    out += [
        Case(f"{form}: a plate is {what}", form, at(f"plates/c02/0000{FORMATS[form]}", harm), ("c02/0000",))
        for form, what, harm in (("png", "cut off", damage.cut(0.7)), ("exr", "empty", damage.emptied))
    ]
    return out


def _folders() -> list[Case]:
    """Frames and cameras that are missing, doubled or called wrong."""
    walk = "takes/walk"

    def doubled(folder: Path) -> None:
        shutil.copy(folder / one_of("png"), folder / walk / "c01/1.png")

    def not_utf8(folder: Path) -> None:
        (folder / walk / "c01").rename(str(folder / walk) + "/c\udcff1")

    def spaced(folder: Path) -> None:
        (folder / walk / "c01").rename(folder / walk / "c 01")

    def gone(*places: str) -> Mutation:
        return lambda folder: [_gone(folder / place) for place in places]

    return [
        Case("a frame is missing", "png", gone(one_of("png")), ("c01", "frame 1")),
        Case("the last frame of a camera is missing", "png", gone(one_of("png", frame=2)), ("c01", "frame 2")),
        Case("a frame is there twice", "png", doubled, ("c01", "frame 1")),
        Case("a camera was not recorded", "png", gone(f"{walk}/c01"), ("c01",)),
        Case("a camera has no frames", "png", gone(*(f"{walk}/c01/{n:04d}.png" for n in range(3))), ("c01",)),
        Case("a camera has no plate", "png", gone("plates/c02"), ("c02",)),
        Case("the camera has no frames at all", "png", gone(*(f"{walk}/{c}" for c in CAMERAS)), ("walk",)),
        Case("the name of a camera is not UTF-8", "png", not_utf8, ("c",)),
        Case("a camera's name has a space", "png", spaced, ("c 01",)),
        Case(
            "plates of two cameras are swapped",
            "png",
            lambda f: _swapped(f / "plates/c00", f / "plates/c01"),
            ("c00",),
        ),
        Case(
            "a camera's folder is a file",
            "png",
            lambda f: (_gone(f / walk / "c01"), (f / walk / "c01").write_text("x")),
            ("c01",),
        ),
        Case(
            "a camera's folder is a loop",
            "png",
            lambda f: (_gone(f / walk / "c01"), _linked(f / walk / "c01")),
            ("c01",),
        ),
    ]


def _containers() -> list[Case]:
    """Videos and SMC files."""
    video, smc = "takes/walk/c01.avi", "take.smc"
    harms: dict[str, Harm] = {
        "empty": damage.emptied,
        "a web page": damage.text,
        "noise": damage.noise,
        "zeros": damage.zeroed,
        "cut in the header": damage.cut(0.02),
        "cut in the middle": damage.cut(0.6),
    }
    out = [Case(f"video: {what}", "video", at(video, harm), (video,)) for what, harm in harms.items()]
    out += [Case(f"smc: {what}", "smc", at(smc, harm), (smc,)) for what, harm in harms.items()]

    def edited(edit: Callable[..., object]) -> Mutation:
        def mutate(folder: Path) -> None:
            import h5py

            with h5py.File(folder / smc, "a") as file:
                edit(file)

        return mutate

    def put(name: str, value: object) -> Mutation:
        def edit(file: "dict[str, object]") -> None:
            file.pop(name) if value is None else file.__delitem__(name)
            if value is not None:
                file[name] = value

        return edited(edit)

    color, params = "Camera_5mp/1/color", "Camera_Parameter/01"
    out += [
        Case("smc: no pictures of a camera", "smc", edited(lambda f: f.__delitem__(color)), ("01",)),
        Case("smc: a frame is missing", "smc", edited(lambda f: f.__delitem__(f"{color}/1")), ("01",)),
        Case("smc: a picture of floats", "smc", put(f"{color}/1", np.full(99, np.nan)), ("01", "1")),
        Case("smc: a picture of two dimensions", "smc", put(f"{color}/1", np.zeros((9, 9), "u1")), ("01", "1")),
        Case("smc: a picture that is text", "smc", put(f"{color}/1", "hello"), ("01", "1")),
        Case("smc: a picture that is empty", "smc", put(f"{color}/1", np.zeros(0, "u1")), ("01", "1")),
        Case("smc: a picture that is noise", "smc", put(f"{color}/1", np.arange(99, dtype="u1")), ("01", "1")),
        Case("smc: K of four rows", "smc", put(f"{params}/K", np.eye(4)), ("01", "K")),
        Case("smc: K of nan", "smc", put(f"{params}/K", np.full((3, 3), np.nan)), ("01", "K")),
        Case("smc: RT of text", "smc", put(f"{params}/RT", "turn"), ("01", "RT")),
        Case("smc: no distortion", "smc", edited(lambda f: f.__delitem__(f"{params}/D")), ("01", "D")),
        Case("video: a folder", "video", at(video, damage.folder), ("c01",)),
        Case("video: a pipe", "video", at(video, damage.pipe), ("c01",)),
        Case(
            "video: called video, but a picture",
            "video",
            lambda f: (
                write_picture(unlinked(f / video).with_suffix(".png"), np.zeros((48, 64, 3), "u1"))
                or (f / video).with_suffix(".png").rename(f / video)
            ),
            ("c01.avi",),
        ),
        Case("video: shorter than the others", "video", _short_video, ("c01",)),
    ]
    return out


def _descriptors() -> list[Case]:
    """session.toml itself."""

    def toml(what: str, old: str, new: str, *names: str) -> Case:
        return Case(f"session: {what}", "png", lambda folder: edit_toml(folder, old, new), names)

    def file(what: str, data: bytes) -> Case:
        return Case(f"session: {what}", "png", lambda f: (f / "session.toml").write_bytes(data), ("session.toml",))

    def whole(what: str, harm: Harm) -> Case:
        return Case(f"session: {what}", "png", at("session.toml", harm), ("session.toml",))

    return [
        file("empty", b""),
        file("no UTF-8", b'name = "d\xff\xfey"\n'),
        file("UTF-16", 'name = "day"'.encode("utf-16")),
        file("binary", bytes(range(256))),
        file("nested without end", b"a = " + b"[" * 100_000),
        whole("cut off", damage.cut(0.4)),
        whole("a folder", damage.folder),
        whole("a loop of links", damage.loop),
        whole("a pipe", damage.pipe),
        toml("an unknown field", "fps = 25.0", "fps = 25.0\nfsp = 3", "fsp"),
        toml("fps 0", "fps = 25.0", "fps = 0", "fps"),
        toml("fps nan", "fps = 25.0", "fps = nan", "fps"),
        toml("fps infinite", "fps = 25.0", "fps = inf", "fps"),
        toml("fps below 0", "fps = 25.0", "fps = -25", "fps"),
        toml("fps a word", "fps = 25.0", 'fps = "fast"', "fps"),
        toml("99 bits", "bits = 12", "bits = 99", "bits"),
        toml("a number of 400 digits", "bits = 12", f"bits = {'9' * 400}", "bits"),
        toml("black above white", "black = 64", "black = 9999", "black"),
        toml("black below 0", "black = 64", "black = -1", "black"),
        toml("an unknown transfer", '"linear"', '"log"', "transfer"),
        toml("gains of nan", "black = 64", "black = 64\ngains = [nan, 1.0, 1.0]", "gains"),
        toml("the name climbs", 'name = "day"', 'name = "../../day"', "name"),
        toml("the stage climbs", 'stage = "ring"', 'stage = "../ring"', "stage"),
        toml("a template without camera", "takes/walk/{camera}/", "takes/walk/", "camera"),
        toml("an unknown word in a template", "takes/walk/{camera}", "takes/walk/{kamera}", "kamera"),
        toml("an attribute in a template", "takes/walk/{camera}", "takes/walk/{camera.__class__}", "camera"),
        toml("a regular expression without end", "takes/walk/{camera}", "takes/walk/{camera:(}", "camera"),
        toml(
            "a regular expression that takes for ever", "takes/walk/{camera}", "takes/walk/{camera:(c+)+$}", "camera"
        ),
        toml("a template that climbs", "takes/walk/{camera}", "../../../../../../etc/{camera}", "path"),
        toml("an absolute template", "takes/walk/{camera}", "/etc/{camera}", "absolute"),
        toml("a zero byte in a template", "takes/walk/{camera}", "takes/\\u0000/{camera}", "path"),
        toml("a folder that is not there", 'name = "day"', 'name = "day"\nroot = "nowhere"', "nowhere"),
        toml("a root with a zero byte", 'name = "day"', 'name = "day"\nroot = "a\\u0000"', "root"),
        toml("last before first", "[takes.walk]", "[takes.walk]\nfirst = 2\nlast = 1", "walk"),
        toml("a step of 0", "[takes.walk]", "[takes.walk]\nstep = 0", "step"),
        toml("frames that are not there", "[takes.walk]", "[takes.walk]\nlast = 9", "walk"),
        toml("a take's name with a slash", "[takes.walk]", '[takes."a/b"]', "a/b"),
        toml("an unknown camera left out", "[takes.walk]", '[takes.walk]\nwithout = ["zz"]', "zz"),
        toml("a timecode that is none", "[takes.walk]", '[takes.walk]\ntimecode = "25h"', "timecode"),
        toml("no takes", "[takes.walk]", "[other]", "takes"),
        toml("an unknown calibration", '"capmat"', '"secret"', "format"),
    ]


def _random(rounds: int) -> list[Case]:
    """Bits turned by chance where headers are; what is not refused must be read without a fault."""
    places = {form: (one_of(form), 400) for form in FORMATS if form != "raw"}
    places |= {"video": ("takes/walk/c01.avi", 6000), "smc": ("take.smc", 8000)}
    return [
        Case(
            f"{form}: random bits {seed}",
            form,
            at(place, damage.flipped(seed, 4, last)),
            (),
            ("ingest", "session.toml", "--plan"),
            True,
        )
        for form, (place, last) in places.items()
        for seed in range(rounds * 4)
    ]


def _gone(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _linked(path: Path) -> None:
    path.symlink_to(path.name)


def _swapped(one: Path, other: Path) -> None:
    kept = one.with_name("kept")
    one.rename(kept)
    other.rename(one)
    kept.rename(other)


def _short_video(folder: Path) -> None:
    from tests.storage.tiny_session import write_video

    write_video(folder / "takes/walk/c01.avi", [np.full((48, 64, 3), 9, np.uint8)] * 2)
