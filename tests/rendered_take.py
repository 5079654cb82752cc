"""A frame of the rendered sample in a store of its own: pictures, plates, mattes of a base teacher, and the truth."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.calibration.camera import Camera
from storage.labels.strokes import Drawing, Stroke
from storage.labels.trimaps import truth_of
from storage.pictures.colour import Colour
from storage.pictures.files import read_image
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.plate import Plate
from storage.takes.stage import Stage
from storage.takes.take import Take
from tests.project import ROOT
from tests.storage.raw_pictures import write_raw

SAMPLE = ROOT / "samples"
NAME, FRAME = "amber", 1
TEACHER = "teacher-bg_vitmatte_xs-v0001"
TRUTH = truth_of(str(SAMPLE / "truth"), NAME)
"""(camera, frame) -> true alpha (H, W) 0..1."""
_MATTES = np.load(ROOT / "tests/goldens/teacher_amber_224x288.npz")


def make_rendered(root: Root, cameras: Sequence[str] = ("C01", "C05", "C09"), name: str = NAME) -> Take:
    """Store the first frame of a take, as it lies in the repository, with mattes of a delivered teacher."""
    run = TEACHER
    said = json.loads((SAMPLE / "session/calibration.json").read_text())["cameras"]
    known = {id: Camera.from_json(id, said[id]) for id in cameras}
    colour, ledger = Colour(12, "linear", black=64), Ledger(root)
    stage = Stage.create(root, "cylinder", cameras=known, colour=colour, source={})
    take = Take.create(
        root, name, stage="cylinder", cameras=known, colour=colour, frames=[FRAME], fps=25.0, source={"sample": 1}
    )
    for id in cameras:
        mean = read_image(SAMPLE / f"session/plates/{id}/0001.png").astype(np.float32)
        plate = Plate(mean, np.ones_like(mean), np.ones(mean.shape[:2], bool), 1)
        ledger.record(f"plates/cylinder/{id}", {"files": stage.write_plate(id, plate)})
        files = write_raw(take, id, FRAME, read_image(SAMPLE / f"session/takes/{NAME}/{id}/0001.png"))
        ledger.record(f"ingest/{name}/{id}/00000", {"frames": [FRAME], "files": files})
    stage.seal()
    take.seal()
    take.start_run(run, {"role": run.split("-")[0], "name": "bg_vitmatte_xs", "version": "v0001"})
    for id in cameras:
        pha = _MATTES[id] / np.float32(255)
        record: dict[str, Any] = {"run": run, "camera": id, "numbers": [FRAME]}
        ledger.record(f"matte/{name}-{id}-{run}/0", {**record, "files": take.write_alphas(run, id, {FRAME: pha})})
    return take


def error(pha: NDArray[np.float32], camera: str) -> NDArray[np.float32]:
    """How far a matte (H, W) is from the truth at each pixel."""
    return np.abs(pha - TRUTH(camera, FRAME))


def drawn(camera: str, strokes: Sequence[Stroke]) -> Drawing:
    """Strokes on the frame of a camera."""
    height, width = TRUTH(camera, FRAME).shape
    return Drawing(NAME, camera, FRAME, width, height, tuple(strokes))
