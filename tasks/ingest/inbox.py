"""The inbox: which sessions and takes have arrived, and which are still being copied.

A session is a folder with a `session.toml`. A file counts as copied when its inode has not changed for a while: every
write sets that time, also by programs that keep the files' own times (rsync -a) and with a wrong clock in the camera.
On S3 the ETag and the time of the last upload decide. A second look catches what a server reports late.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from capmat_errors import CapmatError, SessionError, StoreError
from storage.descriptor import Session, read_session
from tasks.ingest.inbox_files import (
    Bucket,
    InboxFiles,
    Listing,
    Postponed,
    open_inbox,
    shared_paths,
    take_path,
)
from tasks.runtime.step import digest, retryable

SECOND_LOOK_S = 5.0


class Refused(TypedDict):
    """Why something could not be done, for the morning: where it belongs, and the error in its parts."""

    session: str
    take: str
    step: str
    error: str
    what: str
    where: str
    fix: str


@dataclass(frozen=True)
class Delivery:
    """A take as it lies in the inbox.

    Attributes:
        files: digest of its files, of those that the session shares, and of what the session says about them.
        says: digest of the latter alone.
        newest: time of the last write to any of these files, in seconds since 1970, by the clock of their server.
        gone: the take has no file.
    """

    files: str
    says: str
    newest: float
    gone: bool


@dataclass(frozen=True)
class Arrived:
    """A session that can be worked on.

    Attributes:
        file: its session.toml.
        session: the parsed session.toml.
        takes: what was delivered, by name of a copied take.
    """

    file: str
    session: Session
    takes: dict[str, Delivery]


@dataclass
class Inbox:
    """What an inbox holds.

    Attributes:
        files: the inbox.
        sessions: with at least one copied take, by path.
        left: what is still being copied.
        refused: sessions that cannot be used.
    """

    files: InboxFiles
    sessions: list[Arrived] = field(default_factory=list)
    left: list[Postponed] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def trouble(session: str, take: str, step: str, error: BaseException) -> Refused:
    """The record of an error in a step of a take; `take` is "" for what a whole session shares."""
    what, where, fix = (
        " ".join(str(error).split())[:300],
        "",
        "A fault of the program: the log of this step has more.",
    )
    if isinstance(error, CapmatError):
        what, where, fix = error.what, error.where, error.fix
    return Refused(session=session, take=take, step=step, error=type(error).__name__, what=what, where=where, fix=fix)


def read_inbox(
    inbox: str, still_minutes: float, now: Callable[[], float] | None = None, second_look_s: float = SECOND_LOOK_S
) -> Inbox:
    """Look into the inbox; reads no pictures and changes nothing.

    Args:
        inbox: a folder, or s3://bucket/prefix, of which every session.toml is fetched.
        still_minutes: a file counts as copied when nothing was written to it for so long.
        now: the clock, in seconds since 1970; None for that of the server on which the inbox lies.
        second_look_s: seconds between the two looks.

    Raises:
        ConfigError: the inbox is not a folder of this machine.
        StoreError: S3 does not answer.
    """
    files = open_inbox(inbox)
    contents = Inbox(files)
    sessions: list[tuple[Path, Session]] = []
    first = {}
    limit = (now or files.clock)() - 60 * still_minutes
    for file in files.sessions(contents.left):
        changed = max((at[2] for at in files.listing([file]).values()), default=limit)
        try:
            session = read_session(file)
        except SessionError as error:
            if changed > limit:
                contents.left.append({"where": files.shown(file), "why": "is still being written"})
            else:
                contents.refused.append(trouble(str(file.parent), "", "read the session", error))
            continue
        try:
            first[file] = _listings(files, file, session)
            sessions.append((file, session))
        except SessionError as error:
            contents.refused.append(trouble(session.name, "", "read the session", error))
    if first:
        time.sleep(second_look_s)
        files.again()
    for file, session in _one_of_a_name(sessions, contents.refused):
        shared, takes = _listings(files, file, session)
        old_shared, old_takes = first[file]
        if why := _moving(shared, old_shared, limit):
            contents.left.append({"where": files.shown(file.parent), "why": why})
            continue
        fresh = any(_moving(takes[name], old_takes[name], limit) for name in takes)
        copied = {}
        for name, listing in takes.items():
            if why := _moving(listing, old_takes[name], limit):
                contents.left.append({"where": f"{files.shown(file.parent)}, take {name}", "why": why})
            elif not listing and fresh:
                why = "nothing of it has arrived yet"
                contents.left.append({"where": f"{files.shown(file.parent)}, take {name}", "why": why})
            else:
                copied[name] = _delivery(session, name, shared, listing)
        if copied:
            contents.sessions.append(Arrived(str(file), session, copied))
    return contents


def fetch(files: Bucket, arrived: Arrived, take: str) -> None:
    """Copy a take from S3, and what its session shares; existing copies are kept.

    Raises:
        StoreError: the disk has too little room, S3 does not answer, or the take changed meanwhile.
    """
    file, session = Path(arrived.file), arrived.session
    shared, takes = _listings(files, file, session)
    files.fetch(shared | takes[take], [*shared_paths(file, session), take_path(session, take)])
    files.again()
    shared, takes = _listings(files, file, session)
    if _delivery(session, take, shared, takes[take]) != arrived.takes[take]:
        where = files.shown(take_path(session, take))
        raise StoreError("the take changed while it was copied", where=where, fix="Wait until it is whole.")


def to_fetch(files: Bucket, arrived: Arrived, take: str) -> int:
    """Bytes of a take, and of what its session shares, that are not copied from S3 yet."""
    shared, takes = _listings(files, Path(arrived.file), arrived.session)
    return sum(files.missing(shared | takes[take]).values())


def drop(files: Bucket, arrived: Arrived, unfinished: Iterable[str]) -> None:
    """Remove the copies of a session's takes, but of `unfinished` ones; without these also of what it shares."""
    shared, takes = _listings(files, Path(arrived.file), arrived.session)
    kept = {file for name in unfinished for file in takes[name]}
    copies = {file for listing in takes.values() for file in listing}
    files.drop((copies if kept else copies | shared.keys()) - kept)


