"""Is everything still there, what may go, taking damaged work back."""
