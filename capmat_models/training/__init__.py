"""The loop, losses, optimisers, the recipes."""
