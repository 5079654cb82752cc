"""A rendered capture stage: what a recording looks like when nobody can share a real one."""
