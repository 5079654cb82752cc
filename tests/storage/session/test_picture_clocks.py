"""Names and time codes of pictures are clocks: they place the frames or refuse the session."""

from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.storage.session.days import picture_day, plan_of, problems_of, write_day


@pytest.mark.parametrize(("unit", "scale"), [("ms", 10**3), ("us", 10**6), ("ns", 10**9), ("100 ns", 10**7)])
def test_names_that_are_times_are_refused_or_place_the_frames(tmp_path: Path, unit: str, scale: int) -> None:
    start = 1_700_483_211_123_456_789 * scale // 10**9
    late = [n * scale // 25 + n % 3 * scale // 1000 + 3 * scale // 1000 for n in range(6)]  # and uneven
    names = {
        "c00": [str(start + n * scale // 25) for n in range(6)],
        "c01": [str(start + late[n]) for n in (1, 2, 4, 5)],
    }
    problems = problems_of(picture_day(tmp_path / "a", names))
    assert "the numbers of the frames are times" in problems
    assert 'by = "timestamp"' in problems
    assert "are times" in problems_of(picture_day(tmp_path / "chosen", names, more="first = 0\nlast = 3\n"))
    plan = plan_of(picture_day(tmp_path / "b", names, sync="timestamp"))
    assert plan.problems == []
    take = plan.takes["walk"]
    assert take.frames == (1, 2, 4, 5)
    assert [take.recordings["c01"].file(f).stem for f in take.frames] == names["c01"]
    assert plan.takes["walk"].rows["c01"].gaps == "3"


def test_one_late_frame_at_the_start_moves_no_other_camera(tmp_path: Path) -> None:
    start = 1_700_483_211_123
    names = {
        "c00": [str(start + 40 * n + 12 * (n == 0)) for n in range(6)],  # in milliseconds, 25 a second
        "c01": [str(start + 40 * n - 10) for n in range(6)],
    }
    take = plan_of(picture_day(tmp_path, names, sync="timestamp")).takes["walk"]
    assert take.frames == tuple(range(6))
    for camera, files in names.items():
        assert [take.recordings[camera].file(frame).stem for frame in take.frames] == files


@pytest.mark.parametrize("digits", [3, 6, 9])
def test_names_that_are_written_dates_are_refused_or_place_the_frames(tmp_path: Path, digits: int) -> None:
    """One frame every 40 ms, over the end of a minute, an hour and a day."""
    times = [datetime(2023, 11, 30, 23, 59, 59, 900_000) + n * timedelta(milliseconds=40) for n in range(6)]
    names = [f"{time:%Y%m%d%H%M%S%f}000"[: 14 + digits] for time in times]
    days = {"c00": names, "c01": [names[0], *names[2:]]}
    assert f"{names[0]}, {names[1]} are written dates" in problems_of(picture_day(tmp_path / "a", days))
    plan = plan_of(picture_day(tmp_path / "b", days, sync="timestamp"))
    assert plan.problems == []
    assert (plan.takes["walk"].frames, plan.takes["walk"].gaps) == ((0, 2, 3, 4, 5), {"c01": "1"})


@pytest.mark.parametrize(
    "names",
    [
        ["1700483211.123456", "1700483211.163456"],
        ["2023-11-20T10-11-12.345", "2023-11-20T10-11-12.385"],
        ["20231120T101112345", "20231120T101112385"],
        ["2023-11-20 10:11:12", "2023-11-20 10:11:13"],
    ],
)
@pytest.mark.parametrize("sync", ["", "timestamp"])
def test_names_that_are_no_whole_numbers_are_refused_by_the_first(
    tmp_path: Path, names: list[str], sync: str
) -> None:
    problems = problems_of(picture_day(tmp_path / "day", {"c00": names}, sync=sync))
    assert f"{tmp_path}/day/c00/{names[0]}.png: the name has something else than a whole number" in problems


@pytest.mark.parametrize("stray", ["1700483211123456789", "4000000000", "99999999"])
def test_a_stray_file_is_named_at_once(tmp_path: Path, stray: str) -> None:
    numbers = [f"{n:04d}" for n in range(5)]
    problems = problems_of(picture_day(tmp_path / "day", {"c00": numbers, "c01": [*numbers, stray]}))
    assert f"camera c01, {tmp_path}/day/c01/{stray}.png" in problems
    assert "away from frame 4" in problems


def test_numbers_that_pictures_cannot_carry_are_refused(tmp_path: Path) -> None:
    problems = problems_of(picture_day(tmp_path / "day", {"c00": [f"{2**31 - 3 + n:010d}" for n in (0, 1, 2, 5)]}))
    assert "frame 2147483650 has a larger number than pictures can carry (2147483647)" in problems


@pytest.mark.parametrize(("line", "key"), [("last = 9000000000000", "last"), ("first = 0", "first")])
def test_a_choice_of_frames_far_from_all_is_refused(tmp_path: Path, line: str, key: str) -> None:
    names = [f"{n:07d}" for n in (range(5) if key == "last" else range(9_000_000, 9_000_005))]
    problems = problems_of(picture_day(tmp_path / "day", {"c00": names}, more=f"{line}\n"))
    assert f"Correct {key} of the take" in problems


def test_numbered_pictures_have_no_clock(tmp_path: Path) -> None:
    day = picture_day(tmp_path / "day", {"c00": ["0", "1", "2"]}, sync="timestamp")
    assert "the names of the pictures are no times at 25 frames per second" in problems_of(day)
    (day / "session.toml").write_text((day / "session.toml").read_text().replace('"timestamp"', '"timecode"'))
    assert 'by = "timecode", but no file of the camera says one' in problems_of(day)


def _exrs(folder: Path, codes: dict[str, list[str]], fps: float, rate: float, sync: str = "") -> Path:
    """A session of EXR pictures, numbered from 1, with these time codes ("" for none) and a rate (0 for none)."""
    import OpenEXR

    for camera, texts in codes.items():
        (folder / camera).mkdir(parents=True)
        for number, text in enumerate(texts, 1):
            head = {"framesPerSecond": Fraction(rate).limit_denominator(1001)} if rate else {}
            if text:
                head["timeCode"] = OpenEXR.TimeCode(
                    *map(int, text.replace(";", ":").split(":")), ";" in text, *[0] * 13
                )
            with OpenEXR.File(head, {"RGB": np.full((48, 64, 3), number / 8, np.float16)}) as file:
                file.write(str(folder / camera / f"{number:04d}.exr"))
    write_day(folder, list(codes), "{camera}/{frame:04d}.exr", fps, sync)
    text = (folder / "session.toml").read_text()
    linear = 'bits = 16\ntransfer = "linear"\nhalf = true'
    (folder / "session.toml").write_text(text.replace('bits = 8\ntransfer = "srgb"', linear))
    return folder


EVEN = ["10:00:00:22", "10:00:00:23", "10:00:00:24", "10:00:01:00"]


@pytest.mark.parametrize(
    ("other", "rate", "said"),
    [
        (EVEN, 25, ""),
        (
            ["10:00:00:23", "10:00:00:24", "10:00:01:00", "10:00:01:01"],
            25,
            "10:00:00:23, .* 10:00:00:22: 1 frames? apart",
        ),
        (["10:00:00:22", "10:00:00:23", "10:00:01:00", "10:00:01:01"], 25, "frame 3, .*1 frame is missing before it"),
        (["10:00:00:22"] * 4, 25, "frame 2, .*it comes too soon"),
        ([*EVEN[:3], ""], 25, "frame 4, .*has no time code"),
        ([*EVEN[:3], "10:00:00:25"], 25, "frame 4, .*10:00:00:25 does not exist at 25"),
        (EVEN, 24, "runs at 24 .*the session at 25"),
        (["", "", "", ""], 24, "runs at 24 .*the session at 25"),
    ],
)
def test_the_time_codes_of_pictures_must_fit_their_numbers(
    tmp_path: Path, other: list[str], rate: float, said: str
) -> None:
    import re

    problems = problems_of(_exrs(tmp_path / "day", {"c00": EVEN, "c01": other}, 25, rate))
    assert re.search(said, problems) if said else problems == ""


def test_time_codes_of_pictures_place_them_and_are_kept(tmp_path: Path) -> None:
    late = ["00:00:59;29", "00:01:00;02", "00:01:00;04", "00:01:00;05"]
    codes = {"c00": ["00:00:59;28", "00:00:59;29", "00:01:00;02", "00:01:00;03", "00:01:00;04"], "c01": late}
    plan = plan_of(_exrs(tmp_path / "day", codes, 29.97, 29.97, sync="timecode"))
    assert plan.problems == []
    take = plan.takes["walk"]
    assert (take.frames, take.timecode, take.gaps) == ((1, 2, 4), "00:00:59;29", {"c01": "3"})
    assert [take.recordings["c01"].file(frame).stem for frame in take.frames] == ["0001", "0002", "0003"]
    assert [take.recordings["c00"].file(frame).stem for frame in take.frames] == ["0002", "0003", "0005"]
