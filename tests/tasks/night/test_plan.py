"""A night is forecast from what was measured, says what it does not know, and is compared with what came."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from capmat_errors import NotFound, StoreError
from capmat_models.networks.factory import create_model
from storage.registry import Registry
from storage.store.ledger import Ledger
from storage.store.root import Root
from tasks.config import Cluster, Config, Night
from tasks.ingest.arrival import finish, unfinished
from tasks.ingest.inbox import read_inbox
from tasks.ingest.session import ingest, plates
from tasks.matte.take import matte, open_run
from tasks.models.imported import import_weights
from tasks.models.networks import Ref, Run
from tasks.night.look_back import check_night, error_of, look_back
from tasks.night.parts import Part, makespan
from tasks.night.plan import NightPlan, keep_plan, plan_inbox, plan_night, thinned, until_time
from tasks.night.rest import measured_rest, rest_part
from tasks.runtime.rates import read_rates, run_key, span, timed
from tests.storage.tiny_session import HEIGHT, WIDTH, edit_toml, write_session
from tests.tasks.ingest.test_inbox import named
from tests.tasks.night.test_morning import NIGHT

FRAMES = 20
PICTURE = HEIGHT * WIDTH


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A day of two takes, nothing of it in the store; a student in use."""
    folder = write_session(tmp_path / "session", frames=FRAMES)
    edit_toml(folder, "[takes.walk]", '[takes.jump]\npath = "takes/walk/{camera}/{frame:04d}.png"\n[takes.walk]')
    store = str(tmp_path / "store")
    torch.manual_seed(0)
    torch.save(create_model("bgmv2_mobilenetv2_xs").state_dict(), tmp_path / "weights.pth")
    model = import_weights(store, tmp_path / "weights.pth", "bgmv2_mobilenetv2_xs")
    Registry(Root(store)).promote("student", model["name"], model["version"], {})
    session = str(folder / "session.toml")
    return Config(store=store, session=session, cluster=Cluster(workers=1), cameras_per_task=2)


def night_of(config: Config, take: str) -> None:
    """What nightly does for one take, in this process."""
    record = ingest(config.store, config.session, take, plates(config.store, config.session)["digest"])
    name, version = Registry(Root(config.store)).champion("student") or ("", "")
    model = Ref(name=name, version=version)
    open_run(config.store, take, Run("student", model))
    for camera in record["cameras"]:  # one after the other, as one worker does
        matte(config.store, take, [camera], record["frames"], Run("student", model), record["digest"])


def slow_teacher(config: Config) -> None:
    """Records of a teacher that takes 100 s for a picture."""
    root = Root(config.store)
    student = Registry(root).champion("student")
    assert student
    Registry(root).promote("teacher", *student, {})
    for number, seconds in enumerate((90.0, 100.0, 110.0)):
        said = {**timed(PICTURE, seconds), "run": f"teacher-{student[0]}-v0001", "threads": 1, "files": {"a": [9, 0]}}
        key = f"matte/jump-c00-teacher/{number}"
        Ledger(root).record(key, {**said, "camera": "c00", "numbers": [number], "frames": 1})


def now() -> datetime:
    return datetime.now(UTC)


def took(config: Config, take: str, start: datetime, seconds: float) -> None:
    """The records of a take say that each of its pieces took so long, one after the other since `start`."""
    ledger, ended = Ledger(Root(config.store)), start.timestamp()
    for verb in (f"ingest/{take}/", f"matte/{take}-"):
        for key, entry in ledger.entries(verb).items():
            if entry and "ended" in entry:
                ended += seconds
                ledger.record(key, {**entry, "seconds": seconds, "ended": ended})


def parts(night: NightPlan) -> dict[str, Part]:
    return {part.verb: part for part in night.parts}


