"""Is this session fit to be taken in, and what will it cost? calibration against a checkerboard."""
