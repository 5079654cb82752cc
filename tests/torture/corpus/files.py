"""Malformed inputs other than recordings: calibrations, models, painted overlays, trimaps."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.storage.calibration.calibrations import MAKERS, make_rig
from tests.storage.tiny_session import edit_calibration, write_picture
from tests.torture.corpus import damage
from tests.torture.corpus.case import Case, Mutation
from tests.torture.corpus.damage import Harm

_FILES = {
    "easyvolcap": "intri.yml",
    "actorshq": "calibration.csv",
    "colmap text": "images.txt",
    "colmap binary": "images.bin",
    "nerfstudio": "transforms.json",
    "metashape": "cameras.xml",
    "caliscope": "camera_array.toml",
    "pose2sim": "Calib.toml",
    "llff": "poses_bounds.npy",
}
_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{10 * f"&{a};"}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
    + "]><document><chunk>&j;</chunk></document>"
)
_YAML_LAUGHS = "%YAML:1.0\n---\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
_OPENCV = """<?xml version="1.0"?>
<opencv_storage>
<CameraMatrix type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt>
  <data>60. 0. 31.5 0. 60. 23.5 0. 0. 1.</data></CameraMatrix>
<DistortionCoeffs type_id="opencv-matrix"><rows>1</rows><cols>5</cols><dt>d</dt>
  <data>0. 0. 0. 0. 0.</data></DistortionCoeffs>
