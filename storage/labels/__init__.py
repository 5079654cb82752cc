"""Strokes, label sets, drafts, the mined queue, trimaps, known alphas; `formats` reads the labels of other tools."""
