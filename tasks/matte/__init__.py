"""Inference: a take, one photograph, files for others, where a matte comes from."""
