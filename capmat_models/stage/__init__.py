"""Numpy maths of a stage check: light, noise, change, registration."""
