"""Trainings: the loop that they share, losses, optimisers, checkpoints, and one recipe a file."""