def test_the_second_half_of_a_day_is_forecast_from_the_first(config: Config) -> None:
    root = Root(config.store)
    before = plan_night(config, now())
    assert parts(before)["ingest"].takes == ("jump", "walk")
    assert parts(before)["ingest"].seconds
    assert parts(before)["ingest"].note == "sampled frames, timed just now"
    student = parts(before)["student mattes"]
    assert (student.frames, student.pixels, student.tasks) == (2 * 3 * FRAMES, 2 * 3 * FRAMES * PICTURE, 4)
    assert (student.seconds, student.note) == (None, "not known yet: run one take")
    assert before.open == [student]

    start = now()
    night_of(config, "jump")
    took(config, "jump", start, 2.0)  # the machine of a build does other things too
    half = plan_night(config, now())
    student, brought = parts(half)["student mattes"], parts(half)["ingest"]
    assert not half.open
    assert (student.takes, student.frames, student.records) == (("walk",), 3 * FRAMES, 9)
    assert (brought.takes, brought.frames, brought.records) == (("walk",), 3 * FRAMES, 9)
    assert parts(half)["plates"].pixels == 0
    assert student.seconds is not None
    assert student.slowest is not None
    assert student.fastest is not None
    assert 0 < student.fastest <= student.seconds <= student.slowest
    assert (student.seconds, brought.seconds) == (pytest.approx(9 * 2.0), pytest.approx(9 * 2.0))
    with pytest.raises(NotFound, match="no such plan"):
        check_night(root)
    name = keep_plan(root, half)
    with pytest.raises(NotFound, match="nothing was done after any of these plans"):
        check_night(root)

    start = now()
    night_of(config, "walk")
    took(config, "walk", start, 2.5)
    found, rows = check_night(root, name[:10])
    assert found == name
    assert [(row["verb"], row["share"]) for row in rows] == [("ingest", 1.0), ("student mattes", 1.0)]
    assert [error_of(row) for row in rows] == pytest.approx([2.0 / 2.5 - 1] * 2, abs=0.01)
    after = plan_night(config, now())
    assert after.seconds == 0
    assert all(part.pixels == 0 for part in after.parts)


def test_records_of_other_machines_and_versions_without_times_say_nothing(config: Config) -> None:
    night_of(config, "jump")
    root = Root(config.store)
    ledger = Ledger(root)
    assert set(read_rates(root, ["jump"], ["ring"])) == {"plates", "ingest", "matte student-bgmv2_mobilenetv2_xs"}
    assert read_rates(root, ["jump"], ["ring"], host="elsewhere") == {}
    alone = read_rates(root, ["jump"], ["ring"])["matte student-bgmv2_mobilenetv2_xs"]
    two = read_rates(root, ["jump"], ["ring"], threads=2)["matte student-bgmv2_mobilenetv2_xs"]
    assert two.mean == pytest.approx(2 * alone.mean)
    assert two.note == "from runs with other numbers of threads, as 2 of them"
    for key, entry in ledger.entries("").items():
        if entry and "ended" in entry:
            ledger.record(key, {name: entry[name] for name in entry if name not in ("ended", "seconds", "pixels")})
    assert read_rates(root, ["jump"], ["ring"]) == {}


def test_in_a_short_night_the_student_keeps_its_place_and_the_teacher_leaves_frames_out(config: Config) -> None:
    night_of(config, "jump")
    slow_teacher(config)
    config = config.model_copy(update={"scribble_takes": ("walk",)})
    start = now()
    whole = plan_night(config, start)
    assert whole.every == 1
    assert parts(whole)["teacher mattes"].frames == 3 * FRAMES
    assert parts(whole)["teacher mattes"].seconds == pytest.approx(3 * FRAMES * 100)
    assert plan_night(config, start, workers=2).seconds < whole.seconds

    short = plan_night(config, start, start + timedelta(seconds=2000))
    assert short.every == 4  # 5 of 20 frames, 1500 s; every third would be 2100
    assert short.fits
    assert parts(short)["teacher mattes"].frames == 3 * 5
    assert parts(short)["student mattes"] == parts(whole)["student mattes"]

    none = plan_night(config, start, start + timedelta(seconds=200))
    assert (none.every, parts(none)["teacher mattes"].frames, none.fits) == (0, 0, True)
    assert parts(none)["teacher mattes"].note == "left out: the night is too short"
    assert not plan_night(config, start, start).fits


