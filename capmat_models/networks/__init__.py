"""The networks, their sizes, their names."""
