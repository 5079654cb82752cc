"""What must not break the store: writers that die, disks that lie, and files that are none."""
