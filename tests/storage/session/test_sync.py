"""Frames of one number are of one moment, or the session is refused; clocks are judged by what PyAV reads."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import CapmatError
from storage.descriptor import read_session
from storage.pictures.png import encode_png
from storage.session.plan import SessionPlan, plan_session
from storage.store.root import Root
from storage.takes.take import Take
from tasks.ingest.take import ingest_take
from tests.storage.tiny_session import calibrated

CASES = Path(__file__).parents[2] / "cases"
CAMERAS = ("c00", "c01")


def _case(name: str, folder: Path, sync: str = "", **change: str) -> Path:
    """A copy of a case, with [sync] by = `sync` and parts of its session.toml replaced."""
    day = Path(shutil.copytree(CASES / name, folder / "day"))
    text = (day / "session.toml").read_text()
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new)
    (day / "session.toml").write_text(text + (f'\n[sync]\nby = "{sync}"\n' if sync else ""))
    return day


def _plan(day: Path) -> SessionPlan:
    return plan_session(read_session(day))


def _film(folder: Path, stamps: dict[str, list[int]], *, tick: int = 1000, fps: float = 25, sync: str = "") -> Path:
    """A session of grey videos whose frames are shown at `stamps` of 1/`tick` s and as bright as their number."""
    folder.mkdir()
    for camera, times in stamps.items():
        with av.open(str(folder / f"{camera}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
            stream.time_base = stream.codec_context.time_base = Fraction(1, tick)
            for number, time in enumerate(times):
                grey = np.full((48, 64, 3), 5 * number, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="bgr0")
                frame.pts, frame.time_base = time, Fraction(1, tick)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    _descriptor(folder, list(stamps), "{camera}.mkv", fps, sync)
    return folder


def _descriptor(folder: Path, cameras: list[str], path: str, fps: float, sync: str = "", more: str = "") -> None:
    known = {name: {**calibrated(n), "width": 64, "height": 48} for n, name in enumerate(cameras)}
    (folder / "calibration.json").write_text(json.dumps({"units": "m", "cameras": known}))
    (folder / "session.toml").write_text(
        f'name = "day"\nstage = "ring"\nfps = {fps}\n[colour]\nbits = 8\ntransfer = "srgb"\n'
        f'[calibration]\nformat = "capmat"\npath = "calibration.json"\n'
        f'[takes.walk]\npath = "{path}"\n{more}' + (f'[sync]\nby = "{sync}"\n' if sync else "")
    )


def _stills(folder: Path, names: dict[str, list[str]], fps: float = 25, sync: str = "", more: str = "") -> Path:
    """A session of pictures with these names; a picture is as bright as its place in the list."""
    for camera, stems in names.items():
        (folder / camera).mkdir(parents=True)
        for number, stem in enumerate(stems):
            (folder / camera / f"{stem}.png").write_bytes(encode_png(np.full((48, 64, 3), 5 * number, np.uint8)))
    _descriptor(folder, list(names), "{camera}/{frame:04d}.png", fps, sync, more)
    return folder


def _problems(day: Path) -> str:
    return "\n".join(str(problem) for problem in _plan(day).problems)


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

    assert re.search(said, _problems(_case(case, tmp_path)))


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
    plan = _plan(_case(case, tmp_path, by))
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
    day = _film(
        tmp_path / "day", {"c00": [40 * n for n in range(8)], "c01": [0, 40, 80, 200, 240, 280]}, sync="timestamp"
    )
    plan = _plan(day)
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
    day = _case("04-video-time/time_codes_apart", tmp_path, **{line: f"{line}\noffset={{cam01=3}}\nfirst=3\nlast=11"})
    plan = _plan(day)
    assert plan.problems == []
    (take,) = plan.takes.values()
    assert (take.frames, take.timecode) == (tuple(range(3, 12)), "10:00:00:03")


def test_a_drop_frame_code_is_kept_with_its_sign(tmp_path: Path) -> None:
    day = _case("13-drop-frame", tmp_path, **{'path="{camera}.mov"': 'path="{camera}.mov"\nfirst=2'})
    (take,) = _plan(day).takes.values()
    assert take.timecode == "00:01:00;02"


@pytest.mark.parametrize(("code", "fits"), [("00:00:59;28", True), ("00:00:59:28", False), ("00:01:00;00", False)])
def test_the_code_of_the_session_must_be_that_of_the_files(tmp_path: Path, code: str, fits: bool) -> None:
    line = 'path="{camera}.mov"'
    day = _case("13-drop-frame", tmp_path, **{line: f'{line}\ntimecode="{code}"'})
    assert (_problems(day) == "") == fits


def test_the_row_of_a_camera_says_what_its_clock_says(tmp_path: Path) -> None:
    day = _film(tmp_path / "day", {"c00": [0, 40, 80, 125, 160]})
    row = _plan(day).takes["walk"].rows["c00"]
    assert (row.clock, row.start) == ("stamps", "0.000 s")
    assert abs(row.rate - 25) < 0.5
    assert 0.003 < row.jitter < 0.006


@pytest.mark.parametrize("sync", ["", "timestamp"])
def test_the_row_of_a_camera_names_the_frames_that_its_clock_lacks(tmp_path: Path, sync: str) -> None:
    rows = _plan(_case("14-avi-empty-chunks", tmp_path, sync)).takes["avi"].rows
    assert {id: row.dropped for id, row in rows.items()} == {"cam00": "", "cam01": "4-5"}


def test_frames_after_the_last_that_is_chosen_may_be_dropped(tmp_path: Path) -> None:
    day = _film(tmp_path / "day", {"c00": [0, 40, 80, 200, 240]})
    text = (day / "session.toml").read_text()
    (day / "session.toml").write_text(text.replace("[takes.walk]", "[takes.walk]\nlast = 2"))
    assert _problems(day) == ""


@pytest.mark.parametrize("sync", ["", "timestamp"])
def test_videos_that_start_apart_are_refused_or_aligned(tmp_path: Path, sync: str) -> None:
    times = [40 * n for n in range(8)]
    day = _film(tmp_path / "day", {"c00": times, "c01": times, "c02": [time + 80 for time in times]}, sync=sync)
    problems = _problems(day)
    if sync:
        assert problems == ""
        assert _plan(day).takes["walk"].frames == (2, 3, 4, 5, 6, 7)
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
        p for p in _problems(_film(folder / "a", stamps, fps=fps)).splitlines() if "frame 10 and 1 more" not in p
    ]
    assert (counted == []) == honest
    day = _film(folder / "b", stamps, fps=fps, sync="timestamp")
    problems = _problems(day).splitlines()
    if problems:
        assert all("multiple of" in problem or "no frame" in problem for problem in problems)
        return
    take = _plan(day).takes["walk"]
    for frame in take.frames:
        own = {id: one.placed[frame] for id, one in take.recordings.items()}
        assert abs(stamps["c00"][own["c00"]] - stamps["c01"][own["c01"]]) < 500 / real[fps]


@pytest.mark.parametrize(("unit", "scale"), [("ms", 10**3), ("us", 10**6), ("ns", 10**9), ("100 ns", 10**7)])
def test_names_that_are_times_are_refused_or_place_the_frames(tmp_path: Path, unit: str, scale: int) -> None:
    start = 1_700_483_211_123_456_789 * scale // 10**9
    late = [n * scale // 25 + n % 3 * scale // 1000 + 3 * scale // 1000 for n in range(6)]  # and uneven
    names = {
        "c00": [str(start + n * scale // 25) for n in range(6)],
        "c01": [str(start + late[n]) for n in (1, 2, 4, 5)],
    }
    problems = _problems(_stills(tmp_path / "a", names))
    assert "the numbers of the frames are times" in problems
    assert 'by = "timestamp"' in problems
    assert "are times" in _problems(_stills(tmp_path / "chosen", names, more="first = 0\nlast = 3\n"))
    plan = _plan(_stills(tmp_path / "b", names, sync="timestamp"))
    assert plan.problems == []
    take = plan.takes["walk"]
    assert take.frames == (1, 2, 4, 5)
    assert [take.recordings["c01"].file(f).stem for f in take.frames] == names["c01"]
    assert plan.takes["walk"].rows["c01"].gaps == "3"


@pytest.mark.parametrize("stray", ["1700483211123456789", "4000000000", "99999999"])
def test_a_stray_file_is_named_at_once(tmp_path: Path, stray: str) -> None:
    numbers = [f"{n:04d}" for n in range(5)]
    problems = _problems(_stills(tmp_path / "day", {"c00": numbers, "c01": [*numbers, stray]}))
    assert f"camera c01, {tmp_path}/day/c01/{stray}.png" in problems
    assert "away from frame 4" in problems


@pytest.mark.parametrize(("line", "key"), [("last = 9000000000000", "last"), ("first = 0", "first")])
def test_a_choice_of_frames_far_from_all_is_refused(tmp_path: Path, line: str, key: str) -> None:
    names = [f"{n:07d}" for n in (range(5) if key == "last" else range(9_000_000, 9_000_005))]
    problems = _problems(_stills(tmp_path / "day", {"c00": names}, more=f"{line}\n"))
    assert f"Correct {key} of the take" in problems


def test_numbered_pictures_have_no_clock(tmp_path: Path) -> None:
    day = _stills(tmp_path / "day", {"c00": ["0", "1", "2"]}, sync="timestamp")
    assert "the names of the pictures are no times at 25 frames per second" in _problems(day)
    (day / "session.toml").write_text((day / "session.toml").read_text().replace('"timestamp"', '"timecode"'))
    assert 'by = "timecode", but no file of the camera says one' in _problems(day)


def test_an_error_is_of_the_family(tmp_path: Path) -> None:
    (problem,) = _plan(_case("04-video-time/two_rates", tmp_path)).problems
    assert isinstance(problem, CapmatError)


def test_caliscopes_table_places_the_frames(tmp_path: Path) -> None:
    times = [1000 * n // 6 for n in range(4)]
    day = _film(tmp_path / "day", {"c0": times, "c1": times[:3]}, fps=6)
    rows = [(n, 0, n) for n in range(4)] + [(0, 1, 0), (2, 1, 1), (3, 1, 2)]
    table = ["sync_index,cam_id,frame_index,frame_time", *(f"{s},{c},{f},{25 + s / 6:.4f}" for s, c, f in rows)]
    (day / "timestamps.csv").write_text("\n".join(table))
    assert "camera c1 frame 1, " in _problems(day)
    with (day / "session.toml").open("a") as file:
        file.write('[sync]\nby = "timestamp"\n')
    take = _plan(day).takes["walk"]
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
        _descriptor(tmp_path / "day", ["c00"], "{camera}.avi", 25, sync)
        with (tmp_path / "day/session.toml").open("a") as file:
            file.write('[video]\nmatrix = "bt601"\nrange = "limited"\n')
        assert said in _problems(tmp_path / "day")


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
    _descriptor(folder, list(codes), "{camera}/{frame:04d}.exr", fps, sync)
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

    problems = _problems(_exrs(tmp_path / "day", {"c00": EVEN, "c01": other}, 25, rate))
    assert re.search(said, problems) if said else problems == ""


def test_time_codes_of_pictures_place_them_and_are_kept(tmp_path: Path) -> None:
    late = ["00:00:59;29", "00:01:00;02", "00:01:00;04", "00:01:00;05"]
    codes = {"c00": ["00:00:59;28", "00:00:59;29", "00:01:00;02", "00:01:00;03", "00:01:00;04"], "c01": late}
    plan = _plan(_exrs(tmp_path / "day", codes, 29.97, 29.97, sync="timecode"))
    assert plan.problems == []
    take = plan.takes["walk"]
    assert (take.frames, take.timecode, take.gaps) == ((1, 2, 4), "00:00:59;29", {"c01": "3"})
    assert [take.recordings["c01"].file(frame).stem for frame in take.frames] == ["0001", "0002", "0003"]
    assert [take.recordings["c00"].file(frame).stem for frame in take.frames] == ["0002", "0003", "0005"]
