"""Loads capmat's packages, first in each Prefect process, as the entry point in pyproject.toml says.

Prefect puts the working folder in front of the import path of a flow run. A folder there that is called `tasks`
would take the place of ours, so ours are loaded now, and the working folder leaves the path, which Dask workers
inherit.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent)

sys.path.insert(0, _ROOT)
for _name in ("capmat_errors", "capmat_models", "flows", "storage", "tasks"):
    import_module(_name)
del sys.path[0]
if os.getcwd() != _ROOT:  # noqa: PTH109
    sys.path[:] = [entry for entry in sys.path if entry not in ("", os.getcwd())]  # noqa: PTH109