<Rotation type_id="opencv-matrix"><rows>3</rows><cols>1</cols><dt>d</dt><data>0. 0. 0.1</data></Rotation>
<Translation type_id="opencv-matrix"><rows>3</rows><cols>1</cols><dt>d</dt><data>0. 0. 3.</data></Translation>
</opencv_storage>
"""


def calibrations(fuzz: int) -> list[Case]:
    """Through `capmat calibration`, every format; and the session's own json."""
    harms: dict[str, Harm] = {
        "empty": damage.emptied,
        "a web page": damage.text,
        "noise": damage.noise,
        "cut off": damage.cut(0.6),
    }
    out = []
    for kind, file in _FILES.items():
        chosen = {what: (harm, False) for what, harm in harms.items()}
        chosen |= {f"random bits {seed}": (damage.flipped(seed), True) for seed in range(2 * fuzz)}
        for what, (harm, may_pass) in chosen.items():
            out.append(_calibration(kind, what, _spoiled(kind, harm), () if may_pass else (file,), may_pass))
    out += [
        _calibration("easyvolcap", "laughs", _written("intri.yml", _YAML_LAUGHS, "easyvolcap"), ("intri.yml",)),
        _calibration("metashape", "laughs", _written("cameras.xml", _LAUGHS, "metashape"), ("cameras.xml",)),
        _calibration(
            "metashape", "nested without end", _written("cameras.xml", "<a>" * 200_000, "metashape"), ("cameras.xml",)
        ),
        _calibration(
            "nerfstudio",
            "nested without end",
            _written("transforms.json", "[" * 200_000, "nerfstudio"),
            ("transforms.json",),
        ),
        _calibration(
            "nerfstudio",
            "huge numbers",
            _spoiled("nerfstudio", damage.replaced(b'"w": 640', b'"w": 1e308')),
            ("transforms.json",),
        ),
        _calibration("llff", "a pickle", _written_by("poses_bounds.npy", _pickled_npy), ("poses_bounds.npy",)),
        _calibration("llff", "a giant", _written_by("poses_bounds.npy", _giant_npy), ("poses_bounds.npy",)),
        _calibration(
            "llff",
            "text",
            _written_by("poses_bounds.npy", lambda p: np.save(p, np.array(["a"] * 17))),
            ("poses_bounds.npy",),
        ),
        _calibration(
            "colmap binary",
            "2**60 pictures",
            _spoiled("colmap binary", damage.bytes_at(0, b"\0\0\0\0\0\0\0\x10")),
            ("images.bin",),
        ),
        _opencv("cut off", lambda text: text[: len(text) // 2]),
        _opencv("empty", lambda text: ""),
        _opencv("a web page", lambda text: "<html><p>not found</html>"),
        _opencv("laughs", lambda text: _LAUGHS.replace("document", "opencv_storage")),
        _opencv("2**31 rows", lambda text: text.replace("<rows>3", "<rows>2147483647", 1)),
        _opencv("rows below 0", lambda text: text.replace("<rows>3", "<rows>-3", 1)),
        _opencv("nan", lambda text: text.replace("60.", ".Nan", 1)),
        _opencv("data that is not a number", lambda text: text.replace("31.5", "<b>x</b>", 1)),
        _opencv("nested without end", lambda text: "<opencv_storage>" + "<a>" * 100_000),
        _opencv("nested too deep", lambda text: text.replace("31.5", "<a>" * 50_000 + "</a>" * 50_000)),
        _opencv("a matrix twice", lambda text: text.replace("Rotation", "CameraMatrix")),
        _opencv("json of a list", lambda text: '{"K": [1, 2]}'),
        _opencv("zeros", lambda text: "\0" * 500),
    ]
    out += [
        Case(
            f"opencv-xml: random bits {seed}",
            "png",
            _opencv_files(lambda text, s=seed: text, damage.flipped(seed)),
            (),
            ("calibration", "{camera}.xml", "--format", "opencv-xml"),
            True,
        )
        for seed in range(6 * fuzz)
    ]
    changes: dict[str, dict[str, object]] = {
        "width": {"width": -64},
        "height": {"height": 1e300},
        "K": {"K": [[0, 0, 0]] * 3},
        "R": {"R": [[1, 0, 0], [0, 1, 0], [0, 0, 2]]},
        "t": {"t": [0, float("nan"), 3]},
        "dist": {"dist": ["a"]},
    }
    out += [
        Case(
            f"calibration: {field} is wrong",
            "png",
            lambda f, c=change: edit_calibration(f, "c01", **c),
            ("c01", field),
        )
        for field, change in changes.items()
    ]
    out += [
        Case(f"calibration: {what}", "png", lambda f, h=harm: h(f / "calibration.json"), ("calibration.json",))
        for what, harm in {**harms, "a folder": damage.folder, "a loop": damage.loop, "a pipe": damage.pipe}.items()
    ]
    json_texts = {
        "a list": "[]",
        "no cameras": '{"units": "m", "cameras": {}}',
        "another unit": '{"units": "feet", "cameras": {}}',
        "nested without end": "[" * 200_000,
        "a number of 5000 digits": json.dumps({"units": "m", "cameras": {"c00": 7}}).replace("7", "7" * 5000),
    }
    out += [
        Case(
            f"calibration: {what}",
            "png",
            lambda f, t=text: (f / "calibration.json").write_text(t),
            ("calibration.json",),
        )
        for what, text in json_texts.items()
    ]
    return out


def models() -> list[Case]:
    """Through `capmat models import`."""

    def case(what: str, write: Callable[[Path], object], *words: str, name: str = "weights.pth") -> Case:
        command = ("models", "import", name, "--as", "bgmv2_mobilenetv2_xs", *words)
        return Case(f"model: {what}", "png", lambda folder: write(folder / name), (name,), command)

    exported = ("--contract", "rgb+plate")
    return [
        case("empty", lambda p: p.write_bytes(b"")),
        case("a web page", lambda p: p.write_text("<html>quota exceeded</html>")),
        case("a pickle that runs a program", lambda p: p.write_bytes(pickle.dumps(_Runs()))),
        case("a pickle without end", lambda p: p.write_bytes(b"\x80\x04" + b"(" * 100_000)),
        case("a zip of nothing", lambda p: p.write_bytes(b"PK\x05\x06" + bytes(18))),
        case("noise", lambda p: p.write_bytes(np.random.default_rng(3).bytes(5000))),
        case("a folder", lambda p: p.mkdir()),
        case("safetensors: cut off", lambda p: p.write_bytes(b"\xff" * 40), name="weights.safetensors"),
        case(
            "safetensors: a header of 2**60 bytes",
            lambda p: p.write_bytes(b"\0" * 7 + b"\x10" + b"{}"),
            name="w.safetensors",
        ),
        case("safetensors: tensors beyond the end", _beyond, name="weights.safetensors"),
        case("onnx: empty", lambda p: p.write_bytes(b""), *exported, name="graph.onnx"),
        case(
            "onnx: noise", lambda p: p.write_bytes(np.random.default_rng(3).bytes(5000)), *exported, name="graph.onnx"
        ),
        case("onnx: a web page", lambda p: p.write_text("<html>"), *exported, name="graph.onnx"),
        case("TorchScript: noise", lambda p: p.write_bytes(b"PK\x03\x04" + bytes(99)), *exported, name="graph.pt"),
    ]


def overlays() -> list[Case]:
    """Scribbles for a take that is not there, or that are none; trimaps of a benchmark."""
    command = ("scribbles", "import", "painted")

    def scribble(what: str, place: str, harm: Callable[[Path], object], *names: str) -> Case:
        def mutate(folder: Path) -> None:
            path = folder / "painted" / place
            path.parent.mkdir(parents=True)
            write_picture(path, np.full((48, 64, 4), (0, 255, 0, 255), np.uint8))
            harm(path)

        return Case(f"scribbles: {what}", "stored", mutate, names or (place,), command)

    def painted(picture: np.ndarray) -> Callable[[Path], object]:
        return lambda path: write_picture(path, picture)

    blue = np.zeros((48, 64, 4), np.uint8)
    blue[4:9] = (0, 0, 255, 255)
    place = "walk/c01/0001.png"

    def trimap(what: str, file: str, harm: Callable[[Path], object], *names: str) -> Case:
        def mutate(folder: Path) -> None:
            section = '[benchmark]\ntake = "walk"\ntrimaps = "trimaps/{camera}/{frame:04d}.png"\n'
            toml = folder / "session.toml"
            toml.write_text(toml.read_text() + section)
            path = folder / "trimaps" / file
            path.parent.mkdir(parents=True)
            write_picture(path, np.full((48, 64), 128, np.uint8))
            harm(path)

        return Case(f"trimap: {what}", "png", mutate, names or (file,))

    return [
        scribble("empty", place, damage.emptied),
        scribble("cut off", place, damage.cut(0.5)),
        scribble("a web page", place, damage.text),
        scribble("a giant", place, damage.sized(damage.HUGE, damage.HUGE)),
        scribble("a loop of links", place, damage.loop),
        scribble("a folder", place, damage.folder),
        scribble("all painted", place, lambda path: None),
        scribble("another colour", place, painted(blue)),
        scribble("another size", place, painted(blue[:20])),
        scribble("no alpha", place, painted(blue[..., :3])),
        scribble("16 bits", place, painted(blue.astype(np.uint16))),
        scribble("of an unknown take", "run/c01/0001.png", lambda path: None, "run"),
        scribble("of an unknown camera", "walk/c09/0001.png", lambda path: None),
        scribble("of an unknown frame", "walk/c01/0999.png", lambda path: None),
        scribble("no number for a frame", "walk/c01/first.png", lambda path: None),
        scribble("too deep", "walk/c01/x/0001.png", lambda path: None),
        scribble("a number that is none for int", "walk/c01/\u00b2.png", lambda path: None),
        trimap("of an unknown camera", "c09/0001.png", lambda path: None, "c09"),
        trimap("of an unknown frame", "c01/0099.png", lambda path: None),
        trimap("a folder", "c01/0001.png", damage.folder, "trimap"),
    ]


def _calibration(kind: str, what: str, mutate: Mutation, names: tuple[str, ...], may_pass: bool = False) -> Case:
    format = MAKERS[kind][0]
    path = "." if format in ("easyvolcap", "colmap") else _FILES[kind]
    return Case(f"{kind}: {what}", "nothing", mutate, names, ("calibration", path, "--format", format), may_pass)


def _spoiled(kind: str, harm: Harm) -> Mutation:
    def mutate(folder: Path) -> None:
        MAKERS[kind][1](folder, [make_rig(1, "C01"), make_rig(2, "C02")])
        harm(folder / _FILES[kind])

    return mutate


def _written(file: str, text: str, kind: str) -> Mutation:
    return _spoiled(kind, lambda path: (path.parent / file).write_text(text))


def _written_by(file: str, write: Callable[[Path], object]) -> Mutation:
    return lambda folder: write(folder / file)


def _opencv(what: str, change: Callable[[str], str]) -> Case:
    command = ("calibration", "{camera}.xml", "--format", "opencv-xml")
    return Case(f"opencv-xml: {what}", "nothing", _opencv_files(change), ("C01.xml",), command)


def _opencv_files(change: Callable[[str], str], harm: Harm = lambda path: None) -> Mutation:
    def mutate(folder: Path) -> None:
        (folder / "C01.xml").write_text(change(_OPENCV))
        harm(folder / "C01.xml")

    return mutate


def _pickled_npy(path: Path) -> None:
    np.save(path, np.array([_Runs()] * 17, object), allow_pickle=True)


def _giant_npy(path: Path) -> None:
    np.save(path, np.zeros((1, 17)))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"(1, 17), }         ", b"(99999999999, 17), }"[:19].ljust(19)))


class _Runs:
    """Leaves a file behind if it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return open, ("was_here", "w")


def _beyond(path: Path) -> None:
    head = json.dumps({"a": {"dtype": "F32", "shape": [2**20], "data_offsets": [0, 2**22]}}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head)
