"""Where tasks run: how each kind of Dask cluster starts, which worker gets a task, what travels."""
