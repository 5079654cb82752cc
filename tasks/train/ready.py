"""Whether a session has what a round of training needs, asked before any work starts."""

from capmat_errors import ConfigError
from storage.descriptor import read_session
from tasks.config import Config


def check_round(config: Config) -> None:
    """Refuse a session on which `redistill` could not finish.

    Raises:
        ConfigError: the session has no benchmark, or one of the `pseudo_takes` is missing.
        SessionError: the session cannot be read.
    """
    session = read_session(config.session)
    if session.benchmark is None:
        raise ConfigError(
            "the session has no [benchmark], so the new models could not be judged",
            where=session.source,
            fix="Name a take and its trimaps there; docs/benchmark.md shows how.",
        )
    for take in config.pseudo_takes:
        if take not in session.takes:
            raise ConfigError(
                f"the session has no take {take}; it has {', '.join(session.takes)}",
                where="pseudo_takes",
                fix="Name takes of the session.",
            )
