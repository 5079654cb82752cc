"""One module per calibration format, traps on top; transforms.py also owns frame_entry and FLIP."""
