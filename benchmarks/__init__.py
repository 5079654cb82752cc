"""Every speed figure that we publish, one command each."""
