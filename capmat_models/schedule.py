"""How a learning rate changes over a training: a factor by iteration and number of iterations."""

import math

_LEAST_RATE = 0.02


def constant(iteration: int, iterations: int) -> float:
    """Stay at 1."""
    return 1.0


def cosine(iteration: int, iterations: int, warmup: int) -> float:
    """Rise linearly for `warmup` iterations (at most a tenth of all), then follow a cosine down to 2 %."""
    warmup = min(warmup, max(1, iterations // 10))
    if iteration < warmup:
        return (iteration + 1) / warmup
    done = (iteration - warmup) / max(1, iterations - warmup)
    return _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * done))
