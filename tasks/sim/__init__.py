"""The rendered stage and the simulated person, which stand in for a real stage in the demo; needs mitsuba."""
