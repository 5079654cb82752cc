"""Nerfstudio as a program in an environment of its own."""
