"""Small calibrations of every format, each written by its format's own rules and not by the code under test."""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from storage.calibration.camera import Camera
from storage.calibration.formats.files import open_calibration

FLIP = np.diag([1.0, -1, -1])  # OpenCV axes of a camera <-> OpenGL's


@dataclass
class Rig:
    """One camera at `centre`, turned by `to_world` (columns: its right, down and forward in the world)."""

    name: str
    to_world: np.ndarray
    centre: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float
    dist: np.ndarray  # k1 k2 p1 p2 k3
    width: int = 640
    height: int = 480

    @property
    def to_camera(self) -> tuple[np.ndarray, np.ndarray]:
        return self.to_world.T, -self.to_world.T @ self.centre

    def points(self, rng: np.random.Generator) -> np.ndarray:
        """Points of the world that lie in front."""
        flat = np.column_stack([rng.uniform(-0.5, 0.5, (12, 2)), np.ones(12)]) * rng.uniform(1, 6, (12, 1))
        return flat @ self.to_world.T + self.centre


def make_rig(seed: int, name: str = "C01", bend: float = 0.05) -> Rig:
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed).as_matrix()
    fx, fy = rng.uniform(300, 900, 2).tolist()
    dist = rng.normal(0, bend, 5) * (1, 1, 0.2, 0.2, 1)  # more askew, it folds within the picture
    return Rig(name, turn, rng.normal(0, 3, 3), fx, fy, *rng.uniform(100, 300, 2).tolist(), dist)


