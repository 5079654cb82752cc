"""The report of one round."""
