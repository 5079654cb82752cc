"""The camera, reading and writing calibrations, the subject's box."""