def test_an_inbox_is_planned_without_what_is_finished_or_bad_and_its_night_looks_back(config: Config) -> None:
    place, root = Path(config.session).parents[1], Root(config.store)
    bad = named(write_session(place / "bad"), "spoilt")
    (bad / "takes/walk/c01/0001.png").unlink()
    night_of(config, "jump")
    slow_teacher(config)
    config = config.model_copy(update={"inbox": str(place), "night": Night(teacher_every=2)})
    found = read_inbox(config.inbox, 10, now=lambda: time.time() + 3600, second_look_s=0)
    start = now()
    whole = plan_inbox(config, found, start)
    assert [(item["take"], item["error"]) for item in whole.refused] == [("spoilt", "FrameGap")]
    assert parts(whole)["student mattes"].takes == ("walk",)
    assert parts(whole)["teacher mattes"].frames == 2 * 3 * 10  # of both takes, every second frame
    assert parts(whole)["all else"].note == "starting, checks and exports: not known before the first night"

    short = plan_inbox(config, found, start, start + timedelta(seconds=2000))
    assert short.every == 4  # 3 of 10 frames, 1800 s; every third would be 2400
    assert short.fits
    assert parts(short)["student mattes"] == parts(whole)["student mattes"]

    day = next(arrived for arrived in found.sessions if arrived.session.name == "day")
    finish(config.store, "jump", day.takes["jump"], unfinished(config, day)[0]["jump"], "day")
    plan = plan_inbox(config, found, now())
    late = replace(plan, made=start, until=start + timedelta(seconds=1000))
    assert (plan.kept, parts(plan)["teacher mattes"].takes) == (("jump",), ("walk",))
    name = keep_plan(root, plan)
    assert look_back(root, name, time.time()) == {}
    night_of(config, "walk")
    said = look_back(root, name, time.time() + 50)
    assert [part["verb"] for part in said["parts"]] == ["ingest", "student mattes", "all else"]
    assert said["rest"] >= 50
    assert said["whole"]["real"] == pytest.approx(sum(part["real"] for part in said["parts"]), rel=0.02)
    assert said["whole"]["forecast"] is None  # no night had been measured
    assert said["pictures"] == 3 * FRAMES
    assert said["late"] == 0
    # a plan of the same moment, whose teacher alone takes 3000 s
    assert look_back(root, keep_plan(root, late), time.time())["late"] > 1900

    for number, took in enumerate((20.0, 30.0, 90.0)):
        night = {**NIGHT, "ended": "2026-01-04T03:00:00+00:00", "takes": []}
        night |= {"forecast": {**said, "start": took, "rest": 12.0, "pictures": 60}}
        root.write(f"reports/night-2026-01-0{number + 1}-013000.json", json.dumps(night).encode())
    rest = rest_part(root, 120)
    assert (rest.seconds, rest.fastest, rest.slowest, rest.records) == (30 + 24, 20 + 24, 90 + 24, 3)


@pytest.mark.parametrize("written", [b"", b'{"made": ', b"[]", b"{}"])
def test_a_damaged_plan_is_named_and_no_earlier_one_taken_for_it(tmp_path: Path, written: bytes) -> None:
    root = Root(tmp_path)
    root.write("plans/2026-01-03-010000.json", written)
    with pytest.raises(StoreError, match=r"2026-01-03-010000\.json: this plan is damaged"):
        check_night(root)


def test_what_a_night_takes_beside_its_records_is_before_the_first_or_between_them() -> None:
    entries = [{"ended": end, "seconds": took} for end, took in ((10.0, 4.0), (12.0, 5.0), (30.0, 1.0))]
    assert measured_rest(entries, 1.0, 40.0) == (5.0, 27.0)


