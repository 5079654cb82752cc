"""Where a scribble would help most."""
