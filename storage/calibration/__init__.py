"""The camera and the subject's box; `formats` reads and writes calibration files."""
