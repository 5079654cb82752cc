"""The inbox: which sessions and takes have arrived, and which are still being copied.

A session is a folder with a `session.toml`. A file counts as copied when its inode has not changed for a while:
the change time is set by every write, also by programs that keep the files' own times (rsync -a), and a wrong
clock in a camera cannot spoil it. A second look a little later catches what a file server reports late.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from capmat_errors import CapmatError, ConfigError, SessionError
from storage.session import Session, read_session
from tasks.progress import say
from tasks.step import Record, digest, retryable

SECOND_LOOK_S = 5.0
_DEEP = 3  # folders below the inbox in which a session.toml is looked for
_Listing = dict[str, tuple[int, int, float]]
"""Bytes, time of modification (ns) and of the last change of the inode (s), by path."""


@dataclass(frozen=True)
class Arrived:
    """A session that can be worked on.

    Attributes:
        file: its session.toml.
        session: what that says.
        takes: those that are copied; what stands for their files and those of plates and calibration, by name.
    """

    file: str
    session: Session
    takes: dict[str, str]


@dataclass
class Found:
    """What an inbox holds.

    Attributes:
        sessions: those of which at least one take is copied, by path.
        left: what is still being copied: `where` and `why`.
        refused: sessions that cannot be used, see `trouble`.
    """

    sessions: list[Arrived] = field(default_factory=list)
    left: list[Record] = field(default_factory=list)
    refused: list[Record] = field(default_factory=list)


def trouble(session: str, take: str, step: str, error: BaseException) -> Record:
    """Why something could not be done, for the morning: where it belongs, and the error in its parts."""
    said = {"session": session, "take": take, "step": step, "error": type(error).__name__}
    if isinstance(error, CapmatError):
        return {**said, "what": error.what, "where": error.where, "fix": error.fix}
    what = " ".join(str(error).split())[:300]
    return {**said, "what": what, "where": "", "fix": "A fault of the program: the log of this step has more."}


def look(
    inbox: str, still_minutes: float, now: Callable[[], float] = time.time, second_look_s: float = SECOND_LOOK_S
) -> Found:
    """Look into the inbox; reads no pictures and changes nothing.

    Args:
        inbox: a folder.
        still_minutes: how long nothing may have been written to what is taken in.
        now: the clock, in seconds since 1970.
        second_look_s: seconds between two looks at what seems to be copied.

    Raises:
        ConfigError: the inbox is no folder of this machine.
    """
    if "://" in inbox or not Path(inbox).is_dir():
        raise ConfigError("the inbox is no folder", where=inbox, fix="Create it, or mount what holds the sessions.")
    found = Found()
    read: list[tuple[Path, Session]] = []
    before: dict[Path, float] = {}
    limit = now() - 60 * still_minutes
    for file in _sessions(Path(inbox), found.left):
        before[file] = file.stat().st_ctime
        try:
            read.append((file, read_session(file)))
        except SessionError as error:
            if before[file] > limit:
                found.left.append({"where": str(file), "why": "is still being written"})
            else:
                found.refused.append(trouble(str(file.parent), "", "read the session", error))
    first = {file: _listings(file, session) for file, session in read}
    if first:
        time.sleep(second_look_s)
    for file, session in _one_of_a_name(read, found.refused):
        shared, takes = _listings(file, session)
        old_shared, old_takes = first[file]
        if why := _moving(shared, old_shared, limit):
            found.left.append({"where": str(file.parent), "why": why})
            continue
        fresh = any(_moving(takes[name], old_takes[name], limit) for name in takes)
        copied = {}
        for name, listing in takes.items():
            if why := _moving(listing, old_takes[name], limit):
                found.left.append({"where": f"{file.parent}, take {name}", "why": why})
            elif not listing and fresh:
                found.left.append({"where": f"{file.parent}, take {name}", "why": "nothing of it has arrived yet"})
            else:
                copied[name] = _stands_for(session, name, shared | listing)
        if copied:
            found.sessions.append(Arrived(str(file), session, copied))
    for place in found.left:
        say(f"left for another night: {place['where']}: {place['why']}")
    return found


def _sessions(inbox: Path, left: list[Record]) -> Iterator[Path]:
    """Every session.toml, by path; folders of the inbox without any are noted in `left`."""
    for folder in sorted(inbox.iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            files = sorted(_below(folder, _DEEP - 1))
            yield from files
            if not files:
                left.append({"where": str(folder), "why": "has no session.toml yet"})


def _below(folder: Path, deep: int) -> Iterator[Path]:
    if (file := folder / "session.toml").is_file():
        yield file
    elif deep:
        for inner in folder.iterdir():
            if inner.is_dir() and not inner.name.startswith("."):
                yield from _below(inner, deep - 1)


def _one_of_a_name(read: list[tuple[Path, Session]], refused: list[Record]) -> Iterator[tuple[Path, Session]]:
    """Sessions whose name no other session of the inbox has; a copied session.toml is easily forgotten."""
    folders: dict[str, list[Path]] = {}
    for file, session in read:
        folders.setdefault(session.name, []).append(file.parent)
    for file, session in read:
        others = [str(folder) for folder in folders[session.name] if folder != file.parent]
        if not others:
            yield file, session
            continue
        error = SessionError(
            f"the session is called {session.name}, and so is {', '.join(others)}",
            where=str(file),
            fix="Give every session a name of its own.",
        )
        refused.append(trouble(str(file.parent), "", "read the session", error))


def _listings(file: Path, session: Session) -> tuple[_Listing, dict[str, _Listing]]:
    """The files of descriptor, calibration, plates and trimaps, and those of each take."""
    shared = [file, _fixed(session.folder, session.calibration.path)]
    if session.plates:
        shared.append(_fixed(session.folder, session.plates.path))
    if session.benchmark:
        shared.append(_fixed(session.folder, session.benchmark.trimaps))
    takes = {name: _listing([_fixed(session.folder, take.path)]) for name, take in session.takes.items()}
    of_takes = {path for listing in takes.values() for path in listing}
    return {path: at for path, at in _listing(shared).items() if path not in of_takes}, takes


def _stands_for(session: Session, take: str, listing: _Listing) -> str:
    """Digest of what the session says about a take and of its files, wherever the inbox lies.

    What it says about other takes does not matter: a day's session.toml grows with the day.
    """
    said = session.model_dump(mode="json", exclude={"takes", "source"})
    folder = session.folder
    files = {os.path.relpath(path, folder): at[:2] for path, at in listing.items() if path != session.source}
    return digest([said, session.takes[take].model_dump(mode="json"), sorted(files.items())])


def _fixed(folder: Path, template: str) -> Path:
    """The part of a path template that names no camera and no frame."""
    parts = Path(template).parts
    return folder.joinpath(*parts[: next((i for i, part in enumerate(parts) if "{" in part), len(parts))])


def _listing(places: Iterable[Path]) -> _Listing:
    """Every file at or below some places."""
    found: _Listing = {}
    for place in places:
        inside = (Path(top, name) for top, _, names in os.walk(place) for name in names)
        for path in [place] if place.is_file() else inside:
            try:
                at = path.stat()
            except FileNotFoundError:  # a copy renames its files when they are whole
                continue
            found[str(path)] = (at.st_size, at.st_mtime_ns, at.st_ctime)
    return found


def _moving(listing: _Listing, before: _Listing, limit: float) -> str:
    """Why these files do not seem to be copied; "" if they do."""
    for path, at in listing.items():
        if at[2] > limit:
            clock = time.strftime("%H:%M:%S", time.localtime(at[2]))
            return f"{Path(path).name} changed at {clock}, not long enough ago"
        if before.get(path) != at:
            return f"{Path(path).name} changed between two looks"
    return "files vanish" if before.keys() - listing.keys() else ""


look_task = retryable("inbox", "look into {inbox}")(look)
