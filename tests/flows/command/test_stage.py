"""`capmat stage check`: what a person at the stage sees, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from flows.command.main import main
from tests.storage.tiny_session import CAMERAS, write_picture, write_session


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_session(tmp_path / "day", plates=4)


def run(*words: str) -> int:
    return main(["--set", "store=store", "stage", "check", *words])


def test_every_camera_gets_a_light_and_the_report_is_written(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("day", "--out", "report") in (0, 1)
    said = capsys.readouterr().out
    page = Path("report/stage.html").read_text()
    report = json.loads(Path("report/stage.json").read_text())
    assert (report["session"], report["stage"], report["take"]) == ("day", "ring", "walk")
    assert set(report["cameras"]) == set(CAMERAS)
    for camera, one in report["cameras"].items():
        assert camera in said
        assert f'id="{camera}"' in page
        assert one["light"] in ("green", "yellow", "red")
        assert one["figures"]["full_well"] > 0 or one["figures"]["read_noise"] > 0
    assert page.count("data:image/jpeg;base64,") == len(CAMERAS)
    assert "<script" not in page
    assert not Path("store").exists()


def test_programs_get_the_same_as_json_and_a_red_camera_as_exit_code(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in sorted((day / "takes/walk/c01").iterdir()):
        shutil.copy(day / "takes/walk/c00" / file.name, file)
    code = run(str(day / "session.toml"), "--json")
    report = json.loads(capsys.readouterr().out)
    assert code == 1
    assert report["light"] == report["cameras"]["c01"]["light"] == "red"
    assert Path(report["html"]).exists()
    assert Path(report["html"]).name == "stage-ring-day-walk.html"


def test_a_single_empty_frame_measures_no_noise_and_says_so(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (day / "plates").rglob("*.png"):
        if file.stem != "0000":
            file.unlink()
    run("day", "--json")
    for one in json.loads(capsys.readouterr().out)["cameras"].values():
        assert "single frame" in one["missing"]["noise"]
        assert "single frame" in one["missing"]["flicker"]
        assert not [finding for finding in one["findings"] if finding["kind"] in ("noise", "flicker")]


def test_black_pictures_are_not_measured_and_no_fault(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in [*(day / "plates/c00").iterdir(), *(day / "takes/walk/c00").iterdir()]:
        write_picture(file, np.full((48, 64, 3), 64, np.uint16))
    run("day", "--json")
    black = json.loads(capsys.readouterr().out)["cameras"]["c00"]
    assert {"noise", "flicker", "exposure", "moved", "focus"} <= set(black["missing"])
    assert [finding["kind"] for finding in black["findings"]] == ["dark"]


def test_a_session_without_takes_yet_has_its_empty_stage_checked(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(day / "takes")
    assert run("day", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["take"] == ""
    assert "only the empty stage" in report["notes"][0]
    assert all("no frame of a take" in one["missing"]["moved"] for one in report["cameras"].values())


def test_an_ingested_stage_is_checked_from_the_store(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", "store=store", "ingest", "day"]) == 0
    capsys.readouterr()
    assert run("ring", "--json") in (0, 1)
    report = json.loads(capsys.readouterr().out)
    assert (report["session"], report["take"]) == ("", "walk")
    for one in report["cameras"].values():
        assert one["figures"]["noise_worst"] > 0
        assert "average" in one["missing"]["flicker"]
        assert one["figures"]["shift"] < 0.2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["day", "--take", "run"], "no take run; it has walk"),
        (["nowhere"], "no stage is called nowhere"),
        (["nowhere.toml"], "nowhere.toml"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    words: list[str], says: str, day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_folder_without_a_descriptor_is_refused_with_the_command_that_writes_one(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("day/plates") == 2
    assert "Write one: `capmat session FOLDER` does it" in capsys.readouterr().err


def test_a_plate_of_another_size_and_a_session_without_plates_are_refused(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (day / "plates/c01").iterdir():
        write_picture(file, np.full((40, 64, 3), 900, np.uint16))
    assert run("day") == 2
    assert "camera c01" in (error := capsys.readouterr().err)
    assert "64x40" in error
    text = (day / "session.toml").read_text()
    (day / "session.toml").write_text(text.replace('[plates]\npath = "plates/{camera}/{frame:04d}.png"\n', ""))
    assert run("day") == 2
    assert "no recordings of the empty stage" in capsys.readouterr().err
