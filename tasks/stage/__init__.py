"""Is the stage fit to be matted? look, measure, judge, report."""
