"""Rendering in tests uses the variant that runs everywhere; at this size it is also the quicker one."""

import os

os.environ.setdefault("MITSUBA_VARIANT", "scalar_rgb")
