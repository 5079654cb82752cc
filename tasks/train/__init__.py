"""Base data, the four trainings, the look at a training, what is held back; run.py is the frame that all of them repeat today."""
