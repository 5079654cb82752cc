"""Whether a session has what a round of training needs, asked before any work starts."""

from fnmatch import fnmatchcase
from pathlib import Path

from capmat_errors import ConfigError
from storage.descriptor import read_session
from storage.labels.formats.archive import entries_below
from storage.labels.label_set import LABELS, LabelSet
from storage.store.root import Root
from storage.takes.take import list_takes
from tasks.config import Config
from tasks.train.base_data import check_base_data


def check_round(config: Config) -> Config:
    """Refuse a session on which `redistill` could not finish; returns the settings with the default `pseudo_takes`.

    Raises:
        ConfigError: the session has no benchmark; a take of `pseudo_takes` or `scribble_takes` is unknown; or
            no take is left for the teacher to label.
        SessionError: the session cannot be read.
        TrainingError: there are no base data.
    """
    session = read_session(config.session)
    if session.benchmark is None:
        raise ConfigError(
            "the session has no [benchmark], so the new models could not be judged",
            where=session.source,
            fix="Name a take and its trimaps there; docs/benchmark.md shows how.",
        )
    session.check_takes(config.pseudo_takes, "pseudo_takes")
    session.check_takes(sorted({*config.scribble_takes} - {*list_takes(Root(config.store))}), "scribble_takes")
    check_base_data(Path(config.base_data))
    if config.pseudo_takes:
        return config
    from tasks.labels.in_use import pseudo_takes_used  # not for `--help`: it brings Prefect

    used = {*config.scribble_takes, *config.validation_takes, *pseudo_takes_used(config.store, config.scribbles)}
    used |= {session.benchmark.take} if len(session.takes) > 1 else set()
    new = tuple(take for take in session.takes if not any(fnmatchcase(take, pattern) for pattern in used))
    if not new:
        uses = "labelled in an earlier round, or kept for scribbles, validation or the benchmark"
        what = f"every take of the session ({', '.join(session.takes)}) is {uses}, so the teacher has none to label"
        raise ConfigError(what, where="pseudo_takes", fix="Add a take to the session, or name takes here.")
    return config.model_copy(update={"pseudo_takes": new})


def check_labels(config: Config) -> None:
    """Refuse a round without labels: neither frozen nor in the inbox of overlays.

    Raises:
        NotFound: the store has no label set.
    """
    overlays = entries_below(Path(config.scribbles)) if config.scribbles else ()
    if not any(path.is_file() for path in overlays):
        LabelSet.open(Root(config.store), LABELS)
