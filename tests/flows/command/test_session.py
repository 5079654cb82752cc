"""`capmat ingest` says what it will do and what is wrong before it writes; `capmat session` says what a folder is."""

import json
import shutil
from pathlib import Path

import pytest

from capmat_errors import StoreError
from flows.command.main import main
from storage.descriptor import read_session
from storage.store.root import Root
from storage.takes.take import Take
from tasks.ingest import session as steps
from tests.storage.calibration.calibrations import easyvolcap, make_rig
from tests.storage.tiny_session import HEIGHT, WIDTH, background, edit_toml, write_picture

Said = pytest.CaptureFixture[str]
STATED = ["--state", "fps=25", "--state", "calibration.unit=m"]


@pytest.fixture
def dome(here: Path) -> Path:
    """A folder in EasyMocap's layout, of two cameras and two frames."""
    folder = here / "dome"
    folder.mkdir()
    rigs = [make_rig(seed, name, bend=0.0) for seed, name in enumerate(("01", "02"))]
    for number, rig in enumerate(rigs):
        rig.width, rig.height = WIDTH, HEIGHT
        for part, frames in (("images", 2), ("bkgd", 1)):
            (folder / part / rig.name).mkdir(parents=True)
            for frame in range(frames):
                picture = (background(number) / 16).astype("uint8")
                write_picture(folder / part / rig.name / f"{frame:06d}.jpg", picture)
    return easyvolcap(folder, rigs)


def test_a_plan_is_a_table_with_totals_and_writes_nothing(here: Path, capsys: Said) -> None:
    assert main(["ingest", "day/session.toml", "--plan"]) == 0
    said = capsys.readouterr().out
    assert "c00..c02 (3)" in said
    assert "64x48" in said
    assert "9 frames" in said
    assert "all files fit" in said
    assert sorted(path.name for path in here.iterdir()) == ["day"]


