"""A whole session of three small cameras, written in a fraction of a second, to be broken in every way."""

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.pictures.png import encode_png

WIDTH, HEIGHT = 64, 48
CAMERAS = ("c00", "c01", "c02")
BITS, BLACK = 12, 64


def write_session(folder: Path, *, frames: int = 3, plates: int = 2, suffix: str = ".png") -> Path:
    """Write a 12-bit linear session of one take "walk" into `folder`; returns the folder."""
    rng = np.random.default_rng(7)
    for number, camera in enumerate(CAMERAS):
        empty = background(number)
        for kind, count in (("plates", plates), ("takes/walk", frames)):
            (folder / kind / camera).mkdir(parents=True)
            for frame in range(count):
                picture = empty + rng.normal(0, 6, empty.shape)
                if kind == "takes/walk":
                    picture[12:40, 8 + 6 * frame : 26 + 6 * frame] = (1400, 900, 700)
                path = folder / kind / camera / f"{frame:04d}{suffix}"
                write_picture(path, np.clip(np.rint(picture), 0, 4095).astype(np.uint16))
    cameras = {name: calibrated(number) for number, name in enumerate(CAMERAS)}
    (folder / "calibration.json").write_text(json.dumps({"units": "m", "cameras": cameras}))
    (folder / "session.toml").write_text(
        f'name = "day"\nstage = "ring"\nfps = 25.0\n'
        f'[colour]\nbits = {BITS}\ntransfer = "linear"\nblack = {BLACK}\n'
        f'[calibration]\nformat = "capmat"\npath = "calibration.json"\n'
        f'[plates]\npath = "plates/{{camera}}/{{frame:04d}}{suffix}"\n'
        f'[takes.walk]\npath = "takes/walk/{{camera}}/{{frame:04d}}{suffix}"\n'
    )
    return folder


def background(number: int) -> NDArray[np.float64]:
    """What camera `number` sees of the empty stage: patches of its own, (H, W, 3)."""
    patches = np.random.default_rng(100 + number).uniform(300, 3000, (HEIGHT // 8, WIDTH // 8, 3))
    return patches.repeat(8, axis=0).repeat(8, axis=1)


def calibrated(number: int) -> dict[str, Any]:
    """One camera's entry of a calibration file."""
    turn = np.array([[np.cos(number), 0, np.sin(number)], [0, 1, 0], [-np.sin(number), 0, np.cos(number)]])
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "K": [[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]],
        "dist": [0.01, 0, 0, 0, 0],
        "R": turn.tolist(),
        "t": [0.1 * number, 0, 3],
    }


def write_picture(path: Path, picture: NDArray[Any]) -> None:
    """Write by the suffix: PNG, TIFF, EXR (half) or JPEG."""
    if path.suffix == ".png":
        path.write_bytes(encode_png(picture))
    elif path.suffix == ".tif":
        import tifffile

        tifffile.imwrite(path, picture, photometric="rgb" if picture.ndim == 3 else "minisblack")
    elif path.suffix == ".exr":
        import OpenEXR

        with OpenEXR.File({}, {"RGB": np.ascontiguousarray(picture.astype(np.float16))}) as file:
            file.write(str(path))
    else:
        from PIL import Image

        Image.fromarray(picture).save(path, quality=95, subsampling=0)


def write_video(path: Path, pictures: list[NDArray[np.uint8]], codec: str = "ffv1", timecode: str = "") -> None:
    """Write lossless video of (H, W, 3) uint8 pictures, whose first has the timecode."""
    import av

    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        container.metadata["timecode"] = timecode
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def edit_toml(folder: Path, old: str, new: str) -> None:
    """Replace a part of session.toml; the part must exist."""
    file = folder / "session.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def edit_calibration(folder: Path, camera: str, **change: Any) -> None:
    """Change fields of one camera's calibration; None takes a field away."""
    file = folder / "calibration.json"
    data = json.loads(file.read_text())
    for name, value in change.items():
        if value is None:
            del data["cameras"][camera][name]
        else:
            data["cameras"][camera][name] = value
    file.write_text(json.dumps(data))


def session_dict(folder: Path) -> dict[str, Any]:
    """session.toml as a dictionary."""
    return tomllib.loads((folder / "session.toml").read_text())


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its bytes; {} without files."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
