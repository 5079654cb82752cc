"""Mattes and scenes as files for other programs."""
