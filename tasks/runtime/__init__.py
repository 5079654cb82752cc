"""How any verb runs: by its settings, once, resumable, with a progress line and a measured rate."""
