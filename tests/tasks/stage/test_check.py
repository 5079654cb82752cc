"""Each defect is found in the camera that has it, and a stage without defects raises nothing (paper, Sec. 3 and 4.1).

The stages are rendered here, at the size of `capmat sim --tiny --defect NAME`. What a defect leaves as it is in other
cameras is taken from the stage without one.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config, Reconstruction
from tasks.ingest.session import ingest, plates
from tasks.sim.session import render_session
from tasks.sim.tidy_stage import Defect
from tasks.stage.check import StageCheck, check, stage_check, write_report
from tasks.stage.findings import DRIFT
from tasks.stage.page import stage_sheet
from tasks.stage.source import open_session, open_stored
from tests.project import ROOT

os.environ.setdefault("MITSUBA_VARIANT", "scalar_rgb")
CAMERA = "C02"
BOX = Reconstruction(box_centre=(0, 0, 1.05), box_size=2.1)  # it stands on the floor
CONFIG = Config(reconstruction=BOX)


def render(out: Path, defect: str) -> None:
    takes = {"amber": 1}
    render_session(out / "session", cameras=4, takes=takes, size=(96, 120), spp=4, defect=Defect(defect, CAMERA))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stages") / "none"
    render(out, "none")
    return out


def with_defect(clean: Path, defect: str) -> Path:
    """The clean stage, but for what the defect changes."""
    out = clean.parent / defect
    if not out.exists() and defect != "glossy-floor":
        shutil.copytree(clean, out)
        shutil.rmtree(out / "session/takes/amber" / CAMERA)
        if defect in ("noise", "lamp"):
            shutil.rmtree(out / "session/plates" / CAMERA)
    render(out, defect)
    return out / "session"


def checked(
    store: Path, session: Path, take: str | None = None, box: Reconstruction = BOX, frames: int = 2
) -> StageCheck:
    subject = open_session(str(store), session, take, CONFIG.stage.empty_frames, frames)
    return check(subject, CONFIG.stage, box, CONFIG.teacher.noise)


def found(result: StageCheck) -> dict[str, set[str]]:
    return {camera: {f.kind for f in findings} for camera, findings in result.findings.items() if findings}


def test_a_tidy_stage_raises_nothing(clean: Path, tmp_path: Path) -> None:
    result = checked(tmp_path, clean / "session")
    assert found(result) == {}
    for one in result.measured.values():
        assert one.noise is not None
        assert 1 / one.noise.photon == pytest.approx(9600, rel=0.1)
        assert set(one.missing) <= {"focus"}


@pytest.mark.parametrize(
    ("defect", "kind"),
    [("glossy-floor", "changed"), ("lamp", "lamp"), ("moved-camera", "moved"), ("exposure", "exposure"),
     ("noise", "noise")],
)  # fmt: skip
def test_every_defect_is_found_in_its_camera_and_nowhere_else(
    clean: Path, tmp_path: Path, defect: str, kind: str
) -> None:
    result = checked(tmp_path, with_defect(clean, defect))
    assert found(result) == {CAMERA: {kind}}
    (finding,) = result.findings[CAMERA]
    if kind == "moved":
        assert finding.light == "red"
        assert finding.figures["x"] == pytest.approx(2, abs=0.1)
        assert finding.figures["y"] == pytest.approx(0, abs=0.1)
    elif kind == "exposure":
        assert finding.figures["gain"] / finding.figures["common"] == pytest.approx(1.05, abs=0.015)
    elif kind == "noise":
        assert finding.figures["times"] == pytest.approx(2, abs=0.2)
    elif kind == "changed":
        ((_, y), *_) = finding.places
        assert y > 100  # on the floor before the camera
    else:
        ((x, y), *_) = finding.places
        assert (x, y) == (pytest.approx(50, abs=4), pytest.approx(22, abs=4))


def test_mattes_in_the_store_say_where_the_subject_is(clean: Path, tmp_path: Path) -> None:
    session, store = str(with_defect(clean, "glossy-floor")), str(tmp_path)
    ingest(store, session, "amber", plates(store, session)["digest"])
    take = Take.open(Root(store), "amber")
    take.start_run("student-v1", {})
    for camera in take.cameras:
        truth = Image.open(Path(session).parent / f"truth/amber/{camera}/0001_alpha.png")
        take.write_alphas("student-v1", camera, {1: np.asarray(truth, np.float32) / 255})
    result = check(open_stored(store, take.stage, None, 2), CONFIG.stage, BOX, CONFIG.teacher.noise)
    assert found(result) == {CAMERA: {"changed"}}  # of one frame nobody can tell why
    for one in result.measured.values():
        assert one.subject is not None
        assert one.subject[one.matte].mean() > 0.97
        assert one.missing.keys() >= {"flicker"}


def test_an_ingest_warns_of_a_moved_camera_or_refuses_it_and_looks_once(clean: Path, tmp_path: Path) -> None:
    from capmat_errors import PlateMismatch

    session = str(with_defect(clean, "moved-camera"))
    config = CONFIG.model_copy(update={"store": str(tmp_path / "store")})
    record = stage_check(config, session, "amber", "plates")
    assert [(item["camera"], item["kind"]) for item in record["red"]] == [(CAMERA, "moved")]
    assert Path(record["html"]).exists()
    assert not record["reused"]
    strict = config.model_copy(update={"stage": config.stage.model_copy(update={"drift": "block"})})
    with pytest.raises(PlateMismatch, match=f"amber camera {CAMERA}") as refused:
        stage_check(strict, session, "amber", "plates")
    assert "record the empty stage again" in refused.value.fix.lower()
    assert stage_check(config, session, "amber", "plates")["reused"]
    quiet = stage_check(strict, str(clean / "session"), "amber", "plates")
    assert (quiet["light"], quiet["red"]) == ("green", [])


def test_the_sample_session_is_hard_and_nothing_in_it_is_broken(tmp_path: Path) -> None:
    """Lamps stand in view of all cameras and some walls are dark, on purpose; plates fit, and noise is alike."""
    result = checked(tmp_path, ROOT / "samples/session", "birch", Reconstruction(), frames=1)
    kinds = found(result)
    assert len(kinds) == 12
    assert all("lamp" in said for said in kinds.values())
    assert {"changed", "dark"} <= set.union(*kinds.values())
    assert not {*DRIFT, "noise", "flicker"} & set.union(*kinds.values())
    assert not [f for said in result.findings.values() for f in said if f.light == "red"]
    report = write_report(Root(tmp_path), "sample", result)
    assert Path(report["html"]).stat().st_size < 2_000_000
    assert len(stage_sheet(report, result.measured)) < 400_000
