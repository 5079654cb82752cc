"""Tables of times beside a recording, such as Caliscope writes, are its clock; a table that cannot be is refused."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import SessionError
from storage.recordings.sidecar import clock_of_table, find_table

CALISCOPE = """sync_index,cam_id,frame_index,frame_time
0,0,0,25.0011
0,1,0,25.0010
1,0,1,25.1679
2,0,2,25.3350
2,1,1,25.3393
3,0,3,25.5009
3,1,2,25.5020
"""


def _table(folder: Path, text: str, name: str = "timestamps.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_caliscopes_table_says_which_frames_belong_together(tmp_path: Path) -> None:
    path = _table(tmp_path, CALISCOPE)
    assert find_table(tmp_path / "cam_1.mp4", "cam_1") == path
    clock = clock_of_table(path, "cam_1", (0, 1, 2), 6)
    assert clock.together is not None
    np.testing.assert_array_equal(clock.together, [0, 2, 3])
    jump = clock.jump()
    assert jump is not None
    assert (jump.frame, jump.missing, jump.time) == (1, 1, 25.3393)
    assert clock_of_table(path, "0", (0, 1, 2, 3), 6).jump() is None


@pytest.mark.parametrize(
    ("text", "tick"),
    [
        ("frame,timestamp\n0,1700483211.12\n1,1700483211.16\n", "s"),
        ("timestamp_ns\n1700483211120000000\n1700483211160000000\n", "ns"),
        ("timestamp\n1700483211120000\n1700483211160000\n", "us, by the steps"),
        ("\ufefftimestamp [ms]; frame_index\n1700483211120; 0\n1700483211160; 1\n", "ms"),
        ("frame;time\n0;1700483211,12\n1;1700483211,16\n", "s with a comma"),
        ("time\n2023-11-20T12:26:51.120Z\n2023-11-20T13:26:51.160+01:00\n", "dates"),
    ],
)
def test_times_of_any_unit_are_read_to_the_nanosecond(tmp_path: Path, text: str, tick: str) -> None:
    path = _table(tmp_path, text, "C01.csv")
    assert find_table(tmp_path / "C01" / "0000.png", "C01") == path
    clock = clock_of_table(path, "C01", (0, 1), 25)
    assert [int(time) * clock.tick for time in clock.ticks] == [
        Fraction(170048321112, 100),
        Fraction(170048321116, 100),
    ]


def test_a_table_beside_a_recording_that_holds_no_times_is_not_a_clock(tmp_path: Path) -> None:
    _table(tmp_path, "name,weight\na,1\n", "C01.csv")
    assert find_table(tmp_path / "C01.mp4", "C01") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("frame,weight\n0,1\n1,2\n", "no column holds times; the columns are frame, weight"),
        ("frame,time\n0,1\n1,x\n", "a row does not hold numbers .*'x'"),
        ("frame,time\n0,1\n1,nan\n", "a row does not hold numbers"),
        ("frame,time\n0,1\n", "1 rows for 2 frames; frame 1 is only in one"),
        ("frame,time\n0,1\n1,2\n2,3\n", "3 rows for 2 frames; frame 2 is only in one"),
        ("frame,time\n0,1\n0,2\n", "2 rows for 2 frames; frame 1 is only in one"),
        ("cam_id,time\n5,1\n5,2\n", "no row is of this camera; the rows are of 5"),
        ("frame,time\n0,2\n1,1\n", "the times run backwards before frame 1"),
        ("time\n1e300\n2e300\n", "too large"),
        ("time\n1e3000000\n2e3000000\n", "too large"),
        ("time\n-1e30\n1e18\n", "too large"),
        ("frame,time\n0,1\n1", "row 2 is cut off"),
        ("frame,cam_id,time\n0,1,1\n1", "row 2 is cut off"),
        ("time,sync_index\n1,0\n2", "row 2 is cut off"),
        ("", "no column holds times"),
    ],
)
def test_a_table_that_is_not_of_this_recording_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SessionError, match=said) as refusal:
        clock_of_table(_table(tmp_path, text), "c01", (0, 1), 25)
    assert "timestamps.csv" in refusal.value.where


def test_a_row_without_its_last_remark_is_whole(tmp_path: Path) -> None:
    path = _table(tmp_path, "frame,time,remark\n0,1,first\n1,1.04\n")
    assert clock_of_table(path, "c01", (0, 1), 25).seconds(1) == 1.04
