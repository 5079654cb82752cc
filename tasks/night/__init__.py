"""The night: forecast, parts, looking back, the morning report, metrics."""
