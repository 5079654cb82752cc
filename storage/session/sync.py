"""Do the cameras of a take agree on the time? Their clocks are held against the count of their frames.

Frames are counted unless the session says otherwise, and a clock that contradicts the count is refused. With [sync]
`by` the clocks decide: every frame gets the number of its moment, and a dropped one leaves a gap.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CapmatError, FrameGap, SessionError
from storage.descriptor import Session
from storage.recordings.clock import Clock
from storage.recordings.pictures import PictureFiles, clock_of_headers
from storage.recordings.recording import Recording, recorded_timecode
from storage.recordings.sidecar import clock_of_names, clock_of_table, find_table, unit_of
from storage.recordings.timecode import Timecode, exact_rate

_COUNT = '; [sync] by = "count" counts frames whatever the clocks say'
_SIMULTANEOUS = 0.5
"""Frames by which cameras that nothing triggers together may be apart."""
_ALMOST = 0.01
"""Relative error of a rate up to which dropped or doubled frames keep cameras in step."""

Recordings = dict[str, Recording]
Refuse = Callable[[str, int | None, str, str], None]
"""Adds a problem: camera, its own number of the frame or None, what, fix."""


def in_step(session: Session, take: str, recordings: Recordings, problems: list[CapmatError]) -> Recordings:
    """Give the recordings of a take their clocks; check these, or number the frames by them, as [sync] says."""
    by = session.sync.by if session.sync else None

    def refuse(camera: str, own: int | None, what: str, fix: str) -> None:
        files = recordings[camera].files
        file = next(iter(files.values())) if own is None else files[own]
        where = f"take {take} camera {camera}{'' if own is None else f' frame {own}'}, {file}"
        problems.append((SessionError if own is None else FrameGap)(what, where=where, fix=fix))

    try:
        clocked = _with_clocks(session, recordings, by)
    except SessionError as error:
        problems.append(SessionError(error.what, where=f"take {take} {error.where}".strip(), fix=error.fix))
        return recordings
    if by is None:
        _check(session, take, clocked, refuse)
    if by in (None, "count"):
        return clocked
    ready = [_can_be_placed(id, one.clock, by, session.fps, refuse) for id, one in clocked.items()]
    shared = {id: bool(one.clock and one.clock.shared) for id, one in clocked.items()}
    if by == "timestamp" and len({*shared.values()}) > 1:
        odd = next(id for id, with_others in shared.items() if not with_others)
        refuse(
            odd, None, "the stamps of this video do not start with the clock of the other cameras", _COUNT[2:] + "."
        )
        return clocked
    return _placed(clocked, by, session.fps) if all(ready) else clocked


def start_code(session: Session, take: str, recordings: Recordings) -> str:
    """Time code of a take's first frame, as the session or the cameras' files say it; "" if neither does.

    Args:
        session: the descriptor.
        take: name of the take.
        recordings: its cameras, cut down to its frames.

    Raises:
        SessionError: the session and the files say different ones, or one that does not exist at this rate.
    """
    stated, fps = session.takes[take].timecode, session.fps
    try:
        own = str(Timecode.parse(stated, fps)) if stated else ""
        if session.sync and session.sync.by == "count":
            return own
        recorded = recorded_timecode(recordings.values(), fps)
    except ValueError as error:
        raise SessionError(str(error), where=f"take {take}", fix="Correct timecode of the take, or fps.") from error
    if own and recorded and own != recorded:
        what = f"the session says that the time code of the first frame is {own}, the files say {recorded}"
        raise SessionError(what, where=f"take {take}", fix=f"Correct or remove timecode of the take{_COUNT}.")
    return own or recorded


def notes_on(
    take: str, recordings: Mapping[str, Recording], frames: Sequence[int], gaps: Mapping[str, str]
) -> list[str]:
    """What a take leaves out because clocks place its frames; nothing of a take whose frames are counted."""
    ends = {id: (one.frames[0], one.frames[-1]) for id, one in recordings.items() if one.placed}
    if not ends or not frames:
        return []
    start, end = max(ends, key=lambda id: ends[id][0]), min(ends, key=lambda id: ends[id][1])
    notes = [
        f"take {take} camera {id}: no picture of frame {gap}, so the take has none there" for id, gap in gaps.items()
    ]
    if frames[0] == ends[start][0] > min(ends.values())[0]:
        notes.append(f"take {take} starts at frame {frames[0]}, with camera {start}")
    if frames[-1] == ends[end][1] < max(last for _, last in ends.values()):
        notes.append(f"take {take} ends at frame {frames[-1]}, with camera {end}")
    return notes


def _with_clocks(session: Session, recordings: Recordings, by: str | None) -> Recordings:
    """The recordings with the clocks in their headers or beside them; by "timestamp", names of pictures are times."""
    out = {}
    for id, recording in recordings.items():
        stated = session.sync.times.replace("{camera}", id) if session.sync else ""
        table = session.folder / stated if stated else find_table(next(iter(recording.files.values())), id)
        if table:
            clock = clock_of_table(table, id, tuple(recording.files), session.fps)
            clock = replace(clock, timecode=recording.clock.timecode if recording.clock else "")
            recording = replace(recording, clock=clock)
        elif recording.clock is None and isinstance(recording.source, PictureFiles) and by in (None, "timecode"):
            recording = replace(recording, clock=clock_of_headers(id, recording.files, session.fps))
        out[id] = recording
    bare = {id: tuple(recording.files) for id, recording in out.items() if recording.clock is None}
    if by == "timestamp" and bare:
        unit = unit_of(bare.values(), session.fps)
        for id, numbers in bare.items():
            out[id] = replace(out[id], clock=clock_of_names(numbers, unit))
    return out


def _check(session: Session, take: str, recordings: Recordings, refuse: Refuse) -> None:
    """Refuse clocks that contradict the count of frames, or one another, up to the last frame of the take."""
    sound, last = {}, session.takes[take].last
    for id, recording in recordings.items():
        if (clock := recording.clock) is None:
            continue
        if last is not None:
            clock = clock.until(last - (recording.shift or 0))
        if not clock.numbers:
            continue
        if not clock.runs_at(session.fps):
            _refuse_rate(id, clock, session.fps, refuse)
        elif jump := clock.jump():
            lost = f"{jump.missing} frame{'s are' if jump.missing > 1 else ' is'} missing before it"
            refuse(
                id,
                jump.frame,
                f"the frame is at {jump.time:.4f} s, it was due at {jump.due:.4f} s: "
                + (lost if jump.missing > 0 else "it comes too soon"),
                f'Set [sync] by = "timestamp" to leave a gap there{_COUNT}.',
            )
        elif _timecode(id, clock, session.fps, refuse):
            sound[id] = recording
    _check_starts(sound, session.fps, refuse)


def _refuse_rate(camera: str, clock: Clock, fps: float, refuse: Refuse) -> None:
    """Name the frame at which the rates are half a frame apart, or the last."""
    due = np.arange(len(clock.ticks)) / float(exact_rate(fps))
    times = (clock.ticks - clock.ticks[0]) * float(clock.tick)
    apart = np.flatnonzero(np.abs(times - due) >= 0.5 / fps - 1e-9)
    index = int(apart[0]) if len(apart) else len(due) - 1
    refuse(
        camera,
        clock.numbers[index],
        f"the camera runs at {clock.rate:.6g} frames per second, the session at {fps:g}: the frame is at "
        f"{times[index]:.4f} s, it was due at {due[index]:.4f} s",
        f'Correct fps, record at that rate, or set [sync] by = "timestamp"{_COUNT}.',
    )


def _timecode(camera: str, clock: Clock, fps: float, refuse: Refuse) -> bool:
    """Whether the clock's time code exists at this rate; a clock without one is sound."""
    try:
        return not clock.timecode or bool(Timecode.parse(clock.timecode, fps))
    except ValueError as error:
        refuse(camera, clock.numbers[0], str(error), f"Correct the file's time code, or fps{_COUNT}.")
        return False


