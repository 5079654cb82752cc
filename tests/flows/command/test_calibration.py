"""`capmat calibration` checks a calibration, shows it, and hands it on."""

from pathlib import Path

import numpy as np
import pytest

from flows.command.main import main
from storage.calibration.formats.files import open_calibration, write_calibration
from tests.storage.calibration import calibrations as made
from tests.storage.session.boards import stage, turned, write_boards


def test_it_shows_every_camera_and_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rig = made.make_rig(1)
    path = made.metashape(tmp_path, [rig])
    assert main(["calibration", str(path), "--format", "metashape", "--scale", "0.5"]) == 0
    head, line, note = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["camera", "size", "focal"]
    words = line.split()
    assert words[:4] == ["C01", "640x480", f"{rig.fx:.2f}", f"{rig.fy:.2f}"]
    assert words[4:7] == [f"{x / 2:.3f}" for x in rig.centre]
    assert len(words) == 12
    assert note == "note: camera lost is left out: it was not aligned and has no pose"


def test_it_writes_for_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made.actorshq(tmp_path, [made.make_rig(1)])
    out = tmp_path / "out"
    assert main(["calibration", str(path), "--format", "actorshq", "--to", "easyvolcap", "--out", str(out)]) == 0
    assert f"wrote {out / 'intri.yml'}" in capsys.readouterr().out
    before = open_calibration("actorshq", path.name, tmp_path, None).cameras["C01"]
    after = open_calibration("easyvolcap", "out", tmp_path, None).cameras["C01"]
    np.testing.assert_allclose(after.t, before.t)


def test_one_file_per_camera_is_found_by_its_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cv2

    for name in ("left", "right"):
        file = cv2.FileStorage(str(tmp_path / f"{name}.xml"), cv2.FILE_STORAGE_WRITE)
        for key, value in (("K", np.eye(3)), ("dist", np.zeros((1, 5))), ("R", np.eye(3)), ("T", np.ones((3, 1)))):
            file.write("distortion_coefficients" if key == "dist" else key, value)
        file.release()
    assert main(["calibration", str(tmp_path / "{camera}.xml"), "--format", "opencv-xml", "--unit", "mm"]) == 0
    assert "right" in capsys.readouterr().out


def test_it_says_how_good_the_calibration_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cameras = stage()
    write_boards(tmp_path, cameras)
    cameras["C02"] = turned(cameras["C02"], 0.5)
    (path,) = write_calibration("capmat", cameras, tmp_path / "rig")
    words = ["--format", "capmat", "--board", str(tmp_path / "{camera}.png"), "--corners", "8x6", "--square", "11cm"]
    assert main(["calibration", str(path), *words]) == 0
    lines = capsys.readouterr().out.splitlines()[4:]
    assert lines[0].split() == ["camera", "board", "lens", "px", "stage", "px"]
    table = {line.split()[0]: line.split()[1:] for line in lines[1:4]}
    for name, pose in (("C01", "good"), ("C02", "poor"), ("C03", "good")):
        assert table[name][:3] == ["1", "of", "1"]
        assert (table[name][4], table[name][6]) == ("good", pose)
    assert lines[4] == "note: C02 disagrees with the other cameras; they were checked without it"
    assert lines[5].startswith("scale: squares of 0.11 m are 0.1 m in the calibration, 0.909")
    assert lines[5].endswith(" times that: poor")
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--format", "actorshq", "--to", "colmap"], "--to and --out belong together"),
        (["--format", "llff"], "not a numpy array"),
        (["--format", "actorshq", "--board", "{camera}.png"], "--board and --corners belong together"),
        (["--format", "actorshq", "--square", "1cm"], "--square needs both"),
        (["--format", "actorshq", "--board", "b", "--corners", "8"], "such as 8x6, got '8'"),
        (["--format", "actorshq", "--board", "b", "--corners", "8x2"], "got '8x2'"),
        (
            ["--format", "actorshq", "--board", "b", "--corners", "8x6", "--square", "1ft"],
            "such as 115mm, got '1ft'",
        ),
        (["--format", "actorshq", "--board", "b.png", "--corners", "8x6"], "b.png: the path has no {camera}"),
    ],
)
def test_what_it_cannot_do_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    path = made.actorshq(tmp_path, [made.make_rig(1)])
    assert main(["calibration", str(path), *words]) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1


@pytest.mark.parametrize("kind", made.MAKERS)
def test_a_unit_that_nobody_stated_is_not_called_metres(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    format, make = made.MAKERS[kind]
    words = ["calibration", str(make(tmp_path, [made.make_rig(1)])), "--format", format]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "in m" not in out.splitlines()[0]
    assert "nobody stated the unit" in out
    assert main([*words, "--to", "capmat", "--out", str(tmp_path / "out")]) == 2
    assert "the unit of IN is not stated. Add --unit or --scale" in capsys.readouterr().err
    for stated in (["--unit", "cm"], ["--scale", "1"]):
        assert main([*words, *stated, "--to", "capmat", "--out", str(tmp_path / stated[0])]) == 0
        out = capsys.readouterr().out
        assert "in m" in out.splitlines()[0]
        assert "nobody stated" not in out
