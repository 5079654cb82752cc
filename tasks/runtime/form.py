"""The form of a deployment: a few parameters of a flow, laid over capmat.toml.

A form of all settings is long, and a run that is started from it keeps the defaults of the program instead of what
the stage has set. So a flow takes only what changes from night to night. Whatever else is to change goes through
`overrides`, in the words of the command line. Commands give a flow the same parameters, so that the page of a run
shows what was asked of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from capmat_errors import CapmatError, ConfigError, no_such
from tasks.config import Config
from tasks.runtime.settings import load_config


def asked(
    config: str = "",
    overrides: Sequence[str] = (),
    *,
    session: str = "",
    inbox: str = "",
    until: str = "",
    **_: object,
) -> Config:
    """The settings of a run.

    Args:
        config: the file with the settings; "" for capmat.toml of the working folder.
        overrides: `key=value` pairs, see `tasks.runtime.settings.load_config`.
        session: `session` of this run, which then looks into no inbox.
        inbox: `inbox` of this run.
        until: `night.until` of this run.

    Raises:
        ConfigError: a parameter or setting cannot be used.
    """
    if session and inbox:
        raise ConfigError("only one of the two can be worked on", where="session, inbox", fix="Leave one empty.")
    pairs = {"session": session, "inbox": inbox, "night.until": until}
    given = [f"{key}={value}" for key, value in pairs.items() if value] + (["inbox="] if session else [])
    return load_config(Path(config) if config else None, [*overrides, *given])


def chosen(takes: Sequence[str], known: Sequence[str], where: str) -> list[str]:
    """The takes that a run works on: those that were named, else all.

    Raises:
        NotFound: no take has that name; the message lists those that have one.
    """
    for name in takes:
        if name not in known:
            raise no_such("take", name, known, where=where, holder="it")
    return [name for name in known if name in takes or not takes]


def faults(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is wrong with the settings in a form, before it is sent.

    Args:
        values: what was filled in, by parameter.

    Returns:
        Errors as Prefect's UI shows them beside a field: `property` and `errors`, texts or those of an `index` each.
    """
    if not (whole := _fault(values)):
        return []
    file = {"config": values.get("config", "")}
    if fault := _fault(file):
        return [{"property": "config", "errors": [fault]}]
    for index, pair in enumerate(values.get("overrides", ())):
        if fault := _fault({**file, "overrides": [pair]}):
            return [{"property": "overrides", "errors": [{"index": index, "errors": [fault]}]}]
    for name in ("until", "session", "inbox"):
        if name in values and (fault := _fault({**file, name: values[name]})):
            return [{"property": name, "errors": [fault]}]
    return [{"property": "session" if values.get("session") else "overrides", "errors": [whole]}]


def _fault(values: Mapping[str, Any]) -> str:
    try:
        asked(**values)
    except CapmatError as error:
        return str(error).replace("--set ", "")  # which nobody typed here
    return ""