def _check_starts(recordings: Recordings, fps: float, refuse: Refuse) -> None:
    """Frames of one number must be of one moment, by every clock that cameras have in common."""
    clocks = {id: one.clock for id, one in recordings.items() if one.clock}
    # The stamps of videos may start anywhere once the session says by how much a camera is off.
    groups = {
        "timecode": [id for id, clock in clocks.items() if clock.timecode],
        "timestamp": [id for id, clock in clocks.items() if clock.shared],
        "timestamp ": [id for id, clock in clocks.items() if not clock.shared and recordings[id].shift is None],
    }
    for by, ids in groups.items():
        by, group = by.strip(), {id: recordings[id] for id in ids}
        ahead = {id: place - _first(group[id]) for id, place in _starts(group, by, fps).items()}
        usual = Counter(map(round, ahead.values())).most_common(1)[0][0] if ahead else 0
        main = next((id for id, place in ahead.items() if round(place) == usual), "")
        late = {id: place - ahead[main] for id, place in ahead.items() if abs(place - ahead[main]) > _SIMULTANEOUS}
        for id, frames in late.items():
            said = f"{_said(clocks[id], by)}, that of camera {main} at {_said(clocks[main], by)}"
            kind = "time code" if by == "timecode" else f"clock ({clocks[id].kind})"
            what = f"its {kind} starts at {said}: {abs(frames):.3g} frame{'s' if abs(frames) != 1 else ''} apart"
            fix = _proposal(recordings, {other: round(apart) for other, apart in late.items()}, by)
            refuse(id, next(iter(group[id].files)), what, fix)


def _first(recording: Recording) -> int:
    """The stage's number of a camera's first frame, as it is counted."""
    return next(iter(recording.files)) + (recording.shift or 0)


