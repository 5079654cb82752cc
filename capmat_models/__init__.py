"""Tensors in, tensors out: networks, losses, augmentation, training, metrics. No files, no Prefect, no Zarr."""
