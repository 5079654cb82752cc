"""A plan looks at everything, goes on after a fault, and says what an ingest will cost."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import capmat_errors as errors
from storage.descriptor import read_session
from storage.session.cost import Cost, blocks_left, check_space, expected_cost
from storage.session.plan import SessionPlan, check_session, plan_session
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from tests.storage.calibration.calibrations import easyvolcap, make_rig
from tests.storage.tiny_session import HEIGHT, WIDTH, edit_toml, write_picture, write_session, write_video

WALK = "takes/walk"


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """A sound session of three cameras, c00 to c02, and three frames."""
    return write_session(tmp_path / "day")


def _plan(folder: Path) -> SessionPlan:
    return plan_session(read_session(folder))


def test_every_camera_is_looked_at_even_when_others_are_broken(day: Path) -> None:
    (day / WALK / "c00/0001.png").unlink()
    shutil.copy(day / WALK / "c01/0002.png", day / WALK / "c01/2.png")
    write_picture(day / WALK / "c02/0001.png", np.full((HEIGHT, WIDTH, 3), 5000, np.uint16))
    kinds = [type(problem) for problem in _plan(day).problems]
    assert kinds == [errors.FrameGap, errors.FrameGap, errors.ImageUnreadable]


def test_every_take_is_looked_at_even_when_another_is_broken(day: Path) -> None:
    shutil.copytree(day / WALK, day / "takes/run")
    (day / "takes/run/c01/0001.png").write_bytes(b"")
    (day / WALK / "c02/0000.png").write_bytes(b"")
    with (day / "session.toml").open("a") as file:
        file.write('[takes.run]\npath = "takes/run/{camera}/{frame:04d}.png"\n')
    plan = _plan(day)
    assert [problem.where.split(",")[0] for problem in plan.problems] == [
        "take walk camera c02 frame 0",
        "take run camera c01 frame 1",
    ]
    assert set(plan.takes["run"].rows) == {"c00", "c01", "c02"}


def test_the_first_problem_is_what_a_check_refuses_with(day: Path) -> None:
    (day / WALK / "c00/0001.png").unlink()
    (day / WALK / "c02/0001.png").unlink()
    plan = _plan(day)
    assert len(plan.problems) == 2
    with pytest.raises(errors.FrameGap) as refusal:
        check_session(read_session(day))
    assert str(refusal.value) == str(plan.problems[0])


def test_a_broken_camera_is_not_also_called_unrecorded(day: Path) -> None:
    shutil.copy(day / WALK / "c01/0002.png", day / WALK / "c01/2.png")
    (problem,) = _plan(day).problems
    assert "there twice" in problem.what


def test_gaps_are_listed_as_ranges(tmp_path: Path) -> None:
    folder = write_session(tmp_path / "day", frames=8)
    for frame in (1, 4, 5):
        (folder / WALK / f"c01/{frame:04d}.png").unlink()
    row = _plan(folder).takes["walk"].rows["c01"]
    assert (row.first, row.last, row.count, row.gaps) == (0, 7, 5, "1, 4-5")


def test_what_a_camera_with_gaps_does_have_is_looked_at_too(day: Path) -> None:
    (day / WALK / "c01/0001.png").unlink()
    (day / WALK / "c01/0002.png").write_bytes(b"")
    plan = _plan(day)
    assert [type(problem) for problem in plan.problems] == [errors.FrameGap, errors.ImageUnreadable]
    assert set(plan.takes["walk"].recordings) == {"c00", "c02"}


def test_the_frames_that_all_cameras_have_are_named_in_the_fix(day: Path) -> None:
    (day / WALK / "c02/0002.png").unlink()
    (problem,) = _plan(day).problems
    assert "all cameras have 0-1" in problem.fix


def test_a_row_says_what_the_pictures_are_and_how_well_the_plate_fits(day: Path) -> None:
    row = _plan(day).takes["walk"].rows["c01"]
    assert (row.width, row.height, row.dtype, row.source) == (WIDTH, HEIGHT, "uint16", "png")
    assert (row.plate, row.owner) == (2, "")
    assert row.distance is not None
    assert 0 < row.distance < 0.15
    assert row.raw == 3 * HEIGHT * WIDTH * 3 * 2


def test_a_row_names_the_camera_whose_plate_fits_better(day: Path) -> None:
    (day / "plates/c00").rename(day / "between")
    (day / "plates/c02").rename(day / "plates/c00")
    (day / "between").rename(day / "plates/c02")
    plan = _plan(day)
    assert [type(problem) for problem in plan.problems] == [errors.PlateMismatch] * 2
    assert plan.problems[0].where.startswith("take walk camera c00 frame 0, plate ")
    assert plan.takes["walk"].rows["c00"].owner == "c02"


# takes without cameras, shifted cameras, stages without plates


def test_a_take_goes_without_a_camera_that_failed(day: Path) -> None:
    (day / WALK / "c01/0001.png").unlink()
    edit_toml(day, "[takes.walk]", '[takes.walk]\nwithout = ["c01"]')
    plan = check_session(read_session(day))
    assert set(plan.takes["walk"].recordings) == {"c00", "c02"}


def test_a_take_goes_without_a_camera_that_recorded_nothing(day: Path) -> None:
    shutil.rmtree(day / WALK / "c01")
    edit_toml(day, "[takes.walk]", '[takes.walk]\nwithout = ["c01"]')
    assert set(check_session(read_session(day)).takes["walk"].recordings) == {"c00", "c02"}


@pytest.mark.parametrize("line", ['without = ["c09"]', "offset = {c09 = 1}"])
def test_a_take_names_no_camera_that_is_not_there(day: Path, line: str) -> None:
    edit_toml(day, "[takes.walk]", f"[takes.walk]\n{line}")
    with pytest.raises(errors.CameraMissing, match="camera c09.*c00, c01, c02"):
        check_session(read_session(day))


def test_a_camera_that_started_early_is_shifted_into_step(day: Path) -> None:
    session = read_session(day)
    straight = check_session(session).takes["walk"].recordings["c01"]
    pictures = {frame: picture for frame, picture in straight.read(session.colour.colour())}
    for frame in (2, 1, 0):
        (day / WALK / f"c01/{frame:04d}.png").rename(day / WALK / f"c01/{frame + 2:04d}.png")
    edit_toml(day, "[takes.walk]", "[takes.walk]\noffset = {c01 = -2}")
    shifted = check_session(read_session(day)).takes["walk"].recordings["c01"]
    assert shifted.frames == (0, 1, 2)
    assert shifted.file(0).name == "0002.png"
    for frame, picture in shifted.read(session.colour.colour()):
        np.testing.assert_array_equal(picture, pictures[frame])


def test_what_was_recorded_before_the_first_frame_is_passed_over(day: Path) -> None:
    edit_toml(day, "[takes.walk]", "[takes.walk]\nlast = 1\noffset = {c01 = -1}")
    assert check_session(read_session(day)).takes["walk"].recordings["c01"].frames == (0, 1)


def test_another_shift_is_another_recording(day: Path) -> None:
    edit_toml(day, "[takes.walk]", "[takes.walk]\nlast = 1\noffset = {c01 = -1}")
    one = check_session(read_session(day)).takes["walk"].recordings["c01"].manifest()
    edit_toml(day, "c01 = -1", "c01 = 0")
    assert check_session(read_session(day)).takes["walk"].recordings["c01"].manifest() != one


def test_a_stage_may_have_no_plates(day: Path) -> None:
    edit_toml(day, '[plates]\npath = "plates/{camera}/{frame:04d}.png"\n', "")
    plan = check_session(read_session(day))
    assert plan.plates == {}
    assert plan.takes["walk"].rows["c00"].plate == 0


def test_a_stage_without_plates_says_so_to_networks_that_want_one(day: Path, tmp_path: Path) -> None:
    from tasks.ingest.plates import ingest_plates

    edit_toml(day, '[plates]\npath = "plates/{camera}/{frame:04d}.png"\n', "")
    assert ingest_plates(str(tmp_path / "store"), day)["written"] == []
    with pytest.raises(errors.PlateMissing, match=r"stage ring camera c01.*needs no plate"):
        Stage.open(Root(tmp_path / "store"), "ring").plate("c01")


def test_plates_that_were_recorded_later_are_taken_in(day: Path, tmp_path: Path) -> None:
    from tasks.ingest.plates import ingest_plates

    section = '[plates]\npath = "plates/{camera}/{frame:04d}.png"\n'
    edit_toml(day, section, "")
    ingest_plates(str(tmp_path / "store"), day)
    edit_toml(day, "[takes.walk]", f"{section}[takes.walk]")
    ingest_plates(str(tmp_path / "store"), day)
    assert Stage.open(Root(tmp_path / "store"), "ring").plate("c01").shape == (3, HEIGHT, WIDTH)


@pytest.mark.parametrize("code", ["10:32:05:25", "24:00:00:00", "10:60:00:00", "10:32:05", "soon"])
def test_a_timecode_that_no_clock_shows_is_refused(day: Path, code: str) -> None:
    edit_toml(day, "[takes.walk]", f'[takes.walk]\ntimecode = "{code}"')
    with pytest.raises(errors.SessionError, match="timecode"):
        read_session(day)


def test_a_timecode_is_kept(day: Path) -> None:
    edit_toml(day, "[takes.walk]", '[takes.walk]\ntimecode = "10:32:05:24"')
    assert read_session(day).takes["walk"].timecode == "10:32:05:24"


def test_a_path_may_say_which_names_are_cameras(day: Path) -> None:
    shutil.copytree(day / WALK / "c01", day / WALK / "witness")
    edit_toml(day, "takes/walk/{camera}", r"takes/walk/{camera:c\\d+}")
    assert set(check_session(read_session(day)).takes["walk"].recordings) == {"c00", "c01", "c02"}


def test_a_path_with_the_ending_of_another_format_is_told_so(day: Path) -> None:
    edit_toml(day, "takes/walk/{camera}/{frame:04d}.png", "takes/walk/{camera}/{frame:04d}.tif")
    with pytest.raises(errors.SessionError, match=r"0000\.png: no recording ends on \.tif; this file ends on \.png"):
        check_session(read_session(day))


def test_a_path_with_a_broken_pattern_is_refused(day: Path) -> None:
    edit_toml(day, "takes/walk/{camera}", "takes/walk/{camera:c(}")
    with pytest.raises(errors.SessionError, match="regular expression"):
        check_session(read_session(day))


# what it costs


def test_the_expected_bytes_are_what_the_store_then_holds(tmp_path: Path) -> None:
    from tasks.ingest.take import ingest_take

    folder = write_session(tmp_path / "day")
    root = Root(tmp_path / "store")
    cost = expected_cost(_plan(folder), root)
    assert (cost.frames, cost.measured) == (9, 9)
    ingest_take(root.url, folder, "walk")
    held = sum(size for key, size in root.sizes("takes/walk.zarr/").items() if not key.endswith(".json"))
    assert cost.stored == pytest.approx(held, rel=0.1)


def test_what_the_ledger_has_costs_nothing_more(tmp_path: Path) -> None:
    from tasks.ingest.plates import ingest_plates
    from tasks.ingest.take import ingest_take

    folder = write_session(tmp_path / "day", frames=18)
    root = Root(tmp_path / "store")
    before = expected_cost(_plan(folder), root)
    ingest_take(root.url, folder, "walk")
    ingest_plates(root.url, folder)
    after = expected_cost(_plan(folder), root)
    assert (before.blocks, before.left) == (9, 9)
    assert (after.blocks, after.left, after.stored, after.plates, after.seconds) == (9, 0, 0, 0, 0)


def test_a_block_that_was_taken_back_is_still_to_come(tmp_path: Path) -> None:
    from tasks.ingest.take import ingest_take

    folder = write_session(tmp_path / "day", frames=18)
    root = Root(tmp_path / "store")
    ingest_take(root.url, folder, "walk")
    Ledger(root).forget("ingest/walk/c01/00001")
    assert blocks_left(root, _plan(folder).takes["walk"]) == 1


def test_a_file_that_was_copied_again_is_to_come_again(tmp_path: Path) -> None:
    from tasks.ingest.take import ingest_take

    folder = write_session(tmp_path / "day", frames=18)
    root = Root(tmp_path / "store")
    ingest_take(root.url, folder, "walk")
    os.utime(folder / WALK / "c01/0009.png", ns=(1, 1))
    assert blocks_left(root, _plan(folder).takes["walk"]) == 1


def test_a_plan_leaves_no_trace_in_the_store(day: Path, tmp_path: Path) -> None:
    expected_cost(_plan(day), Root(tmp_path / "store"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["day"]


def test_a_plan_for_s3_knows_the_time_but_no_free_space(day: Path, s3_root: Root) -> None:
    cost = expected_cost(_plan(day), s3_root)
    assert cost.free is None
    assert cost.seconds > 0
    assert s3_root.sizes("") == {}


def test_an_ingest_that_will_not_fit_is_refused() -> None:
    cost = Cost(1, 1, 1, 1, stored=900, plates=100, free=1040, seconds=1.0, measured=1)
    with pytest.raises(errors.StoreError, match="free"):
        check_space(cost, Root("store"))


def test_an_ingest_that_fits_with_some_to_spare_is_not_refused() -> None:
    check_space(Cost(1, 1, 1, 1, stored=900, plates=100, free=1060, seconds=1.0, measured=1), Root("store"))


def test_a_video_is_named_by_its_kind(day: Path) -> None:
    rng = np.random.default_rng(0)
    for camera in ("c00", "c01", "c02"):
        shutil.rmtree(day / WALK / camera)
        pictures = [rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(2)]
        write_video(day / WALK / f"{camera}.mkv", pictures)
        write_video(day / "plates" / f"{camera}.mkv", pictures)
    edit_toml(day, "takes/walk/{camera}/{frame:04d}.png", "takes/walk/{camera}.mkv")
    edit_toml(day, "plates/{camera}/{frame:04d}.png", "plates/{camera}.mkv")
    edit_toml(day, "bits = 12", "bits = 8")
    edit_toml(day, "black = 64", "black = 0")
    assert _plan(day).takes["walk"].rows["c01"].source == "mkv"


def test_a_unit_that_nobody_stated_and_a_camera_that_was_left_out_are_noted(tmp_path: Path) -> None:
    write_session(tmp_path)
    rigs = [make_rig(number, name) for number, name in enumerate(("c00", "c01", "c02"))]
    for rig in rigs:
        rig.width, rig.height = 64, 48
    easyvolcap(tmp_path, rigs)
    extri = (tmp_path / "extri.yml").read_text()
    (tmp_path / "extri.yml").write_text(extri.replace('  - "c02"\n', ""))
    edit_toml(tmp_path, 'format = "capmat"\npath = "calibration.json"', 'format = "easyvolcap"\npath = "."')
    plan = plan_session(read_session(tmp_path))
    left_out, unit = plan.notes
    assert left_out == "camera c02 is left out: extri.yml does not list it"
    assert unit.startswith("nobody stated the unit of the calibration")
    assert {str(problem.where).split(",")[0] for problem in plan.problems} == {"take walk camera c02"}
    edit_toml(tmp_path, 'path = "."', 'path = "."\nunit = "m"')
    assert plan_session(read_session(tmp_path)).notes == [left_out]