def _starts(group: Recordings, by: str, fps: float) -> dict[str, float]:
    """The moment of every camera's first frame, in frames from a moment that is the same for all."""
    clocks = {id: one.clock for id, one in group.items() if one.clock}
    if by == "timecode":
        codes = {id: Timecode.parse(clock.timecode, fps) for id, clock in clocks.items()}
        return {id: float(code - next(iter(codes.values()))) for id, code in codes.items()}
    if all(clock.together is not None for clock in clocks.values()):
        return {id: float(clock.together[0]) for id, clock in clocks.items() if clock.together is not None}
    times = {id: int(clock.ticks[0]) * clock.tick for id, clock in clocks.items()}
    return {id: float((time - next(iter(times.values()))) * exact_rate(fps)) for id, time in times.items()}


def _said(clock: Clock, by: str) -> str:
    """The start of a clock in its own words."""
    return clock.timecode if by == "timecode" else f"{clock.seconds(0):.4f} s"


def _proposal(recordings: Recordings, late: Mapping[str, int], by: str) -> str:
    """What to write into the session so that frames of one moment get one number."""
    offsets = {id: (recordings[id].shift or 0) + frames for id, frames in late.items()}
    ends = [
        (_first(one) + late.get(id, 0), next(reversed(one.files)) + (one.shift or 0) + late.get(id, 0))
        for id, one in recordings.items()
    ]
    first, last = max([0, *(end[0] for end in ends)]), min(end[1] for end in ends)
    common = f", first = {first} and last = {last}" if first <= last else ""
    listed = ", ".join(f"{json.dumps(id) if '.' in id else id} = {frames}" for id, frames in offsets.items())
    return f'Set offset = {{{listed}}}{common} for the take, or [sync] by = "{by}"{_COUNT}.'


def _can_be_placed(camera: str, clock: Clock | None, by: str, fps: float, refuse: Refuse) -> bool:
    """Whether a camera's clock can say which frame of the stage each of its frames is."""
    what, stop = "", None
    if clock is None or (by == "timecode" and not clock.timecode):
        what, fix = f'[sync] by = "{by}", but no file of the camera says one', "Copy the recorder's files again"
    elif by == "timecode":
        if not clock.runs_at(fps):
            _refuse_rate(camera, clock, fps, refuse)
            return False
        return _timecode(camera, clock, fps, refuse)
    elif (back := np.flatnonzero(np.diff(clock.ticks) <= 0)).size:
        stop = int(back[0]) + 1
        what = f"the frame is at {clock.seconds(stop):.4f} s, not after the one before it"
        fix = "Record it again, or leave the camera out with without="
    elif len(clock.ticks) > 1 and not clock.runs_at(fps * max(1, round(clock.rate / fps)), _ALMOST):
        if clock.kind == "names":
            what, fix = f"the names of the pictures are no times at {fps:g} frames per second", "Correct fps"
        else:
            what = f"the camera runs at {clock.rate:.6g} frames per second, no multiple of the session's {fps:g}"
            fix = "Correct fps, or record at that rate"
    elif not clock.exact and (jump := clock.jump()):
        what = f"{jump.missing} frames are missing near frame {jump.frame}, and the file does not say exactly where"
        fix = "Record without B-frames, or into MP4 or MKV"
    if what:
        refuse(camera, clock.numbers[stop] if clock and stop else None, what, f"{fix}{_COUNT}.")
    return not what


def _placed(recordings: Recordings, by: str, fps: float) -> Recordings:
    """The recordings with every frame at the number of its moment; the earliest moment of all is frame 0."""
    clocks = {id: one.clock for id, one in recordings.items() if one.clock}
    starts, even = (
        _starts(recordings, by, fps),
        by == "timecode" or all(c.together is not None for c in clocks.values()),
    )
    often = {id: 1 if even else max(1, round(clock.rate / fps)) for id, clock in clocks.items()}
    main = min(starts, key=lambda id: often[id])
    places = {
        id: np.asarray(starts[id] - starts[main] + (clock.slots() if even else clock.since_first * fps), np.float64)
        for id, clock in clocks.items()
    }
    early = _off(places[main]) if often[main] == 1 else 0.0  # its first frame alone may have been late
    for id in places:
        places[id] = places[id] - early
        # Untriggered cameras are off by a constant; of a camera of twice the rate, pictures lie between frames.
        places[id] -= _off(places[id]) if often[id] == 1 else 0.0
    earliest = min(int(np.rint(place).min()) for place in places.values())
    out = {}
    for id, place in places.items():
        numbers, off = np.rint(place).astype(np.int64), np.abs(place - np.rint(place))
        order = np.lexsort((off, numbers))
        order = order[off[order] <= _SIMULTANEOUS / often[id] + 0.01]
        # Of pictures that fall on one frame, the nearest to it is taken.
        kept = order[np.unique(numbers[order], return_index=True)[1]]
        shift = (recordings[id].shift or 0) - earliest
        placed = {int(numbers[k]) + shift: clocks[id].numbers[k] for k in kept if numbers[k] + shift >= 0}
        out[id] = replace(recordings[id], placed=placed)
    return out


def _off(place: NDArray[np.float64]) -> float:
    """How far a camera's frames lie behind whole numbers, without those that were late."""
    return float(np.median(place - np.rint(place)))
