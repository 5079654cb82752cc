"""Tensors in, tensors out: networks, losses, augmentation, training, metrics. No files, no Prefect, no Zarr.

Importing the package costs nothing; torch comes with the first network.
"""

from capmat_models.factory import create_model, list_models

__all__ = ["create_model", "list_models"]
