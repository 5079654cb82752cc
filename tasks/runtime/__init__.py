"""How any verb runs: once, resumable, watched, with a progress line and a measured rate."""
