"""Picture files, one module per format, and what their numbers mean."""
