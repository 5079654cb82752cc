"""Puts plain torch in the place of what nerfacc 0.5.2 does on a GPU alone, in any Python that finds this folder."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

PARTS = {"nerfacc.csrc": "csrc.py", "nerfacc.pack": "pack.py"}


class StandIn(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name not in PARTS:
            return None
        return importlib.util.spec_from_file_location(name, Path(__file__).parent / PARTS[name])


sys.meta_path.insert(0, StandIn())
