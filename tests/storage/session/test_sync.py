"""Frames of one number are of one moment, or the session is refused; clocks are judged by what PyAV reads."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import CapmatError
from storage.store.root import Root
from storage.takes.take import Take
from tasks.ingest.take import ingest_take
from tests.storage.session.days import case_day, film_day, plan_of, problems_of, write_day

CAMERAS = ("c00", "c01")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("04-video-time/dropped_frames", "cam01 frame 4, .*0.2000 s, .* 0.1333 s: 2 frames are missing"),
        ("04-video-time/two_rates", "cam01 frame 1, .*runs at 50 .*the session at 25: .*0.0200 s, .*0.0400 s"),
        ("04-video-time/time_codes_apart", "cam01 frame 0, .*10:00:00:03, .*10:00:00:00: 3 frames apart"),
        ("04-video-time/time_codes_apart", r"Set offset = \{cam01 = 3\}, first = 3 and last = 11"),
        ("08-timestamp-names", "camera C00, .*1700483211123456789.*are times.*nanoseconds are 40 ms apart"),
        ("12-interlaced", "cam00.mp4: the video is interlaced"),
        ("14-avi-empty-chunks", "cam01 frame 4, .*0.2400 s, .* 0.1600 s: 2 frames are missing"),
    ],
)
def test_a_recording_whose_clock_contradicts_the_count_is_refused(tmp_path: Path, case: str, said: str) -> None:
    import re

    assert re.search(said, problems_of(case_day(case, tmp_path)))


@pytest.mark.parametrize(
    ("case", "by", "frames"),
    [
        ("04-video-time/dropped_frames", "timestamp", (0, 1, 2, 3, 6, 7, 8, 9, 10, 11)),
        ("04-video-time/two_rates", "timestamp", (0, 1, 2, 3, 4, 5)),
        ("04-video-time/time_codes_apart", "timecode", (3, 4, 5, 6, 7, 8, 9, 10, 11)),
        ("04-video-time/time_codes_apart", "count", tuple(range(12))),
        ("08-timestamp-names", "timestamp", (0, 1, 2, 3)),
        ("13-drop-frame", "timecode", tuple(range(6))),
        ("14-avi-empty-chunks", "timestamp", (0, 1, 2, 3, 6, 7, 8, 9, 10, 11)),
    ],
)
def test_the_session_may_let_clocks_place_the_frames(
    tmp_path: Path, case: str, by: str, frames: tuple[int, ...]
) -> None:
    plan = plan_of(case_day(case, tmp_path, by))
    assert plan.problems == []
    (take,) = plan.takes.values()
    assert take.frames == frames
    for recording in take.recordings.values() if by == "timestamp" and not case.startswith("08") else ():
        path = recording.file(frames[0])
        with av.open(str(path)) as container:
            moments = [frame.time for frame in container.decode(video=0)]
        for frame in frames:
            assert abs(moments[recording.placed[frame]] - frame / plan.session.fps) < 0.01


def test_a_dropped_frame_is_a_gap_with_a_name_and_no_picture_is_shifted(tmp_path: Path) -> None:
    day = film_day(
        tmp_path / "day", {"c00": [40 * n for n in range(8)], "c01": [0, 40, 80, 200, 240, 280]}, sync="timestamp"
    )
    plan = plan_of(day)
    assert plan.notes[0] == "take walk camera c01: no picture of frame 3-4, so the take has none there"
    store = Root(str(tmp_path / "store"))
    ingest_take(store.url, day, "walk")
    take = Take.open(store, "walk")
    assert take.frames == [0, 1, 2, 5, 6, 7]
    assert take.source["gaps"] == {"c01": "3-4"}
    assert [take.read_planes("c00", frame).max() // 5 for frame in take.frames] == [0, 1, 2, 5, 6, 7]
    assert [take.read_planes("c01", frame).max() // 5 for frame in take.frames] == [0, 1, 2, 3, 4, 5]


def test_the_offset_that_is_proposed_makes_the_session_fit(tmp_path: Path) -> None:
    line = 'path="{camera}.mov"'
    day = case_day(
        "04-video-time/time_codes_apart", tmp_path, **{line: f"{line}\noffset={{cam01=3}}\nfirst=3\nlast=11"}
    )
    plan = plan_of(day)
    assert plan.problems == []
    (take,) = plan.takes.values()
    assert (take.frames, take.timecode) == (tuple(range(3, 12)), "10:00:00:03")


def test_a_drop_frame_code_is_kept_with_its_sign(tmp_path: Path) -> None:
    day = case_day("13-drop-frame", tmp_path, **{'path="{camera}.mov"': 'path="{camera}.mov"\nfirst=2'})
    (take,) = plan_of(day).takes.values()
    assert take.timecode == "00:01:00;02"


@pytest.mark.parametrize(("code", "fits"), [("00:00:59;28", True), ("00:00:59:28", False), ("00:01:00;00", False)])
def test_the_code_of_the_session_must_be_that_of_the_files(tmp_path: Path, code: str, fits: bool) -> None:
    line = 'path="{camera}.mov"'
    day = case_day("13-drop-frame", tmp_path, **{line: f'{line}\ntimecode="{code}"'})
    assert (problems_of(day) == "") == fits


def test_the_row_of_a_camera_says_what_its_clock_says(tmp_path: Path) -> None:
    day = film_day(tmp_path / "day", {"c00": [0, 40, 80, 125, 160]})
    row = plan_of(day).takes["walk"].rows["c00"]
    assert (row.clock, row.start) == ("stamps", "0.000 s")
    assert abs(row.rate - 25) < 0.5
    assert 0.003 < row.jitter < 0.006


@pytest.mark.parametrize("sync", ["", "timestamp"])
def test_the_row_of_a_camera_names_the_frames_that_its_clock_lacks(tmp_path: Path, sync: str) -> None:
    rows = plan_of(case_day("14-avi-empty-chunks", tmp_path, sync)).takes["avi"].rows
    assert {id: row.dropped for id, row in rows.items()} == {"cam00": "", "cam01": "4-5"}


def test_frames_after_the_last_that_is_chosen_may_be_dropped(tmp_path: Path) -> None:
    day = film_day(tmp_path / "day", {"c00": [0, 40, 80, 200, 240]})
    text = (day / "session.toml").read_text()
    (day / "session.toml").write_text(text.replace("[takes.walk]", "[takes.walk]\nlast = 2"))
    assert problems_of(day) == ""


@pytest.mark.parametrize("sync", ["", "timestamp"])
def test_videos_that_start_apart_are_refused_or_aligned(tmp_path: Path, sync: str) -> None:
    times = [40 * n for n in range(8)]
    day = film_day(tmp_path / "day", {"c00": times, "c01": times, "c02": [time + 80 for time in times]}, sync=sync)
    problems = problems_of(day)
    if sync:
        assert problems == ""
        assert plan_of(day).takes["walk"].frames == (2, 3, 4, 5, 6, 7)
    else:
        assert "camera c02 frame 0" in problems
        assert "starts at 0.0800 s, that of camera c00 at 0.0000 s: 2 frames apart" in problems
        assert "offset = {c02 = 2}" in problems


@settings(max_examples=12, deadline=None)
@given(
    lost=st.lists(st.integers(1, 8), max_size=3, unique=True),
    late=st.integers(0, 3),
    fps=st.sampled_from([25, 29.97, 50]),
    other=st.sampled_from([25, 29.97, 50]),
)
def test_whatever_stamps_say_is_honoured_or_refused(
    tmp_path_factory: pytest.TempPathFactory, lost: list[int], late: int, fps: float, other: float
) -> None:
    folder = tmp_path_factory.mktemp("film")
    real = {25: 25, 29.97: 30000 / 1001, 50: 50}
    moments = [late + n for n in range(10) if n not in lost]
    stamps = {
        "c00": [round(1e3 * n / real[fps]) for n in range(12)],
        "c01": [round(1e3 * n / real[other]) for n in moments],
    }
    honest = not set(lost) - {9} and not late and fps == other
    counted = [
        p for p in problems_of(film_day(folder / "a", stamps, fps=fps)).splitlines() if "frame 10 and 1 more" not in p
    ]
    assert (counted == []) == honest
    day = film_day(folder / "b", stamps, fps=fps, sync="timestamp")
    problems = problems_of(day).splitlines()
    if problems:
        assert all("multiple of" in problem or "no frame" in problem for problem in problems)
        return
    take = plan_of(day).takes["walk"]
    for frame in take.frames:
        own = {id: one.placed[frame] for id, one in take.recordings.items()}
        assert abs(stamps["c00"][own["c00"]] - stamps["c01"][own["c01"]]) < 500 / real[fps]


def test_an_error_is_of_the_family(tmp_path: Path) -> None:
    (problem,) = plan_of(case_day("04-video-time/two_rates", tmp_path)).problems
    assert isinstance(problem, CapmatError)


def test_caliscopes_table_places_the_frames(tmp_path: Path) -> None:
    times = [1000 * n // 6 for n in range(4)]
    day = film_day(tmp_path / "day", {"c0": times, "c1": times[:3]}, fps=6)
    rows = [(n, 0, n) for n in range(4)] + [(0, 1, 0), (2, 1, 1), (3, 1, 2)]
    table = ["sync_index,cam_id,frame_index,frame_time", *(f"{s},{c},{f},{25 + s / 6:.4f}" for s, c, f in rows)]
    (day / "timestamps.csv").write_text("\n".join(table))
    assert "camera c1 frame 1, " in problems_of(day)
    with (day / "session.toml").open("a") as file:
        file.write('[sync]\nby = "timestamp"\n')
    take = plan_of(day).takes["walk"]
    assert (take.frames, take.gaps) == ((0, 2, 3), {"c1": "1"})
    assert take.recordings["c1"].placed == {0: 0, 2: 1, 3: 2}


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_an_empty_chunk_among_reordered_frames_is_not_guessed_at(tmp_path: Path, codec: str) -> None:
    (tmp_path / "day").mkdir()
    with av.open(str(tmp_path / "day/c00.avi"), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number, time in enumerate([0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13]):
            noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for sync, said in (("", "2 frames are missing before it"), ("timestamp", "does not say exactly where")):
        write_day(tmp_path / "day", ["c00"], "{camera}.avi", 25, sync)
        with (tmp_path / "day/session.toml").open("a") as file:
            file.write('[video]\nmatrix = "bt601"\nrange = "limited"\n')
        assert said in problems_of(tmp_path / "day")
