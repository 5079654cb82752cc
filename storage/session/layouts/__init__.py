"""Folders without session.toml: the layout is recognised and the file written."""
