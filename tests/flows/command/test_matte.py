"""`capmat matte TAKE --hull`: the delivered student on the rendered stage, judged by the renderer's own alpha."""

import json
import shutil
from pathlib import Path

import pytest

from flows.command.main import main
from storage.labels.trimaps import truth_of
from storage.store.root import Root
from storage.takes.take import Take
from tests.project import ROOT
from tests.storage.tiny_session import write_session

BOX = ["--set=reconstruction.box_centre=0,0,1", "--set=reconstruction.box_size=2.4"]


def test_mattes_that_all_cameras_agree_on_are_nearer_to_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ingest", str(ROOT / "samples/session/session.toml"), "cedar"]) == 0
    assert main([*BOX, "matte", "cedar", "--hull"]) == 0
    said = capsys.readouterr().out
    assert "of the foreground: no other camera supports it; most in camera C12" in said
    assert "12 mattes in run student-bgmv2_mobilenetv2_xs-v0001-hull;" in said
    take, true = Take.open(Root(".capmat/store"), "cedar"), truth_of(str(ROOT / "samples/truth"), "cedar")
    before, after = (
        [float(((take.read_alpha(run, camera, 1) - true(camera, 1)) ** 2).mean()) for camera in take.cameras]
        for run in ("student-bgmv2_mobilenetv2_xs-v0001", "student-bgmv2_mobilenetv2_xs-v0001-hull")
    )
    assert sum(after) < 0.95 * sum(before)
    assert all(now < 1.02 * then for then, now in zip(before, after, strict=True))


def test_what_cannot_be_compared_is_refused_before_anything_is_matted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    session = write_session(tmp_path / "day")
    known = json.loads((session / "calibration.json").read_text())
    del known["cameras"]["c02"]
    (session / "calibration.json").write_text(json.dumps(known))
    for folder in ("plates", "takes/walk"):
        shutil.rmtree(session / folder / "c02")
    assert main(["ingest", str(session)]) == 0
    capsys.readouterr()
    assert main(["matte", "walk", "--hull"]) == 2
    assert "2 cameras; mattes are compared between 3 or more" in capsys.readouterr().err
    assert not Take.open(Root(".capmat/store"), "walk").alpha_runs()
    assert main(["matte", "--image", "image.png", "--hull"]) == 2
    assert "one photograph has no other camera" in capsys.readouterr().err
