"""What runs, in which order: the Prefect flows and the command line. No maths, no arrays."""

import tasks as _tasks  # noqa: F401  # it silences Prefect, also where a flow imports Prefect first
