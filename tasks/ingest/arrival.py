"""What the store has of a session that arrived: takes that are finished, and names that another session uses."""

from typing import TypedDict

from capmat_errors import NotFound, SessionError, StoreError
from storage.descriptor import Session
from storage.session.plan import check_stage
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Config
from tasks.ingest.inbox import Arrived, Delivery
from tasks.runtime.step import digest


class Wanted(TypedDict):
    """What a night is to do with a take."""

    teacher: int  # it sees every n-th frame; 0 for none
    exports: list[str]  # where to, then the formats; empty for no exports


def check_names(store: str, session: Session, take: str = "") -> None:
    """Refuse to replace a take or plates of another session.

    Args:
        store: URL of the store.
        session: the session.
        take: one of its takes; "" for the plates.

    Raises:
        SessionError: the store holds a take or stage of this name from another session.
        CapmatError: the plates cannot be used.
    """
    root, kind, name = Root(store), "take" if take else "stage", take or session.stage
    try:
        stored: Take | Stage = (Take if take else Stage).open(root, name, sealed=False)
    except NotFound:
        return
    owner = stored.source.get("session")
    if owner in (None, session.name):
        return
    if not take:
        manifests = {id: plate.manifest() for id, plate in check_stage(session, decode=False).plates.items()}
        if manifests == stored.source.get("manifests"):
            return
    raise SessionError(
        f"the store holds {'a take' if take else 'plates of a stage'} {name} of session {owner}",
        where=session.source,
        fix=f"Give this {kind} another name in session.toml.",
    )


def is_finished(store: str, take: str, delivery: Delivery, wanted: Wanted) -> bool:
    """Whether an earlier night did all that is wanted with these files, with whichever model.

    A finished take stays so when its files leave the inbox, all or some of them: people tidy up.
    """
    root = Root(store)
    entry = Ledger(root).done(f"night/{take}")
    if not entry:
        return False
    if entry["files"] == delivery.files:
        if entry["how"] != digest(wanted):
            return False
    elif not delivery.gone and (entry.get("says") != delivery.says or delivery.newest > entry["newest"]):
        return False
    try:
        Take.open(root, take)
    except (NotFound, StoreError):  # it was removed, or its seal is off for a repair
        return False
    return True


def unfinished(config: Config, arrived: Arrived) -> tuple[dict[str, Wanted], list[str]]:
    """What to do with the takes of a session, by name, and the names of those that are finished."""
    trimaps = arrived.session.benchmark.take if arrived.session.benchmark else ""
    todo: dict[str, Wanted] = {}
    finished = []
    for name, delivery in arrived.takes.items():
        wanted = Wanted(
            teacher=1 if name in config.scribble_takes or name == trimaps else config.night.teacher_every,
            exports=[config.exports, *config.night.formats] if config.exports else [],
        )
        if is_finished(config.store, name, delivery, wanted):
            finished.append(name)
        else:
            todo[name] = wanted
    return todo, finished


def finish(store: str, take: str, delivery: Delivery, wanted: Wanted, session: str) -> None:
    """Record that a night did all that was wanted with these files."""
    entry = {"files": delivery.files, "says": delivery.says, "newest": delivery.newest}
    Ledger(Root(store)).record(f"night/{take}", {**entry, "how": digest(wanted), "session": session})
