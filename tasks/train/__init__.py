"""Base data, the four trainings and the frame they share, the look at a training, what is held back."""
