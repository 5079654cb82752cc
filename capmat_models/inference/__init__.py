"""Fast ways to run: the fixed rig, tiles, the released way."""
