"""One module per verb: the plain function that does it, and the thin Prefect task around it."""