def test_cameras_that_differ_have_lines_of_their_own(here: Path, capsys: Said) -> None:
    shutil.copy(here / "day/plates/c01/0001.png", here / "day/plates/c01/0002.png")
    main(["ingest", "day", "--plan"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("walk")]
    assert [line[1] for line in lines] == ["c00", "c01", "c02"]


def test_a_plan_with_problems_lists_them_all_and_ends_with_code_2(here: Path, capsys: Said) -> None:
    (here / "day/takes/walk/c00/0001.png").unlink()
    (here / "day/takes/walk/c02/0001.png").unlink()
    assert main(["ingest", "day", "--plan"]) == 2
    problems = [line for line in capsys.readouterr().out.splitlines() if line.startswith("problem: ")]
    assert [word for line in problems for word in line.split() if word in ("c00", "c01", "c02")] == ["c00", "c02"]


def test_a_plan_for_programs_is_json(here: Path, capsys: Said) -> None:
    (here / "day/takes/walk/c01/0001.png").unlink()
    assert main(["ingest", "day", "--plan", "--json"]) == 2
    plan = json.loads(capsys.readouterr().out)
    assert plan["takes"]["walk"]["cameras"]["c01"]["gaps"] == "1"
    assert plan["total"]["frames"] == 8
    assert [problem["kind"] for problem in plan["problems"]] == ["FrameGap"]


def test_a_camera_that_is_left_out_is_said(here: Path, capsys: Said) -> None:
    edit_toml(here / "day", "[takes.walk]", '[takes.walk]\nwithout = ["c01"]')
    assert main(["ingest", "day", "--plan"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("walk")]
    assert [line[1:3] for line in lines] == [["c00,", "c02"], ["c01", "left"]]


def test_an_ingest_with_problems_writes_nothing(here: Path, capsys: Said) -> None:
    (here / "day/takes/walk/c00/0001.png").unlink()
    (here / "day/takes/walk/c02/0001.png").unlink()
    assert main(["--set", "store=store", "ingest", "day"]) == 2
    said = capsys.readouterr()
    assert "2 problems" in said.out
    assert "camera c00 frame 1" in said.err
    assert not (here / "store").exists()


def test_an_ingest_that_does_not_fit_is_refused_before_it_starts(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    full = shutil.disk_usage(here)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert main(["--set", "store=store", "ingest", "day", "--plan"]) == 2
    assert main(["--set", "store=store", "ingest", "day"]) == 2
    assert "are free" in capsys.readouterr().err
    with pytest.raises(StoreError, match="are free"):  # as the nightly flow does it
        steps.ingest(str(here / "store"), "day/session.toml", "walk", "")
    assert not list((here / "store").glob("takes"))


def test_a_folder_of_a_known_layout_is_ingested_by_one_command(dome: Path, here: Path, capsys: Said) -> None:
    assert main(["--set", "store=store", "ingest", "dome", *STATED]) == 0
    assert "sRGB" in capsys.readouterr().out
    take = Take.open(Root(here / "store"), "dome")
    assert (list(take.cameras), tuple(take.frames), take.fps) == (["01", "02"], (0, 1), 25.0)


def test_the_descriptor_of_an_ingested_folder_is_kept_beside_the_store(dome: Path, here: Path, capsys: Said) -> None:
    command = ["--set", "store=store", "ingest", "dome", *STATED]
    assert main(command) == 0
    assert main(["--set", "store=store", "ingest", "dome.session.toml", "--plan"]) == 0
    assert "all of it is in the store" in capsys.readouterr().out
    assert main(command) == 0
    assert main([*command[:-1], "calibration.unit=mm"]) == 2
    assert "dome.session.toml" in capsys.readouterr().err


def test_a_folder_that_leaves_something_open_is_refused_with_it(dome: Path, here: Path, capsys: Said) -> None:
    assert main(["ingest", "dome", "--state", "fps=25"]) == 2
    error = capsys.readouterr().err
    assert "--state calibration.unit=" in error
    assert "--state fps=" not in error


def test_statements_are_not_for_sessions_that_are_written(here: Path, capsys: Said) -> None:
    assert main(["ingest", "day", "--state", "fps=50"]) == 2
    assert "Edit the file" in capsys.readouterr().err


def test_the_descriptor_of_a_folder_can_be_kept_and_edited(dome: Path, here: Path, capsys: Said) -> None:
    assert main(["session", "dome", "--out", "dome/session.toml", *STATED]) == 0
    session = read_session(here / "dome")
    assert (session.root, session.fps, session.folder) == (".", 25.0, dome)
    assert main(["ingest", "dome", "--plan"]) == 0


def test_a_descriptor_is_never_written_over(dome: Path, here: Path, capsys: Said) -> None:
    (here / "mine.toml").write_text("mine")
    assert main(["session", "dome", "--out", "mine.toml", *STATED]) == 2
    assert (here / "mine.toml").read_text() == "mine"


def test_an_unknown_take_is_refused_with_those_there_are(here: Path, capsys: Said) -> None:
    assert main(["ingest", "day", "--take", "run"]) == 2
    assert "no take run; it has walk" in capsys.readouterr().err


def test_a_stage_without_plates_is_ingested_and_found_well(here: Path) -> None:
    edit_toml(here / "day", '[plates]\npath = "plates/{camera}/{frame:04d}.png"\n', "")
    assert main(["--set", "store=store", "ingest", "day"]) == 0
    assert len(Take.open(Root(here / "store"), "walk").frames) == 3
    assert main(["--set", "store=store", "verify", "--deep"]) == 0


def test_a_plan_has_a_table_of_clocks_and_asks_the_pictures_if_wanted(here: Path, capsys: Said) -> None:
    case = Path(__file__).parents[2] / "cases/13-drop-frame"
    assert main(["ingest", str(case), "--plan", "--motion"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines[2:4]] == [
        "take cameras clock rate starts at missing jitter",
        "tc_df cam00, cam01 stamps 29.97 00:00:59;28 - 0.0 ms",
    ]
    assert "note: take tc_df: the motion does not tell whether cam00, cam01 run late" in lines
