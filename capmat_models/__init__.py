"""Tensors in, tensors out: networks, losses, augmentation, training, metrics. No files, no Prefect, no Zarr.

Importing the package costs nothing; torch comes with the first network, weights or metric.
"""

import importlib
from typing import TYPE_CHECKING, Any

from capmat_models.networks.factory import create_model, list_models

if TYPE_CHECKING:
    from capmat_models import metrics
    from capmat_models.weights.state import load_published

__all__ = ["create_model", "list_models", "load_published", "metrics"]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return importlib.import_module("capmat_models.metrics")
    if name == "load_published":
        return importlib.import_module("capmat_models.weights.state").load_published
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
