"""Networks by name.

A name is enough to build a network; keyword arguments change single fields of its configuration. The network
carries both as `model.architecture` and `model.config`, so that a checkpoint says how to build it again.
"""

from __future__ import annotations

import importlib
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from capmat_errors import CapmatError, ConfigError, did_you_mean
from capmat_models.networks.configs import ARCHITECTURES, UNAVAILABLE

if TYPE_CHECKING:
    from torch import nn


def list_models(role: str = "") -> list[str]:
    """Names that `create_model` knows.

    Args:
        role: only those of one part: teacher, student, supervisor or baseline.
    """
    return [name for name, entry in ARCHITECTURES.items() if role in ("", entry.role)]


def create_model(name: str, **config: Any) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        name: one of `list_models()`.
        **config: fields of the network's configuration to change (see `capmat_models.networks.configs`). Lists are
            read as tuples, so a configuration from JSON works.

    Returns:
        The network in train mode, with `architecture` (the name), `config` (a frozen dataclass), and
        `inputs`, `recurrent`, `rig` and `sampled` as `capmat_models.networks.configs.Architecture` describes them.

    Raises:
        ConfigError: the name or a field is unknown, no network can have such settings, or the network is known but
            not available.
    """
    if name in UNAVAILABLE:
        reason, instead = UNAVAILABLE[name]
        raise ConfigError(reason, where=name, fix=instead)
    try:
        entry = ARCHITECTURES[name]
    except KeyError:
        fix = did_you_mean(name, ARCHITECTURES) or f"Choose one of {', '.join(ARCHITECTURES)}."
        raise ConfigError(f"no network is called {name!r}", fix=fix) from None
    known = {f.name for f in fields(entry.config)}
    if unknown := sorted(set(config) - known):
        raise ConfigError(
            f"no such setting: {', '.join(unknown)}",
            where=name,
            fix=f"Choose from {', '.join(sorted(known))}.",
        )
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    for field in fields(entry.config):
        if get_origin(field.type) is Literal and settings.get(field.name, field.default) not in get_args(field.type):
            raise ConfigError(
                f"{field.name} is {settings[field.name]!r}",
                where=name,
                fix=f"Choose from {', '.join(get_args(field.type))}.",
            )
    network = getattr(importlib.import_module(f"capmat_models.networks.{entry.module}"), entry.network)
    template: Any = entry.config
    try:
        model: Any = network(replace(template, **settings))
    except CapmatError:
        raise
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:  # of torch and timm
        if not settings:
            raise
        words = ", ".join(f"{key}={value}" for key, value in settings.items())
        why = str(error).partition("\n")[0]
        raise ConfigError(f"no network can have {words} ({why})", where=name, fix="Correct the settings.") from error
    model.architecture, model.inputs = name, model.config.inputs
    model.recurrent, model.rig, model.sampled = entry.recurrent, entry.rig, entry.sampled
    return model
