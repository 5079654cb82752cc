"""One module per verb: the plain function that does it, and the thin Prefect task around it."""

import os

# Before anybody imports Prefect, which would tell its makers: nothing leaves the machine. What we start inherits it.
os.environ.update(DO_NOT_TRACK="1", PREFECT_SERVER_ANALYTICS_ENABLED="false")
