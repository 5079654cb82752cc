"""Is the store intact, what may go, and taking damaged work back."""