def bent(x: np.ndarray, y: np.ndarray, dist: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brown's lens, as OpenCV's manual has it."""
    k1, k2, p1, p2, k3 = dist
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    return (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2), y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y)


def opencv_pixels(rig: Rig, points: np.ndarray) -> np.ndarray:
    R, t = rig.to_camera
    x, y, z = R @ points.T + t[:, None]
    u, v = bent(x / z, y / z, rig.dist)
    return np.stack([rig.fx * u + rig.cx, rig.fy * v + rig.cy], 1)


def easyvolcap(folder: Path, rigs: list[Rig], *, matrix: bool = False, sizes: bool = True) -> Path:
    names = "names:\n" + "".join(f'  - "{rig.name}"\n' for rig in rigs)
    inner, outer = [f"%YAML:1.0\r\n---\r\n{names}"], [f"%YAML:1.0\r\n---\r\n{names}"]

    def block(key: str, value: np.ndarray) -> str:
        rows, cols = value.shape
        data = ", ".join(repr(float(x)) for x in value.ravel())
        return f"{key}: !!opencv-matrix\n  rows: {rows}\n  cols: {cols}\n  dt: d\n  data: [{data}]\n"

    for rig in rigs:
        R, t = rig.to_camera
        inner.append(block(f"K_{rig.name}", np.array([[rig.fx, 0, rig.cx], [0, rig.fy, rig.cy], [0, 0, 1]])))
        inner.append(block(f"{'D' if matrix else 'dist'}_{rig.name}", rig.dist[:, None]))
        if sizes:
            inner.append(f"H_{rig.name}: {rig.height}.\nW_{rig.name}: {rig.width}\n")
        turn = R if matrix else Rotation.from_matrix(R).as_rotvec()[:, None]
        outer.append(block(f"{'Rot' if matrix else 'R'}_{rig.name}", turn) + block(f"T_{rig.name}", t[:, None]))
    (folder / "intri.yml").write_text("".join(inner))
    (folder / "extri.yml").write_text("".join(outer))
    return folder


def actorshq(folder: Path, rigs: list[Rig]) -> Path:
    lines = ["name,w,h,rx,ry,rz,tx,ty,tz,fx,fy,px,py"]
    for rig in rigs:
        turn = Rotation.from_matrix(rig.to_world).as_rotvec()
        part = [rig.fx / rig.width, rig.fy / rig.height, rig.cx / rig.width, rig.cy / rig.height]
        lines.append(",".join(map(str, [rig.name, rig.width, rig.height, *turn, *rig.centre, *part])))
    (folder / "calibration.csv").write_text("\n".join(lines) + "\n")
    return folder / "calibration.csv"


COLMAP_NUMBERS = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "RADIAL": 3, "OPENCV": 4, "FULL_OPENCV": 6}


def colmap_params(rig: Rig, model: str) -> list[float]:
    k1, k2, p1, p2, k3 = rig.dist
    return {
        "SIMPLE_PINHOLE": [rig.fx, rig.cx, rig.cy],
        "PINHOLE": [rig.fx, rig.fy, rig.cx, rig.cy],
        "SIMPLE_RADIAL": [rig.fx, rig.cx, rig.cy, k1],
        "RADIAL": [rig.fx, rig.cx, rig.cy, k1, k2],
        "OPENCV": [rig.fx, rig.fy, rig.cx, rig.cy, k1, k2, p1, p2],
        "FULL_OPENCV": [rig.fx, rig.fy, rig.cx, rig.cy, k1, k2, p1, p2, k3, 0, 0, 0],
    }[model]


def _pose(rig: Rig) -> list[float]:
    R, t = rig.to_camera
    x, y, z, w = Rotation.from_matrix(R).as_quat()
    return [w, x, y, z, *t]


def colmap_text(folder: Path, rigs: list[Rig], model: str = "OPENCV") -> Path:
    lenses, images = ["# a remark"], ["# two lines", "# per image"]
    for id, rig in enumerate(rigs, 7):
        lenses.append(" ".join(map(str, [id, model, rig.width, rig.height, *colmap_params(rig, model)])))
        images.append(" ".join(map(str, [id, *_pose(rig), id, f"{rig.name}.jpg"])))
        images.append("1.5 2.5 -1 3.5 4.5 12" if id % 2 else "")
    (folder / "cameras.txt").write_text("\n".join(lenses) + "\n")
    (folder / "images.txt").write_text("\n".join(images) + "\n")
    return folder


def colmap_binary(folder: Path, rigs: list[Rig], model: str = "OPENCV") -> Path:
    lenses = images = struct.pack("<Q", len(rigs))
    for id, rig in enumerate(rigs, 7):
        params = colmap_params(rig, model)
        lenses += struct.pack("<IiQQ", id, COLMAP_NUMBERS[model], rig.width, rig.height)
        lenses += struct.pack(f"<{len(params)}d", *params)
        images += struct.pack("<I7dI", id, *_pose(rig), id) + f"{rig.name}.jpg".encode() + b"\0"
        images += struct.pack("<Q", 2) + struct.pack("<ddqddq", 1, 2, -1, 3, 4, 5)
    (folder / "cameras.bin").write_bytes(lenses)
    (folder / "images.bin").write_bytes(images)
    return folder


def nerfstudio(folder: Path, rigs: list[Rig], **top: object) -> Path:
    frames = []
    for rig in rigs:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rig.to_world @ FLIP, rig.centre
        k1, k2, p1, p2, k3 = rig.dist
        lens = {"fl_x": rig.fx, "fl_y": rig.fy, "cx": rig.cx, "cy": rig.cy, "w": rig.width, "h": float(rig.height)}
        lens |= {"k1": k1, "k2": k2, "p1": p1, "p2": p2, "k3": k3}
        frames.append({"file_path": f"images/{rig.name}.png", "transform_matrix": pose.tolist()} | lens)
    (folder / "transforms.json").write_text(json.dumps({"camera_model": "OPENCV", "frames": frames, **top}, indent=1))
    return folder / "transforms.json"


def metashape(folder: Path, rigs: list[Rig], chunk: str = "", component: str = "", unaligned: str = "lost") -> Path:
    """Cx and cy from the middle, p1 and p2 the other way round, b1 = fx - fy; poses in the chunk's coordinates."""
    sensors, cameras = "", f'<camera id="99" sensor_id="0" label="{unaligned}.jpg"/>' if unaligned else ""
    for id, rig in enumerate(rigs):
        k1, k2, p1, p2, k3 = rig.dist
        numbers = {"f": rig.fy, "b1": rig.fx - rig.fy, "k1": k1, "k2": k2, "k3": k3, "p1": p2, "p2": p1}
        numbers |= {"cx": rig.cx - rig.width / 2, "cy": rig.cy - rig.height / 2}
        lens = "".join(f"<{key}>{float(value)!r}</{key}>" for key, value in numbers.items())
        size = f'<resolution width="{rig.width}" height="{rig.height}"/>'
        wrong = f'<calibration type="frame" class="initial">{size}<f>1.0</f></calibration>'
        sensors += f'<sensor id="{id}" type="frame">{size}{wrong}'
        sensors += f'<calibration type="frame" class="adjusted">{size}{lens}</calibration></sensor>'
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rig.to_world, rig.centre
        words = " ".join(repr(float(x)) for x in pose.ravel())
        cameras += f'<group><camera id="{id}" sensor_id="{id}" component_id="0" label="{rig.name}.jpg">'
        cameras += f"<transform>{words}</transform></camera></group>"
    parts = f'<components><component id="0">{component}</component></components>'
    (folder / "cameras.xml").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><document version="2.0.0"><chunk><sensors>{sensors}</sensors>'
        f"{parts}<cameras>{cameras}</cameras>{chunk}</chunk></document>"
    )
    return folder / "cameras.xml"


