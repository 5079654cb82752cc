"""Weights in and out, published, adapted, exported."""
