"""Times that lie beside a recording: in a CSV file, or in the names of its pictures.

Caliscope writes `timestamps.csv` (sync_index, cam_id, frame_index, frame_time) beside its videos; other recorders
write a file per camera. Such a table says more than the stamps of a video, whose frames a recorder numbers evenly.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from capmat_errors import SessionError
from storage.recordings.clock import Clock

_TABLES = ("timestamps.csv", "frame_time_history.csv")
_CAMERA = ("cam_id", "camera_id", "camera", "cam", "port")
_FRAME = ("frame_index", "frame_number", "frame_id", "frame", "index")
_TOGETHER = "sync_index"
_TIME = re.compile(r"(?:frame_|sensor_|camera_)?(?:timestamp|time|pts)(?:[ _\[(]+(ns|us|ms|s)[\])]?)?")
_UNITS = {"s": Fraction(1), "ms": Fraction(1, 10**3), "us": Fraction(1, 10**6), "ns": Fraction(1, 10**9)}
_TICKS = (*_UNITS.values(), Fraction(1, 10**7))  # Windows counts tenths of a microsecond
_NANO = _UNITS["ns"]
_MOST_BYTES = 2**28
_DATE = re.compile(r"(20\d{12})(\d{0,9})")


def unit_of(times: Iterable[Iterable[Decimal | int]], fps: float) -> Fraction:
    """Seconds per unit of times, by camera, which come at about `fps`; of single times, by their date."""
    rows = [sorted(row) for row in times]
    steps = [float(b - a) for row in rows for a, b in zip(row, row[1:], strict=False) if b > a]
    if steps:
        return min(_TICKS, key=lambda unit: abs(np.log(float(np.median(steps)) * float(unit) * fps)))
    today = 1.7e9  # seconds from 1970 to 2023
    return min(_TICKS, key=lambda unit: abs(np.log(max(1.0, float(rows[0][0])) * float(unit) / today)))


def moments(numbers: Iterable[int]) -> list[int]:
    """Nanoseconds since 1970 of numbers that are written dates (20231120101112345); [] if one of them is none."""
    found = []
    for match in (_DATE.fullmatch(str(number)) for number in numbers):
        try:
            start = datetime.strptime(match[1] + "Z", "%Y%m%d%H%M%S%z") if match else None
        except ValueError:
            start = None
        if match is None or start is None:
            return []
        found.append(int(start.timestamp()) * 10**9 + int(match[2].ljust(9, "0")))
    return found


def clock_of_names(numbers: tuple[int, ...], unit: Fraction) -> Clock:
    """The clock of pictures whose names are dates, or times in units of `unit` seconds.

    Raises:
        SessionError: a name has more digits than any clock.
    """
    if dates := moments(numbers):
        return Clock("names", numbers, np.array(dates, np.int64), _NANO, shared=True)
    if numbers[-1] >= 2**63:
        raise SessionError(f"the name {numbers[-1]} is no time", fix="Remove the file, or number the pictures.")
    return Clock("names", numbers, np.array(numbers, np.int64), unit, shared=True)


def find_table(file: Path, camera: str) -> Path | None:
    """The CSV file that says the times of a recording, of which `file` is the first file; None without one."""
    folders = (file.parent, file.parent.parent) if file.parent.name == camera else (file.parent,)
    names = (*_TABLES, f"{camera}.csv", f"{camera}_timestamps.csv", f"{file.stem}.csv", f"{file.stem}_timestamps.csv")
    found = (folder / name for folder in folders for name in dict.fromkeys(names))
    return next((path for path in found if path.is_file() and (path.name in _TABLES or _has_times(path))), None)


def clock_of_table(path: Path, camera: str, numbers: tuple[int, ...], fps: float) -> Clock:
    """The clock that a CSV file holds of the frames `numbers` of a camera.

    Raises:
        SessionError: the file cannot be read, has no column of times, or not one row for every frame.
    """

    def refuse(what: str, fix: str = "Correct the file, or remove it.") -> SessionError:
        return SessionError(what, where=f"camera {camera}, {path}", fix=fix)

    try:
        head, rows = _read(path, path.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise refuse(f"the times cannot be read ({error})") from error
    time = next((name for name in head if _TIME.fullmatch(name.lower())), None)
    if time is None:
        raise refuse(
            f"no column holds times; the columns are {', '.join(head)}", "Call it timestamp, or timestamp_ns."
        )
    by, frame = _column(head, _CAMERA), _column(head, _FRAME)
    used = [name for name in (by, frame, time, _TOGETHER) if name and name in head]
    if short := next((n for n, row in enumerate(rows, 1) if any(row[name] is None for name in used)), 0):
        raise refuse(f"row {short} is cut off", "Copy the file again, or remove that row.")
    own = [row for row in rows if by is None or _same(row[by], camera)]
    if not own:
        known = ", ".join(sorted({row[by] for row in rows})) if by else "none"
        raise refuse(f"no row is of this camera; the rows are of {known}")
    try:
        places = [int(row[frame]) for row in own] if frame else list(numbers[: len(own)])
        times = dict(zip(places, (_moment(row[time]) for row in own), strict=True))
        together = [int(row[_TOGETHER]) for row in own] if _TOGETHER in head else None
        if not all(time.is_finite() and -(2**63) < time < 2**63 for time in times.values()):
            raise ValueError("a time is not finite, or too large for any clock")
    except (ValueError, TypeError) as error:
        raise refuse(f"a row does not hold numbers ({error})") from error
    if len(times) != len(own) or sorted(times) != list(numbers):
        strange = sorted({*times} ^ {*numbers}) or [0]
        raise refuse(
            f"it has {len(own)} rows for {len(numbers)} frames; frame {strange[0]} is only in one of the two",
            "Take the table that was written with this recording.",
        )
    said = _TIME.fullmatch(time.lower())
    unit = _UNITS[said[1]] if said and said[1] else unit_of([times.values()], fps)
    ticks = [round(Fraction(times[number]) * unit / _NANO) for number in numbers]
    if max(map(abs, ticks)) >= 2**63:
        raise refuse("a time is too large for any clock")
    if back := next((b for a, b in pairwise(range(len(ticks))) if ticks[b] < ticks[a]), 0):
        raise refuse(f"the times run backwards before frame {numbers[back]}")
    order = np.argsort(places)
    frames = None if together is None else np.array(together, np.int64)[order]
    return Clock(path.name, numbers, np.array(ticks, np.int64), _NANO, together=frames, shared=True)


def _moment(text: str) -> Decimal:
    """A number, also with a decimal comma; or the seconds since 1970 of a written date.

    Raises:
        ValueError: it is neither.
    """
    try:
        return Decimal(text.replace(",", "."))
    except InvalidOperation:
        date = datetime.fromisoformat(text.strip())
    since = (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return Decimal(since // timedelta(microseconds=1)) / 10**6


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> tuple[list[str], list[dict[str, str]]]:
    """The names of the columns, and the rows; read once per process and version of the file, for all cameras."""
    if not path.is_file():
        raise OSError("it is not a file")  # a pipe would be waited for
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise OSError(f"it has {size} bytes")
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        reader = csv.DictReader(file, delimiter=max(",;\t", key=first.count), skipinitialspace=True)
        return list(reader.fieldnames or ()), list(reader)


def _has_times(path: Path) -> bool:
    try:
        return any(_TIME.fullmatch(name.lower()) for name in _read(path, path.stat().st_mtime_ns)[0])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def _column(head: list[str], names: Iterable[str]) -> str | None:
    lower: Mapping[str, str] = {name.lower(): name for name in head}
    return next((lower[name] for name in names if name in lower), None)


def _same(written: str, camera: str) -> bool:
    """Whether a table means this camera: by its name, or by the number at the end of it ("2" is cam_2)."""
    digits = re.search(r"\d+$", camera)
    return written == camera or bool(digits and written.isdigit() and int(written) == int(digits[0]))