def caliscope(folder: Path, rigs: list[Rig], extra: str = "") -> Path:
    text = "CreationDate = 2023-03-31T09:56:43.193358\n[capture_volume]\nstage = 2\n"
    for rig in rigs:
        R, t = rig.to_camera
        K = [[rig.fx, 0.0, rig.cx], [0.0, rig.fy, rig.cy], [0.0, 0.0, 1.0]]
        text += f"[cam_{rig.name}]\nsize = [{rig.width}, {rig.height}]\nignore = false\nmatrix = {K}\n"
        text += f"distortions = {rig.dist.tolist()}\nrotation = {R.tolist()}\ntranslation = {t.tolist()}\n"
    (folder / "camera_array.toml").write_text(text + extra)
    return folder / "camera_array.toml"


def pose2sim(folder: Path, rigs: list[Rig]) -> Path:
    text = ""
    for rig in rigs:
        R, t = rig.to_camera
        K = [[rig.fx, 0.0, rig.cx], [0.0, rig.fy, rig.cy], [0.0, 0.0, 1.0]]
        turn = Rotation.from_matrix(R).as_rotvec().tolist()
        text += f'[cam_of_{rig.name}]\nname = "{rig.name}"\nsize = [{rig.width}.0, {rig.height}.0]\nmatrix = {K}\n'
        text += f"distortions = {rig.dist[:4].tolist()}\nrotation = {turn}\ntranslation = {t.tolist()}\n"
        text += "fisheye = false\n"
    (folder / "Calib.toml").write_text(text + "[metadata]\nadjusted = false\nerror = 0.0\n")
    return folder / "Calib.toml"


def llff(folder: Path, rigs: list[Rig]) -> Path:
    rows = []
    for rig in rigs:
        right, down, forward = rig.to_world.T
        pose = np.column_stack([down, right, -forward, rig.centre, [rig.height, rig.width, rig.fx]])
        rows.append([*pose.ravel(), 0.1, 100.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return folder / "poses_bounds.npy"


MAKERS: dict[str, tuple[str, Callable[[Path, list[Rig]], Path]]] = {
    "easyvolcap": ("easyvolcap", easyvolcap),
    "actorshq": ("actorshq", actorshq),
    "colmap text": ("colmap", colmap_text),
    "colmap binary": ("colmap", colmap_binary),
    "nerfstudio": ("nerfstudio", nerfstudio),
    "metashape": ("metashape", metashape),
    "caliscope": ("caliscope", caliscope),
    "pose2sim": ("pose2sim", pose2sim),
    "llff": ("llff", llff),
}


def read_cameras(format: str, path: Path, **how: float) -> dict[str, Camera]:
    """The cameras of a file, as capmat reads them."""
    return open_calibration(format, path.name, path.parent, None, **how).cameras


def assert_same(rig: Rig, camera: Camera, expected: Callable[[np.ndarray], np.ndarray], seed: int = 0) -> None:
    """A camera puts random points where `expected` says, within a millionth of a pixel."""
    points = rig.points(np.random.default_rng(seed))
    np.testing.assert_allclose(camera.project(points), expected(points), atol=1e-6)
