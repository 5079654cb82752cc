"""The page on which people paint: the program, its guard, its socket, its files."""