@contextmanager
def clock_of(zone: str) -> Iterator[ZoneInfo]:
    """The clock of this machine is that of a zone."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            yield ZoneInfo(zone)
    finally:
        time.tzset()


def test_a_night_ends_when_the_clock_next_shows_the_time() -> None:
    with clock_of("UTC"):
        evening = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
        assert until_time("07:00", evening, "") == datetime(2026, 3, 2, 7, tzinfo=UTC)
        assert until_time("23:15", evening, "") == datetime(2026, 3, 1, 23, 15, tzinfo=UTC)
        assert until_time("", evening, "") is None
    with pytest.raises(ValidationError):
        Night(until="7 o'clock")


@pytest.mark.parametrize(
    ("zone", "evening", "until", "hours"),
    [
        ("Europe/Berlin", "2026-03-28 22:00", "07:00", 8),  # 02:00 is 03:00
        ("Europe/Berlin", "2026-10-24 22:00", "07:00", 10),  # 03:00 is 02:00
        ("Europe/Berlin", "2026-03-28 22:00", "02:30", 4.5),  # no clock shows 02:30; it is 03:30
        ("Europe/Berlin", "2026-10-24 22:00", "02:30", 4.5),  # the first of two
        ("Europe/Berlin", "2026-10-25 04:00", "03:30", 23.5),
        ("America/New_York", "2026-03-07 22:00", "07:00", 8),
        ("America/New_York", "2026-10-31 22:00", "07:00", 10),
        ("Australia/Lord_Howe", "2026-04-04 22:00", "07:00", 9.5),  # by half an hour
        ("Pacific/Auckland", "2026-09-26 22:00", "23:00", 1),
    ],
)
def test_in_the_nights_of_the_change_the_end_is_what_the_clock_shows(
    zone: str, evening: str, until: str, hours: float
) -> None:
    with clock_of(zone) as rules:
        start = datetime.fromisoformat(evening).replace(tzinfo=rules).astimezone(UTC)
        for now in (start, start.astimezone(), start.astimezone(rules)):
            end = until_time(until, now, "")
            assert end
            assert end - start == timedelta(hours=hours)
        plan = NightPlan(start.astimezone(), end, "here", (Part("ingest", "ingest", seconds=hours * 3600),), 1, None)
        assert plan.fits
        assert f"{plan.done:%H:%M}" == f"{plan.done.astimezone(rules):%H:%M}"
        assert not replace(plan, parts=(replace(plan.parts[0], seconds=hours * 3600 + 60),)).fits


def test_a_time_that_comes_twice_ends_the_night_at_the_second_once_the_first_is_over() -> None:
    with clock_of("Europe/Berlin"):
        between = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)  # 02:45, for the first time
        assert until_time("02:30", between, "") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Auckland", "Asia/Kolkata", "Africa/Casablanca"]),
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    st.times(),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_zone_the_end_shows_the_time_within_a_day(zone: str, now: datetime, until: clock) -> None:
    with clock_of(zone) as rules:
        end = until_time(f"{until:%H:%M}", now, "")
    assert end
    assert timedelta(0) < end - now <= timedelta(hours=25)
    shown = end.astimezone(rules).replace(tzinfo=None)
    wanted = shown.replace(hour=until.hour, minute=until.minute)
    # else no clock shows it, since it lies where the clock jumps forward
    assert shown == wanted or shown - wanted <= timedelta(hours=1)
    assert end.second == end.microsecond == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.integers(1, 64))
def test_workers_are_done_no_later_than_one_piece_after_their_share(lengths: list[float], workers: int) -> None:
    ideal = max(sum(lengths) / workers, max(lengths))
    assert ideal - 1e-6 <= makespan(lengths, workers) <= sum(lengths) / workers + max(lengths) + 1e-6


def test_equal_pieces_are_dealt_out_in_rounds() -> None:
    assert makespan([2.0] * 7, 3) == 6.0
    assert makespan([5, 4, 3, 3, 3], 2) == 10.0
    assert makespan([], 4) == 0.0


@given(st.integers(1, 200), st.floats(0.1, 5000))
def test_frames_are_left_out_until_it_fits_and_no_further(frames: int, left: float) -> None:
    def part(n: int) -> Part:
        return replace(Part("teacher mattes", "matte x"), seconds=10.0 * -(-frames // n))

    n, found = thinned(part, left, frames)
    assert found.seconds is not None
    assert found.seconds <= left
    if n != 1:
        before = part(n - 1 if n else frames).seconds
        assert before is not None
        assert before > left


def test_time_that_overlaps_counts_once_and_pauses_do_not() -> None:
    entries = [{"ended": end, "seconds": took} for end, took in ((10.0, 4.0), (12.0, 5.0), (30.0, 1.0))]
    assert span(entries) == 7.0


def test_the_version_of_a_model_does_not_change_its_speed_but_tiles_do() -> None:
    assert run_key("student-bgmv2_mobilenetv2-v0012") == "student-bgmv2_mobilenetv2"
    assert run_key("teacher-bg_vitmatte_s-v0003-tiles1024") == "teacher-bg_vitmatte_s-tiles1024"
