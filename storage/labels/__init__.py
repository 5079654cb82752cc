"""Strokes, label sets, drafts, the mined queue, trimaps and known alphas."""
