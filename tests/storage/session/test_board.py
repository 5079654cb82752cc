"""Pictures of a checkerboard say which part of a calibration is wrong: a lens, a pose or the scale."""

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from capmat_errors import CalibrationError, CameraMissing, FrameGap, SizeMismatch
from storage.calibration.camera import Camera
from storage.session.board import BoardCheck, check_boards, lens_error, stage_errors
from storage.session.corners import Boards, find_boards, open_boards
from tests.storage.session.boards import CORNERS, SIDE, camera, picture, stage, turned, write_boards


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board as three right cameras see it."""
    folder = tmp_path_factory.mktemp("boards")
    write_boards(folder, stage())
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> Boards:
    return find_boards(open_boards(folder, "{camera}.png"), stage(), CORNERS)


def check(cameras: dict[str, Camera], folder: Path) -> BoardCheck:
    return check_boards(cameras, folder, "{camera}.png", CORNERS)


def test_a_right_calibration_explains_the_board_to_a_third_of_a_pixel(folder: Path) -> None:
    result = check(stage(), folder)
    assert list(result.cameras) == ["C01", "C02", "C03"]
    for view in result.cameras.values():
        assert (view.frames, view.found, view.trusted) == (1, 1, True)
        assert view.lens < 0.3
        assert view.stage < 0.3
    assert result.side == pytest.approx(SIDE, rel=2e-3)


def test_corners_are_where_they_were_drawn(seen: Boards) -> None:
    columns, rows = np.meshgrid(np.arange(CORNERS[0]) - 3.5, np.arange(CORNERS[1]) - 2.5)
    floor = np.stack([columns * SIDE, -rows * SIDE, 0 * rows], axis=-1).reshape(-1, 3)
    for name, view in stage().items():
        expected = view.project(floor).reshape(seen[name][0].shape)
        off = min(np.abs(seen[name][0] - order).max() for order in (expected, expected[::-1, ::-1]))
        assert off < 0.3


@pytest.mark.parametrize("wrong", ["C01", "C02", "C03"])
def test_a_turned_camera_is_named_with_its_error_and_does_not_spoil_the_others(seen: Boards, wrong: str) -> None:
    cameras = stage()
    cameras[wrong] = turned(cameras[wrong], 0.5)
    errors, trusted, _ = stage_errors(cameras, seen)
    assert trusted == set(cameras) - {wrong}
    assert errors.pop(wrong) == pytest.approx(800 * np.tan(np.radians(0.5)), rel=0.1)
    assert max(errors.values()) < 0.3


def test_two_cameras_cannot_agree_on_a_stretched_board(seen: Boards) -> None:
    cameras = stage()
    cameras["C02"] = turned(cameras["C02"], 3)
    errors, _, _ = stage_errors(cameras, {name: seen[name] for name in ("C01", "C02")})
    assert min(errors.values()) > 1


def test_a_wrong_focal_length_shows_in_the_lens_of_that_camera_alone(seen: Boards) -> None:
    right = {name: lens_error(view, seen[name].values()) for name, view in stage().items()}
    long = lens_error(camera("C02", 110, focal=960), seen["C02"].values())
    assert max(right.values()) < 0.3
    assert long > 1


def test_a_wrong_unit_shows_in_the_side_of_the_squares_and_nowhere_else(seen: Boards) -> None:
    cameras = {name: replace(view, t=view.t * 1000) for name, view in stage().items()}
    errors, _, side = stage_errors(cameras, seen)
    assert side == pytest.approx(1000 * SIDE, rel=2e-3)
    assert max(errors.values()) < 0.3


@pytest.mark.parametrize("names", [("C01",), ("C02",), ("C01", "C03"), ("C02", "C03")])
def test_it_does_not_matter_at_which_end_the_finder_starts(seen: Boards, names: tuple[str, ...]) -> None:
    other = {name: {0: np.rot90(grids[0], 2) if name in names else grids[0]} for name, grids in seen.items()}
    errors, _, side = stage_errors(stage(), other)
    assert max(errors.values()) < 0.3
    assert side == pytest.approx(SIDE, rel=2e-3)


def test_a_camera_that_does_not_show_the_board_is_told_from_those_that_do(tmp_path: Path) -> None:
    write_boards(tmp_path, stage())
    cv2.imwrite(str(tmp_path / "C03.png"), np.full((600, 800, 3), 110, np.uint8))
    result = check(stage(), tmp_path)
    assert [view.found for view in result.cameras.values()] == [1, 1, 0]
    assert np.isnan(result.cameras["C03"].lens)
    assert np.isnan(result.cameras["C03"].stage)
    assert result.cameras["C01"].stage < 0.3


def test_a_board_of_another_size_is_refused_with_the_file_and_what_to_do(folder: Path) -> None:
    with pytest.raises(CalibrationError, match=r"C01\.png: no board of 9x7 .* found in any camera\. Count"):
        check_boards(stage(), folder, "{camera}.png", (9, 7))


def test_recordings_that_cannot_be_used_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="no recording of a board fits"):
        check_boards(stage(), folder, "{camera}.tif", CORNERS)
    with pytest.raises(CameraMissing, match="C03 recorded a board, but is not calibrated"):
        check({name: stage()[name] for name in ("C01", "C02")}, folder)
    with pytest.raises(SizeMismatch, match="800x600, the calibration 640x480"):
        check({name: view.sized(640, 480) for name, view in stage().items()}, folder)
    for name, frame in (("C01", 1), ("C02", 2)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / f"{frame}.png"), np.zeros((600, 800, 3), np.uint8))
    with pytest.raises(FrameGap, match="no frame in common"):
        check_boards(stage(), tmp_path, "{camera}/{frame:04d}.png", CORNERS)


@pytest.mark.parametrize("matrix", ["unsaid", "bt709"])
def test_of_videos_a_few_frames_are_looked_at_whatever_their_colours_mean(tmp_path: Path, matrix: str) -> None:
    view = stage()["C01"]
    with av.open(str(tmp_path / "C01.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = view.width, view.height, "yuv420p"
        if matrix == "bt709":
            stream.codec_context.colorspace = 1
        frame = av.VideoFrame.from_ndarray(picture(view), format="rgb24").reformat(format="yuv420p")
        for number in range(12):
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    result = check_boards({"C01": view}, tmp_path, "{camera}.mkv", CORNERS).cameras["C01"]
    assert (result.frames, result.found) == (5, 5)
    assert result.lens < 0.3
    assert np.isnan(result.stage)