def _one_of_a_name(read: list[tuple[Path, Session]], refused: list[Refused]) -> Iterator[tuple[Path, Session]]:
    """The sessions with a name of their own; a copied session.toml often keeps the name of the other."""
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


def _listings(files: InboxFiles, file: Path, session: Session) -> tuple[Listing, dict[str, Listing]]:
    """The files of descriptor, calibration, plates and trimaps, and those of each take."""
    takes = {name: files.listing([take_path(session, name)]) for name in session.takes}
    of_takes = {path for listing in takes.values() for path in listing}
    shared = files.listing(shared_paths(file, session))
    return {path: at for path, at in shared.items() if path not in of_takes}, takes


def _delivery(session: Session, take: str, shared: Listing, own: Listing) -> Delivery:
    """What was delivered of a take, wherever the inbox lies.

    Other takes do not matter: a day's session.toml grows with the day.
    """
    said = session.model_dump(mode="json", exclude={"takes", "source"}), session.takes[take].model_dump(mode="json")
    listing = {path: at for path, at in (shared | own).items() if path != session.source}
    files = sorted((os.path.relpath(path, session.folder), at[:2]) for path, at in listing.items())
    newest = max((at[2] for at in listing.values()), default=0.0)
    return Delivery(digest([*said, files]), digest(said), newest, gone=not own)


def _moving(listing: Listing, before: Listing, limit: float) -> str:
    """Why these files do not count as copied yet; "" if they do."""
    for path, at in listing.items():
        if at[2] > limit:
            clock = time.strftime("%H:%M:%S", time.localtime(at[2]))
            return f"{Path(path).name} changed at {clock}, which is too recent"
        if before.get(path) != at:
            return f"{Path(path).name} changed between two looks"
    return "files disappear" if before.keys() - listing.keys() else ""


read_inbox_task = retryable("inbox", "look into {inbox}")(read_inbox)
fetch_task = retryable("fetch", "fetch {take}")(fetch)
