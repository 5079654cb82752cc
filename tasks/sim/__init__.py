"""The rendered stage and the simulated person: stands in for a real stage in the demo."""
