"""Training samples: composites, stage frames, augmentation, trimaps."""
