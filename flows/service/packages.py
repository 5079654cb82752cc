"""Loads capmat's packages, first in each Prefect process, as the entry point in pyproject.toml says.

Prefect puts the working folder in front of the import path while it imports a flow. A folder of the user's own that
is called `tasks` would then take the place of ours, if ours were not loaded already.
"""

from importlib import import_module

for _name in ("capmat_errors", "capmat_models", "flows", "storage", "tasks"):
    import_module(_name)
