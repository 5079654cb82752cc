"""A whole recorded day at the rendered stage: plates, takes, calibration, trimaps, and the truth beside it.

The session folder holds what a real stage delivers and nothing more. Truth (alpha and foreground) goes to a
folder of its own, so that no step of the pipeline reads it by accident. Pictures that exist are skipped, so an
interrupted rendering goes on when it is started again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from storage.calibration.camera import Camera
from tasks.sim.body import shapes
from tasks.sim.cameras import calibration, ring
from tasks.sim.hand import draw_trimap
from tasks.sim.performer import cast
from tasks.sim.render import beauty, matte, use_variant
from tasks.sim.sensor import eight_bits, expose, lens, noise_of, to_srgb, write_file, write_picture
from tasks.sim.stage import Scene, lamps, stage
from tasks.sim.tidy_stage import Defect

Progress = Callable[[str], None]

TAKES = {"amber": 2, "birch": 2, "cedar": 1}


def render_session(
    out: Path,
    *,
    seed: int = 0,
    size: tuple[int, int] = (224, 288),
    cameras: int = 12,
    takes: Mapping[str, int] = TAKES,
    spp: int = 32,
    plate_frames: int = 2,
    truth: Path | None = None,
    defect: Defect | None = None,
    progress: Progress | None = None,
) -> Path:
    """Render a session folder; the last take is its benchmark.

    Args:
        out: the session folder.
        seed: decides stage, cameras and noise.
        size: (width, height) in pixels.
        cameras: how many stand around the stage.
        takes: number of frames of every take; frame numbers start at 1.
        spp: samples per pixel; alpha gets eight times as many.
        plate_frames: noisy frames of the empty stage per camera.
        truth: folder for true alphas and foregrounds; by default "truth" beside `out`.
        defect: a tidy stage with this defect, instead of the one where everything is hard, and no benchmark.
        progress: called with the name of every picture that is written.

    Returns:
        Path of session.toml.

    Raises:
        StoreError: the folder cannot be written to.
    """
    truth = out.parent / "truth" if truth is None else truth
    tell = progress or (lambda what: None)
    use_variant()
    rig = ring(cameras, size, seed)
    benchmark = "" if defect else list(takes)[-1]
    write_file(out / "calibration.json", json.dumps(calibration(rig), indent=1).encode())
    write_file(out / "session.toml", _descriptor(takes, benchmark, defect).encode())
    _plates(out, rig, seed, spp, plate_frames, defect, tell)
    for frame in range(1, max(takes.values()) + 1):
        for name in sorted(takes, key=lambda take: take == benchmark):
            if frame <= takes[name]:
                _frame(out, truth, rig, name, frame, seed, spp, name == benchmark, defect, tell)
    return out / "session.toml"


def _plates(
    out: Path, rig: list[Camera], seed: int, spp: int, count: int, defect: Defect | None, tell: Progress
) -> None:
    import mitsuba as mi

    scene = None
    for camera in rig:
        paths = [out / "plates" / camera.id / f"{frame:04d}.png" for frame in range(1, count + 1)]
        if all(path.exists() for path in paths):
            continue
        scene = scene or mi.load_dict({"type": "scene", **_stage(rig, seed, defect)})
        sensor = defect.sensor(camera.id, take=False) if defect else {}
        clean = lens(beauty(scene, camera, spp=spp, seed=_number(seed, camera.id)))
        for path in paths:
            write_picture(path, expose(clean, noise_of(seed, "plate", camera.id, path.stem), **sensor))
            tell(str(path))


def _stage(rig: list[Camera], seed: int, defect: Defect | None) -> Scene:
    return defect.scene(rig, seed) if defect else stage(rig, seed)


def _frame(
    out: Path,
    truth: Path,
    rig: list[Camera],
    take: str,
    frame: int,
    seed: int,
    spp: int,
    benchmark: bool,
    defect: Defect | None,
    tell: Progress,
) -> None:
    """One frame of a take from all cameras, with its truth, and trimaps for the benchmark's first frame."""
    import mitsuba as mi

    look = cast(take)
    full = None
    for calibrated in rig:
        camera = defect.in_take(calibrated) if defect else calibrated
        sensor = defect.sensor(camera.id, take=True) if defect else {}
        stem = f"{frame:04d}"
        shot = out / "takes" / take / camera.id / f"{stem}.png"
        alpha_path = truth / take / camera.id / f"{stem}_alpha.png"
        fg_path = truth / take / camera.id / f"{stem}_fg.png"
        trimap_path = out / "trimaps" / camera.id / f"{stem}.png"
        wanted = [shot, alpha_path] + ([fg_path] if benchmark else [])
        wanted += [trimap_path] if benchmark and frame == 1 else []
        if all(path.exists() for path in wanted):
            continue
        if full is None:
            # A Mitsuba shape belongs to one scene, so every scene gets a body of its own.
            full, covered, *alone = (
                mi.load_dict({"type": "scene", **around, **shapes(look, frame, seed)})
                for around in (_stage(rig, seed, defect), {}, *([lamps()] if benchmark else []))
            )
        # The plate's own sampler: where the performer changes nothing, the same paths give the same background.
        number = _number(seed, camera.id)
        picture = lens(beauty(full, camera, spp=spp, seed=number))
        alpha = lens(matte(covered, camera, spp=8 * spp, seed=number))
        if benchmark:
            colour = lens(beauty(alone[0], camera, spp=max(spp // 2, 4), seed=number + 1, alone=True))
            write_picture(fg_path, eight_bits(to_srgb(foreground(picture, colour, alpha))))
        write_picture(alpha_path, eight_bits(alpha))
        if benchmark and frame == 1:
            write_picture(trimap_path, draw_trimap(alpha, noise_of(seed, "trimap", camera.id)))
        # The shot comes last: where it exists, the rest of its camera does too.
        write_picture(shot, expose(picture, noise_of(seed, take, camera.id, frame), **sensor))
        tell(str(shot))


def foreground(picture: Any, alone: Any, alpha: Any) -> Any:
    """True foreground F of Eq. 1, linear, carried 8 pixels past the performer and black beyond.

    Where alpha is 1 the picture itself is F. At soft edges the performer rendered alone gives the colour, scaled
    to the light that floor and walls add in the picture nearby.

    Args:
        picture: (H, W, 3) linear.
        alone: (H, W, 3) linear, premultiplied, the performer under the lamps without the room.
        alpha: (H, W) 0..1.

    Returns:
        (H, W, 3) linear.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    solid = alpha > 0.995
    if not solid.any():
        return picture
    edge = alone / np.maximum(alpha, 0.02)[..., None]
    near = [gaussian_filter(np.where(solid[..., None], image, 0), (6, 6, 0)) for image in (picture, edge)]
    lifted = edge * np.clip((near[0] + 1e-4) / (near[1] + 1e-4), 0.5, 4.0)
    colour = np.where(solid[..., None], picture, lifted)
    away, (rows, columns) = distance_transform_edt(alpha < 0.1, return_indices=True)
    return np.where(away[..., None] <= 8, colour[rows, columns], 0)


_DESCRIPTOR = """\
name = "{name}"
stage = "{stage}"
root = "."
fps = 25.0

[colour]
bits = 12
transfer = "linear"
black = 64

[calibration]
format = "capmat"
path = "calibration.json"

[plates]
path = "plates/{{camera}}/{{frame:04d}}.png"
"""


def _descriptor(takes: Mapping[str, int], benchmark: str, defect: Defect | None) -> str:
    tidy = f"tidy-{defect.name}" if defect else ""
    text = _DESCRIPTOR.format(name=tidy or "sample", stage=tidy or "cylinder")
    for name in takes:
        text += f'\n[takes.{name}]\npath = "takes/{name}/{{camera}}/{{frame:04d}}.png"\n'
    if benchmark:
        text += f'\n[benchmark]\ntake = "{benchmark}"\ntrimaps = "trimaps/{{camera}}/{{frame:04d}}.png"\n'
    return text


def _number(seed: int, *names: object) -> int:
    """A sampler seed for a picture, small enough to be multiplied by the number of passes."""
    return zlib.crc32("/".join(map(str, (seed, *names))).encode()) % 100_000_000
